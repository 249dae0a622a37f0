/* file_parts: files as the ends of a pipe (lua/meta/file.lua documents them). */
#include <lauxlib.h>
#include <stdlib.h>

#include "api/part.h"
#include "run/run.h"
#include "stream/end.h"
#include "vm/args.h"
#include "vm/luaerr.h"

/* A dump holds data and the roles' password hashes: nobody else's to read, unless it is said. */
#define WRITER_MODE 0600

typedef struct FilePart {
  char *path;
  unsigned mode;
} FilePart;

static void file_fini(void *self) { free(((FilePart *)self)->path); }

static Stage *reader_open(lua_State *L, Part *part) {
  (void)L;
  return end_file_reader(((FilePart *)part->own)->path);
}

static Stage *writer_open(lua_State *L, Part *part) {
  const FilePart *own = part->own;
  (void)L;
  return end_file_writer(own->path, own->mode);
}

static const PartClass reader_class = {
    .role = PART_SOURCE, .kind = "file.reader", .size = sizeof(FilePart), .fini = file_fini, .open = reader_open};
static const PartClass writer_class = {.role = PART_SINK,
                                       .kind = "file.writer",
                                       .changes = true,
                                       .repeatable = true,
                                       .size = sizeof(FilePart),
                                       .fini = file_fini,
                                       .open = writer_open};

/* The path is at 1. */
static FilePart *file_part(lua_State *L, const PartClass *cls) {
  bool unknown = args_is_unknown(L, 1);
  const char *path = unknown ? luaL_tolstring(L, 1, NULL) : luaL_checkstring(L, 1);
  Part *part = part_new(L, cls);
  FilePart *own = part->own;
  own->path = mem_strdup(path);
  part->unknown = unknown;
  part->target = guard_target(run_of(L)->guard, "file", "localhost", NULL);
  buf_add_str(&part->show, path);
  return own;
}

/* file.reader(path) */
int l_part_reader(lua_State *L) {
  lua_settop(L, 1);
  file_part(L, &reader_class);
  return 1;
}

/* file.writer(path [, {mode}]) */
int l_part_writer(lua_State *L) {
  static const char *const keys[] = {"mode", NULL};
  lua_settop(L, 2);
  int options = args_options(L, 2, keys);
  int64_t mode = args_integer(L, options, "mode", WRITER_MODE);
  if (mode < 0 || mode > 07777) luaerr_throw(L, ERR_USAGE, "mode: a file mode expected, such as tonumber(\"640\", 8)");
  FilePart *own = file_part(L, &writer_class);
  own->mode = (unsigned)mode;
  part_get(L, -1)->path = own->path;
  return 1;
}
