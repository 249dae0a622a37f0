/* proc_judge: how a child's end is judged; for proc.c. */
#ifndef PGSH_LOOP_PROC_JUDGE_H
#define PGSH_LOOP_PROC_JUDGE_H

#include "loop/proc.h"

void proc_list_free(char **list);
/* Has it ended well, as spec says? Takes a proof off the output and puts its status into the result. False and err: it has not.
 */
bool proc_judge_end(const ProcSpec *spec, ProcResult *result, Err *err);

#endif
