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
#include "loop/timer.h"
#include "stream/end.h"

#define PROC_END_PIPE_BYTES (1 << 20)
/* A chunk that is not full waits so long for more. */
#define PROC_END_GATHER_MS 10

typedef struct ProcEnd {
  Stage stage;
  Loop *loop;
  ProcSpec spec;
  EndLines lines;
  Op *proc;
  int fd;     /* our end; -1: closed */
  int unread; /* sink: the child's end, to look at; -1: closed */
  FdWatch *watch;
  Op *timer;    /* until a chunk that is not full is passed on */
  Chunk *chunk; /* being filled or written */
  size_t at;    /* sink: what of it is written */
  bool input, at_end, finishing, stopping, over;
  char *proof; /* source: what its output has to end with; NULL: nothing */
  int *accept; /* … which status, then */
  Buf held;    /* … the last bytes, not passed on yet */
} ProcEnd;

static void end_settle(ProcEnd *end);

/* ---- life ---- */

static void end_free(Stage *stage) {
  ProcEnd *end = (ProcEnd *)stage;
  if (end->lines.free != NULL) end->lines.free(end->lines.arg);
  op_unref(end->proc);
  proc_spec_fini(&end->spec);
  free(end->proof);
  free(end->accept);
  buf_fini(&end->held);
  free(end);
}

static void end_close_fd(ProcEnd *end) {
  fdwatch_close(end->watch);
  end->watch = NULL;
  if (end->fd >= 0) close(end->fd);
  end->fd = -1;
}

static void end_close_all(ProcEnd *end) {
  end_close_fd(end);
  if (end->unread >= 0) close(end->unread);
  end->unread = -1;
}

/* Has the child, which has ended, read all that it was given? */
static bool end_all_read(const ProcEnd *end) {
  int left = 0;
  return end->finishing && end->chunk == NULL && ioctl(end->unread, FIONREAD, &left) == 0 && left == 0;
}

/* The status that the output's last bytes say, -1: they say none. */
static int end_proved(const ProcEnd *end) { return proc_proof_status(end->proof, buf_str(&end->held), end->held.len); }

/* Has the child, which has ended by itself, ended well? */
static bool end_is_good(const ProcEnd *end) {
  if (end->proc->err.code != ERR_NONE) return false;
  if (end->proof == NULL || !end->at_end) return true;
  int status = end_proved(end);
  bool good = status == 0 && end->accept == NULL;
  for (const int *one = end->accept; one != NULL && *one >= 0; one++)
    good = good || *one == status;
  return good;
}

static ProcEnd *end_new(const StageClass *cls, ProcSpec spec, EndLines lines, bool input) {
  ProcEnd *end = mem_alloc(sizeof *end);
  stage_init(&end->stage, cls, spec.name);
  if (spec.name == NULL) end->stage.name = mem_strdup(basename(spec.argv[0]));
  end->spec = spec;
  end->lines = lines;
  end->input = input;
  end->fd = end->unread = -1;
  if (!input && spec.proof != NULL) {
    end->proof = spec.proof;
    end->accept = spec.accept;
    end->spec.proof = NULL;
    end->spec.accept = NULL;
  }
  return end;
}

static void on_proc_settled(Op *op, void *arg) {
  (void)op;
  end_settle(arg);
}

static void on_ready(void *arg, int events);

/* What comes before the stream: little, it has to fit into the pipe. */
static bool end_write_first(ProcEnd *end, Err *err) {
  size_t len = end->spec.input.len;
  bool written = len == 0 || write(end->fd, end->spec.input.data, len) == (ssize_t)len;
  if (len > 0) explicit_bzero(end->spec.input.data, len);
  buf_fini(&end->spec.input);
  end->spec.has_input = false;
  return written || err_set(err, ERR_LIMIT, "%s: input: %zu bytes do not fit before the stream", stage_name(&end->stage), len);
}

