/* end_child: see end_child.h. */
#include "stream/end_child.h"

#include <string.h>

#include "base/buf.h"
#include "loop/timer.h"

/* A chunk that is not full waits so long for more. */
#define GATHER_MS 10

/* ---- the end ---- */

static void child_keep_words(EndChild *child) {
  const ProcResult *result = child->way->result(child);
  if (result->out.len > 0) {
    child->stage.found_len = result->out.len;
    child->stage.found = mem_realloc(NULL, result->out.len + 1);
    memcpy(child->stage.found, buf_str(&result->out), result->out.len + 1);
  }
  if (result->err.len > 0) child->stage.said = mem_strdup(buf_str(&result->err));
}

static void child_close(EndChild *child) {
  if (child->way->close != NULL) child->way->close(child);
}

/* Has the command, which has ended by itself, ended well? */
static bool child_is_good(const EndChild *child, Err *err) {
  if (child->op->err.code != ERR_NONE) return false;
  return child->way->is_good == NULL || !child->at_end || child->way->is_good(child, err);
}

static void child_fail(EndChild *child) {
  Err err = {0};
  if (child->op->err.code != ERR_NONE)
    err_move(&err, &child->op->err);
  else if (child_is_good(child, &err))
    err_set(&err, ERR_PROCESS, "%s ended before it had read everything", stage_name(&child->stage));
  bool idle = child->stage.cls->leaves == STAGE_LEAVES_WHOLE && !child->finishing;
  if (idle && err.code == ERR_UNKNOWN) err.code = ERR_PROCESS; /* the line was lost, and with it the rest */
  child_close(child);
  stage_failed(&child->stage, &err);
}

static bool child_has_read_all(const EndChild *child) {
  return child->finishing && child->chunk == NULL && (child->way->all_read == NULL || child->way->all_read(child));
}

/* The command has ended, or its output: is it over? */
static void child_settle(EndChild *child) {
  if (child->over || !op_settled(child->op)) return;
  if (!child->stopping && child->lines.busy != NULL && child->lines.busy(child->lines.arg)) return; /* end_lines_done */
  bool good = child_is_good(child, NULL);
  if (!child->stopping && good && !child->input && !child->at_end) return; /* there is more to read */
  child->over = true;
  if (child->stopping) {
    child_close(child);
    stage_closed(&child->stage);
  } else if (good && (!child->input || child_has_read_all(child))) {
    child_keep_words(child);
    child_close(child);
    if (child->input)
      stage_finished(&child->stage);
    else
      stage_ended(&child->stage);
  } else {
    child_fail(child);
  }
}

void end_child_lines_over(Stage *stage) { child_settle((EndChild *)stage); }

static void on_op_settled(Op *op, void *arg) {
  (void)op;
  child_settle(arg);
}

static void child_drop_timer(EndChild *child) {
  if (child->timer == NULL) return;
  op_on_settled(child->timer, NULL, NULL);
  op_cancel(child->timer, ERR_CANCELLED);
  op_unref(child->timer);
  child->timer = NULL;
}

void end_child_stop(Stage *stage, ErrCode reason) {
  EndChild *child = (EndChild *)stage;
  child->stopping = true;
  child_drop_timer(child);
  chunk_unref(child->chunk);
  child->chunk = NULL;
  child->over = false;
  /* Its input stays open until it is gone: an end of input would tell it that it has seen everything. */
  if (child->way->stop != NULL) child->way->stop(child);
  op_cancel(child->op, reason);
  child_settle(child);
}

/* ---- source ---- */

static void child_quiet(EndChild *child) {
  if (child->way->quiet != NULL) child->way->quiet(child);
}

static void output_pass(EndChild *child) {
  Chunk *chunk = child->chunk;
  child_drop_timer(child);
  child->chunk = NULL;
  child->wanted = false;
  child_quiet(child);
  stage_filled(&child->stage, chunk);
}

static void on_gathered(Op *op, void *arg) {
  EndChild *child = arg;
  op_unref(op);
  child->timer = NULL;
  output_pass(child);
}

static void output_ended(EndChild *child) {
  child->at_end = true;
  child_quiet(child);
  if (child->chunk->len > 0) {
    output_pass(child); /* it is pulled once more */
    return;
  }
  chunk_unref(child->chunk);
  child->chunk = NULL;
  child_settle(child);
}

static void output_read(EndChild *child) {
  if (child->chunk == NULL) child->chunk = chunk_new(0);
  Chunk *chunk = child->chunk;
  while (chunk->len < chunk->size) {
    ssize_t n = child->way->read(child, (char *)chunk->data + chunk->len, chunk->size - chunk->len);
    if (n > 0) {
      chunk->len += (size_t)n;
      continue;
    }
    if (n < 0) {
      output_ended(child);
    } else if (chunk->len > 0 && child->timer == NULL) {
      child->timer = timer_start(child->loop, GATHER_MS, 0, NULL);
      op_on_settled(child->timer, on_gathered, child);
    }
    return;
  }
  output_pass(child);
}

void end_child_pull(Stage *stage) {
  EndChild *child = (EndChild *)stage;
  child->wanted = true;
  if (child->at_end)
    child_settle(child);
  else
    output_read(child);
}

/* ---- sink ---- */

static void input_write(EndChild *child) {
  Chunk *chunk = child->chunk;
  if (chunk == NULL) return;
  while (child->at < chunk->len) {
    ssize_t n = child->way->write(child, (const char *)chunk->data + child->at, chunk->len - child->at);
    if (n <= 0) return;
    child->at += (size_t)n;
  }
  child_quiet(child);
  child->chunk = NULL;
  chunk_unref(chunk);
  stage_taken(&child->stage);
}

void end_child_put(Stage *stage, Chunk *chunk) {
  EndChild *child = (EndChild *)stage;
  child->chunk = chunk;
  child->at = 0;
  input_write(child);
}

void end_child_finish(Stage *stage) {
  EndChild *child = (EndChild *)stage;
  child->finishing = true;
  child->way->write_end(child);
  child_settle(child);
}

/* ---- both ---- */

void end_child_ready(EndChild *child) {
  if (child->stopping || child->over) return;
  if (child->input)
    input_write(child);
  else if (child->wanted && !child->at_end)
    output_read(child);
}

void end_child_init(EndChild *child, const StageClass *cls, const char *name, const EndChildWay *way, EndLines lines,
                    bool input) {
  stage_init(&child->stage, cls, name);
  child->way = way;
  child->lines = lines;
  child->input = input;
}

void end_child_fini(EndChild *child) {
  if (child->lines.free != NULL) child->lines.free(child->lines.arg);
  op_unref(child->op);
}

void end_child_begin(EndChild *child, Op *op) {
  child->op = op;
  op_on_settled(op, on_op_settled, child);
}
