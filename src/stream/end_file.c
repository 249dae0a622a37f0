/* end_file: a file as source and as sink. Every call that may block runs on the thread pool, one at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "loop/work.h"
#include "stream/end.h"

/* Written back as it comes: else the fsync at the end finds all of it still to do. */
#define WRITE_BACK_BYTES ((off_t)8 << 20)

typedef struct FileEnd {
  Stage stage;
  Loop *loop;
  char *path;
  int fd;          /* of a reader */
  FileDraft draft; /* of a writer */
  unsigned mode;
  off_t at, flushed;
  Chunk *chunk; /* being filled or written */
  bool working, stopping;
} FileEnd;

static bool file_error(WorkOp *work, const char *verb, const char *path) {
  return err_set_errno(&work->failure, ERR_IO, errno, "cannot %s %s", verb, path);
}

static void file_free(Stage *stage) {
  FileEnd *end = (FileEnd *)stage;
  free(end->path);
  free(end);
}

static FileEnd *file_new(const StageClass *cls, const char *path) {
  FileEnd *end = mem_alloc(sizeof *end);
  stage_init(&end->stage, cls, path);
  end->path = mem_strdup(path);
  end->fd = end->draft.fd = -1;
  return end;
}

/* One piece of work on the pool; then() comes on the loop's thread. */
static void file_work(FileEnd *end, void (*run)(WorkOp *), void (*then)(Op *op, void *arg)) {
  end->working = true;
  WorkOp *work = work_start(end->loop, "file", run, end, NULL, 0);
  op_on_settled(&work->op, then, end);
}

/* A writer's is removed, unless it was published. */
static void file_close(FileEnd *end) {
  if (end->fd >= 0) close(end->fd);
  end->fd = -1;
  file_draft_drop(&end->draft);
  chunk_unref(end->chunk);
  end->chunk = NULL;
}

/* The pool has given the file back. True: it is wanted no more, and that was said. */
static bool file_was_stopped(FileEnd *end) {
  end->working = false;
  if (!end->stopping) return false;
  file_close(end);
  stage_closed(&end->stage);
  return true;
}

static void file_fail(FileEnd *end, Op *op) {
  Err err = {0};
  err_move(&err, &op->err);
  op_unref(op);
  stage_failed(&end->stage, &err);
}

/* ---- source ---- */

