/* ssh_cmd: a command: its outputs, its input, its end, its stop. See ssh_internal.h.
 *
 * A transport calls in here while it works through its channels, so nothing here calls a transport back: what has to (a stop, a
 * stream's `ready`) is deferred. */
#include <stdlib.h>
#include <string.h>

#include "loop/timer.h"
#include "net/ssh_internal.h"

#define CMD_STREAM_BYTES ((size_t)1 << 20) /* of a stream's output that nobody has read yet, and of input not yet sent */
#define CMD_NAME_BYTES 60
#define CMD_HEAD_BYTES ((size_t)64 << 10) /* said on standard error before the prelude spoke */
#define CMD_WORDS_BYTES 1024              /* of its last lines, in the error's detail */
#define CMD_WORDS_LINES 10
/* For the end of one that was stopped: TERM, two seconds, KILL, and its end told, within the Op's own grace. */
#define CMD_PATIENCE_MS 2800
#define CMD_IMPATIENT_MS 500 /* after that the kill goes over a second connection, when it has not begun */

static void cmd_defer(SshCmd *cmd);

/* ---- flows ---- */

static size_t flow_left(const SshFlow *flow) { return flow->bytes.len - flow->at; }

static void flow_used(SshFlow *flow, size_t len) {
  flow->at += len;
  if (flow->at < flow->bytes.len) return;
  flow->at = 0;
  buf_clear(&flow->bytes);
}

static void flow_add(SshFlow *flow, const char *bytes, size_t len) {
  if (flow->at > 0 && flow->at >= flow->bytes.len / 2) {
    buf_consume(&flow->bytes, flow->at);
    flow->at = 0;
  }
  buf_add(&flow->bytes, bytes, len);
}

static void flow_fini(SshFlow *flow) {
  if (flow->bytes.data != NULL) explicit_bzero(flow->bytes.data, flow->bytes.cap);
  buf_fini(&flow->bytes);
}

/* ---- the specification ---- */

static void cmd_wipe(char **text) {
  if (*text != NULL) explicit_bzero(*text, strlen(*text));
  free(*text);
  *text = NULL;
}

void ssh_spec_fini(SshSpec *spec) {
  for (char **entry = spec->env; entry != NULL && *entry != NULL; entry++)
    cmd_wipe(entry);
  free(spec->env);
  free(spec->command);
  free(spec->name);
  free(spec->cwd);
  free(spec->become);
  cmd_wipe(&spec->become_password);
  free(spec->accept);
  if (spec->input.data != NULL) explicit_bzero(spec->input.data, spec->input.len);
  buf_fini(&spec->input);
  memset(spec, 0, sizeof *spec);
}

static char *cmd_name(const char *command) {
  Buf name = {0};
  size_t len = strcspn(command, "\n");
  bool cut = command[len] != '\0' || len > CMD_NAME_BYTES;
  if (len > CMD_NAME_BYTES) len = CMD_NAME_BYTES;
  while (cut && len > 0 && ((unsigned char)command[len] & 0xC0) == 0x80)
    len--;
  buf_add(&name, command, len);
  if (cut) buf_add_str(&name, "…");
  return buf_take(&name);
}

/* ---- life ---- */

static void cmd_drop_patience(SshCmd *cmd) {
  if (cmd->patience == NULL) return;
  op_on_settled(cmd->patience, NULL, NULL);
  op_cancel(cmd->patience, ERR_CANCELLED);
  op_unref(cmd->patience);
  cmd->patience = NULL;
}

static void cmd_destroy(Op *op) {
  SshCmd *cmd = (SshCmd *)op;
  cmd_drop_patience(cmd);
  if (cmd->killer != NULL) op_unref(&cmd->killer->pub.op);
  ssh_spec_fini(&cmd->spec);
  buf_fini(&cmd->pub.result.out);
  buf_fini(&cmd->pub.result.err);
  flow_fini(&cmd->in);
  flow_fini(&cmd->out);
  flow_fini(&cmd->early);
  buf_fini(&cmd->head);
  buf_fini(&cmd->part[0]);
  buf_fini(&cmd->part[1]);
  err_fini(&cmd->failure);
  free(cmd->line);
  free(cmd->word);
  free(cmd);
}

