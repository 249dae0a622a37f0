/* frame: a text that is redrawn in place until a key is pressed (watch). Lines that are printed meanwhile appear above it.
 *
 * The terminal is the frame's while a key is waited for; a question, Ctrl-Z or a pager get it as it was and give it back. */
#ifndef PGSH_CLI_FRAME_H
#define PGSH_CLI_FRAME_H

#include "cli/view.h"
#include "run/run.h"

typedef struct Frame Frame;

/* `usable`: standard input and error are a terminal that may be used. The view is borrowed. */
Frame *frame_new(View *view, bool usable);
/* No key is waited for any more (the Vm is closed). NULL is fine. */
void frame_free(Frame *frame);
/* Settles when a key is pressed (which one is not told: it is used up) or the terminal goes away. What was typed before is
 * thrown away. What is drawn then stays on the screen. Fails with ERR_ANSWER when there is no terminal. */
AnswerOp *frame_key(Frame *frame, Loop *loop);
/* Show a text in place of the former one; what does not fit the screen is cut, visibly. What stands between \001 and \002 is
 * emphasised. Nothing unless a key is waited for. */
void frame_show(Frame *frame, const char *text);
/* The terminal has another size. */
void frame_resize(Frame *frame);

#endif
