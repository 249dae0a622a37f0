/* loop: see loop.h. */
#include "loop/loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct Loop {
  uv_loop_t uv;
  uv_check_t check;
  uv_idle_t idle;
  uv_async_t async;
  Deferred *head, **tail;
};

static void on_drain(uv_check_t *check) {
  Loop *loop = check->data;
  /* Only what is queued now: a call that defers again is served in the next turn, so input is never starved. */
  Deferred *d = loop->head;
  loop->head = NULL;
  loop->tail = &loop->head;
  uv_idle_stop(&loop->idle);
  while (d != NULL) {
    Deferred *next = d->next;
    d->queued = false;
    d->next = NULL;
    d->fn(d);
    d = next;
  }
}

static void on_idle(uv_idle_t *idle) { (void)idle; }
static void on_wake(uv_async_t *async) { (void)async; }

Loop *loop_new(void) {
  Loop *loop = mem_alloc(sizeof *loop);
  signal(SIGPIPE, SIG_IGN); /* a far side that hangs up is an error of the write, not the end of the process */
  if (uv_loop_init(&loop->uv) != 0) abort();
  loop->tail = &loop->head;
  uv_check_init(&loop->uv, &loop->check);
  loop->check.data = loop;
  uv_check_start(&loop->check, on_drain);
  uv_idle_init(&loop->uv, &loop->idle);
  uv_async_init(&loop->uv, &loop->async, on_wake);
  return loop;
}

uv_loop_t *loop_uv(Loop *loop) { return &loop->uv; }

void loop_defer(Loop *loop, Deferred *d) {
  if (d->queued) return;
  d->queued = true;
  d->next = NULL;
  *loop->tail = d;
  loop->tail = &d->next;
  uv_idle_start(&loop->idle, on_idle);
}

void loop_turn(Loop *loop, bool wait) { uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT); }

void loop_wake(Loop *loop) { uv_async_send(&loop->async); }

typedef struct LeakWalk {
  Loop *loop;
  Buf names;
} LeakWalk;

static void on_walk(uv_handle_t *handle, void *arg) {
  LeakWalk *walk = arg;
  if (uv_is_closing(handle)) return;
  if (walk->names.len > 0) buf_add_str(&walk->names, ", ");
  buf_add_str(&walk->names, uv_handle_type_name(handle->type));
}

bool loop_free(Loop *loop, Err *err) {
  if (loop == NULL) return true;
  uv_check_stop(&loop->check);
  for (int i = 0; i < 100 && loop->head != NULL; i++)
    on_drain(&loop->check);
  uv_close((uv_handle_t *)&loop->check, NULL);
  uv_close((uv_handle_t *)&loop->idle, NULL);
  uv_close((uv_handle_t *)&loop->async, NULL);
  /* Everything left is closing: turns are short. Work on the thread pool is given a moment. */
  uint64_t end = uv_hrtime() + (uint64_t)2000000000;
  int rc;
  while ((rc = uv_loop_close(&loop->uv)) == UV_EBUSY && uv_hrtime() < end) {
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    if (uv_loop_alive(&loop->uv)) uv_sleep(1);
  }
  if (rc != 0) {
    LeakWalk walk = {.loop = loop};
    uv_walk(&loop->uv, on_walk, &walk);
    err_set(err, ERR_INTERNAL, "the event loop still holds: %s", buf_str(&walk.names));
    buf_fini(&walk.names);
    return false; /* its memory is still referenced by those handles */
  }
  free(loop);
  return true;
}
