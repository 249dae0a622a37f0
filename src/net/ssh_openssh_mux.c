/* ssh_openssh_mux: a command over a master. See ssh_openssh.h.
 *
 * ssh hands its three descriptors to the master, which moves the bytes itself: between it and us are three pipes. Its own words
 * go to a file, so that they do not mix with the command's, and tell a status of 255 from a failure of its own.
 *
 * Input is held back until the far side has said something (the prelude does at once): what was written for a channel that was
 * then refused would be lost. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/ssh_openssh.h"

#define MUX_PIECE ((size_t)64 << 10)
#define MUX_DRAIN_MS 1000
#define MUX_LOG_BYTES ((size_t)1 << 20)
#define MUX_FAILED 255 /* ssh's own status */

struct OpensshMux {
  SshSession *session; /* NULL: it has left */
  SshCmd *cmd;         /* NULL: dropped, or told its end */
  OpensshMux *next;
  Op *proc;   /* NULL: not started, or ended */
  char *log;  /* what its ssh has to say: a file's name, and the file, which may be gone from its directory before we look */
  int log_fd; /* -1: not open */
  uv_pipe_t pipes[3]; /* its standard input, output and error: our ends */
  uv_timer_t timer;   /* after its end: how long we wait for the ends of its outputs */
  uv_write_t write;
  char *piece; /* what is being written */
  int handles; /* open, or closing */
  bool started, begun, exited, writing, moved;
  bool reading[3], ended[3];
  int exit_code, signal;
};

/* ---- life ---- */

static void mux_free(OpensshMux *mux) {
  if (mux->handles > 0 || mux->proc != NULL || mux->session != NULL) return;
  if (mux->piece != NULL) explicit_bzero(mux->piece, MUX_PIECE);
  free(mux->piece);
  free(mux->log);
  free(mux);
}

static void on_closed(uv_handle_t *handle) {
  OpensshMux *mux = handle->data;
  mux->handles--;
  mux_free(mux);
}

static void mux_close(void *handle) {
  uv_handle_t *h = handle;
  if (h->data != NULL && !uv_is_closing(h)) uv_close(h, on_closed);
}

static void mux_opened(OpensshMux *mux, void *handle) {
  ((uv_handle_t *)handle)->data = mux;
  mux->handles++;
}

/* Take it off the session; what is still open closes by itself. One that was started lives until the loop's next turn. */
static void mux_leave(OpensshMux *mux) {
  SshSession *session = mux->session;
  OpensshMux **at = &session->muxes;
  while (*at != mux)
    at = &(*at)->next;
  *at = mux->next;
  if (mux->started) {
    session->running--;
    unlink(mux->log);
    if (mux->log_fd >= 0) close(mux->log_fd);
  }
  for (int i = 0; i < 3; i++)
    mux_close(&mux->pipes[i]);
  mux_close(&mux->timer);
  mux->session = NULL;
  mux_free(mux);
}

/* The command, which the transport knows no more. */
static SshCmd *mux_forget(OpensshMux *mux) {
  SshCmd *cmd = mux->cmd;
  mux->cmd = NULL;
  if (cmd != NULL) cmd->channel = NULL;
  return cmd;
}

static void mux_lose(OpensshMux *mux, const Err *why) {
  Err err = {0};
  SshCmd *cmd = mux_forget(mux);
  mux_leave(mux);
  err_copy(&err, why);
  if (cmd != NULL)
    ssh_cmd_lost(cmd, &err);
  else
    err_fini(&err);
}

void ssh_openssh_lose_waiting(SshSession *session) {
  for (OpensshMux *mux = session->muxes, *next; mux != NULL; mux = next) {
    next = mux->next;
    if (!mux->started) mux_lose(mux, &session->why);
  }
}

/* ---- its end ---- */

static void mux_read_log(const OpensshMux *mux, Buf *log) {
  ssize_t len;
  while (log->len < MUX_LOG_BYTES && (len = pread(mux->log_fd, buf_reserve(log, MUX_PIECE), MUX_PIECE, (off_t)log->len)) > 0)
    log->len += (size_t)len;
  buf_reserve(log, 1)[0] = '\0';
}

