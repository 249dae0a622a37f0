/* proc: see proc.h.
 *
 * Five libuv handles: the process, three pipes, one timer. Each holds a reference to the Op while it is open, so that the Op
 * may settle (and its waiter go on) before the last of them has closed. */
#include "loop/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/proc_judge.h"

#define PROC_TICK_MS 25

typedef struct ProcOut {
  uv_pipe_t pipe;
  Buf *kept;
  Buf line; /* an unfinished line, for the live view */
  bool ended;
} ProcOut;

typedef struct ProcOp {
  Op op;
  ProcSpec spec;
  ProcResult result;
  Err failure; /* why we end it ourselves (too much output) */
  uv_process_t process;
  uv_pipe_t in;
  uv_write_t write;
  ProcOut out[2]; /* stdout, stderr */
  uv_timer_t timer;
  int pid;
  bool exited, stopping, killed, proved;
  int64_t exited_ms, stopping_ms, proved_ms;
} ProcOp;

/* ---- the specification ---- */

static void proc_close_fds(ProcSpec *spec) {
  if (spec->has_in_fd) close(spec->in_fd);
  if (spec->has_out_fd) close(spec->out_fd);
  if (spec->has_err_fd) close(spec->err_fd);
  spec->has_in_fd = spec->has_out_fd = spec->has_err_fd = false;
}

void proc_spec_fini(ProcSpec *spec) {
  proc_close_fds(spec);
  proc_list_free(spec->argv);
  proc_list_free(spec->env);
  proc_list_free(spec->refused);
  free(spec->proof);
  free(spec->cwd);
  free(spec->accept);
  free(spec->name);
  if (spec->input.data != NULL) explicit_bzero(spec->input.data, spec->input.len);
  buf_fini(&spec->input);
  memset(spec, 0, sizeof *spec);
}

static bool proc_env_names(const char *entry, const char *other) {
  size_t len = strcspn(other, "=");
  return strncmp(entry, other, len) == 0 && (entry[len] == '=' || entry[len] == '\0');
}

/* Our environment with the child's changes. */
static char **proc_environment(char **changes) {
  extern char **environ;
  char **list = NULL;
  for (char **entry = environ; *entry != NULL; entry++) {
    bool replaced = false;
    for (char **change = changes; change != NULL && *change != NULL && !replaced; change++)
      replaced = proc_env_names(*entry, *change);
    if (!replaced) proc_list_add(&list, *entry);
  }
  for (char **change = changes; change != NULL && *change != NULL; change++)
    if (strchr(*change, '=') != NULL) proc_list_add(&list, *change);
  if (list == NULL) list = mem_alloc(sizeof *list);
  return list;
}

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle) {
  ProcOp *proc = handle->data;
  op_unref(&proc->op);
}

static void proc_close(void *handle) {
  uv_handle_t *h = handle;
  if (h->data != NULL && !uv_is_closing(h)) uv_close(h, on_closed);
}

/* From here on the handle is open, and must be closed. */
static void proc_opened(ProcOp *proc, void *handle) {
  ((uv_handle_t *)handle)->data = proc;
  op_ref(&proc->op);
}

static void proc_destroy(Op *op) {
  ProcOp *proc = (ProcOp *)op;
  proc_spec_fini(&proc->spec);
  buf_fini(&proc->result.out);
  buf_fini(&proc->result.err);
  buf_fini(&proc->out[0].line);
  buf_fini(&proc->out[1].line);
  err_fini(&proc->failure);
  free(proc);
}

/* ---- the end ---- */

static void proc_flush_line(ProcOp *proc, ProcOut *out) {
  if (proc->spec.line != NULL && out->line.len > 0)
    proc->spec.line(proc->spec.line_arg, out == &proc->out[1], out->line.data, out->line.len);
  buf_clear(&out->line);
}

static void proc_judge(ProcOp *proc) {
  Err err = {0};
  if (proc_judge_end(&proc->spec, &proc->result, &err))
    op_succeed(&proc->op);
  else
    op_fail(&proc->op, &err);
}

