/* end_ssh: a far command's standard output as source, its standard input as sink: as end_proc, over an ssh handle. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "loop/timer.h"
#include "stream/end.h"

/* A chunk that is not full waits so long for more. */
#define SSH_END_GATHER_MS 10

typedef struct SshEnd {
  Stage stage;
  Loop *loop;
  Ssh *ssh;
  SshSpec spec;
  EndLines lines;
  SshOp *op;
  Op *timer;    /* until a chunk that is not full is passed on */
  Chunk *chunk; /* being filled or written */
  size_t at;    /* sink: what of it is written */
  bool input, wanted, at_end, finishing, stopping, over;
} SshEnd;

static void end_settle(SshEnd *end);
static void on_ready(void *arg);

/* ---- life ---- */

static void end_free(Stage *stage) {
  SshEnd *end = (SshEnd *)stage;
  if (end->lines.free != NULL) end->lines.free(end->lines.arg);
  if (end->op != NULL) {
    ssh_quiet(end->op);
    op_unref(&end->op->op);
  }
  ssh_spec_fini(&end->spec);
  free(end);
}

static SshEnd *end_new(const StageClass *cls, Ssh *ssh, SshSpec spec, EndLines lines, bool input) {
  SshEnd *end = mem_alloc(sizeof *end);
  stage_init(&end->stage, cls, spec.name);
  end->ssh = ssh;
  end->spec = spec;
  end->lines = lines;
  end->input = input;
  return end;
}

static void on_op_settled(Op *op, void *arg) {
  (void)op;
  end_settle(arg);
}

static bool end_open(Stage *stage, Loop *loop, Err *err) {
  SshEnd *end = (SshEnd *)stage;
  end->loop = loop;
  if (end->ssh == NULL) return err_set(err, ERR_CLOSED, "the handle is closed");
  end->spec.stream_in = end->input;
  end->spec.stream_out = !end->input;
  end->spec.line = end->lines.line;
  end->spec.line_arg = end->lines.arg;
  end->spec.ready = on_ready;
  end->spec.ready_arg = end;
  end->op = ssh_exec(end->ssh, &end->spec, 0, NULL);
  end->ssh = NULL; /* it may be closed from now on */
  op_on_settled(&end->op->op, on_op_settled, end);
  return true;
}

/* ---- the end ---- */

static void end_keep_words(SshEnd *end) {
  const ProcResult *result = &end->op->result;
  if (result->out.len > 0) {
    end->stage.found_len = result->out.len;
    end->stage.found = mem_realloc(NULL, result->out.len + 1);
    memcpy(end->stage.found, buf_str(&result->out), result->out.len + 1);
  }
  if (result->err.len > 0) end->stage.said = mem_strdup(buf_str(&result->err));
}

static void end_fail(SshEnd *end) {
  Err err = {0};
  if (end->op->op.err.code != ERR_NONE)
    err_move(&err, &end->op->op.err);
  else
    err_set(&err, ERR_PROCESS, "%s ended before it had read everything", stage_name(&end->stage));
  stage_failed(&end->stage, &err);
}

/* The command has ended, or its output: is it over? */
static void end_settle(SshEnd *end) {
  if (end->over || !op_settled(&end->op->op)) return;
  if (!end->stopping && end->lines.busy != NULL && end->lines.busy(end->lines.arg)) return; /* end_lines_done */
  bool good = end->op->op.err.code == ERR_NONE;
  if (!end->stopping && good && !end->input && !end->at_end) return; /* there is more to read */
  end->over = true;
  if (end->stopping) {
    stage_closed(&end->stage);
  } else if (good && (!end->input || (end->finishing && end->chunk == NULL))) {
    end_keep_words(end);
    if (end->input)
      stage_finished(&end->stage);
    else
      stage_ended(&end->stage);
  } else {
    end_fail(end);
  }
}

static void end_drop_timer(SshEnd *end) {
  if (end->timer == NULL) return;
  op_on_settled(end->timer, NULL, NULL);
  op_cancel(end->timer, ERR_CANCELLED);
  op_unref(end->timer);
  end->timer = NULL;
}

static void end_stop(Stage *stage, ErrCode reason) {
  SshEnd *end = (SshEnd *)stage;
  end->stopping = true;
  end_drop_timer(end);
  chunk_unref(end->chunk);
  end->chunk = NULL;
  end->over = false;
  op_cancel(&end->op->op, reason); /* its input does not end before it has */
  end_settle(end);
}

/* ---- source ---- */

static void output_pass(SshEnd *end) {
  Chunk *chunk = end->chunk;
  end_drop_timer(end);
  end->chunk = NULL;
  end->wanted = false;
  stage_filled(&end->stage, chunk);
}

static void on_gathered(Op *op, void *arg) {
  SshEnd *end = arg;
  op_unref(op);
  end->timer = NULL;
  output_pass(end);
}

static void output_ended(SshEnd *end) {
  end->at_end = true;
  if (end->chunk != NULL && end->chunk->len > 0) {
    output_pass(end); /* it is pulled once more */
    return;
  }
  chunk_unref(end->chunk);
  end->chunk = NULL;
  end_settle(end);
}

static void output_read(SshEnd *end) {
  if (end->chunk == NULL) end->chunk = chunk_new(0);
  Chunk *chunk = end->chunk;
  while (chunk->len < chunk->size) {
    ssize_t n = ssh_read(end->op, (char *)chunk->data + chunk->len, chunk->size - chunk->len);
    if (n > 0) {
      chunk->len += (size_t)n;
    } else if (n < 0) {
      output_ended(end);
      return;
    } else {
      if (chunk->len > 0 && end->timer == NULL) {
        end->timer = timer_start(end->loop, SSH_END_GATHER_MS, 0, NULL);
        op_on_settled(end->timer, on_gathered, end);
      }
      return;
    }
  }
  output_pass(end);
}

static void output_pull(Stage *stage) {
  SshEnd *end = (SshEnd *)stage;
  end->wanted = true;
  if (end->at_end)
    end_settle(end);
  else
    output_read(end);
}

/* ---- sink ---- */

static void input_write(SshEnd *end) {
  Chunk *chunk = end->chunk;
  if (chunk == NULL) return;
  while (end->at < chunk->len) {
    ssize_t n = ssh_write(end->op, (const char *)chunk->data + end->at, chunk->len - end->at);
    if (n <= 0) return; /* `ready` comes, or its end says why */
    end->at += (size_t)n;
  }
  end->chunk = NULL;
  chunk_unref(chunk);
  stage_taken(&end->stage);
}

static void input_put(Stage *stage, Chunk *chunk) {
  SshEnd *end = (SshEnd *)stage;
  end->chunk = chunk;
  end->at = 0;
  input_write(end);
}

static void input_finish(Stage *stage) {
  SshEnd *end = (SshEnd *)stage;
  end->finishing = true;
  ssh_write_end(end->op);
  end_settle(end);
}

static void on_ready(void *arg) {
  SshEnd *end = arg;
  if (end->stopping || end->over) return;
  if (end->input)
    input_write(end);
  else if (end->wanted && !end->at_end)
    output_read(end);
}

static void end_lines_over(Stage *stage) { end_settle((SshEnd *)stage); }

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

Stage *end_ssh_output(Ssh *ssh, SshSpec spec, EndLines lines) { return &end_new(&output_class, ssh, spec, lines, false)->stage; }

Stage *end_ssh_input(Ssh *ssh, SshSpec spec, EndLines lines) { return &end_new(&input_class, ssh, spec, lines, true)->stage; }
