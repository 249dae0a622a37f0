/* ssh_openssh: the compatible transport: the user's own ssh, once as a master, and once more for each command. See ssh_openssh.h.
 *
 * The master is not left to ControlPersist: it is our child, behind a shell that ends it when we are gone. So its end is told
 * when it comes, and nothing stays behind, whatever ends us. Where the user's own ControlPath has a master that answers, that one
 * is used and left alone: it may be past a login that we could not repeat. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/ssh_openssh.h"

#define OPENSSH_TICK_MS 10
#define OPENSSH_DOUBT_MS 500
#define OPENSSH_WORDS_BYTES ((size_t)16 << 10)

/* ---- the end ---- */

static void openssh_free(SshSession *session) {
  if (!session->closing || session->master != NULL || session->muxes != NULL || !session->timer_closed) return;
  err_fini(&session->why);
  if (session->dir != NULL) rmdir(session->dir); /* gone already, but for a command that began just then */
  free(session->dir);
  free(session->path);
  free(session);
}

static void on_timer_closed(uv_handle_t *handle) {
  SshSession *session = handle->data;
  session->timer_closed = true;
  openssh_free(session);
}

/* The shell that watches the master ends it. */
static void openssh_let_go(SshSession *session) {
  if (session->leash >= 0) close(session->leash);
  session->leash = -1;
}

static void openssh_close(SshSession *session) {
  session->closing = true;
  openssh_let_go(session);
  if (!uv_is_closing((uv_handle_t *)&session->timer)) uv_close((uv_handle_t *)&session->timer, on_timer_closed);
  openssh_free(session);
}

/* Told when its last command has been. */
static void openssh_tell_down(SshSession *session) {
  if (session->closing || session->is_down || session->why.code == ERR_NONE || session->muxes != NULL) return;
  Err err = {0};
  session->is_down = true;
  err_move(&err, &session->why);
  session->how.down(session->how.arg, session,
                    session->is_up     ? SSH_DOWN_LOST
                    : session->is_busy ? SSH_DOWN_BUSY
                                       : SSH_DOWN_FAILED,
                    &err);
}

void ssh_openssh_idle(SshSession *session) {
  if (session->closing)
    openssh_free(session);
  else
    openssh_tell_down(session);
}

void ssh_openssh_end_session(SshSession *session, const Err *why) {
  if (session->closing || session->is_down) return;
  openssh_let_go(session);
  if (session->why.code == ERR_NONE) err_copy(&session->why, why);
  openssh_tell_down(session);
}

static void on_doubt_over(uv_timer_t *timer) {
  SshSession *session = timer->data;
  session->in_doubt = false;
  ssh_openssh_next(session);
}

void ssh_openssh_doubt(SshSession *session) {
  if (session->closing || !session->is_up) return;
  session->in_doubt = true;
  uv_timer_start(&session->timer, on_doubt_over, OPENSSH_DOUBT_MS, 0);
}

static void on_master_ended(Op *op, void *arg) {
  SshSession *session = arg;
  const ProcResult *result = proc_result(op);
  session->master = NULL;
  openssh_let_go(session);
  uv_timer_stop(&session->timer);
  if (!session->closing && session->why.code == ERR_NONE) {
    if (op->err.code != ERR_NONE && op->err.code != ERR_PROCESS)
      err_copy(&session->why, &op->err);
    else
      ssh_openssh_explain(session, buf_str(&result->err), &session->why);
    session->is_busy = !session->timed_out && ssh_openssh_is_busy(buf_str(&result->err));
  }
  op_unref(op);
  if (!session->closing) ssh_openssh_lose_waiting(session);
  ssh_openssh_idle(session);
}

/* ---- the beginning ---- */

static void on_tick(uv_timer_t *timer) {
  SshSession *session = timer->data;
  struct stat st;
  bool there = session->why.code == ERR_NONE && stat(session->path, &st) == 0 && S_ISSOCK(st.st_mode);
  if (there) {
    uv_timer_stop(timer);
    session->is_up = true;
    session->how.up(session->how.arg, session);
  } else if (session->why.code != ERR_NONE) {
    uv_timer_stop(timer);
    openssh_tell_down(session);
  } else if (clock_mono_ms() >= session->until_ms && session->leash >= 0) {
    session->timed_out = true;
    openssh_let_go(session);
  }
}

/* Does somebody answer at a socket? */
static bool openssh_answers(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(path);
  if (len >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path, len);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bool answers = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
  if (fd >= 0) close(fd);
  return answers;
}

/* A directory of ours. In /tmp, since the name of a socket is a hundred bytes at most and ssh adds some while it makes it. */
static bool openssh_place(SshSession *session, Err *err) {
  Buf path = {0};
  session->dir = mem_strdup("/tmp/pgsh-ssh.XXXXXX");
  if (mkdtemp(session->dir) == NULL) {
    err_set_errno(err, ERR_SSH_CONNECT, errno, "cannot make a directory for ssh's socket");
    return false;
  }
  if (session->path != NULL) return true;
  buf_printf(&path, "%s/m", session->dir);
  session->path = buf_take(&path);
  return true;
}

static void openssh_begin(SshSession *session, Err *err) {
  int fds[2];
  ProcSpec spec = {.tail = true, .limit_bytes = OPENSSH_WORDS_BYTES};
  if (!openssh_place(session, err)) return;
  if (pipe2(fds, O_CLOEXEC) != 0) {
    err_set_errno(err, ERR_SSH_CONNECT, errno, "cannot start ssh");
    rmdir(session->dir);
    return;
  }
  ssh_openssh_master_argv(session, &spec.argv);
  proc_list_add(&spec.env, "SSH_ASKPASS_REQUIRE=never"); /* no window of a hop's ssh, of whose options we have no say */
  spec.name = mem_strdup("ssh");
  spec.has_in_fd = true;
  spec.in_fd = fds[0];
  session->leash = fds[1];
  session->master = proc_start(session->how.loop, &spec, 0, NULL);
  op_on_settled(session->master, on_master_ended, session);
}

static SshSession *openssh_open(const SshOpen *how) {
  SshSession *session = mem_alloc(sizeof *session);
  session->how = *how;
  session->leash = -1;
  session->limit = OPENSSH_CHANNELS;
  session->until_ms = clock_mono_ms() + how->timeout_ms;
  uv_timer_init(loop_uv(how->loop), &session->timer);
  session->timer.data = session;
  const char *own = how->config->control_path;
  session->is_users = own != NULL && openssh_answers(own);
  if (session->is_users) session->path = mem_strdup(own);
  openssh_begin(session, &session->why);
  uv_timer_start(&session->timer, on_tick, 1, OPENSSH_TICK_MS);
  return session;
}

const SshTransportOps ssh_transport_openssh = {
    .name = "openssh",
    .open = openssh_open,
    .close = openssh_close,
    .exec = ssh_openssh_exec,
    .kick = ssh_openssh_kick,
    .drop = ssh_openssh_drop,
};
