/* ssh_channel: the commands of a session, each on a channel of its own. See ssh_lib.h.
 *
 *   QUEUED → OPENING → STARTING → RUNNING → DYING → gone          forward: OPENING → RUNNING
 *
 * One channel is opened at a time, because the library keeps that call's state in the session. A server that takes no more
 * sessions (MaxSessions) refuses the open: the command then waits until another one is over, and one place is kept free from
 * there on for the command that ends others. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/ssh_lib.h"

#define CHANNEL_READ_BYTES 65536

typedef enum ChannelState { CHANNEL_QUEUED, CHANNEL_OPENING, CHANNEL_STARTING, CHANNEL_RUNNING, CHANNEL_DYING } ChannelState;

struct SshChannel {
  SshChannel *next;
  ChannelState state;
  LIBSSH2_CHANNEL *lib;
  SshCmd *cmd;       /* NULL: a forward, or dropped */
  SshSession *inner; /* of a forward */
  char *host;
  int port;
  bool input_over, forward;
};

/* ---- the list ---- */

static SshChannel *channel_new(SshSession *session, bool first) {
  SshChannel *channel = mem_alloc(sizeof *channel);
  SshChannel **at = &session->channels;
  while (!first && *at != NULL)
    at = &(*at)->next;
  channel->next = *at;
  *at = channel;
  ssh_session_pump_soon(session);
  return channel;
}

static void channel_remove(SshSession *session, SshChannel *channel) {
  SshChannel **at = &session->channels;
  while (*at != NULL && *at != channel)
    at = &(*at)->next;
  if (*at != NULL) *at = channel->next;
  if (session->opening == channel) session->opening = NULL;
  free(channel->host);
  free(channel);
}

void ssh_channel_exec(SshSession *session, SshCmd *cmd) {
  if (session->phase != SSH_UP) { /* it is down, and that is about to be told */
    Err err = {0};
    err_set(&err, ERR_SSH_CONNECT, "%s", session->err.message != NULL ? session->err.message : "the line was lost");
    ssh_cmd_lost(cmd, &err);
    return;
  }
  SshChannel *channel = channel_new(session, cmd->urgent);
  channel->cmd = cmd;
  cmd->channel = channel;
}

void ssh_channel_kick(SshSession *session, SshCmd *cmd) {
  if (cmd->channel != NULL) ssh_session_pump_soon(session);
}

/* It cannot be freed at once: while it is being opened the library works on it. */
static void channel_let_go(SshSession *session, SshChannel *channel) {
  channel->cmd = NULL;
  channel->inner = NULL;
  if (channel->state == CHANNEL_QUEUED)
    channel_remove(session, channel);
  else if (channel->state != CHANNEL_OPENING)
    channel->state = CHANNEL_DYING;
  ssh_session_pump_soon(session);
}

void ssh_channel_drop(SshSession *session, SshCmd *cmd) {
  SshChannel *channel = cmd->channel;
  cmd->channel = NULL;
  if (channel != NULL) channel_let_go(session, channel);
}

SshChannel *ssh_channel_forward(SshSession *session, SshSession *inner, const char *host, int port) {
  SshChannel *channel = channel_new(session, true);
  channel->forward = true;
  channel->inner = inner;
  channel->host = mem_strdup(host);
  channel->port = port;
  return channel;
}

void ssh_channel_unforward(SshSession *session, SshChannel *channel) { channel_let_go(session, channel); }

bool ssh_channel_queued(const SshChannel *channel) { return channel->state == CHANNEL_QUEUED; }

bool ssh_channels_stuck(const SshSession *session, int64_t ms) {
  return session->opening != NULL && clock_mono_ms() - session->opening_ms >= ms;
}

void ssh_channels_free(SshSession *session) {
  while (session->channels != NULL) {
    SshChannel *channel = session->channels;
    if (channel->inner != NULL) ssh_jump_forget(channel->inner->jump);
    if (channel->cmd != NULL) channel->cmd->channel = NULL;
    channel_remove(session, channel);
  }
}

static void channel_tell_lost(SshSession *session, SshChannel *channel, const Err *err) {
  SshCmd *cmd = channel->cmd;
  SshSession *inner = channel->inner;
  Err copy = {0};
  err_copy(&copy, err);
  channel_let_go(session, channel);
  if (cmd != NULL) {
    cmd->channel = NULL;
    ssh_cmd_lost(cmd, &copy);
  } else if (inner != NULL) {
    ssh_jump_forget(inner->jump);
    ssh_session_fail(inner, inner->phase == SSH_UP ? SSH_DOWN_LOST : SSH_DOWN_FAILED, &copy);
  }
  err_fini(&copy);
}

void ssh_channels_lost(SshSession *session, const Err *err) {
  for (bool found = true; found;) {
    found = false;
    for (SshChannel *channel = session->channels; channel != NULL && !found; channel = channel->next) {
      found = channel->cmd != NULL || channel->inner != NULL;
      if (found) channel_tell_lost(session, channel, err);
    }
  }
}

