/* ssh_config_run: `ssh -G` as a child process, or what it said of a host that is no other to it. See ssh_config.h, ssh_share.h.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "loop/proc.h"
#include "net/ssh_config.h"
#include "net/ssh_share.h"

#define CONFIG_LIMIT_BYTES ((size_t)1 << 20)
#define CONFIG_HOST_BYTES 1024

typedef struct ConfigRun {
  SshConfigOp pub;
  char *host, *file;
  Op *proc; /* NULL: none runs */
  SshSharer sharer;
} ConfigRun;

/* It has settled. */
static void config_run_over(ConfigRun *run) {
  ssh_share_leave(&run->sharer);
  op_unref(&run->pub.op);
}

static void config_run_cancel(Op *op) {
  ConfigRun *run = (ConfigRun *)op;
  if (run->proc != NULL) {
    op_cancel(run->proc, op->reason);
  } else {
    op_fail_code(op, ERR_SSH_CONNECT, "ssh -G was waited for");
    config_run_over(run);
  }
}

static void config_run_destroy(Op *op) {
  ConfigRun *run = (ConfigRun *)op;
  ssh_config_fini(&run->pub.config);
  free(run->host);
  free(run->file);
  free(run);
}

static const OpClass config_class = {"ssh.config", config_run_cancel, config_run_destroy};

/* ---- the name ---- */

bool ssh_config_host_ok(const char *host, Err *err) {
  const char *why = NULL, *at = strrchr(host, '@');
  size_t len = strlen(host);
  if (len == 0 || len > CONFIG_HOST_BYTES) why = len == 0 ? "it is empty" : "it is too long";
  if (host[0] == '-' || (at != NULL && at[1] == '-')) why = "it begins with a dash";
  for (const char *c = host; *c != '\0' && why == NULL; c++) {
    bool in_user = at != NULL && c < at;
    if (iscntrl((unsigned char)*c) || strchr(" '`\"$;&<>|(){}*?!#", *c) != NULL || (*c == '\\' && !in_user))
      why = "it holds a character that means something to a shell";
  }
  return why == NULL || err_set(err, ERR_USAGE, "\"%.60s\" cannot be the name of a host: %s", host, why);
}

/* ssh takes no IPv6 address in a URI: it gets user, port and address apart. */
static bool config_add_v6(char ***argv, const char *host) {
  Buf user = {0};
  if (strncmp(host, "ssh://", 6) != 0) return false;
  const char *at = strrchr(host, '@'), *address = at != NULL ? at + 1 : host + 6;
  const char *close = *address == '[' ? strchr(address, ']') : NULL;
  if (close == NULL) return false;
  if (at != NULL) {
    buf_add_str(&user, "-l");
    buf_add(&user, host + 6, (size_t)(at - host - 6));
    proc_list_add(argv, buf_str(&user));
  }
  buf_clear(&user);
  if (close[1] == ':') {
    buf_printf(&user, "-p%.*s", (int)strcspn(close + 2, "/"), close + 2);
    proc_list_add(argv, buf_str(&user));
  }
  buf_clear(&user);
  buf_add(&user, address + 1, (size_t)(close - address - 1));
  proc_list_add(argv, "--");
  proc_list_add(argv, buf_str(&user));
  buf_fini(&user);
  return true;
}

void ssh_config_argv(char ***argv, const char *host) {
  if (config_add_v6(argv, host)) return;
  proc_list_add(argv, "--");
  proc_list_add(argv, host);
}

/* ---- the child ---- */

static void config_run_answer(ConfigRun *run, const Buf *text) {
  Err err = {0};
  if (ssh_config_parse(&run->pub.config, run->host, buf_str(text), text->len, &err))
    op_succeed(&run->pub.op);
  else
    op_fail(&run->pub.op, &err);
}

static void on_config_ran(Op *proc, void *arg) {
  ConfigRun *run = arg;
  const Buf *out = &proc_result(proc)->out;
  run->proc = NULL;
  if (proc->err.code == ERR_NONE) {
    ssh_share_tell(&run->sharer, out, false);
    config_run_answer(run, out);
  } else {
    Err err = {0};
    ssh_share_tell(&run->sharer, NULL, proc->err.code != ERR_PROCESS);
    err_copy(&err, &proc->err);
    if (err.code == ERR_PROCESS) {
      err.code = ERR_SSH_CONNECT;
      err_prefix(&err, "ssh cannot tell its configuration for %s: ", run->host);
    }
    op_fail(&run->pub.op, &err);
  }
  op_unref(proc);
  config_run_over(run);
}

static void config_run_ssh(ConfigRun *run) {
  ProcSpec spec = {.limit_bytes = CONFIG_LIMIT_BYTES};
  proc_list_add(&spec.argv, "ssh");
  proc_list_add(&spec.argv, "-GT"); /* -T: no word about the terminal that is not there */
  if (run->file != NULL) proc_list_add(&spec.argv, "-F");
  if (run->file != NULL) proc_list_add(&spec.argv, run->file);
  ssh_config_argv(&spec.argv, run->host);
  spec.name = mem_strdup("ssh -G");
  spec.accept = mem_alloc(2 * sizeof *spec.accept);
  spec.accept[1] = -1;
  run->proc = proc_start(run->pub.op.loop, &spec, 0, NULL);
  op_on_settled(run->proc, on_config_ran, run);
}

static void config_run_go_on(SshSharer *sharer) {
  ConfigRun *run = (ConfigRun *)((char *)sharer - offsetof(ConfigRun, sharer));
  Buf text = {0};
  switch (ssh_share_turn(sharer, run->pub.op.loop, &text)) {
  case SSH_SHARE_RUN: config_run_ssh(run); break;
  case SSH_SHARE_WAIT: break;
  case SSH_SHARE_KNOWN: config_run_answer(run, &text); config_run_over(run);
  }
  buf_fini(&text);
}

SshConfigOp *ssh_config_start(Loop *loop, const char *host, const char *file, int64_t timeout_ms) {
  Err err = {0};
  ConfigRun *run = mem_alloc(sizeof *run);
  op_init(&run->pub.op, loop, &config_class);
  run->host = mem_strdup(host);
  run->file = mem_strdup(file);
  run->sharer = (SshSharer){.host = run->host, .file = run->file, .go_on = config_run_go_on};
  op_arm(&run->pub.op, timeout_ms, "ssh -G");
  if (ssh_config_host_ok(host, &err)) {
    op_ref(&run->pub.op);
    config_run_go_on(&run->sharer);
  } else {
    op_fail(&run->pub.op, &err);
  }
  return &run->pub;
}