static void proc_settle(ProcOp *proc) {
  op_ref(&proc->op);
  for (int i = 0; i < 2; i++) {
    proc_flush_line(proc, &proc->out[i]);
    proc_close(&proc->out[i].pipe);
  }
  proc_close(&proc->in);
  proc_close(&proc->process);
  proc_close(&proc->timer);
  if (proc->failure.code != ERR_NONE)
    op_fail(&proc->op, &proc->failure);
  else if (proc->op.reason != ERR_NONE && !proc->proved)
    op_fail_code(&proc->op, ERR_PROCESS, "%s was stopped with %s", proc->spec.name, proc->killed ? "KILL" : "TERM");
  else
    proc_judge(proc);
  op_unref(&proc->op);
}

static void proc_stop(ProcOp *proc);

/* Does this process belong to the group, and live? /proc/PID/stat: "PID (NAME) STATE PPID PGRP …"; NAME may hold anything. */
static bool proc_is_member(const char *pid, int group) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t len = read(fd, text, sizeof text - 1);
  close(fd);
  text[len > 0 ? len : 0] = '\0';
  const char *rest = strrchr(text, ')');
  char state = 'Z';
  int pgrp = 0;
  return rest != NULL && sscanf(rest, ") %c %*d %d", &state, &pgrp) == 2 && pgrp == group && strchr("ZX", state) == NULL;
}

/* Members of the group may outlive its leader (the id stays theirs as long as there is one). kill(2) also finds those that are
 * dead and not yet reaped, which in a container without a proper init is for ever: so /proc has the last word. */
static bool proc_group_alive(const ProcOp *proc) {
  if (kill(-proc->pid, 0) != 0 && errno == ESRCH) return false;
  DIR *dir = opendir("/proc");
  if (dir == NULL) return true;
  bool alive = false;
  const struct dirent *entry;
  while (!alive && (entry = readdir(dir)) != NULL)
    alive = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && proc_is_member(entry->d_name, proc->pid);
  closedir(dir);
  return alive;
}

static void proc_check_end(ProcOp *proc) {
  bool ended = proc->exited && proc->out[0].ended && proc->out[1].ended;
  if (proc->stopping) ended = proc->exited && (proc->killed || !proc_group_alive(proc));
  if (ended) proc_settle(proc);
}

/* Runs only after the child's end, or its proof, or while we end it. */
static void on_tick(uv_timer_t *timer) {
  ProcOp *proc = timer->data;
  int64_t now = clock_mono_ms();
  if (proc->stopping) {
    if (!proc->killed && now - proc->stopping_ms >= PROC_TERM_MS) {
      proc->killed = true;
      kill(-proc->pid, SIGKILL);
    }
    proc_check_end(proc);
  } else if (proc->exited && now - proc->exited_ms >= PROC_DRAIN_MS) {
    proc_settle(proc);
  } else if (!proc->exited && now - proc->proved_ms >= PROC_TERM_MS) {
    proc_stop(proc);
  }
}

static void proc_stop(ProcOp *proc) {
  if (proc->stopping) return;
  proc->stopping = true;
  proc->stopping_ms = clock_mono_ms();
  kill(-proc->pid, SIGTERM);
  uv_timer_start(&proc->timer, on_tick, PROC_TICK_MS, PROC_TICK_MS);
}

static void proc_cancel(Op *op) { proc_stop((ProcOp *)op); }

static const OpClass proc_class = {"process", proc_cancel, proc_destroy};

static void on_exit_status(uv_process_t *process, int64_t exit_status, int term_signal) {
  ProcOp *proc = process->data;
  proc->exited = true;
  proc->exited_ms = clock_mono_ms();
  proc->result.exit_code = term_signal != 0 ? -1 : (int)exit_status;
  proc->result.signal = term_signal;
  if (!proc->stopping) uv_timer_start(&proc->timer, on_tick, PROC_DRAIN_MS, PROC_TICK_MS);
  proc_check_end(proc);
}

/* ---- output ---- */