static void cmd_cancel(Op *op);
static const OpClass cmd_class = {"ssh", cmd_cancel, cmd_destroy};

SshCmd *ssh_cmd_new(Loop *loop, Ssh *ssh, SshSpec *spec, int64_t timeout_ms, const char *deadline_name) {
  SshCmd *cmd = mem_alloc(sizeof *cmd);
  op_init(&cmd->pub.op, loop, &cmd_class);
  op_ref(&cmd->pub.op); /* the handle's */
  cmd->ssh = ssh;
  cmd->spec = *spec;
  memset(spec, 0, sizeof *spec);
  if (cmd->spec.name == NULL) cmd->spec.name = cmd_name(cmd->spec.command);
  if (cmd->spec.limit_bytes == 0) cmd->spec.limit_bytes = PROC_LIMIT_BYTES;
  cmd->pub.result.exit_code = -1;
  ssh_wrap_begin(cmd);
  buf_add(&cmd->in.bytes, buf_str(&cmd->spec.input), cmd->spec.input.len);
  cmd->in_ended = !cmd->spec.stream_in;
  op_arm(&cmd->pub.op, timeout_ms, deadline_name);
  return cmd;
}

/* The transport knows nothing of it any more. Its memory may go with this. */
static void cmd_over(SshCmd *cmd) {
  cmd->state = SSH_CMD_OVER;
  cmd->told_end = true;
  cmd_drop_patience(cmd);
  cmd->tell_ready = cmd->spec.ready != NULL;
  if (cmd->tell_ready || cmd->killer != NULL) cmd_defer(cmd);
  Ssh *ssh = cmd->ssh;
  cmd->ssh = NULL; /* the handle may go before the Op does */
  if (ssh != NULL) ssh_forget(ssh, cmd);
}

void ssh_cmd_fail(SshCmd *cmd, Err *err) {
  op_fail(&cmd->pub.op, err);
  cmd_over(cmd);
}

/* ---- what may not be done at once ---- */

/* One that has not begun must not: by then the number may be another process's. */
static void cmd_drop_killer(SshCmd *cmd) {
  SshCmd *killer = cmd->killer;
  cmd->killer = NULL;
  if (killer == NULL) return;
  if (!killer->pub.op.sent) op_cancel(&killer->pub.op, ERR_CANCELLED);
  op_unref(&killer->pub.op);
}

static void cmd_start_killer(SshCmd *cmd);

static void on_deferred(Deferred *deferred) {
  SshCmd *cmd = (SshCmd *)((char *)deferred - offsetof(SshCmd, deferred));
  if (cmd->stopping && cmd->said_hello && !cmd->told_end && cmd->killer == NULL && cmd->ssh != NULL) cmd_start_killer(cmd);
  if (cmd->told_end) cmd_drop_killer(cmd);
  if (cmd->tell_kick && cmd->ssh != NULL) ssh_kick(cmd->ssh, cmd);
  cmd->tell_kick = false;
  if (cmd->tell_ready) {
    cmd->tell_ready = false;
    if (cmd->spec.ready != NULL) cmd->spec.ready(cmd->spec.ready_arg);
  }
  op_unref(&cmd->pub.op);
}

static void cmd_defer(SshCmd *cmd) {
  if (cmd->deferred.queued) return;
  cmd->deferred.fn = on_deferred;
  op_ref(&cmd->pub.op);
  loop_defer(cmd->pub.op.loop, &cmd->deferred);
}

static void cmd_ready(SshCmd *cmd) {
  if (cmd->spec.ready == NULL) return;
  cmd->tell_ready = true;
  cmd_defer(cmd);
}

/* ---- the stop ---- */

static void cmd_start_killer(SshCmd *cmd) {
  SshSpec spec = {0};
  Buf command = {0};
  ssh_wrap_kill(cmd, &command);
  spec.command = buf_take(&command);
  spec.name = mem_strdup("kill");
  spec.become = mem_strdup(cmd->spec.become);
  spec.become_password = mem_strdup(cmd->spec.become_password);
  spec.tail = true;
  cmd_drop_killer(cmd);
  cmd->killer = ssh_urgent(cmd->ssh, &spec, 2 * CMD_PATIENCE_MS, cmd->elsewhere);
}