/* ---- steps: 1: something moved; 0: it waits; -1: the session cannot go on ---- */

static int channel_broken(SshSession *session, const char *doing, Err *err) {
  int code;
  const char *reason = ssh_session_reason(session, &code);
  err_set(err, ERR_SSH_CONNECT, "%s: %s", doing, reason);
  return -1;
}

/* Another one is over, or there was none: is there a place? */
static bool channel_may_open(const SshSession *session, const SshChannel *channel) {
  if (session->opening != NULL) return false;
  if (session->most == 0 || channel->forward) return true;
  int kept_free = channel->cmd != NULL && channel->cmd->urgent ? 0 : 1;
  return session->open < session->most - kept_free || session->open == 0;
}

static int channel_refused(SshSession *session, SshChannel *channel) {
  Err err = {0};
  int code;
  const char *reason = ssh_session_reason(session, &code);
  session->opening = NULL;
  if (channel->forward) {
    err_set(&err, ERR_SSH_CONNECT, "cannot be reached from there: %s", reason);
  } else if (session->open > 0) {
    session->most = session->open;
    channel->state = CHANNEL_QUEUED;
    return 0;
  } else {
    err_set(&err, ERR_SSH_CONNECT, "the host does not take a command: %s", reason);
  }
  if (channel->cmd != NULL) channel->cmd->tries = 1000; /* again would be the same */
  channel->state = CHANNEL_DYING;
  channel_tell_lost(session, channel, &err);
  err_fini(&err);
  return 1;
}

static int channel_open(SshSession *session, SshChannel *channel, Err *err) {
  if (channel->state == CHANNEL_QUEUED) session->opening_ms = clock_mono_ms();
  session->opening = channel;
  channel->state = CHANNEL_OPENING;
  if (channel->forward)
    channel->lib = libssh2_channel_direct_tcpip_ex(session->lib, channel->host, channel->port, "127.0.0.1", 22);
  else
    channel->lib = libssh2_channel_open_ex(session->lib, "session", 7, SSH_WINDOW_BYTES, LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0);
  if (channel->lib == NULL) {
    int code = libssh2_session_last_errno(session->lib);
    if (code == LIBSSH2_ERROR_EAGAIN) return 0;
    return code == LIBSSH2_ERROR_CHANNEL_FAILURE ? channel_refused(session, channel) : channel_broken(session, "opening", err);
  }
  session->opening = NULL;
  session->open++;
  channel->state = channel->forward ? CHANNEL_RUNNING : CHANNEL_STARTING;
  if (channel->cmd == NULL && channel->inner == NULL) channel->state = CHANNEL_DYING; /* dropped meanwhile */
  if (channel->inner != NULL) ssh_jump_opened(channel->inner->jump);
  return 1;
}

static int channel_start(SshSession *session, SshChannel *channel, Err *err) {
  SshCmd *cmd = channel->cmd;
  ssh_cmd_begins(cmd);
  int rc = libssh2_channel_process_startup(channel->lib, "exec", 4, cmd->line, (unsigned)strlen(cmd->line));
  if (rc == LIBSSH2_ERROR_EAGAIN) return 0;
  if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED) {
    Err denied = {0};
    err_set(&denied, ERR_SSH_CONNECT, "the host refuses to run a command");
    cmd->pub.op.sent = false;
    cmd->tries = 1000;
    channel_tell_lost(session, channel, &denied);
    err_fini(&denied);
    return 1;
  }
  if (rc != 0) return channel_broken(session, "starting the command", err);
  channel->state = CHANNEL_RUNNING;
  return 1;
}

static int channel_write(SshSession *session, SshChannel *channel) {
  SshCmd *cmd = channel->cmd;
  const char *bytes;
  size_t len;
  int moved = 0;
  while (!channel->input_over && ssh_wire_waits(&session->wire) < SSH_WIRE_BYTES && (len = ssh_cmd_input(cmd, &bytes)) > 0) {
    ssize_t n = libssh2_channel_write_ex(channel->lib, 0, bytes, len);
    if (n == LIBSSH2_ERROR_EAGAIN || n == 0) return moved;
    if (n < 0) { /* the far side has closed it: its end will say why */
      channel->input_over = true;
      return moved;
    }
    ssh_cmd_input_used(cmd, (size_t)n);
    moved = 1;
  }
  if (!channel->input_over && ssh_cmd_input_ended(cmd)) {
    channel->input_over = true;
    libssh2_channel_send_eof(channel->lib);
    moved = 1;
  }
  return moved;
}