static void proc_feed_lines(ProcOp *proc, ProcOut *out, const char *bytes, size_t len) {
  const char *newline;
  while ((newline = memchr(bytes, '\n', len)) != NULL) {
    size_t part = (size_t)(newline - bytes);
    buf_add(&out->line, bytes, part);
    proc->spec.line(proc->spec.line_arg, out == &proc->out[1], buf_str(&out->line), out->line.len);
    buf_clear(&out->line);
    bytes += part + 1;
    len -= part + 1;
  }
  buf_add(&out->line, bytes, len);
}

/* Keep the last `limit` bytes; moves memory only when twice as much has gathered. */
static void proc_keep_tail(ProcOp *proc, Buf *kept, bool final) {
  size_t limit = proc->spec.limit_bytes;
  if (kept->len <= limit || (!final && kept->len < 2 * limit)) return;
  buf_consume(kept, kept->len - limit);
  proc->result.truncated = true;
}

static void proc_too_much(ProcOp *proc) {
  double mib = (double)proc->spec.limit_bytes / 1048576.0;
  err_set(&proc->failure, ERR_LIMIT, "%s printed more than %.3g MiB of output; raise limit= or stream it", proc->spec.name, mib);
  /* Reading stops for good: a child that goes on writing gets SIGPIPE. */
  for (int i = 0; i < 2; i++) {
    proc->out[i].ended = true;
    proc_close(&proc->out[i].pipe);
  }
  proc_stop(proc);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *to) {
  /* Read straight into the buffer that is kept. */
  ProcOut *out = (ProcOut *)((char *)handle - offsetof(ProcOut, pipe));
  to->base = buf_reserve(out->kept, size);
  to->len = size;
}

/* What a far command had to say is said: nothing that the near one does now counts. */
static void proc_look_for_proof(ProcOp *proc) {
  const Buf *out = &proc->result.out;
  bool proved = proc_proof_status(proc->spec.proof, buf_str(out), out->len) >= 0;
  if (proved && !proc->proved && !proc->exited && !proc->stopping) {
    proc->proved_ms = clock_mono_ms();
    uv_timer_start(&proc->timer, on_tick, PROC_TERM_MS, PROC_TICK_MS);
  }
  proc->proved = proved;
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *to) {
  (void)to;
  ProcOp *proc = stream->data;
  ProcOut *out = (ProcOut *)((char *)stream - offsetof(ProcOut, pipe));
  if (count < 0) {
    out->ended = true;
    if (proc->spec.tail) proc_keep_tail(proc, out->kept, true);
    proc_close(stream);
    proc_check_end(proc);
    return;
  }
  size_t len = (size_t)count;
  if (proc->spec.line != NULL) proc_feed_lines(proc, out, out->kept->data + out->kept->len, len);
  out->kept->len += len;
  if (out->kept->data != NULL) out->kept->data[out->kept->len] = '\0';
  if (proc->spec.proof != NULL && out == &proc->out[0]) proc_look_for_proof(proc);
  if (proc->spec.tail)
    proc_keep_tail(proc, out->kept, false);
  else if (out->kept->len > proc->spec.limit_bytes)
    proc_too_much(proc);
}

/* ---- input ---- */

static void on_written(uv_write_t *write, int status) {
  (void)status; /* a child that does not read its input is its own affair */
  ProcOp *proc = write->data;
  proc_close(&proc->in);
}

static void proc_write_input(ProcOp *proc) {
  uv_buf_t bytes = uv_buf_init(proc->spec.input.data, 0);
  bytes.len = proc->spec.input.len;
  proc->write.data = proc;
  if (bytes.len == 0 || uv_write(&proc->write, (uv_stream_t *)&proc->in, &bytes, 1, on_written) != 0) proc_close(&proc->in);
}

/* ---- the start ---- */

