/* part: what a pipe is put together from in Lua: sh.output{…}, gzip(), file.writer(…). A part only describes; its stage is made
 * when the pipe starts, perhaps more than once.
 *
 * A module makes one with part_new: a userdata that holds a Part and, behind it, what the class needs. */
#ifndef PGSH_API_PART_H
#define PGSH_API_PART_H

#include <lua.h>

#include "base/buf.h"
#include "net/pg.h"
#include "run/guard.h"
#include "stream/stage.h"

#define PART_NAME "pgsh.PipePart"

typedef enum PartRole { PART_SOURCE, PART_FILTER, PART_SINK } PartRole;

typedef struct Part Part;

typedef struct PartClass {
  PartRole role;
  const char *kind;        /* "sh.output": how errors and results call it */
  bool changes;            /* a sink that changes its target */
  bool repeatable;         /* … and may be made again without harm */
  size_t size;             /* of its own structure, zeroed by part_new */
  void (*fini)(void *own); /* free what that owns; may be NULL */
  /* Make the stage; raises nothing. Its label is set by the pipe. */
  Stage *(*open)(lua_State *L, Part *part);

  /* A sink whose outcome the server's record can tell: see EffectSpec. False and NULL: it has none. */
  bool notes;
  PgOp *(*settle)(lua_State *L, Part *part, const char *note);
} PartClass;

struct Part {
  const PartClass *cls;
  Target *target;   /* NULL: a filter */
  Buf show;         /* one line, never a secret */
  const char *path; /* of a file it makes, for the result; borrowed from own; NULL: none */
  char *label;      /* under which name the result is given; NULL: none */
  bool unknown;     /* an argument is only known after a run */
  void *own;
};

/* A new part on the stack, with two user values: a listener (sh_lines.h), and what the class wants to keep. Fill it afterwards:
 * whatever raises, it is freed by the collector. */
Part *part_new(lua_State *L, const PartClass *cls);
/* The part at index; NULL when it is something else. */
Part *part_get(lua_State *L, int index);
/* The part of an Op's stage may be gone: push it by its address, or nil. */
int part_push(lua_State *L, const Part *part);

/* pipe_filters.c: functions that make filters, for the modules where they belong. */
int l_part_gzip(lua_State *L);
int l_part_hash(lua_State *L);
int l_part_gunzip(lua_State *L);
int l_part_replace(lua_State *L);
int l_part_head(lua_State *L);
int l_part_tail(lua_State *L);
int l_part_meter(lua_State *L);

/* file_parts.c, sh_parts.c */
int l_part_reader(lua_State *L);
int l_part_writer(lua_State *L);
int l_part_output(lua_State *L);
int l_part_input(lua_State *L);

#endif
