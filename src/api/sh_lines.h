/* sh_lines: what a child of a pipe says on its standard error, line by line, to a Lua function: as a task of its own, so that no
 * library's callback runs Lua. An error it raises fails the child's stage. */
#ifndef PGSH_API_SH_LINES_H
#define PGSH_API_SH_LINES_H

#include "api/part.h"
#include "stream/end.h"

typedef struct ShLines ShLines;

/* For a stage in the making; the function is the part's user value. Freed with the stage. */
ShLines *sh_lines_new(lua_State *L, const Part *part);
EndLines sh_lines_reader(ShLines *lines);
void sh_lines_set_stage(ShLines *lines, Stage *stage);

#endif
