/* end_proc: a child's standard output as source, its standard input as sink.
 *
 * A real pipe(2), not the socket pair libuv would make: a child may open /dev/stdout, and a pipe is faster. It is as large as
 * the system allows, so that the child goes on while we are busy.
 *
 * Of a child's input we keep the reading end too: when the child has ended well, that tells whether it left something unread (a
 * psql that met \q in the middle of a dump). So it is the child's end, not EPIPE, that says that nobody reads any more.
 *
 * Where a proof is asked for, its bytes at the end of the output are none of the stream's: as many as it takes up are held back
 * until more has come. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "loop/fdwatch.h"
#include "stream/end_child.h"

#define PROC_END_PIPE_BYTES (1 << 20)

typedef struct ProcEnd {
  EndChild child;
  ProcSpec spec;
  int fd;     /* our end; -1: closed */
  int unread; /* sink: the child's end, to look at; -1: closed */
  FdWatch *watch;
  char *proof; /* source: what its output has to end with; NULL: nothing */
  int *accept; /* … which status, then */
  Buf held;    /* … the last bytes, not passed on yet */
} ProcEnd;

static void end_close_fd(ProcEnd *end) {
  fdwatch_close(end->watch);
  end->watch = NULL;
  if (end->fd >= 0) close(end->fd);
  end->fd = -1;
}

static void end_watch(ProcEnd *end, int events) {
  if (end->watch != NULL) fdwatch_set(end->watch, events);
}

/* ---- its bytes ---- */

/* Of what was held back and these bytes keep what may be the proof; the others take their place. How many these are. */
static size_t end_hold(ProcEnd *end, char *bytes, size_t len) {
  size_t size = proc_proof_bytes(end->proof);
  buf_add(&end->held, bytes, len);
  size_t pass = end->held.len > size ? end->held.len - size : 0;
  memcpy(bytes, end->held.data, pass);
  end->held.len -= pass;
  memmove(end->held.data, end->held.data + pass, end->held.len);
  return pass;
}

static ssize_t near_read(EndChild *child, char *to, size_t size) {
  ProcEnd *end = (ProcEnd *)child;
  for (;;) {
    ssize_t n = read(end->fd, to, size);
    if (n > 0 && end->proof != NULL) {
      n = (ssize_t)end_hold(end, to, (size_t)n);
      if (n == 0) continue;
    }
    if (n > 0) return n;
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 || errno != EAGAIN) return -1;
    end_watch(end, UV_READABLE);
    return 0;
  }
}

static ssize_t near_write(EndChild *child, const char *bytes, size_t len) {
  ProcEnd *end = (ProcEnd *)child;
  ssize_t n;
  do
    n = write(end->fd, bytes, len);
  while (n < 0 && errno == EINTR);
  if (n < 0) end_watch(end, errno == EAGAIN ? UV_WRITABLE : 0);
  return n;
}

static void near_write_end(EndChild *child) { end_close_fd((ProcEnd *)child); }
static const ProcResult *near_result(const EndChild *child) { return proc_result(child->op); }
static void near_quiet(EndChild *child) { end_watch((ProcEnd *)child, 0); }

static bool near_all_read(const EndChild *child) {
  int left = 0;
  return ioctl(((const ProcEnd *)child)->unread, FIONREAD, &left) == 0 && left == 0;
}

/* The status that the output's last bytes say has to be one that is accepted. */
static bool near_is_good(const EndChild *child, Err *err) {
  const ProcEnd *end = (const ProcEnd *)child;
  if (end->proof == NULL) return true;
  int status = proc_proof_status(end->proof, buf_str(&end->held), end->held.len);
  bool good = status == 0 && end->accept == NULL;
  for (const int *one = end->accept; one != NULL && *one >= 0; one++)
    good = good || *one == status;
  if (!good && err != NULL) proc_proof_fail(stage_name(&child->stage), status, proc_result(child->op), err);
  return good;
}

static void near_stop(EndChild *child) {
  near_quiet(child);
  if (!child->input) end_close_fd((ProcEnd *)child);
}

static void near_close(EndChild *child) {
  ProcEnd *end = (ProcEnd *)child;
  end_close_fd(end);
  if (end->unread >= 0) close(end->unread);
  end->unread = -1;
}

