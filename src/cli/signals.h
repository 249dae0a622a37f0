/* signals: what the operator's keys and the system's signals mean.
 *
 *   Ctrl-C          stop what is waited for; the engine asks what next. Again, before that was done or asked: out at once,
 *                   terminal restored, exit status 130; the journal is intact, because every line of it is whole
 *   TERM, HUP       as the first Ctrl-C, but nobody is asked. Again: out at once
 *   QUIT (Ctrl-\)   out at once, as the last Ctrl-C
 *   TSTP (Ctrl-Z)   stop, with the terminal as it was
 *   PIPE            ignored: a write says so itself
 *
 * The handlers only set flags and wake the loop; signals_take is called after each of its turns. */
#ifndef PGSH_CLI_SIGNALS_H
#define PGSH_CLI_SIGNALS_H

#include "vm/vm.h"

typedef enum SignalNews {
  SIGNAL_INTERRUPTED = 1, /* stop the task */
  SIGNAL_TERMINATED = 2,  /* and ask nobody */
  SIGNAL_SUSPENDED = 4,   /* erase what is live, then call signals_suspend */
  SIGNAL_RESIZED = 8,     /* the terminal has another size */
} SignalNews;

/* From now on. The Vm and its Loop are borrowed until signals_disarm. */
void signals_arm(Vm *vm);
/* Back to what a process without handlers does. */
void signals_disarm(void);
/* What came since the last call: SignalNews or-ed. */
unsigned signals_take(void);
/* Stop the process, as Ctrl-Z asked; returns when it is continued. */
void signals_suspend(void);
/* While nothing runs that could be interrupted (a line is typed, a pager has the terminal): Ctrl-C is only told. */
void signals_set_idle(bool idle);
/* How many interrupts that were not dealt with yet are borne before the next one ends the process; 1 at first. */
void signals_set_patience(int count);
/* The run that a hard exit tells how to go on with; NULL: none. Copied. */
void signals_set_run(const char *run);
/* The same for a shell's run. */
void signals_set_session(const char *run);

#endif