static bool end_open(Stage *stage, Loop *loop, Err *err) {
  ProcEnd *end = (ProcEnd *)stage;
  int fds[2];
  end->loop = loop;
  if (pipe2(fds, O_CLOEXEC) != 0) return err_set_errno(err, ERR_SPAWN, errno, "cannot start %s", stage_name(stage));
  fcntl(fds[0], F_SETPIPE_SZ, PROC_END_PIPE_BYTES); /* more than an ordinary user may have: then it stays as it is */
  int ours = end->input ? 1 : 0;
  end->fd = fds[ours];
  fcntl(end->fd, F_SETFL, O_NONBLOCK);
  if (end->input) {
    end->unread = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
    end->spec.in_fd = fds[0];
    end->spec.has_in_fd = true;
    if (!end_write_first(end, err)) {
      end_close_all(end);
      return false;
    }
  } else {
    end->spec.out_fd = fds[1];
    end->spec.has_out_fd = true;
  }
  end->spec.line = end->lines.line;
  end->spec.line_arg = end->lines.arg;
  end->watch = fdwatch_open(loop, end->fd, on_ready, end);
  end->proc = proc_start(loop, &end->spec, 0, NULL);
  if (op_settled(end->proc)) {
    err_move(err, &end->proc->err);
    end_close_all(end);
    return false;
  }
  op_on_settled(end->proc, on_proc_settled, end);
  return true;
}

/* ---- the end ---- */

static void end_keep_words(ProcEnd *end) {
  const ProcResult *result = proc_result(end->proc);
  if (result->out.len > 0) {
    end->stage.found_len = result->out.len;
    end->stage.found = mem_realloc(NULL, result->out.len + 1);
    memcpy(end->stage.found, buf_str(&result->out), result->out.len + 1);
  }
  if (result->err.len > 0) end->stage.said = mem_strdup(buf_str(&result->err));
}

static void end_fail(ProcEnd *end) {
  Err err = {0};
  if (end->proc->err.code != ERR_NONE)
    err_move(&err, &end->proc->err);
  else if (end->proof != NULL)
    proc_proof_fail(stage_name(&end->stage), end_proved(end), proc_result(end->proc), &err);
  else
    err_set(&err, ERR_PROCESS, "%s ended before it had read everything", stage_name(&end->stage));
  end_close_all(end);
  stage_failed(&end->stage, &err);
}

/* The child has ended, or its output: is it over? */
static void end_settle(ProcEnd *end) {
  if (end->over || !op_settled(end->proc)) return;
  if (!end->stopping && end->lines.busy != NULL && end->lines.busy(end->lines.arg)) return; /* end_lines_done */
  bool good = end_is_good(end);
  if (!end->stopping && good && !end->input && !end->at_end) return; /* there is more to read */
  end->over = true;
  if (end->stopping) {
    end_close_all(end);
    stage_closed(&end->stage);
  } else if (good && (!end->input || end_all_read(end))) {
    end_keep_words(end);
    end_close_all(end);
    if (end->input)
      stage_finished(&end->stage);
    else
      stage_ended(&end->stage);
  } else {
    end_fail(end);
  }
}

static void end_lines_over(Stage *stage) { end_settle((ProcEnd *)stage); }

static void end_drop_timer(ProcEnd *end) {
  if (end->timer == NULL) return;
  op_on_settled(end->timer, NULL, NULL);
  op_cancel(end->timer, ERR_CANCELLED);
  op_unref(end->timer);
  end->timer = NULL;
}

static void end_stop(Stage *stage, ErrCode reason) {
  ProcEnd *end = (ProcEnd *)stage;
  end->stopping = true;
  end_drop_timer(end);
  chunk_unref(end->chunk);
  end->chunk = NULL;
  end->over = false;
  /* The child's input stays open until it is gone: an end of input would tell it that it has seen everything. */
  if (end->watch != NULL) fdwatch_set(end->watch, 0);
  if (!end->input) end_close_fd(end);
  op_cancel(end->proc, reason);
  end_settle(end);
}

/* ---- source ---- */

/* Of a chunk keep back what may be the proof. False: nothing is left of it to be passed on. */
static bool output_hold(ProcEnd *end, Chunk *chunk) {
  size_t size = proc_proof_bytes(end->proof), keep = chunk->len < size ? chunk->len : size;
  buf_clear(&end->held);
  buf_add(&end->held, chunk->data + chunk->len - keep, keep);
  chunk->len -= keep;
  return chunk->len > 0;
}

