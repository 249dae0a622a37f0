/* run: what one run of pgsh holds together: the stream, the guard, the store, the door's state, the operator.
 *
 * Made by the command line (composition), hung on the Vm with vm_set_user, found again with run_of. */
#ifndef PGSH_RUN_RUN_H
#define PGSH_RUN_RUN_H

#include <lua.h>

#include "loop/op.h"
#include "run/event.h"
#include "run/guard.h"
#include "vm/vm.h"

typedef enum RunMode {
  RUN_DIRECT, /* -e, `pgsh lua`: effects happen at once; events go to the views, no journal */
  RUN_PLAN,   /* reads are made, changes are shown */
  RUN_REAL,   /* journaled */
} RunMode;

/* What the operator is asked. */
typedef struct Question {
  const char *text;    /* the question, one or more lines */
  const char *flag;    /* the command-line flag that would answer it, for the error without a terminal; or NULL */
  const char *options; /* letters of the choices ("riusq"), the first is not a default; NULL: free text */
  const char *labels;  /* "[r]etry   [u]ndo   [s]top" as shown; NULL with free text */
  const char *expect;  /* only this exact text is accepted (a typed confirmation); or NULL */
  bool secret;         /* not echoed */
} Question;

/* An answer in the making: the Op's structure of every asker begins with this. */
typedef struct AnswerOp {
  Op op;
  char *answer; /* owned by the Op; NULL until it succeeded */
} AnswerOp;

/* Who asks: the command line. Returns an armed (or settled) AnswerOp; ERR_ANSWER when there is nobody. */
typedef AnswerOp *(*Asker)(void *self, Loop *loop, const Question *question);

typedef struct Run {
  RunMode mode;
  Redact *redact; /* borrowed */
  Stream *stream;
  Guard *guard;
  struct Door *door;       /* run/door.h: replay, order of effects, counters */
  struct Journal *journal; /* NULL when nothing is journaled */
  struct Store *store;     /* where runs are kept */
  char id[16];             /* of the run that has begun; "" before */
  bool step_by_step;       /* --step: ask before each change */
  Asker asker;
  void *asker_self;
  bool interactive;              /* there is somebody to ask */
  const struct Console *console; /* run/console.h: where lines are typed; NULL: nowhere */
  struct Task *foreground;       /* whom Ctrl-C is for; NULL: the main task */
  int gate;                      /* effect.h: reference of a Lua function in the registry; 0: none. A shell has one */
  int passwords;                 /* as gate: asks the operator for the password of a connection */
} Run;

Run *run_of(lua_State *L);

/* Make the run of a Vm (and hang it there) in mode RUN_DIRECT; run_free after the Vm is closed. */
Run *run_new(Vm *vm, Loop *loop, Redact *redact);
void run_free(Run *run);
/* Where runs are kept, as in store_new. False and ERR_USAGE when it is a URL of another kind. */
bool run_set_state(Run *run, const char *where, Err *err);

#endif
