/* ssh: the handle. See ssh.h.
 *
 *   nothing → resolving (ssh -G) → connecting → up → nothing        down: whoever waits fails, or the other transport tries
 *                                       ↑ ↓
 *                                      waiting (it is busy)
 *
 * A session that was lost is replaced when the next command comes. A command that was given to it and had not begun is given to
 * the new one, once. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "loop/timer.h"
#include "net/ssh_internal.h"

#define SSH_RESOLVE_MS 20000
#define SSH_MOST_TRIES 2
/* One that hangs up at once is asked again so often, after a while that grows from the first to the last. */
#define SSH_MOST_BUSY 10
#define SSH_BUSY_FIRST_MS 50
#define SSH_BUSY_LAST_MS 1500

struct Ssh {
  Loop *loop;
  SshOptions options; /* its texts are ours */
  SshConfigOp *resolving;
  SshConfig config;
  bool resolved, up;
  const SshTransportOps *ops; /* what was chosen; NULL: not yet */
  SshSession *session;        /* NULL: none */
  Op *patience;               /* until a host that is busy is asked again */
  int busy;                   /* how often it was */
  SshCmd *cmds;
  Ssh *helper; /* a second connection, for what must get through when this one takes no more; NULL: none yet */
  char *where;
  char shell[16]; /* the login shell's name; "": not known */
};

static void ssh_start(Ssh *ssh);

Ssh *ssh_open(Loop *loop, const SshOptions *options) {
  Ssh *ssh = mem_alloc(sizeof *ssh);
  ssh->loop = loop;
  ssh->options = *options;
  ssh->options.host = mem_strdup(options->host);
  ssh->options.config = mem_strdup(options->config);
  return ssh;
}

static void ssh_end_session(Ssh *ssh) {
  SshSession *session = ssh->session;
  ssh->session = NULL;
  ssh->up = false;
  if (session != NULL) ssh->ops->close(session);
}

void ssh_close(Ssh *ssh) {
  if (ssh == NULL) return;
  ssh_close(ssh->helper);
  if (ssh->resolving != NULL) {
    op_on_settled(&ssh->resolving->op, NULL, NULL);
    op_cancel(&ssh->resolving->op, ERR_CANCELLED);
    op_unref(&ssh->resolving->op);
  }
  if (ssh->patience != NULL) {
    op_on_settled(ssh->patience, NULL, NULL);
    op_cancel(ssh->patience, ERR_CANCELLED);
    op_unref(ssh->patience);
  }
  for (SshCmd *cmd = ssh->cmds; cmd != NULL; cmd = cmd->next)
    ssh_drop(ssh, cmd);
  ssh_end_session(ssh);
  while (ssh->cmds != NULL) {
    SshCmd *cmd = ssh->cmds;
    ssh->cmds = cmd->next;
    ssh_cmd_abandon(cmd);
    op_unref(&cmd->pub.op);
  }
  if (ssh->resolved) ssh_config_fini(&ssh->config);
  free((char *)ssh->options.host);
  free((char *)ssh->options.config);
  free(ssh->where);
  free(ssh);
}

int ssh_busy(const Ssh *ssh) {
  int count = 0;
  for (const SshCmd *cmd = ssh->cmds; cmd != NULL; cmd = cmd->next)
    count++;
  return count;
}

const char *ssh_where(const Ssh *ssh) { return ssh->where != NULL ? ssh->where : ssh->options.host; }

/* ---- the session ---- */

/* Nobody who waits gets a session now. */
static void ssh_fail_waiting(Ssh *ssh, Err *err) {
  for (SshCmd *cmd = ssh->cmds, *next; cmd != NULL; cmd = next) {
    next = cmd->next;
    if (cmd->state != SSH_CMD_WAITING) continue;
    Err copy = {0};
    err_copy(&copy, err);
    ssh_cmd_fail(cmd, &copy);
  }
  err_fini(err);
}

static bool ssh_has_waiting(const Ssh *ssh) {
  for (const SshCmd *cmd = ssh->cmds; cmd != NULL; cmd = cmd->next)
    if (cmd->state == SSH_CMD_WAITING) return true;
  return false;
}

static void ssh_give(Ssh *ssh, SshCmd *cmd) {
  cmd->state = SSH_CMD_GIVEN;
  cmd->tries++;
  ssh_wrap_line(cmd, ssh->shell);
  ssh->ops->exec(ssh->session, cmd);
}

