/* edit_program: a program that has the terminal for a while: a pager, an editor. */
#ifndef PGSH_CLI_EDIT_PROGRAM_H
#define PGSH_CLI_EDIT_PROGRAM_H

#include "cli/view.h"
#include "run/run.h"

/* As Console.program. `input` is copied. */
AnswerOp *edit_program(View *view, Loop *loop, char *const argv[], const char *input, size_t len);

#endif
