/* sh: what the files of api/sh share: a command in the making. */
#ifndef PGSH_API_SH_H
#define PGSH_API_SH_H

#include <lua.h>

#include "loop/proc.h"

#define SH_SHOW_BYTES 300

typedef struct ShArgs {
  ProcSpec spec;
  int64_t timeout_ms;
  Buf show; /* the command as a shell would take it */
  bool unknown;
} ShArgs;

void sh_args_fini(void *args);
/* From the Lua stack; raise. A list of arguments or a string for /bin/sh at index… */
void sh_args_command(lua_State *L, ShArgs *args, int index);
/* …and the options env, input, ok, cwd, timeout, limit. `change`: the end of each output is kept, else all of it up to the limit.
 */
void sh_args_options(lua_State *L, ShArgs *args, int options, bool change);
/* A copy for proc_start: the door may start it again. */
ProcSpec sh_args_spec(const ShArgs *args);
/* A rendering becomes one line of at most so many bytes, cut at a character. */
void sh_finish_show(Buf *show, size_t most);
/* The result table of a command that has ended; of a change as the journal can hold it. */
void sh_push_result(lua_State *L, const ProcResult *result, bool change);
/* Bytes as the journal can hold them: what is not UTF-8 becomes the replacement character. truncated: the beginning is cut off.
 */
void sh_push_text(lua_State *L, const char *bytes, size_t size, bool truncated);

#endif
