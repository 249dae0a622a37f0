/* ssh_jump: ProxyJump: a session inside a channel of another one. See ssh_lib.h.
 *
 * As ssh does it, the last hop of the list is connected through those before it; each hop is resolved by its own `ssh -G`, with
 * the same configuration file and nothing else inherited. A hop's own ProxyJump counts for the first of a list only. Its session
 * is shared with whoever else goes through it: ssh_hop.h. */
#include <stdlib.h>
#include <string.h>

#include "loop/timer.h"
#include "net/ssh_hop.h"
#include "net/ssh_lib.h"

#define JUMP_RESOLVE_MS 20000
#define JUMP_MOST_HOPS 16
#define JUMP_LOOK_MS 300 /* so often: does a channel wait in vain? */

struct SshJump {
  SshHopUser user; /* first: it is a SshJump */
  SshSession *inner, *outer;
  SshConfigOp *resolving;
  char **before; /* the hops before this one; NULL: it is the first */
  char *hop;
  SshChannel *channel; /* NULL: not yet, no more */
  Op *look;
};

static void jump_failed(SshJump *jump, SshDown why, Err *err) {
  err_prefix(err, "through %s: ", jump->hop);
  ssh_session_fail(jump->inner, why, err);
}

/* ---- the channel ---- */

static void jump_drop_look(SshJump *jump) {
  if (jump->look == NULL) return;
  op_on_settled(jump->look, NULL, NULL);
  op_cancel(jump->look, ERR_CANCELLED);
  op_unref(jump->look);
  jump->look = NULL;
}

static void on_look(Op *op, void *arg);

static void jump_look_later(SshJump *jump) {
  jump->look = timer_start(jump->inner->loop, JUMP_LOOK_MS, 0, NULL);
  op_on_settled(jump->look, on_look, jump);
}

static void on_look(Op *op, void *arg) {
  SshJump *jump = arg;
  op_unref(op);
  jump->look = NULL;
  if (jump->channel == NULL) return;
  if (!ssh_channel_queued(jump->channel) || !ssh_hop_stuck(&jump->user)) {
    jump_look_later(jump);
    return;
  }
  ssh_channel_unforward(jump->outer, jump->channel);
  jump->channel = NULL;
  ssh_hop_change(&jump->user);
}

static void on_hop_up(SshHopUser *user, SshSession *outer) {
  SshJump *jump = (SshJump *)user;
  const SshConfig *to = jump->inner->how.config;
  jump->outer = outer;
  jump->channel = ssh_channel_forward(outer, jump->inner, to->hostname, to->port);
  jump_look_later(jump);
}

void ssh_jump_opened(SshJump *jump) {
  jump->user.waiting = false;
  jump_drop_look(jump);
  ssh_session_joined(jump->inner, -1, jump->outer);
}

void ssh_jump_forget(SshJump *jump) {
  if (jump == NULL) return;
  jump->channel = NULL;
  jump->user.waiting = false;
}

static void on_hop_down(SshHopUser *user, SshDown why, const Err *err) {
  SshJump *jump = (SshJump *)user;
  Err copy = {0};
  err_copy(&copy, err);
  jump_failed(jump, jump->inner->phase == SSH_UP ? SSH_DOWN_LOST : why, &copy);
}

static void on_hop_more_time(SshHopUser *user, int64_t ms) { ssh_session_more_time(((SshJump *)user)->inner, ms); }

/* ---- the hop ---- */

static void jump_open(SshJump *jump, SshConfig *config) {
  SshOpen how = jump->inner->how;
  SshOptions options = *how.options;
  bool unable = config->proxy_command != NULL || config->pkcs11_provider != NULL ||
                (config->unsupported != NULL && config->unsupported[0] != NULL);
  if (unable && options.transport != SSH_LIB) {
    Err err = {0};
    err_set(&err, ERR_SSH_CONNECT, "it needs what the library cannot do");
    jump_failed(jump, SSH_DOWN_CANNOT, &err);
    return;
  }
  if (jump->before != NULL) { /* in place of its own */
    char **own = config->jumps;
    config->jumps = jump->before;
    jump->before = own;
  }
  options.host = jump->hop;
  how.options = &options;
  ssh_hop_join(&jump->user, &how, config, jump->inner->hops + 1);
}

static void on_hop_resolved(Op *op, void *arg) {
  SshJump *jump = arg;
  SshConfigOp *resolving = jump->resolving;
  jump->resolving = NULL;
  if (op->err.code != ERR_NONE) {
    Err err = {0};
    err_copy(&err, &op->err);
    jump_failed(jump, SSH_DOWN_FAILED, &err);
  } else {
    jump_open(jump, &resolving->config);
  }
  op_unref(op);
}

SshJump *ssh_jump_start(SshSession *session, char **hops) {
  SshJump *jump = mem_alloc(sizeof *jump);
  size_t count = 0;
  while (hops[count] != NULL)
    count++;
  jump->user = (SshHopUser){.up = on_hop_up, .down = on_hop_down, .more_time = on_hop_more_time};
  jump->inner = session;
  jump->hop = mem_strdup(hops[count - 1]);
  for (size_t i = 0; i + 1 < count; i++)
    proc_list_add(&jump->before, hops[i]);
  if (session->hops >= JUMP_MOST_HOPS) { /* told later, as everything is */
    Err err = {0};
    err_set(&err, ERR_SSH_CONNECT, "more than %d hops: do they lead in a circle?", JUMP_MOST_HOPS);
    ssh_session_fail(session, SSH_DOWN_FAILED, &err);
    return jump;
  }
  jump->resolving = ssh_config_start(session->loop, jump->hop, session->how.options->config, JUMP_RESOLVE_MS);
  op_on_settled(&jump->resolving->op, on_hop_resolved, jump);
  return jump;
}

void ssh_jump_free(SshJump *jump) {
  if (jump == NULL) return;
  if (jump->resolving != NULL) {
    op_on_settled(&jump->resolving->op, NULL, NULL);
    op_cancel(&jump->resolving->op, ERR_CANCELLED);
    op_unref(&jump->resolving->op);
  }
  jump_drop_look(jump);
  if (jump->channel != NULL) ssh_channel_unforward(jump->outer, jump->channel);
  ssh_hop_leave(&jump->user);
  for (char **one = jump->before; one != NULL && *one != NULL; one++)
    free(*one);
  free(jump->before);
  free(jump->hop);
  free(jump);
}
