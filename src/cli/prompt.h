/* prompt: asks the operator on the terminal; the Asker of a run. One question at a time, the others queue. */
#ifndef PGSH_CLI_PROMPT_H
#define PGSH_CLI_PROMPT_H

#include <stdbool.h>

#include "cli/view.h"
#include "run/run.h"

typedef struct Prompt Prompt;

/* `no_input`: answer nothing, whatever the terminal (--no-input). The view and the secrets are borrowed. */
Prompt *prompt_new(View *view, const Redact *redact, bool no_input);
/* Every question has settled before (the Vm is closed). NULL is fine. */
void prompt_free(Prompt *prompt);
/* The Asker; self is the Prompt. Whatever was typed before the question is thrown away: nobody answers what he has not read.
 * Fails with ERR_ANSWER, naming the flag, when there is no terminal; also at end of input (Ctrl-D). */
AnswerOp *prompt_ask(void *self, Loop *loop, const Question *question);
/* Is there a terminal, and may it be used? */
bool prompt_can_ask(const Prompt *prompt);
/* From now on nobody answers (SIGTERM, SIGHUP). A question that stands is not touched. */
void prompt_close_input(Prompt *prompt);
/* Ctrl-C: the question that stands is not answered (ERR_INTERRUPTED). False: there is none. */
bool prompt_interrupt(Prompt *prompt);
/* The question that stands, if any, once more (after the process was stopped and continued). */
void prompt_redraw(Prompt *prompt);

#endif