static bool reader_open(Stage *stage, Loop *loop, Err *err) {
  FileEnd *end = (FileEnd *)stage;
  struct stat st;
  end->loop = loop;
  end->fd = open(end->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* non-blocking: a pipe without a writer must not hang */
  if (end->fd < 0) return err_set_errno(err, ERR_IO, errno, "cannot read %s", end->path);
  bool good = fstat(end->fd, &st) == 0;
  if (!good) err_set_errno(err, ERR_IO, errno, "cannot read %s", end->path);
  if (good && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
    good = err_set(err, ERR_IO, "cannot read %s: it is not a file", end->path);
    err_set_hint(err, "for a pipe or a device: sh.output { \"cat\", … }");
  }
  if (good && S_ISREG(st.st_mode)) stage->size = st.st_size;
  if (good)
    posix_fadvise(end->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  else
    file_close(end);
  return good;
}

static void reader_run(WorkOp *work) {
  FileEnd *end = work->arg;
  Chunk *chunk = end->chunk;
  while (chunk->len < chunk->size) {
    ssize_t n = read(end->fd, chunk->data + chunk->len, chunk->size - chunk->len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) file_error(work, "read", end->path);
    if (n <= 0) break;
    chunk->len += (size_t)n;
  }
}

static void on_read(Op *op, void *arg) {
  FileEnd *end = arg;
  if (file_was_stopped(end)) {
    op_unref(op);
    return;
  }
  if (op->err.code != ERR_NONE) {
    file_fail(end, op);
    return;
  }
  op_unref(op);
  Chunk *chunk = end->chunk;
  end->chunk = NULL;
  if (chunk->len > 0) {
    stage_filled(&end->stage, chunk);
    return;
  }
  chunk_unref(chunk);
  file_close(end);
  stage_ended(&end->stage);
}

static void reader_pull(Stage *stage) {
  FileEnd *end = (FileEnd *)stage;
  end->chunk = chunk_new(0);
  file_work(end, reader_run, on_read);
}

static void reader_stop(Stage *stage, ErrCode reason) {
  FileEnd *end = (FileEnd *)stage;
  (void)reason;
  end->stopping = true;
  if (end->working) return;
  file_close(end);
  stage_closed(stage);
}

static const StageClass reader_class = {
    .kind = "file", .open = reader_open, .pull = reader_pull, .stop = reader_stop, .free = file_free};

Stage *end_file_reader(const char *path) { return &file_new(&reader_class, path)->stage; }

/* ---- sink ---- */

static bool writer_open(Stage *stage, Loop *loop, Err *err) {
  FileEnd *end = (FileEnd *)stage;
  end->loop = loop;
  if (file_draft_open(&end->draft, end->path, end->mode, err)) return true;
  file_close(end);
  return false;
}

static void writer_run(WorkOp *work) {
  FileEnd *end = work->arg;
  const Chunk *chunk = end->chunk;
  for (size_t at = 0; at < chunk->len;) {
    ssize_t n = write(end->draft.fd, chunk->data + at, chunk->len - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      file_error(work, "write", end->path);
      return;
    }
    at += (size_t)n;
    end->at += n;
  }
  if (end->at - end->flushed < WRITE_BACK_BYTES) return;
  sync_file_range(end->draft.fd, end->flushed, end->at - end->flushed, SYNC_FILE_RANGE_WRITE);
  end->flushed = end->at;
}

static void on_written(Op *op, void *arg) {
  FileEnd *end = arg;
  if (file_was_stopped(end)) {
    op_unref(op);
    return;
  }
  chunk_unref(end->chunk);
  end->chunk = NULL;
  if (op->err.code != ERR_NONE) {
    file_fail(end, op);
    return;
  }
  op_unref(op);
  stage_taken(&end->stage);
}

static void writer_put(Stage *stage, Chunk *chunk) {
  FileEnd *end = (FileEnd *)stage;
  end->chunk = chunk;
  file_work(end, writer_run, on_written);
}

/* It ends in two steps: until the second one begins nothing is there that a stop would have to take back. */
static void writer_run_sync(WorkOp *work) { file_draft_sync(&((FileEnd *)work->arg)->draft, &work->failure); }
static void writer_run_publish(WorkOp *work) { file_draft_publish(&((FileEnd *)work->arg)->draft, &work->failure); }

static void on_published(Op *op, void *arg) {
  FileEnd *end = arg;
  bool done = op->err.code == ERR_NONE;
  if (!done && file_was_stopped(end)) {
    op_unref(op);
    return;
  }
  end->working = false;
  if (!done) {
    file_fail(end, op);
    return;
  }
  op_unref(op);
  file_close(end);
  stage_finished(&end->stage); /* also when it was stopped too late: the file is there */
}

static void on_synced(Op *op, void *arg) {
  FileEnd *end = arg;
  if (file_was_stopped(end)) {
    op_unref(op);
    return;
  }
  if (op->err.code != ERR_NONE) {
    file_fail(end, op);
    return;
  }
  op_unref(op);
  stage_commits(&end->stage);
  file_work(end, writer_run_publish, on_published);
}

static void writer_finish(Stage *stage) { file_work((FileEnd *)stage, writer_run_sync, on_synced); }

static void writer_stop(Stage *stage, ErrCode reason) {
  FileEnd *end = (FileEnd *)stage;
  (void)reason;
  end->stopping = true;
  if (end->working) return;
  file_close(end);
  stage_closed(stage);
}

static const StageClass writer_class = {
    .kind = "file", .open = writer_open, .put = writer_put, .finish = writer_finish, .stop = writer_stop, .free = file_free};

Stage *end_file_writer(const char *path, unsigned mode) {
  FileEnd *end = file_new(&writer_class, path);
  end->mode = mode;
  return &end->stage;
}