static const EndChildWay near_way = {.read = near_read,
                                     .write = near_write,
                                     .write_end = near_write_end,
                                     .result = near_result,
                                     .is_good = near_is_good,
                                     .quiet = near_quiet,
                                     .all_read = near_all_read,
                                     .stop = near_stop,
                                     .close = near_close};

/* ---- life ---- */

static void on_ready(void *arg, int events) {
  (void)events;
  end_child_ready(arg);
}

/* What comes before the stream: little, it has to fit into the pipe. */
static bool end_write_first(ProcEnd *end, Err *err) {
  size_t len = end->spec.input.len;
  bool written = len == 0 || write(end->fd, end->spec.input.data, len) == (ssize_t)len;
  if (len > 0) explicit_bzero(end->spec.input.data, len);
  buf_fini(&end->spec.input);
  end->spec.has_input = false;
  return written ||
         err_set(err, ERR_LIMIT, "%s: input: %zu bytes do not fit before the stream", stage_name(&end->child.stage), len);
}

static bool end_open(Stage *stage, Loop *loop, Err *err) {
  ProcEnd *end = (ProcEnd *)stage;
  bool input = end->child.input;
  int fds[2];
  end->child.loop = loop;
  if (pipe2(fds, O_CLOEXEC) != 0) return err_set_errno(err, ERR_SPAWN, errno, "cannot start %s", stage_name(stage));
  fcntl(fds[0], F_SETPIPE_SZ, PROC_END_PIPE_BYTES); /* more than an ordinary user may have: then it stays as it is */
  end->fd = fds[input ? 1 : 0];
  fcntl(end->fd, F_SETFL, O_NONBLOCK);
  if (input) {
    end->unread = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
    end->spec.in_fd = fds[0];
    end->spec.has_in_fd = true;
    if (!end_write_first(end, err)) {
      near_close(&end->child);
      return false;
    }
  } else {
    end->spec.out_fd = fds[1];
    end->spec.has_out_fd = true;
  }
  end->spec.line = end->child.lines.line;
  end->spec.line_arg = end->child.lines.arg;
  end->watch = fdwatch_open(loop, end->fd, on_ready, end);
  Op *proc = proc_start(loop, &end->spec, 0, NULL);
  if (op_settled(proc)) {
    err_move(err, &proc->err);
    op_unref(proc);
    near_close(&end->child);
    return false;
  }
  end_child_begin(&end->child, proc);
  return true;
}

static void end_free(Stage *stage) {
  ProcEnd *end = (ProcEnd *)stage;
  end_child_fini(&end->child);
  proc_spec_fini(&end->spec);
  free(end->proof);
  free(end->accept);
  buf_fini(&end->held);
  free(end);
}

static const StageClass output_class = {.kind = "output",
                                        .open = end_open,
                                        .pull = end_child_pull,
                                        .stop = end_child_stop,
                                        .lines_done = end_child_lines_over,
                                        .free = end_free};
static const StageClass input_class = {.kind = "input",
                                       .open = end_open,
                                       .put = end_child_put,
                                       .finish = end_child_finish,
                                       .stop = end_child_stop,
                                       .leaves = STAGE_LEAVES_PARTS,
                                       .lines_done = end_child_lines_over,
                                       .free = end_free};

static Stage *end_new(const StageClass *cls, ProcSpec spec, EndLines lines, bool input) {
  ProcEnd *end = mem_alloc(sizeof *end);
  end_child_init(&end->child, cls, spec.name != NULL ? spec.name : basename(spec.argv[0]), &near_way, lines, input);
  end->spec = spec;
  end->fd = end->unread = -1;
  if (!input && spec.proof != NULL) {
    end->proof = spec.proof;
    end->accept = spec.accept;
    end->spec.proof = NULL;
    end->spec.accept = NULL;
  }
  return &end->child.stage;
}

Stage *end_proc_output(ProcSpec spec, EndLines lines) { return end_new(&output_class, spec, lines, false); }
Stage *end_proc_input(ProcSpec spec, EndLines lines) { return end_new(&input_class, spec, lines, true); }