/* An ssh that wrote nothing could not open its log: the master, and the directory, had just gone. */
static OpensshEnd mux_judge(const OpensshMux *mux) {
  Buf log = {0};
  mux_read_log(mux, &log);
  OpensshEnd end = log.len == 0 && mux->signal == 0                   ? OPENSSH_NOTHING
                   : mux->signal == 0 && mux->exit_code != MUX_FAILED ? OPENSSH_EXITED
                                                                      : ssh_openssh_end(buf_str(&log));
  buf_fini(&log);
  return end == OPENSSH_EXITED && mux->signal != 0 ? OPENSSH_LOST : end;
}

/* Nothing has begun: what was said came from here. */
static void mux_unsay(SshCmd *cmd) {
  cmd->pub.op.sent = false;
  if (!cmd->said_hello) buf_clear(&cmd->head);
}

static OpensshMux *mux_add(SshSession *session, SshCmd *cmd, bool first) {
  OpensshMux *mux = mem_alloc(sizeof *mux), **at = &session->muxes;
  mux->session = session;
  mux->cmd = cmd;
  cmd->channel = mux;
  while (!first && *at != NULL)
    at = &(*at)->next;
  mux->next = *at;
  *at = mux;
  return mux;
}

/* No channel: wait for one, if another command's end can make room; else the session is of no use. */
static void mux_refused(OpensshMux *mux) {
  SshSession *session = mux->session;
  if (session->running > 1 && session->master != NULL) {
    session->limit = session->running - 1;
    SshCmd *cmd = mux_forget(mux);
    mux_leave(mux);
    mux_add(session, cmd, true);
    return;
  }
  Err why = {0};
  err_set(&why, ERR_SSH_CONNECT, "the far side opens no channel");
  mux_lose(mux, &why);
  ssh_openssh_end_session(session, &why);
  err_fini(&why);
}

static void mux_lost(OpensshMux *mux, bool is_session, const char *text) {
  SshSession *session = mux->session;
  Err why = {0};
  err_set(&why, ERR_SSH_CONNECT, "%s", text);
  mux_lose(mux, &why);
  if (is_session) ssh_openssh_end_session(session, &why);
  err_fini(&why);
}

static void mux_settle(OpensshMux *mux) {
  OpensshEnd end = mux_judge(mux);
  int exit_code = mux->exit_code;
  if (end == OPENSSH_REFUSED || end == OPENSSH_NOTHING) mux_unsay(mux->cmd);
  if (end == OPENSSH_REFUSED) {
    mux_refused(mux);
  } else if (end == OPENSSH_EXITED) {
    SshCmd *cmd = mux_forget(mux);
    mux_leave(mux);
    ssh_cmd_ended(cmd, exit_code, 0);
  } else if (end == OPENSSH_NOTHING) {
    mux_lost(mux, true, "ssh's master connection does not answer");
  } else {
    ssh_openssh_doubt(mux->session);
    mux_lost(mux, false, "the connection was closed");
  }
}

static void mux_finish(OpensshMux *mux) {
  SshSession *session = mux->session;
  if (mux->cmd != NULL)
    mux_settle(mux);
  else
    mux_leave(mux);
  ssh_openssh_next(session);
  ssh_openssh_idle(session);
}

static void mux_check_end(OpensshMux *mux) {
  if (mux->session == NULL || !mux->exited) return;
  if (mux->cmd == NULL || (mux->ended[1] && mux->ended[2])) mux_finish(mux);
}

/* A process on the far side may keep the outputs open; while we do not take them, they cannot end. */
static void on_drained(uv_timer_t *timer) {
  OpensshMux *mux = timer->data;
  bool held = (!mux->ended[1] && !mux->reading[1]) || (!mux->ended[2] && !mux->reading[2]);
  if (!held && !mux->moved) {
    mux->ended[1] = mux->ended[2] = true;
    mux_check_end(mux);
    return;
  }
  mux->moved = false;
}

