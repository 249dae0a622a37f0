/* ssh_wire: see ssh_lib.h. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/ssh_lib.h"

static size_t flow_left(const SshFlow *flow) { return flow->bytes.len - flow->at; }

static void flow_used(SshFlow *flow, size_t len) {
  flow->at += len;
  if (flow->at < flow->bytes.len) return;
  flow->at = 0;
  buf_clear(&flow->bytes);
}

size_t ssh_wire_waits(const SshWire *wire) { return flow_left(&wire->out); }

void ssh_wire_sent(SshWire *wire, size_t len) { flow_used(&wire->out, len); }

void ssh_wire_came(SshWire *wire, size_t len) {
  wire->in.bytes.len += len;
  wire->heard_ms = clock_mono_ms();
}

static ssize_t on_send(libssh2_socket_t fd, const void *bytes, size_t len, int flags, void **abstract) {
  SshSession *session = *abstract;
  SshWire *wire = &session->wire;
  (void)fd;
  (void)flags;
  if (wire->dead) return -EPIPE;
  buf_add(&wire->out.bytes, bytes, len);
  return (ssize_t)len;
}

static ssize_t on_recv(libssh2_socket_t fd, void *bytes, size_t size, int flags, void **abstract) {
  SshSession *session = *abstract;
  SshWire *wire = &session->wire;
  size_t left = flow_left(&wire->in), len = left < size ? left : size;
  (void)fd;
  (void)flags;
  if (wire->dead) return -ECONNRESET;
  if (len > 0) {
    memcpy(bytes, wire->in.bytes.data + wire->in.at, len);
    flow_used(&wire->in, len);
    return (ssize_t)len;
  }
  if (!wire->ended) return -EAGAIN;
  return wire->errnum != 0 ? -wire->errnum : 0;
}

void ssh_wire_attach(SshSession *session) {
  /* The library's interface for this takes data pointers for functions. */
  LIBSSH2_SEND_FUNC((*send)) = on_send;
  LIBSSH2_RECV_FUNC((*receive)) = on_recv;
  void *as_data;
  memcpy(&as_data, &send, sizeof as_data);
  libssh2_session_callback_set(session->lib, LIBSSH2_CALLBACK_SEND, as_data);
  memcpy(&as_data, &receive, sizeof as_data);
  libssh2_session_callback_set(session->lib, LIBSSH2_CALLBACK_RECV, as_data);
}

static void wire_end(SshWire *wire, int errnum) {
  wire->ended = true;
  wire->errnum = errnum;
}

bool ssh_wire_fill(SshWire *wire) {
  if (wire->outer != NULL || wire->fd < 0 || wire->ended) return false;
  if (flow_left(&wire->in) >= SSH_WIRE_BYTES) return false;
  if (wire->in.at > 0) {
    buf_consume(&wire->in.bytes, wire->in.at);
    wire->in.at = 0;
  }
  char *to = buf_reserve(&wire->in.bytes, SSH_WIRE_BYTES);
  ssize_t n = recv(wire->fd, to, SSH_WIRE_BYTES, 0);
  if (n > 0) {
    wire->in.bytes.len += (size_t)n;
    wire->heard_ms = clock_mono_ms();
    return true;
  }
  if (n == 0)
    wire_end(wire, 0);
  else if (errno != EAGAIN && errno != EINTR)
    wire_end(wire, errno);
  return wire->ended;
}

bool ssh_wire_flush(SshWire *wire) {
  bool moved = false;
  bool room = wire->full && flow_left(&wire->in) < SSH_WIRE_BYTES;
  if (wire->outer != NULL && (room || flow_left(&wire->out) > 0)) {
    ssh_session_pump_soon(wire->outer);
    return false;
  }
  while (wire->fd >= 0 && !wire->dead && flow_left(&wire->out) > 0) {
    ssize_t n = send(wire->fd, wire->out.bytes.data + wire->out.at, flow_left(&wire->out), MSG_NOSIGNAL);
    if (n > 0) {
      flow_used(&wire->out, (size_t)n);
      moved = true;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno != EAGAIN) {
      wire_end(wire, errno); /* what came in before is still read */
      wire->out.at = 0;
      buf_clear(&wire->out.bytes);
    } else {
      break;
    }
  }
  return moved;
}

void ssh_wire_watch(SshWire *wire) {
  if (wire->watch == NULL) return;
  int events = 0;
  if (!wire->ended && flow_left(&wire->in) < SSH_WIRE_BYTES) events |= UV_READABLE;
  if (!wire->ended && flow_left(&wire->out) > 0) events |= UV_WRITABLE;
  fdwatch_set(wire->watch, events);
}

void ssh_wire_fini(SshWire *wire) {
  fdwatch_close(wire->watch);
  wire->watch = NULL;
  if (wire->outer == NULL && wire->fd >= 0) close(wire->fd);
  wire->fd = -1;
  wire->outer = NULL;
  buf_fini(&wire->in.bytes);
  buf_fini(&wire->out.bytes);
  wire->in.at = wire->out.at = 0;
}