static void on_patience(Op *op, void *arg);

static void cmd_wait(SshCmd *cmd, int64_t ms) {
  cmd->patience = timer_start(cmd->pub.op.loop, ms, 0, NULL);
  op_on_settled(cmd->patience, on_patience, cmd);
}

static void on_patience(Op *op, void *arg) {
  SshCmd *cmd = arg;
  op_unref(op);
  cmd->patience = NULL;
  if (!cmd->impatient) { /* does the killer wait for a place (MaxSessions)? */
    cmd->impatient = true;
    cmd_wait(cmd, CMD_PATIENCE_MS - CMD_IMPATIENT_MS);
    if (cmd->ssh == NULL || !cmd->said_hello || (cmd->killer != NULL && cmd->killer->pub.op.sent)) return;
    cmd->elsewhere = true;
    cmd_start_killer(cmd);
    return;
  }
  op_ref(&cmd->pub.op);
  if (cmd->ssh != NULL) ssh_drop(cmd->ssh, cmd);
  if (cmd->failure.code != ERR_NONE)
    op_fail(&cmd->pub.op, &cmd->failure);
  else
    op_fail_code(&cmd->pub.op, ERR_PROCESS, "%s was told to stop, and its end was not told", cmd->spec.name);
  cmd_over(cmd);
  op_unref(&cmd->pub.op);
}

/* End the far group, and wait a little for its end. */
static void cmd_stop(SshCmd *cmd) {
  if (cmd->stopping || cmd->told_end) return;
  cmd->stopping = true;
  cmd_wait(cmd, CMD_IMPATIENT_MS);
  cmd_defer(cmd);
}

static void cmd_cancel(Op *op) {
  SshCmd *cmd = (SshCmd *)op;
  if (op->sent && cmd->ssh != NULL) {
    cmd_stop(cmd);
    return;
  }
  if (cmd->ssh != NULL) ssh_drop(cmd->ssh, cmd);
  op_ref(op);
  op_fail_code(op, ERR_SSH_CONNECT, "%s was not begun", cmd->spec.name);
  if (!cmd->told_end) cmd_over(cmd);
  op_unref(op);
}

/* ---- output ---- */

void ssh_cmd_begins(SshCmd *cmd) { cmd->pub.op.sent = true; }

static void cmd_feed_lines(SshCmd *cmd, bool is_err, const char *bytes, size_t len) {
  Buf *part = &cmd->part[is_err];
  const char *newline;
  while ((newline = memchr(bytes, '\n', len)) != NULL) {
    size_t piece = (size_t)(newline - bytes);
    buf_add(part, bytes, piece);
    if (!is_err || strncmp(buf_str(part), cmd->word, strlen(cmd->word)) != 0) /* see cmd_take_unread */
      cmd->spec.line(cmd->spec.line_arg, is_err, buf_str(part), part->len);
    buf_clear(part);
    bytes += piece + 1;
    len -= piece + 1;
  }
  buf_add(part, bytes, len);
}

static void cmd_flush_lines(SshCmd *cmd) {
  for (int i = 0; i < 2; i++) {
    if (cmd->spec.line != NULL && cmd->part[i].len > 0)
      cmd->spec.line(cmd->spec.line_arg, i == 1, buf_str(&cmd->part[i]), cmd->part[i].len);
    buf_clear(&cmd->part[i]);
  }
}

/* Keep the last limit_bytes; moves memory only when twice as much has gathered. */
static void cmd_keep_tail(SshCmd *cmd, Buf *kept, bool final) {
  size_t limit = cmd->spec.limit_bytes;
  if (kept->len <= limit || (!final && kept->len < 2 * limit)) return;
  buf_consume(kept, kept->len - limit);
  cmd->pub.result.truncated = true;
}

static void cmd_too_much(SshCmd *cmd) {
  double mib = (double)cmd->spec.limit_bytes / 1048576.0;
  err_set(&cmd->failure, ERR_LIMIT, "%s printed more than %.3g MiB of output; raise limit= or stream it", cmd->spec.name, mib);
  cmd_stop(cmd);
}