static void on_client_ended(Op *op, void *arg) {
  OpensshMux *mux = arg;
  const ProcResult *result = proc_result(op);
  mux->proc = NULL;
  mux->exited = true;
  mux->exit_code = result->exit_code;
  mux->signal = result->signal;
  op_unref(op);
  uv_timer_start(&mux->timer, on_drained, MUX_DRAIN_MS, MUX_DRAIN_MS);
  mux_check_end(mux);
}

/* ---- output ---- */

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *to) {
  static char room[MUX_PIECE]; /* of one read, which ends before the next begins */
  OpensshMux *mux = handle->data;
  size_t wanted = mux->cmd != NULL ? ssh_cmd_room(mux->cmd, handle == (uv_handle_t *)&mux->pipes[2]) : size;
  to->base = room;
  to->len = wanted < sizeof room ? wanted : sizeof room;
}

static void mux_feed(OpensshMux *mux);

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *from) {
  OpensshMux *mux = stream->data;
  int which = stream == (uv_stream_t *)&mux->pipes[2] ? 2 : 1;
  if (count == UV_ENOBUFS) { /* no room: kick goes on */
    uv_read_stop(stream);
    mux->reading[which] = false;
  } else if (count < 0) {
    mux->ended[which] = true;
    mux_close(stream);
    mux_check_end(mux);
  } else if (count > 0 && mux->cmd != NULL) {
    mux->moved = true;
    ssh_cmd_output(mux->cmd, which == 2, from->base, (size_t)count);
    if (!mux->begun) {
      mux->begun = true;
      mux_feed(mux);
    }
  }
}

static void mux_read(OpensshMux *mux) {
  for (int i = 1; i < 3; i++) {
    if (mux->reading[i] || mux->ended[i] || ssh_cmd_room(mux->cmd, i == 2) == 0) continue;
    mux->reading[i] = uv_read_start((uv_stream_t *)&mux->pipes[i], on_alloc, on_read) == 0;
  }
}

/* ---- input ---- */

static void on_written(uv_write_t *write, int status) {
  OpensshMux *mux = write->data;
  mux->writing = false;
  if (status < 0 && mux->session != NULL) { /* it reads no more: nothing that comes is of use */
    mux->ended[0] = true;
    mux_close(&mux->pipes[0]);
  }
  if (mux->session != NULL && mux->cmd != NULL) mux_feed(mux);
}

/* Every byte is the transport's once it was taken; one piece at a time is on its way. */
static void mux_feed(OpensshMux *mux) {
  const char *bytes = NULL;
  size_t len;
  while (mux->begun && !mux->writing && (len = ssh_cmd_input(mux->cmd, &bytes)) > 0) {
    if (len > MUX_PIECE) len = MUX_PIECE;
    if (!mux->ended[0]) {
      if (mux->piece == NULL) mux->piece = mem_alloc(MUX_PIECE);
      memcpy(mux->piece, bytes, len);
      uv_buf_t piece = uv_buf_init(mux->piece, (unsigned)len);
      mux->write.data = mux;
      mux->writing = uv_write(&mux->write, (uv_stream_t *)&mux->pipes[0], &piece, 1, on_written) == 0;
    }
    ssh_cmd_input_used(mux->cmd, len);
  }
  if (!mux->writing && !mux->ended[0] && ssh_cmd_input_ended(mux->cmd)) {
    mux->ended[0] = true;
    mux_close(&mux->pipes[0]);
  }
}

/* ---- its beginning ---- */

static void mux_close_fds(int fds[3][2]) {
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 2; k++)
      if (fds[i][k] >= 0) close(fds[i][k]);
}

