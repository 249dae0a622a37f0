/* view: what people and programs see of a run: views of the event stream. The only module that prints while one goes on.
 *
 *   standard error   people: a terminal gets the step list with one live region at the bottom, anything else plain lines
 *   standard output  data: the plan, what a script puts out, or with --output json|jsonl the events themselves
 */
#ifndef PGSH_CLI_VIEW_H
#define PGSH_CLI_VIEW_H

#include "cli/style.h"
#include "loop/loop.h"
#include "run/event.h"

typedef enum ViewOutput { VIEW_TEXT, VIEW_JSON, VIEW_JSONL } ViewOutput;

typedef struct ViewSetup {
  ViewOutput output;
  StyleWhen colour;
  bool quiet;                      /* only failures, questions and the last line */
  bool verbose;                    /* also each read and each change */
  bool data_command;               /* what "output" events carry is the answer itself, also with --output json|jsonl */
  bool shell;                      /* the run is an interactive session: its own events are not shown */
  bool asks;                       /* an interrupted run asks what to do next */
  void (*on_run)(const char *run); /* told the id of the run once it has one; or NULL */
} ViewSetup;

typedef struct View View;

/* What becomes of a line that the operator is typing while something else is printed. */
typedef enum ViewCurtain {
  VIEW_HIDE,    /* it goes from the screen, the cursor stands at the beginning of an empty line */
  VIEW_SHOW,    /* it is drawn again, where the cursor is */
  VIEW_RELEASE, /* it goes, and the terminal is somebody else's (a question, Ctrl-Z) */
  VIEW_TAKE,    /* and comes back */
} ViewCurtain;

View *view_new(Loop *loop, const ViewSetup *setup);
/* Erases what is live. The memory goes with the loop's next turns. NULL is fine. */
void view_free(View *view);
/* The EventView; self is the View. Never fails: an eye that looks away does not stop a maintenance. */
bool view_on_event(void *self, EventType type, json_t *event, Err *err);
/* The run is over: erase what is live; with --output json the one object. `err` is the error that ended it, or NULL: it is
 * shown as `pgsh: …` with hint and detail. */
void view_finish(View *view, int exit_status, const Err *err);

/* Somebody else writes to the terminal for a while: nothing is drawn, and what would be printed is held back. Nests. */
void view_suspend(View *view);
void view_resume(View *view);
bool view_is_suspended(const View *view);
/* While suspended for a question: the head of the line the operator types in ("READ-ONLY 0:31 of 5:00  "), kept up to date in
 * place until view_resume when `ticking`. Printed by this call; empty when no clock is open. */
void view_show_clocks(View *view, bool ticking);
/* A line is being typed: lines are printed above it, nothing is drawn live. NULL: it is over. */
void view_set_curtain(View *view, void (*curtain)(void *self, ViewCurtain what), void *self);
/* The styles questions are printed with. */
const Style *view_style(const View *view);

#endif