static void cmd_keep(SshCmd *cmd, bool is_err, const char *bytes, size_t len) {
  if (cmd->failure.code != ERR_NONE || op_settled(&cmd->pub.op)) return; /* nobody wants it any more */
  if (cmd->spec.stream_out && !is_err) {
    flow_add(&cmd->out, bytes, len);
    cmd_ready(cmd);
    return;
  }
  if (cmd->spec.line != NULL) cmd_feed_lines(cmd, is_err, bytes, len);
  Buf *kept = is_err ? &cmd->pub.result.err : &cmd->pub.result.out;
  buf_add(kept, bytes, len);
  if (cmd->spec.tail)
    cmd_keep_tail(cmd, kept, false);
  else if (kept->len > cmd->spec.limit_bytes)
    cmd_too_much(cmd);
}

/* sudo asks for the password. A second time: it was the wrong one. */
static void cmd_prompted(SshCmd *cmd) {
  cmd->tell_kick = true;
  if (cmd->prompts++ == 0) {
    flow_add(&cmd->early, cmd->spec.become_password, strlen(cmd->spec.become_password));
    flow_add(&cmd->early, "\n", 1);
    cmd_defer(cmd);
    return;
  }
  err_set(&cmd->failure, ERR_SPAWN, "%s: sudo did not accept the password for %s", cmd->spec.name, cmd->spec.become);
  cmd->pub.op.sent = false;
  flow_used(&cmd->in, flow_left(&cmd->in));
  cmd->in_ended = true;
  cmd->in_held = false; /* the end of its input: it gives up */
  cmd_defer(cmd);
}

/* Before the prelude has spoken: look for its word; what others have said before it is passed on. */
static void cmd_listen(SshCmd *cmd, const char *bytes, size_t len) {
  Buf *head = &cmd->head;
  size_t word_len = strlen(cmd->word);
  buf_add(head, bytes, len);
  for (;;) {
    char *at = memmem(buf_str(head), head->len, cmd->word, word_len);
    if (at == NULL) break;
    size_t before = (size_t)(at - head->data), left = head->len - before;
    if (left > word_len && at[word_len] == '?') {
      size_t prompt = left > word_len + 1 ? word_len + 2 : word_len + 1;
      memmove(at, at + prompt, left - prompt);
      head->len -= prompt;
      cmd_prompted(cmd);
      continue;
    }
    const char *end = memchr(at, '\n', left);
    if (end == NULL) return;
    char *rest;
    cmd->far_pid = strtol(at + word_len, &rest, 10);
    cmd->far_group = strtol(rest, &rest, 10) == cmd->far_pid && cmd->far_pid > 1;
    if (cmd->ssh != NULL && cmd->spec.become == NULL && rest < end) ssh_learn_shell(cmd->ssh, rest + 1, (size_t)(end - rest - 1));
    cmd->said_hello = true;
    cmd->in_held = false;
    cmd->tell_kick = true;
    cmd_defer(cmd); /* to be stopped, or its input is let go */
    size_t line = (size_t)(end - at) + 1;
    memmove(at, at + line, left - line);
    head->len -= line;
    break;
  }
  if (!cmd->said_hello && head->len < CMD_HEAD_BYTES) return;
  if (head->len > 0) cmd_keep(cmd, true, head->data, head->len);
  buf_fini(head);
}

void ssh_cmd_output(SshCmd *cmd, bool is_err, const char *bytes, size_t len) {
  if (is_err && !cmd->said_hello)
    cmd_listen(cmd, bytes, len);
  else
    cmd_keep(cmd, is_err, bytes, len);
}

size_t ssh_cmd_room(const SshCmd *cmd, bool is_err) {
  if (is_err || !cmd->spec.stream_out || cmd->stopping || op_settled(&cmd->pub.op)) return CMD_STREAM_BYTES;
  size_t waiting = flow_left(&cmd->out);
  return waiting < CMD_STREAM_BYTES ? CMD_STREAM_BYTES - waiting : 0;
}