static void on_up(void *arg, SshSession *session) {
  Ssh *ssh = arg;
  Buf where = {0};
  (void)session;
  ssh->up = true;
  ssh->busy = 0;
  buf_printf(&where, "%s@%s:%d (%s)", ssh->config.user, ssh->config.hostname, ssh->config.port, ssh->ops->name);
  free(ssh->where);
  ssh->where = buf_take(&where);
  for (bool found = true; found && ssh->up;) { /* exec may change the list */
    found = false;
    for (SshCmd *cmd = ssh->cmds; cmd != NULL && !found; cmd = cmd->next) {
      found = cmd->state == SSH_CMD_WAITING;
      if (found) ssh_give(ssh, cmd);
    }
  }
}

static void ssh_connect(Ssh *ssh);

static void on_patience_over(Op *op, void *arg) {
  Ssh *ssh = arg;
  op_unref(op);
  ssh->patience = NULL;
  if (ssh_has_waiting(ssh)) ssh_connect(ssh);
}

/* Nothing was begun: to ask again does no harm, by chance at another time than the others that were sent away. False: that was
 * often enough. */
static bool ssh_be_patient(Ssh *ssh) {
  unsigned short chance = 0;
  if (ssh->busy >= SSH_MOST_BUSY) return false;
  int64_t most_ms = (int64_t)SSH_BUSY_FIRST_MS << ssh->busy++;
  if (most_ms > SSH_BUSY_LAST_MS) most_ms = SSH_BUSY_LAST_MS;
  if (getrandom(&chance, sizeof chance, 0) != sizeof chance) chance = 0;
  ssh->patience = timer_start(ssh->loop, most_ms / 2 + most_ms * chance / 2 / UINT16_MAX, 0, NULL);
  op_on_settled(ssh->patience, on_patience_over, ssh);
  return true;
}

static void on_down(void *arg, SshSession *session, SshDown why, Err *err) {
  Ssh *ssh = arg;
  (void)session;
  ssh_end_session(ssh);
  bool other = why == SSH_DOWN_CANNOT && ssh->options.transport == SSH_AUTO && ssh->ops == &ssh_transport_lib;
  if (other) {
    Buf text = {0};
    buf_printf(&text, "ssh %s: through OpenSSH's own ssh: %s", ssh->options.host, err->message != NULL ? err->message : "");
    if (ssh->options.notice != NULL) ssh->options.notice(ssh->options.self, buf_str(&text));
    buf_fini(&text);
    err_fini(err);
    ssh->ops = &ssh_transport_openssh;
    ssh_connect(ssh);
  } else if (why == SSH_DOWN_LOST) {
    err_fini(err); /* its commands know */
    if (ssh_has_waiting(ssh)) ssh_connect(ssh);
  } else if (why == SSH_DOWN_BUSY && ssh_has_waiting(ssh) && ssh_be_patient(ssh)) {
    err_fini(err);
  } else {
    if (why == SSH_DOWN_BUSY) err_set_hint(err, "sshd hangs up when more connect at once than its MaxStartups allows: at_once=");
    ssh->busy = 0;
    ssh_fail_waiting(ssh, err);
  }
}

static void ssh_connect(Ssh *ssh) {
  int64_t timeout_ms = ssh->options.connect_timeout_ms;
  if (timeout_ms <= 0 && ssh->config.connect_timeout_s > 0) timeout_ms = (int64_t)ssh->config.connect_timeout_s * 1000;
  SshOpen how = {.loop = ssh->loop,
                 .options = &ssh->options,
                 .config = &ssh->config,
                 .timeout_ms = timeout_ms > 0 ? timeout_ms : SSH_CONNECT_TIMEOUT_MS,
                 .up = on_up,
                 .down = on_down,
                 .arg = ssh};
  ssh->session = ssh->ops->open(&how);
}

/* What the configuration asks for and the library never does: no need to try. */
static const SshTransportOps *ssh_choose(const Ssh *ssh) {
  const SshConfig *config = &ssh->config;
  if (ssh->options.transport == SSH_LIB) return &ssh_transport_lib;
  if (ssh->options.transport == SSH_OPENSSH) return &ssh_transport_openssh;
  bool able = config->proxy_command == NULL && config->pkcs11_provider == NULL &&
              (config->unsupported == NULL || config->unsupported[0] == NULL);
  return able ? &ssh_transport_lib : &ssh_transport_openssh;
}