static int channel_read(SshSession *session, SshChannel *channel, bool is_err, Err *err) {
  static char bytes[CHANNEL_READ_BYTES];
  int moved = 0;
  for (;;) {
    size_t room = ssh_cmd_room(channel->cmd, is_err);
    if (room == 0) return moved;
    ssize_t n = libssh2_channel_read_ex(channel->lib, is_err ? 1 : 0, bytes, room < sizeof bytes ? room : sizeof bytes);
    if (n == LIBSSH2_ERROR_EAGAIN || n == 0 || n == LIBSSH2_ERROR_CHANNEL_CLOSED) return moved;
    if (n < 0) return channel_broken(session, "reading", err);
    ssh_cmd_output(channel->cmd, is_err, bytes, (size_t)n);
    moved = 1;
  }
}

static int channel_signal(SshChannel *channel) {
  static const struct {
    const char *name;
    int number;
  } signals[] = {{"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"FPE", SIGFPE},   {"HUP", SIGHUP},   {"ILL", SIGILL},
                 {"INT", SIGINT},   {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV},
                 {"TERM", SIGTERM}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"BUS", SIGBUS}};
  char *name = NULL;
  size_t len = 0;
  int number = 0;
  if (libssh2_channel_get_exit_signal(channel->lib, &name, &len, NULL, NULL, NULL, NULL) != 0 || name == NULL) return 0;
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
    if (strncmp(name, signals[i].name, strlen(signals[i].name)) == 0) number = signals[i].number;
  free(name); /* the session uses malloc */
  return number != 0 ? number : SIGKILL;
}

/* Both outputs are at their end: is the channel closed, too? Only then its exit status is there. */
static int channel_end(SshSession *session, SshChannel *channel) {
  int rc = libssh2_channel_wait_closed(channel->lib);
  if (rc != 0) return 0;
  SshCmd *cmd = channel->cmd;
  int signal = channel_signal(channel), code = libssh2_channel_get_exit_status(channel->lib);
  cmd->channel = NULL;
  channel_let_go(session, channel);
  ssh_cmd_ended(cmd, code, signal);
  return 1;
}

static int channel_run(SshSession *session, SshChannel *channel, Err *err) {
  int moved = channel_write(session, channel), n = channel_read(session, channel, true, err);
  if (n >= 0) {
    moved |= n;
    n = channel_read(session, channel, false, err);
  }
  if (n < 0) return -1;
  moved |= n;
  if (libssh2_channel_eof(channel->lib) == 1 && channel_end(session, channel) > 0) return 1;
  return moved;
}

/* Bytes between the channel and the session inside it. */
static int channel_forward(SshSession *session, SshChannel *channel, Err *err) {
  SshWire *inner = &channel->inner->wire;
  int moved = 0;
  while (ssh_wire_waits(inner) > 0 && ssh_wire_waits(&session->wire) < SSH_WIRE_BYTES) {
    ssize_t n = libssh2_channel_write_ex(channel->lib, 0, inner->out.bytes.data + inner->out.at, ssh_wire_waits(inner));
    if (n <= 0) break;
    ssh_wire_sent(inner, (size_t)n);
    moved = 1;
  }
  while (inner->in.bytes.len - inner->in.at < SSH_WIRE_BYTES) {
    char *to = buf_reserve(&inner->in.bytes, CHANNEL_READ_BYTES);
    ssize_t n = libssh2_channel_read_ex(channel->lib, 0, to, CHANNEL_READ_BYTES);
    if (n == LIBSSH2_ERROR_EAGAIN || n == 0 || n == LIBSSH2_ERROR_CHANNEL_CLOSED) break;
    if (n < 0) return channel_broken(session, "reading", err);
    ssh_wire_came(inner, (size_t)n);
    moved = 1;
  }
  inner->full = inner->in.bytes.len - inner->in.at >= SSH_WIRE_BYTES;
  if (!inner->ended && libssh2_channel_eof(channel->lib) == 1) {
    inner->ended = true;
    moved = 1;
  }
  if (moved != 0) ssh_session_pump_soon(channel->inner);
  return moved;
}

static int channel_die(SshSession *session, SshChannel *channel) {
  if (channel->lib != NULL) {
    if (libssh2_channel_free(channel->lib) == LIBSSH2_ERROR_EAGAIN) return 0;
    session->open--;
  }
  channel_remove(session, channel);
  return 1;
}

static int channel_step(SshSession *session, SshChannel *channel, Err *err) {
  switch (channel->state) {
  case CHANNEL_QUEUED: return channel_may_open(session, channel) ? channel_open(session, channel, err) : 0;
  case CHANNEL_OPENING: return channel_open(session, channel, err);
  case CHANNEL_STARTING: return channel_start(session, channel, err);
  case CHANNEL_RUNNING: return channel->forward ? channel_forward(session, channel, err) : channel_run(session, channel, err);
  case CHANNEL_DYING: return channel_die(session, channel);
  }
  return 0;
}

bool ssh_channels_step(SshSession *session, bool *progress, Err *err) {
  for (SshChannel *channel = session->channels, *next; channel != NULL; channel = next) {
    next = channel->next; /* a step takes away no other than its own */
    int moved = channel_step(session, channel, err);
    if (moved < 0) return false;
    if (moved > 0) *progress = true;
  }
  return true;
}