ssize_t ssh_read(SshOp *op, char *into, size_t room) {
  SshCmd *cmd = (SshCmd *)op;
  size_t left = flow_left(&cmd->out), len = left < room ? left : room;
  if (left == 0) return cmd->told_end || op_settled(&op->op) ? -1 : 0;
  memcpy(into, cmd->out.bytes.data + cmd->out.at, len);
  flow_used(&cmd->out, len);
  /* Not for each little piece: the far side is told of room for at least half the buffer. */
  if (cmd->ssh != NULL && left >= CMD_STREAM_BYTES / 2 && left - len < CMD_STREAM_BYTES / 2) ssh_kick(cmd->ssh, cmd);
  return (ssize_t)len;
}

/* ---- input ---- */

size_t ssh_cmd_input(const SshCmd *cmd, const char **bytes) {
  const SshFlow *flow = flow_left(&cmd->early) > 0 ? &cmd->early : &cmd->in;
  /* The end of its input would tell one that is being stopped that it has seen everything. */
  if (flow == &cmd->in && (cmd->in_held || cmd->stopping)) return 0;
  *bytes = buf_str(&flow->bytes) + flow->at;
  return flow_left(flow);
}

void ssh_cmd_input_used(SshCmd *cmd, size_t len) {
  if (flow_left(&cmd->early) > 0) {
    explicit_bzero(cmd->early.bytes.data + cmd->early.at, len);
    flow_used(&cmd->early, len);
    return;
  }
  bool full = flow_left(&cmd->in) >= CMD_STREAM_BYTES / 2;
  flow_used(&cmd->in, len);
  if (full && flow_left(&cmd->in) < CMD_STREAM_BYTES / 2) cmd_ready(cmd);
}

bool ssh_cmd_input_ended(const SshCmd *cmd) {
  return cmd->in_ended && !cmd->in_held && !cmd->stopping && flow_left(&cmd->in) == 0 && flow_left(&cmd->early) == 0;
}

ssize_t ssh_write(SshOp *op, const char *bytes, size_t len) {
  SshCmd *cmd = (SshCmd *)op;
  if (cmd->told_end || op_settled(&op->op)) return -1;
  size_t waiting = flow_left(&cmd->in), room = waiting < CMD_STREAM_BYTES ? CMD_STREAM_BYTES - waiting : 0;
  if (len > room) len = room;
  if (len == 0) return 0;
  flow_add(&cmd->in, bytes, len);
  if (cmd->ssh != NULL) ssh_kick(cmd->ssh, cmd);
  return (ssize_t)len;
}

void ssh_write_end(SshOp *op) {
  SshCmd *cmd = (SshCmd *)op;
  cmd->in_ended = true;
  if (cmd->ssh != NULL) ssh_kick(cmd->ssh, cmd);
}

void ssh_quiet(SshOp *op) {
  SshCmd *cmd = (SshCmd *)op;
  cmd->spec.ready = NULL;
  cmd->spec.line = NULL;
}

void ssh_listen(SshOp *op, void (*ready)(void *arg), void *arg) {
  SshCmd *cmd = (SshCmd *)op;
  cmd->spec.ready = ready;
  cmd->spec.ready_arg = arg;
}

/* ---- the end ---- */

/* The last lines of what it had to say. */
static void cmd_last_words(const ProcResult *result, Err *err) {
  const Buf *from = result->err.len > 0 ? &result->err : &result->out;
  size_t end = from->len, lines = 0;
  while (end > 0 && strchr("\r\n ", from->data[end - 1]) != NULL)
    end--;
  size_t start = end;
  while (start > 0 && end - start < CMD_WORDS_BYTES && (from->data[start - 1] != '\n' || ++lines < CMD_WORDS_LINES))
    start--;
  if (start == end) return;
  Buf text = {0};
  buf_add(&text, from->data + start, end - start);
  err_set_detail(err, buf_str(&text));
  buf_fini(&text);
}

static bool cmd_accepts(const SshCmd *cmd) {
  if (cmd->spec.accept == NULL) return true;
  if (cmd->pub.result.signal != 0) return false;
  for (const int *one = cmd->spec.accept; *one >= 0; one++)
    if (*one == cmd->pub.result.exit_code) return true;
  return false;
}

