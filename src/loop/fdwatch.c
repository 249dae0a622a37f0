/* fdwatch: see fdwatch.h. */
#include "loop/fdwatch.h"

#include <stdlib.h>

#include "base/buf.h"

struct FdWatch {
  uv_poll_t poll;
  FdReady ready;
  void *arg;
  int events;
};

static void on_poll(uv_poll_t *poll, int status, int events) {
  FdWatch *watch = poll->data;
  if (watch->ready == NULL) return;
  /* An error on the descriptor is the library's to find: let it try both directions. */
  watch->ready(watch->arg, status < 0 ? UV_READABLE | UV_WRITABLE : events);
}

FdWatch *fdwatch_open(Loop *loop, int fd, FdReady ready, void *arg) {
  FdWatch *watch = mem_alloc(sizeof *watch);
  if (uv_poll_init(loop_uv(loop), &watch->poll, fd) != 0) {
    free(watch);
    return NULL;
  }
  watch->poll.data = watch;
  watch->ready = ready;
  watch->arg = arg;
  return watch;
}

void fdwatch_set(FdWatch *watch, int events) {
  if (events == watch->events) return;
  watch->events = events;
  if (events == 0)
    uv_poll_stop(&watch->poll);
  else
    uv_poll_start(&watch->poll, events, on_poll);
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void fdwatch_close(FdWatch *watch) {
  if (watch == NULL) return;
  watch->ready = NULL;
  uv_close((uv_handle_t *)&watch->poll, on_closed);
}
