/* sh: what the files of api/sh share: a command in the making. */
#ifndef PGSH_API_SH_H
#define PGSH_API_SH_H

#include <lua.h>

#include "loop/proc.h"
#include "run/effect.h"

#define SH_SHOW_BYTES 300

typedef struct ShArgs {
  ProcSpec spec;
  int64_t timeout_ms;
  Buf show; /* the command as a shell would take it */
  bool unknown;
} ShArgs;

/* A tool and what it acts upon (sh_tool.c): what all its commands begin with. */
typedef struct ShTool {
  Target *target;
  char *shown; /* what a rendering begins with */
  char **argv; /* NULL-ended, at least one */
  char **env;  /* as ProcSpec's; NULL: none */
} ShTool;

void sh_args_fini(void *args);
/* From the Lua stack; raise. A list of arguments or a string for /bin/sh at index… */
void sh_args_command(lua_State *L, ShArgs *args, int index);
/* …or a list of words for a tool… */
void sh_args_words(lua_State *L, ShArgs *args, const ShTool *tool, int index);
/* …and the options env, input, ok, cwd, timeout, limit. `change`: the end of each output is kept, else all of it up to the limit.
 */
void sh_args_options(lua_State *L, ShArgs *args, int options, bool change);
/* The text at index, checked to be fit for an argument; what it is goes into the error. The value may be an unknown: then its
 * text is pushed. */
const char *sh_check_word(lua_State *L, ShArgs *args, int index, const char *what);
/* The option env, into a list as ProcSpec's. True: one of the values is unknown. */
bool sh_args_env(lua_State *L, char ***env, int options);
/* A word as a shell would take it, after a space. */
void sh_show_word(Buf *show, const char *word);
/* Read or run the command at index, with the options behind it: the door's answer. tool: NULL for sh itself. */
int sh_call(lua_State *L, const ShTool *tool, int index, EffectKind kind);
/* A rendering becomes one line of at most so many bytes, cut at a character. */
void sh_finish_show(Buf *show, size_t most);
/* A command at index, with the options behind it, as an end of a pipe: pushes the part. */
int sh_output_part(lua_State *L, const ShTool *tool, int index);
int sh_input_part(lua_State *L, const ShTool *tool, int index);
/* sh.tool */
int l_sh_tool(lua_State *L);
/* The result table of a command that has ended; of a change as the journal can hold it. */
void sh_push_result(lua_State *L, const ProcResult *result, bool change);
/* Bytes as the journal can hold them: what is not UTF-8 becomes the replacement character. truncated: the beginning is cut off.
 */
void sh_push_text(lua_State *L, const char *bytes, size_t size, bool truncated);

#endif
