/* loop: the one event loop of the process, on libuv, and its queue of deferred calls.
 *
 * A library's callback never runs Lua: it settles an Op, whose waiter is called from this queue once the library's own code
 * has returned. The queue is drained by a uv_check, and a uv_idle stays active while it is not empty so that polling cannot
 * sleep on it. Everything here runs on the loop's thread, except loop_wake, which any thread and a signal handler may call. */
#ifndef PGSH_LOOP_LOOP_H
#define PGSH_LOOP_LOOP_H

#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

typedef struct Loop Loop;

/* A deferred call, embedded in its owner. A zeroed one is not queued. */
typedef struct Deferred {
  void (*fn)(struct Deferred *self);
  struct Deferred *next;
  bool queued;
} Deferred;

Loop *loop_new(void);
/* Runs the loop until every handle is closed (bounded), then frees it. False and an error that names what is still open
 * (op and handle kinds) when something leaked. */
bool loop_free(Loop *loop, Err *err);
uv_loop_t *loop_uv(Loop *loop); /* borrowed; loop_uv(l)->data is reserved for loop itself */
/* Queue `d` to be called once, soon, from the loop. Already queued: no effect. */
void loop_defer(Loop *loop, Deferred *d);
/* Run one turn: wait for events (or not, when `wait` is false), call what they bring. */
void loop_turn(Loop *loop, bool wait);
/* Make a sleeping loop_turn return. Async-signal-safe. */
void loop_wake(Loop *loop);

#endif