/* The prelude's last word of a command that left some of its stream unread: taken out again. */
static bool cmd_take_unread(SshCmd *cmd) {
  Buf *text = &cmd->pub.result.err, tail = {0};
  buf_printf(&tail, "%s unread\n", cmd->word);
  bool found = text->len >= tail.len && memcmp(text->data + text->len - tail.len, tail.data, tail.len) == 0;
  if (found) text->len -= tail.len;
  if (found) text->data[text->len] = '\0';
  buf_fini(&tail);
  return found;
}

static void cmd_judge(SshCmd *cmd) {
  const ProcResult *result = &cmd->pub.result;
  if (cmd->spec.stream_in && cmd_take_unread(cmd)) {
    op_fail_code(&cmd->pub.op, ERR_PROCESS, "%s ended before it had read everything", cmd->spec.name);
    return;
  }
  if (cmd->said_hello && cmd_accepts(cmd)) {
    op_succeed(&cmd->pub.op);
    return;
  }
  Err err = {0};
  if (!cmd->said_hello) {
    err_set(&err, ERR_SPAWN, "cannot start %s there", cmd->spec.name);
    if (result->err.len == 0) err_set_hint(&err, "does the login have a shell, and no forced command?");
    if (cmd->spec.become != NULL) err_set_hint(&err, "sudo may need a password: become = { user, password = … }");
    cmd->pub.op.sent = false;
  } else if (result->signal != 0) {
    err_set(&err, ERR_PROCESS, "%s was ended by signal %d (%s)", cmd->spec.name, result->signal, strsignal(result->signal));
  } else {
    err_set(&err, ERR_PROCESS, "%s exited with %d", cmd->spec.name, result->exit_code);
  }
  err.exit_code = result->exit_code;
  err.signal = result->signal;
  cmd_last_words(result, &err);
  op_fail(&cmd->pub.op, &err);
}

void ssh_cmd_ended(SshCmd *cmd, int exit_code, int signal) {
  ProcResult *result = &cmd->pub.result;
  if (cmd->head.len > 0) cmd_keep(cmd, true, cmd->head.data, cmd->head.len);
  buf_fini(&cmd->head);
  cmd_flush_lines(cmd);
  if (cmd->spec.tail) {
    cmd_keep_tail(cmd, &result->out, true);
    cmd_keep_tail(cmd, &result->err, true);
  }
  result->exit_code = signal != 0 ? -1 : exit_code;
  result->signal = signal;
  if (cmd->failure.code != ERR_NONE)
    op_fail(&cmd->pub.op, &cmd->failure);
  else if (cmd->pub.op.reason != ERR_NONE)
    op_fail_code(&cmd->pub.op, ERR_PROCESS, "%s was stopped", cmd->spec.name);
  else
    cmd_judge(cmd);
  cmd_over(cmd);
}

/* The line was lost after it had begun. */
static void cmd_unknown(SshCmd *cmd, const Err *why) {
  Err err = {0};
  if (cmd->failure.code != ERR_NONE) {
    op_fail(&cmd->pub.op, &cmd->failure);
    return;
  }
  err_set(&err, ERR_UNKNOWN, "%s was begun, and the line was lost before its end was told", cmd->spec.name);
  err_set_detail(&err, why->message);
  op_fail(&cmd->pub.op, &err);
}

void ssh_cmd_lost(SshCmd *cmd, Err *err) {
  if (!cmd->pub.op.sent && cmd->pub.op.reason == ERR_NONE && cmd->ssh != NULL && ssh_again(cmd->ssh, cmd)) {
    err_fini(err);
    return;
  }
  cmd_flush_lines(cmd);
  if (cmd->pub.op.sent && cmd->spec.read) {
    err->code = ERR_SSH_CONNECT;
    op_fail(&cmd->pub.op, err);
  } else if (cmd->pub.op.sent) {
    cmd_unknown(cmd, err);
    err_fini(err);
  } else {
    op_fail(&cmd->pub.op, err);
  }
  cmd_over(cmd);
}

void ssh_cmd_abandon(SshCmd *cmd) {
  Err err = {0};
  err_set(&err, cmd->pub.op.sent ? ERR_SSH_CONNECT : ERR_CLOSED, "the handle was closed");
  cmd->ssh = NULL;
  ssh_cmd_lost(cmd, &err);
}