/* Three pipes: theirs into the specification, ours opened. */
static bool mux_open_pipes(OpensshMux *mux, ProcSpec *spec) {
  int fds[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
  uv_loop_t *uv = loop_uv(mux->session->how.loop);
  for (int i = 0; i < 3; i++) {
    if (pipe2(fds[i], O_CLOEXEC) == 0) continue;
    mux_close_fds(fds);
    return false;
  }
  for (int i = 0; i < 3; i++) {
    uv_pipe_init(uv, &mux->pipes[i], 0);
    mux_opened(mux, &mux->pipes[i]);
    uv_pipe_open(&mux->pipes[i], fds[i][i == 0 ? 1 : 0]); /* a pipe that was just made: nothing that could fail */
  }
  spec->has_in_fd = spec->has_out_fd = spec->has_err_fd = true;
  spec->in_fd = fds[0][0];
  spec->out_fd = fds[1][1];
  spec->err_fd = fds[2][1];
  return true;
}

static void mux_start_failed(OpensshMux *mux, Err *err) {
  mux->cmd->pub.op.sent = false;
  mux->cmd->tries = INT_MAX; /* the trouble of this machine, not of the line: no second try */
  mux_lose(mux, err);
  err_fini(err);
}

static void mux_start(OpensshMux *mux) {
  SshSession *session = mux->session;
  ProcSpec spec = {0};
  Buf log = {0};
  Err err = {0};
  buf_printf(&log, "%s/%d", session->dir, ++session->count);
  mux->log = buf_take(&log);
  mux->started = true;
  session->running++;
  uv_timer_init(loop_uv(session->how.loop), &mux->timer);
  mux_opened(mux, &mux->timer);
  mux->log_fd = open(mux->log, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (mux->log_fd < 0 || !mux_open_pipes(mux, &spec)) {
    err_set_errno(&err, ERR_SPAWN, errno, "cannot start ssh");
    mux_start_failed(mux, &err);
    return;
  }
  ssh_openssh_client_argv(session, mux->cmd->line, mux->log, &spec.argv);
  spec.name = mem_strdup("ssh");
  ssh_cmd_begins(mux->cmd);
  mux->proc = proc_start(session->how.loop, &spec, 0, NULL);
  if (op_settled(mux->proc)) {
    err_copy(&err, &mux->proc->err);
    op_unref(mux->proc);
    mux->proc = NULL;
    mux_start_failed(mux, &err);
    return;
  }
  op_on_settled(mux->proc, on_client_ended, mux);
  mux_read(mux);
}

static OpensshMux *mux_waiting(const SshSession *session, bool urgent) {
  OpensshMux *mux = session->muxes;
  while (mux != NULL && (mux->started || mux->cmd->urgent != urgent))
    mux = mux->next;
  return mux;
}

/* The urgent ones first, for which the last channel is kept. */
void ssh_openssh_next(SshSession *session) {
  while (!session->closing && !session->is_down && !session->in_doubt && session->why.code == ERR_NONE) {
    bool urgent = mux_waiting(session, true) != NULL;
    int limit = urgent || session->limit == 1 ? session->limit : session->limit - 1;
    OpensshMux *mux = mux_waiting(session, urgent);
    if (mux == NULL || session->running >= limit) return;
    mux_start(mux);
  }
}

/* ---- what the handle calls ---- */

void ssh_openssh_exec(SshSession *session, SshCmd *cmd) {
  mux_add(session, cmd, false);
  ssh_openssh_next(session);
}

void ssh_openssh_kick(SshSession *session, SshCmd *cmd) {
  OpensshMux *mux = cmd->channel;
  (void)session;
  if (mux == NULL || !mux->started) return;
  mux_read(mux);
  mux_feed(mux);
}

void ssh_openssh_drop(SshSession *session, SshCmd *cmd) {
  OpensshMux *mux = cmd->channel;
  if (mux == NULL) return;
  mux_forget(mux);
  if (mux->started && mux->proc != NULL) {
    for (int i = 0; i < 3; i++)
      mux_close(&mux->pipes[i]);
    op_cancel(mux->proc, ERR_CANCELLED); /* its end is waited for: see on_client_ended */
  } else {
    mux_leave(mux);
    ssh_openssh_next(session);
  }
}