static int proc_spawn(ProcOp *proc) {
  uv_loop_t *uv = loop_uv(proc->op.loop);
  uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}};
  if (proc->spec.has_input) {
    uv_pipe_init(uv, &proc->in, 0);
    proc_opened(proc, &proc->in);
    stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
    stdio[0].data.stream = (uv_stream_t *)&proc->in;
  }
  if (proc->spec.has_in_fd) {
    stdio[0].flags = UV_INHERIT_FD;
    stdio[0].data.fd = proc->spec.in_fd;
  }
  for (int i = 0; i < 2; i++) {
    bool given = i == 0 ? proc->spec.has_out_fd : proc->spec.has_err_fd;
    if (given) {
      stdio[i + 1].flags = UV_INHERIT_FD;
      stdio[i + 1].data.fd = i == 0 ? proc->spec.out_fd : proc->spec.err_fd;
      proc->out[i].ended = true;
      continue;
    }
    uv_pipe_init(uv, &proc->out[i].pipe, 0);
    proc_opened(proc, &proc->out[i].pipe);
    stdio[i + 1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
    stdio[i + 1].data.stream = (uv_stream_t *)&proc->out[i].pipe;
  }
  char **env = proc->spec.env != NULL ? proc_environment(proc->spec.env) : NULL;
  uv_process_options_t options = {
      .exit_cb = on_exit_status,
      .file = proc->spec.argv[0],
      .args = proc->spec.argv,
      .env = env,
      .cwd = proc->spec.cwd,
      .flags = UV_PROCESS_DETACHED, /* setsid: a group of its own, and no terminal to take ^C from */
      .stdio_count = 3,
      .stdio = stdio,
  };
  /* Libraries open descriptors without close-on-exec (curl's wake-up sockets, libpq's before 17). */
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  int rc = uv_spawn(uv, &proc->process, &options);
  proc_opened(proc, &proc->process);
  proc_list_free(env);
  proc_close_fds(&proc->spec); /* or the far end would never see that the child has closed them */
  return rc;
}

static bool proc_directory_ok(ProcOp *proc) {
  struct stat st;
  if (proc->spec.cwd == NULL) return true;
  int errnum = stat(proc->spec.cwd, &st) != 0 ? errno : !S_ISDIR(st.st_mode) ? ENOTDIR : 0;
  if (errnum == 0) return true;
  return err_set_errno(&proc->failure, ERR_SPAWN, errnum, "cannot start %s in %s", proc->spec.name, proc->spec.cwd);
}

static void proc_begin(ProcOp *proc) {
  uv_timer_init(loop_uv(proc->op.loop), &proc->timer);
  proc_opened(proc, &proc->timer);
  if (!proc_directory_ok(proc)) { /* told apart here: exec and chdir fail alike */
    proc_settle(proc);
    return;
  }
  int rc = proc_spawn(proc);
  if (rc != 0) {
    err_set_errno(&proc->failure, ERR_SPAWN, -rc, "cannot start %s", proc->spec.name);
    if (rc == UV_ENOENT) err_set_hint(&proc->failure, "is it installed, and on PATH?");
    proc_settle(proc);
    return;
  }
  proc->pid = proc->process.pid;
  proc->op.sent = true;
  if (proc->spec.has_input) proc_write_input(proc);
  for (int i = 0; i < 2; i++)
    if (!proc->out[i].ended) uv_read_start((uv_stream_t *)&proc->out[i].pipe, on_alloc, on_read);
}

Op *proc_start(Loop *loop, ProcSpec *spec, int64_t timeout_ms, const char *deadline_name) {
  /* A child that does not read its input is an error of the write, not the end of this process. */
  struct sigaction old;
  if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
  ProcOp *proc = mem_alloc(sizeof *proc);
  op_init(&proc->op, loop, &proc_class);
  proc->spec = *spec;
  memset(spec, 0, sizeof *spec);
  if (proc->spec.name == NULL) proc->spec.name = mem_strdup(basename(proc->spec.argv[0])); /* GNU's: leaves its argument alone */
  if (proc->spec.limit_bytes == 0) proc->spec.limit_bytes = PROC_LIMIT_BYTES;
  proc->result.exit_code = -1;
  proc->out[0].kept = &proc->result.out;
  proc->out[1].kept = &proc->result.err;
  op_arm(&proc->op, timeout_ms, deadline_name);
  proc_begin(proc);
  return &proc->op;
}

const ProcResult *proc_result(const Op *op) { return &((const ProcOp *)op)->result; }
int proc_pid(const Op *op) { return ((const ProcOp *)op)->pid; }
