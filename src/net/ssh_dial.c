/* ssh_dial: see ssh_lib.h. Addresses in the system's order (RFC 6724), each for its share of the time. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/timer.h"
#include "net/ssh_lib.h"

#define DIAL_SHARE_MS 2000 /* an address is not given up before that, unless the whole time is over */

struct SshDial {
  Loop *loop;
  char *host;
  int port;
  int64_t until_ms;
  uv_getaddrinfo_t resolve;
  bool resolving, cancelled;
  struct addrinfo *addresses, *at;
  int fd;
  FdWatch *watch;
  Op *timer;
  Err err; /* of the last address */
  void (*done)(void *arg, int fd, Err *err);
  void *arg;
};

static void dial_drop_timer(SshDial *dial) {
  if (dial->timer == NULL) return;
  op_on_settled(dial->timer, NULL, NULL);
  op_cancel(dial->timer, ERR_CANCELLED);
  op_unref(dial->timer);
  dial->timer = NULL;
}

static void dial_leave(SshDial *dial) {
  dial_drop_timer(dial);
  fdwatch_close(dial->watch);
  dial->watch = NULL;
  if (dial->fd >= 0) close(dial->fd);
  dial->fd = -1;
}

static void dial_free(SshDial *dial) {
  dial_leave(dial);
  if (dial->addresses != NULL) uv_freeaddrinfo(dial->addresses);
  err_fini(&dial->err);
  free(dial->host);
  free(dial);
}

static void dial_finish(SshDial *dial, int fd) {
  Err err = {0};
  err_move(&err, &dial->err);
  void (*done)(void *, int, Err *) = dial->done;
  void *arg = dial->arg;
  dial->fd = -1;
  dial_free(dial);
  if (fd >= 0) err_fini(&err);
  done(arg, fd, &err);
}

static void dial_next(SshDial *dial);

static void dial_failed(SshDial *dial, int errnum) {
  char where[NI_MAXHOST] = "";
  getnameinfo(dial->at->ai_addr, dial->at->ai_addrlen, where, sizeof where, NULL, 0, NI_NUMERICHOST);
  err_set_errno(&dial->err, ERR_SSH_CONNECT, errnum, "cannot connect to %s (%s) port %d", dial->host, where, dial->port);
  dial_leave(dial);
  dial->at = dial->at->ai_next;
  dial_next(dial);
}

static void on_connected(void *arg, int events) {
  SshDial *dial = arg;
  int errnum = 0, fd = dial->fd;
  socklen_t len = sizeof errnum;
  (void)events;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0) errnum = errno;
  if (errnum != 0) {
    dial_failed(dial, errnum);
    return;
  }
  fdwatch_close(dial->watch);
  dial->watch = NULL;
  dial_finish(dial, fd);
}

static void on_share_over(Op *op, void *arg) {
  SshDial *dial = arg;
  op_unref(op);
  dial->timer = NULL;
  dial_failed(dial, ETIMEDOUT);
}

/* Milliseconds for the address at hand. */
static int64_t dial_share(const SshDial *dial) {
  int count = 0;
  for (const struct addrinfo *one = dial->at; one != NULL; one = one->ai_next)
    count++;
  int64_t left = dial->until_ms - clock_mono_ms(), share = left / (count > 0 ? count : 1);
  if (share < DIAL_SHARE_MS) share = DIAL_SHARE_MS;
  return share < left ? share : left;
}

static void dial_next(SshDial *dial) {
  const struct addrinfo *at = dial->at;
  if (at == NULL || clock_mono_ms() >= dial->until_ms) {
    dial_finish(dial, -1);
    return;
  }
  dial->fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (dial->fd < 0) {
    dial_failed(dial, errno);
    return;
  }
  int on = 1;
  setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* 2.7 instead of 44 ms a command */
  if (connect(dial->fd, at->ai_addr, at->ai_addrlen) != 0 && errno != EINPROGRESS) {
    dial_failed(dial, errno);
    return;
  }
  dial->watch = fdwatch_open(dial->loop, dial->fd, on_connected, dial);
  fdwatch_set(dial->watch, UV_WRITABLE);
  dial->timer = timer_start(dial->loop, dial_share(dial), 0, NULL);
  op_on_settled(dial->timer, on_share_over, dial);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses) {
  SshDial *dial = request->data;
  dial->resolving = false;
  dial->addresses = dial->at = addresses;
  if (dial->cancelled) {
    dial_free(dial);
    return;
  }
  if (status != 0) {
    err_set(&dial->err, ERR_SSH_CONNECT, "cannot find the address of %s: %s", dial->host, uv_strerror(status));
    dial_finish(dial, -1);
    return;
  }
  dial_next(dial);
}

SshDial *ssh_dial_start(Loop *loop, const char *host, int port, int64_t timeout_ms, void (*done)(void *arg, int fd, Err *err),
                        void *arg) {
  SshDial *dial = mem_alloc(sizeof *dial);
  char service[16];
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
  dial->loop = loop;
  dial->host = mem_strdup(host);
  dial->port = port;
  dial->until_ms = clock_mono_ms() + timeout_ms;
  dial->fd = -1;
  dial->done = done;
  dial->arg = arg;
  dial->resolve.data = dial;
  dial->resolving = true;
  err_set(&dial->err, ERR_SSH_CONNECT, "%s has no address", host);
  snprintf(service, sizeof service, "%d", port);
  if (uv_getaddrinfo(loop_uv(loop), &dial->resolve, on_resolved, host, service, &hints) != 0) abort(); /* only for wrong use */
  return dial;
}

void ssh_dial_cancel(SshDial *dial) {
  if (dial == NULL) return;
  dial->cancelled = true;
  if (!dial->resolving) dial_free(dial);
}