/* A new chunk begins with what was kept back. */
static void output_begin(ProcEnd *end) {
  end->chunk = chunk_new(0);
  memcpy(end->chunk->data, buf_str(&end->held), end->held.len);
  end->chunk->len = end->held.len;
  buf_clear(&end->held);
}

/* False: there is nothing to be passed on. */
static bool output_pass(ProcEnd *end) {
  end_drop_timer(end);
  Chunk *chunk = end->chunk;
  end->chunk = NULL;
  if (chunk == NULL || chunk->len == 0 || (end->proof != NULL && !output_hold(end, chunk))) {
    chunk_unref(chunk);
    return false;
  }
  fdwatch_set(end->watch, 0);
  stage_filled(&end->stage, chunk);
  return true;
}

static void on_gathered(Op *op, void *arg) {
  ProcEnd *end = arg;
  op_unref(op);
  end->timer = NULL;
  output_pass(end); /* if not, what comes next is waited for */
}

static void output_ended(ProcEnd *end) {
  end->at_end = true;
  fdwatch_set(end->watch, 0);
  if (!output_pass(end)) end_settle(end); /* else it is pulled once more */
}

static void output_read(ProcEnd *end) {
  if (end->chunk == NULL) output_begin(end);
  Chunk *chunk = end->chunk;
  while (chunk->len < chunk->size) {
    ssize_t n = read(end->fd, chunk->data + chunk->len, chunk->size - chunk->len);
    if (n > 0) {
      chunk->len += (size_t)n;
    } else if (n < 0 && errno == EAGAIN) {
      fdwatch_set(end->watch, UV_READABLE);
      if (chunk->len > 0 && end->timer == NULL) {
        end->timer = timer_start(end->loop, PROC_END_GATHER_MS, 0, NULL);
        op_on_settled(end->timer, on_gathered, end);
      }
      return;
    } else if (n == 0 || errno != EINTR) {
      output_ended(end);
      return;
    }
  }
  output_pass(end);
}

static void output_pull(Stage *stage) {
  ProcEnd *end = (ProcEnd *)stage;
  if (end->at_end)
    end_settle(end);
  else
    output_read(end);
}

/* ---- sink ---- */

static void input_write(ProcEnd *end) {
  Chunk *chunk = end->chunk;
  while (end->at < chunk->len) {
    ssize_t n = write(end->fd, chunk->data + end->at, chunk->len - end->at);
    if (n >= 0) {
      end->at += (size_t)n;
    } else if (errno == EAGAIN) {
      fdwatch_set(end->watch, UV_WRITABLE);
      return;
    } else if (errno != EINTR) {
      fdwatch_set(end->watch, 0); /* its end says why */
      return;
    }
  }
  fdwatch_set(end->watch, 0);
  end->chunk = NULL;
  chunk_unref(chunk);
  stage_taken(&end->stage);
}

static void input_put(Stage *stage, Chunk *chunk) {
  ProcEnd *end = (ProcEnd *)stage;
  end->chunk = chunk;
  end->at = 0;
  input_write(end);
}

static void input_finish(Stage *stage) {
  ProcEnd *end = (ProcEnd *)stage;
  end->finishing = true;
  end_close_fd(end);
  end_settle(end);
}

static void on_ready(void *arg, int events) {
  ProcEnd *end = arg;
  (void)events;
  if (end->input)
    input_write(end);
  else
    output_read(end);
}

static const StageClass output_class = {
    .kind = "output", .open = end_open, .pull = output_pull, .stop = end_stop, .lines_done = end_lines_over, .free = end_free};
static const StageClass input_class = {.kind = "input",
                                       .open = end_open,
                                       .put = input_put,
                                       .finish = input_finish,
                                       .stop = end_stop,
                                       .leaves = true,
                                       .lines_done = end_lines_over,
                                       .free = end_free};

Stage *end_proc_output(ProcSpec spec, EndLines lines) { return &end_new(&output_class, spec, lines, false)->stage; }
Stage *end_proc_input(ProcSpec spec, EndLines lines) { return &end_new(&input_class, spec, lines, true)->stage; }