static void on_resolved(Op *op, void *arg) {
  Ssh *ssh = arg;
  SshConfigOp *resolving = ssh->resolving;
  ssh->resolving = NULL;
  if (op->err.code != ERR_NONE) {
    Err err = {0};
    err_copy(&err, &op->err);
    op_unref(op);
    ssh_fail_waiting(ssh, &err);
    return;
  }
  ssh->config = resolving->config;
  memset(&resolving->config, 0, sizeof resolving->config);
  ssh->resolved = true;
  op_unref(op);
  ssh->ops = ssh_choose(ssh);
  if (ssh->ops == &ssh_transport_openssh && ssh->options.transport == SSH_AUTO && ssh->options.notice != NULL) {
    Buf text = {0};
    const SshConfig *config = &ssh->config;
    const char *what = config->proxy_command != NULL                                   ? "ProxyCommand"
                       : config->unsupported != NULL && config->unsupported[0] != NULL ? config->unsupported[0]
                                                                                       : "PKCS11Provider";
    buf_printf(&text, "ssh %s: through OpenSSH's own ssh: %s is configured", ssh->options.host, what);
    ssh->options.notice(ssh->options.self, buf_str(&text));
    buf_fini(&text);
  }
  ssh_connect(ssh);
}

static void ssh_start(Ssh *ssh) {
  if (ssh->session != NULL || ssh->resolving != NULL || ssh->patience != NULL) return;
  if (ssh->resolved) {
    ssh_connect(ssh);
    return;
  }
  ssh->resolving = ssh_config_start(ssh->loop, ssh->options.host, ssh->options.config, SSH_RESOLVE_MS);
  op_on_settled(&ssh->resolving->op, on_resolved, ssh);
}

/* ---- commands ---- */

static SshCmd *ssh_add(Ssh *ssh, SshSpec *spec, int64_t timeout_ms, const char *deadline_name) {
  SshCmd *cmd = ssh_cmd_new(ssh->loop, ssh, spec, timeout_ms, deadline_name);
  SshCmd **end = &ssh->cmds;
  while (*end != NULL)
    end = &(*end)->next;
  *end = cmd;
  return cmd;
}

SshOp *ssh_exec(Ssh *ssh, SshSpec *spec, int64_t timeout_ms, const char *deadline_name) {
  SshCmd *cmd = ssh_add(ssh, spec, timeout_ms, deadline_name);
  if (ssh->up)
    ssh_give(ssh, cmd);
  else
    ssh_start(ssh);
  return &cmd->pub;
}

SshCmd *ssh_urgent(Ssh *ssh, SshSpec *spec, int64_t timeout_ms, bool elsewhere) {
  if (elsewhere) {
    if (ssh->helper == NULL) ssh->helper = ssh_open(ssh->loop, &ssh->options);
    return (SshCmd *)ssh_exec(ssh->helper, spec, timeout_ms, NULL);
  }
  if (!ssh->up) {
    ssh_spec_fini(spec);
    return NULL;
  }
  SshCmd *cmd = ssh_add(ssh, spec, timeout_ms, NULL);
  cmd->urgent = true;
  ssh_give(ssh, cmd);
  return cmd;
}

void ssh_forget(Ssh *ssh, SshCmd *cmd) {
  SshCmd **at = &ssh->cmds;
  while (*at != NULL && *at != cmd)
    at = &(*at)->next;
  if (*at == NULL) return;
  *at = cmd->next;
  cmd->next = NULL;
  op_unref(&cmd->pub.op);
}

void ssh_learn_shell(Ssh *ssh, const char *name, size_t len) {
  if (ssh->shell[0] != '\0' || len >= sizeof ssh->shell) return;
  memcpy(ssh->shell, name, len);
  ssh->shell[len] = '\0';
}

void ssh_kick(Ssh *ssh, SshCmd *cmd) {
  if (cmd->state == SSH_CMD_GIVEN && ssh->session != NULL) ssh->ops->kick(ssh->session, cmd);
}

void ssh_drop(Ssh *ssh, SshCmd *cmd) {
  if (cmd->state == SSH_CMD_GIVEN && ssh->session != NULL) ssh->ops->drop(ssh->session, cmd);
  if (cmd->state == SSH_CMD_GIVEN) cmd->state = SSH_CMD_OVER;
}

bool ssh_again(Ssh *ssh, SshCmd *cmd) {
  (void)ssh;
  if (cmd->tries >= SSH_MOST_TRIES || cmd->urgent) return false;
  cmd->state = SSH_CMD_WAITING; /* on_down connects anew */
  return true;
}
