/* ssh_jump: ProxyJump: a session inside a channel of another one. See ssh_lib.h.
 *
 * As ssh does it, the last hop of the list is connected through those before it; each hop is resolved by its own `ssh -G`, with
 * the same configuration file and nothing else inherited. A hop's own ProxyJump counts for the first of a list only. */
#include <stdlib.h>
#include <string.h>

#include "net/ssh_lib.h"

#define JUMP_RESOLVE_MS 20000
#define JUMP_MOST_HOPS 16

struct SshJump {
  SshSession *inner, *outer;
  SshConfigOp *resolving;
  SshConfig config;
  bool resolved;
  SshOptions options;
  char **before; /* the hops before this one; NULL: it is the first */
  char *hop;
  SshChannel *channel; /* until one of both sessions forgets it */
};

static void jump_failed(SshJump *jump, SshDown why, Err *err) {
  err_prefix(err, "through %s: ", jump->hop);
  ssh_session_fail(jump->inner, why, err);
}

static void on_hop_up(void *arg, SshSession *outer) {
  SshJump *jump = arg;
  const SshConfig *to = jump->inner->how.config;
  jump->channel = ssh_channel_forward(outer, jump->inner, to->hostname, to->port);
  ssh_session_joined(jump->inner, -1, outer);
}

static void on_hop_down(void *arg, SshSession *outer, SshDown why, Err *err) {
  SshJump *jump = arg;
  (void)outer;
  jump_failed(jump, jump->inner->phase == SSH_UP ? SSH_DOWN_LOST : why, err);
}

static void jump_open(SshJump *jump) {
  const SshOpen *how = &jump->inner->how;
  bool unable = jump->config.proxy_command != NULL || jump->config.pkcs11_provider != NULL ||
                (jump->config.unsupported != NULL && jump->config.unsupported[0] != NULL);
  if (unable && how->options->transport != SSH_LIB) {
    Err err = {0};
    err_set(&err, ERR_SSH_CONNECT, "it needs what the library cannot do");
    jump_failed(jump, SSH_DOWN_CANNOT, &err);
    return;
  }
  if (jump->before != NULL) { /* in place of its own */
    char **own = jump->config.jumps;
    jump->config.jumps = jump->before;
    jump->before = own;
  }
  SshOpen outer = {.loop = how->loop,
                   .options = &jump->options,
                   .config = &jump->config,
                   .timeout_ms = how->timeout_ms,
                   .up = on_hop_up,
                   .down = on_hop_down,
                   .arg = jump};
  jump->outer = ssh_session_open_hop(&outer, jump->inner->hops + 1);
}

static void on_hop_resolved(Op *op, void *arg) {
  SshJump *jump = arg;
  SshConfigOp *resolving = jump->resolving;
  jump->resolving = NULL;
  if (op->err.code != ERR_NONE) {
    Err err = {0};
    err_copy(&err, &op->err);
    op_unref(op);
    jump_failed(jump, SSH_DOWN_FAILED, &err);
    return;
  }
  jump->config = resolving->config;
  memset(&resolving->config, 0, sizeof resolving->config);
  jump->resolved = true;
  op_unref(op);
  jump_open(jump);
}

SshJump *ssh_jump_start(SshSession *session, char **hops) {
  SshJump *jump = mem_alloc(sizeof *jump);
  size_t count = 0;
  while (hops[count] != NULL)
    count++;
  jump->inner = session;
  jump->hop = mem_strdup(hops[count - 1]);
  for (size_t i = 0; i + 1 < count; i++)
    proc_list_add(&jump->before, hops[i]);
  jump->options = *session->how.options;
  jump->options.host = jump->hop;
  if (session->hops >= JUMP_MOST_HOPS) { /* told later, as everything is */
    Err err = {0};
    err_set(&err, ERR_SSH_CONNECT, "more than %d hops: do they lead in a circle?", JUMP_MOST_HOPS);
    ssh_session_fail(session, SSH_DOWN_FAILED, &err);
    return jump;
  }
  jump->resolving = ssh_config_start(session->loop, jump->hop, jump->options.config, JUMP_RESOLVE_MS);
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
  if (jump->outer != NULL) ssh_transport_lib.close(jump->outer); /* it frees the channel */
  if (jump->resolved) ssh_config_fini(&jump->config);
  for (char **one = jump->before; one != NULL && *one != NULL; one++)
    free(*one);
  free(jump->before);
  free(jump->hop);
  free(jump);
}
