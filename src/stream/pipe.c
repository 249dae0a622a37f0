/* pipe: see pipe.h.
 *
 * Each stage has a slot: what waits for it, what it is working on, whether it is open. pipe_pump looks at the slots from the sink
 * to the source, so that room made below is used above, until nothing moves any more; every answer of a stage pumps again. */
#include "stream/pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "loop/work.h"

/* A source and a sink that answer at once would keep the loop from everything else. */
#define PUMP_ROUNDS 16

typedef struct PipeJob {
  StageJob job;
  struct PipeSlot *slot;
  struct PipeJob *next;
  bool running;
} PipeJob;

typedef struct PipeSlot {
  struct PipeRun *run;
  Stage *stage;
  int index;
  /* what waits */
  Chunk **queue;
  int count, cap;
  bool upstream_ended;
  /* source and sink */
  bool open, busy, ended;  /* busy: a pull, put or finish is not answered; ended: it said so */
  bool finishing, commits; /* sink: finish, stage_commits was called */
  /* filter */
  PipeJob *jobs, **jobs_end; /* in the stream's order */
  int njobs;
  bool last_sent; /* the job with `last` */
  Chunk *gathered, *before;
  size_t taken; /* of queue[0], by gathering */
  void **workers;
  int nworkers;
} PipeSlot;

typedef struct PipeRun {
  PipeOp *pipe;
  PipeSlot *slots;
  int n;
  uv_timer_t timer;
  Deferred deferred;
  int64_t stall_ms, moved_ms;
  int running; /* jobs on the pool */
  bool pumping, again, stopping, failed, done;
  Err err; /* the first failure */
} PipeRun;

static void pipe_pump(PipeRun *run);
static void pipe_check_end(PipeRun *run);

static bool slot_is_source(const PipeSlot *slot) { return slot->index == 0; }
static bool slot_is_sink(const PipeSlot *slot) { return slot->index == slot->run->n - 1; }

/* ---- the queue in front of a stage ---- */

static void slot_push(PipeSlot *slot, Chunk *chunk) {
  if (slot->count == slot->cap) {
    slot->cap = slot->cap > 0 ? 2 * slot->cap : 4;
    slot->queue = mem_realloc(slot->queue, (size_t)slot->cap * sizeof *slot->queue);
  }
  slot->queue[slot->count++] = chunk;
  slot->stage->in_bytes += chunk->len;
  slot->run->moved_ms = clock_mono_ms();
}

static Chunk *slot_shift(PipeSlot *slot) {
  Chunk *chunk = slot->queue[0];
  memmove(slot->queue, slot->queue + 1, (size_t)--slot->count * sizeof *slot->queue);
  return chunk;
}

/* What a stage made goes to the next one; an empty chunk to nobody. */
static void slot_pass(PipeSlot *slot, Chunk *chunk) {
  slot->stage->out_bytes += chunk->len;
  if (chunk->len == 0)
    chunk_unref(chunk);
  else
    slot_push(slot + 1, chunk);
}

static bool slot_has_room_below(const PipeSlot *slot) {
  return slot[1].count + slot->njobs < PIPE_QUEUE + slot->stage->cls->parallel;
}

/* ---- failing ---- */

static void pipe_stop(PipeRun *run, ErrCode reason) {
  if (run->stopping) return;
  run->stopping = true;
  for (int i = run->n - 1; i >= 0; i -= run->n - 1) { /* the sink first: it must not take a part for the whole */
    PipeSlot *slot = &run->slots[i];
    if (!slot->open || slot->ended) continue;
    if (slot->stage->cls->stop == NULL)
      slot->open = false;
    else
      slot->stage->cls->stop(slot->stage, reason);
  }
}

/* The first one wins; takes over err's content. `slot` NULL: no stage's fault. */
static void pipe_fail(PipeRun *run, const PipeSlot *slot, Err *err) {
  bool first = !run->failed || (err->code == ERR_UNKNOWN && run->err.code != ERR_UNKNOWN); /* that must not be lost */
  if (!first || run->done) {
    err_fini(err);
    return;
  }
  run->failed = true;
  if (slot != NULL) {
    const char *name = stage_name(slot->stage);
    run->pipe->failed = slot->index;
    if (err->message == NULL || strncmp(err->message, name, strlen(name)) != 0) err_prefix(err, "%s: ", name);
  }
  err_move(&run->err, err);
  pipe_stop(run, ERR_CANCELLED);
}

/* ---- the end ---- */

static void slot_drop_work(PipeSlot *slot) {
  while (slot->count > 0)
    chunk_unref(slot_shift(slot));
  for (PipeJob *job = slot->jobs, *next; job != NULL; job = next) {
    next = job->next;
    chunk_unref(job->job.in);
    chunk_unref(job->job.before);
    for (int i = 0; i < job->job.nout; i++)
      chunk_unref(job->job.out[i]);
    if (job->job.worker != NULL) slot->stage->cls->worker_free(job->job.worker);
    err_fini(&job->job.err);
    free(job);
  }
  slot->jobs = NULL;
  chunk_unref(slot->gathered);
  chunk_unref(slot->before);
  for (int i = 0; i < slot->nworkers; i++)
    slot->stage->cls->worker_free(slot->workers[i]);
  free(slot->workers);
  free(slot->queue);
  slot->gathered = slot->before = NULL;
  slot->workers = NULL;
  slot->queue = NULL;
  slot->nworkers = slot->cap = 0;
}

static bool pipe_is_open(const PipeRun *run) {
  for (int i = 0; i < run->n; i++)
    if (run->slots[i].open && !run->slots[i].ended) return true;
  return run->running > 0;
}

/* The sink holds a part, and the rest will not come. */
static void pipe_make_unknown(PipeRun *run) {
  const PipeSlot *sink = &run->slots[run->n - 1];
  if (!run->pipe->op.sent || run->pipe->failed == sink->index || run->pipe->op.reason != ERR_NONE) return;
  err_prefix(&run->err, "%s was stopped half way: ", stage_name(sink->stage));
  run->err.code = ERR_UNKNOWN;
}

static void on_timer_closed(uv_handle_t *handle) {
  PipeRun *run = handle->data;
  op_unref(&run->pipe->op);
}

static void pipe_settle(PipeRun *run) {
  PipeOp *pipe = run->pipe;
  run->done = true;
  for (int i = 0; i < run->n; i++)
    slot_drop_work(&run->slots[i]);
  chunk_trim();
  uv_close((uv_handle_t *)&run->timer, on_timer_closed);
  if (run->slots[run->n - 1].ended) { /* also when a cancel came too late to keep it from being done */
    op_succeed(&pipe->op);
  } else {
    if (!run->failed) err_set(&run->err, pipe->op.reason != ERR_NONE ? pipe->op.reason : ERR_CANCELLED, "stopped");
    pipe_make_unknown(run);
    op_fail(&pipe->op, &run->err);
  }
}

static void pipe_check_end(PipeRun *run) {
  if (run->done || run->pumping || pipe_is_open(run)) return;
  if (run->stopping || run->slots[run->n - 1].ended) pipe_settle(run);
}

/* ---- filters ---- */

static void *slot_take_worker(PipeSlot *slot) {
  const StageClass *cls = slot->stage->cls;
  if (cls->worker_new == NULL) return NULL;
  if (slot->nworkers > 0) return slot->workers[--slot->nworkers];
  return cls->worker_new(slot->stage);
}

static void slot_give_worker(PipeSlot *slot, void *worker) {
  if (worker == NULL) return;
  if (slot->workers == NULL) slot->workers = mem_alloc((size_t)slot->stage->cls->parallel * sizeof *slot->workers);
  slot->workers[slot->nworkers++] = worker;
}

static void job_work(WorkOp *work) {
  PipeJob *job = work->arg;
  Stage *stage = job->slot->stage;
  stage->cls->work(stage, &job->job);
}

static void on_job_done(Op *op, void *arg) {
  PipeJob *job = arg;
  PipeRun *run = job->slot->run;
  job->running = false;
  run->running--;
  op_unref(op);
  pipe_pump(run);
}

static void job_start(PipeJob *job) {
  PipeRun *run = job->slot->run;
  Stage *stage = job->slot->stage;
  if (stage->cls->quick) {
    stage->cls->work(stage, &job->job);
    return;
  }
  job->running = true;
  run->running++;
  WorkOp *work = work_start(run->pipe->op.loop, stage->cls->kind, job_work, job, NULL, 0);
  op_on_settled(&work->op, on_job_done, job);
}

/* Cut what waits to pieces of the size the stage wants. NULL: there is not enough yet. */
static Chunk *slot_gather(PipeSlot *slot) {
  size_t want = slot->stage->cls->gather;
  while (slot->count > 0) {
    Chunk *from = slot->queue[0];
    size_t left = from->len - slot->taken;
    if (slot->gathered == NULL && left == want && slot->taken == 0) return slot_shift(slot);
    if (slot->gathered == NULL) slot->gathered = chunk_new(want);
    Chunk *to = slot->gathered;
    size_t part = left < want - to->len ? left : want - to->len;
    memcpy(to->data + to->len, from->data + slot->taken, part);
    to->len += part;
    slot->taken += part;
    if (slot->taken == from->len) {
      chunk_unref(slot_shift(slot));
      slot->taken = 0;
    }
    if (to->len == want) {
      slot->gathered = NULL;
      return to;
    }
  }
  return NULL;
}

static Chunk *slot_next_input(PipeSlot *slot) {
  if (slot->stage->cls->gather > 0) return slot_gather(slot);
  return slot->count > 0 ? slot_shift(slot) : NULL;
}

/* Begin the next job if there is something to do. */
static bool slot_begin_job(PipeSlot *slot) {
  if (slot->last_sent) return false;
  Chunk *in = slot_next_input(slot);
  bool last = in == NULL && slot->upstream_ended;
  if (in == NULL && !last) return false;
  PipeJob *job = mem_alloc(sizeof *job);
  if (last) {
    in = slot->gathered;
    slot->gathered = NULL;
    slot->last_sent = true;
  }
  job->slot = slot;
  job->job.in = in;
  job->job.last = last;
  job->job.worker = slot_take_worker(slot);
  if (slot->stage->cls->looks_back) {
    job->job.before = slot->before;
    slot->before = in != NULL ? chunk_ref(in) : NULL;
  }
  *slot->jobs_end = job;
  slot->jobs_end = &job->next;
  slot->njobs++;
  job_start(job);
  return true;
}

/* The first job is done: pass on what it made. True when it has more to do. */
static bool job_again(const PipeSlot *slot, const PipeJob *job, int made) {
  if (slot->stage->cls->parallel > 1) return false;
  if (job->job.in == NULL) return made == STAGE_MAX_OUT;
  return job->job.at < job->job.in->len;
}

static void job_free(PipeSlot *slot, PipeJob *job) {
  slot->jobs = job->next;
  if (slot->jobs == NULL) slot->jobs_end = &slot->jobs;
  slot->njobs--;
  slot_give_worker(slot, job->job.worker);
  chunk_unref(job->job.in);
  chunk_unref(job->job.before);
  err_fini(&job->job.err);
  free(job);
}

static bool slot_end_job(PipeSlot *slot) {
  PipeJob *job = slot->jobs;
  StageJob *work = &job->job;
  Stage *stage = slot->stage;
  if (work->err.code == ERR_NONE && stage->cls->emit != NULL) stage->cls->emit(stage, work);
  if (work->err.code != ERR_NONE) {
    pipe_fail(slot->run, slot, &work->err);
    return false;
  }
  int made = work->nout;
  for (int i = 0; i < made; i++)
    slot_pass(slot, work->out[i]);
  work->nout = 0;
  if (job_again(slot, job, made)) {
    job->running = true; /* until there is room: slot_pump_filter */
    slot->busy = true;
    return true;
  }
  bool last = work->last;
  job_free(slot, job);
  if (last) slot[1].upstream_ended = true;
  return true;
}

static bool slot_pump_filter(PipeSlot *slot) {
  bool moved = false;
  while (!slot->busy && slot->jobs != NULL && !slot->jobs->running && !slot->run->stopping) {
    if (!slot_end_job(slot)) return false;
    moved = true;
  }
  if (slot->run->stopping) return moved;
  if (slot->busy && slot[1].count < PIPE_QUEUE) { /* a job with more to do */
    slot->busy = false;
    slot->jobs->running = false;
    job_start(slot->jobs);
    return true;
  }
  int most = slot->stage->cls->parallel > 1 ? slot->stage->cls->parallel : 1;
  while (!slot->busy && slot->njobs < most && slot_has_room_below(slot) && slot_begin_job(slot))
    moved = true;
  return moved;
}

/* ---- source and sink ---- */

static bool slot_pump_source(PipeSlot *slot) {
  if (slot->busy || slot->ended || slot->run->stopping || slot[1].count >= PIPE_QUEUE) return false;
  slot->busy = true;
  slot->stage->cls->pull(slot->stage);
  return !slot->busy;
}

static bool slot_pump_sink(PipeSlot *slot) {
  if (slot->busy || slot->ended || slot->run->stopping) return false;
  if (slot->count > 0) {
    slot->busy = true;
    if (slot->stage->cls->leaves == STAGE_LEAVES_PARTS) slot->run->pipe->op.sent = true;
    slot->stage->cls->put(slot->stage, slot_shift(slot));
    return true;
  }
  if (!slot->upstream_ended || slot->finishing) return false;
  slot->busy = slot->finishing = true;
  if (slot->stage->cls->leaves != STAGE_LEAVES_NOTHING) slot->run->pipe->op.sent = true;
  slot->stage->cls->finish(slot->stage);
  return true;
}

static bool pipe_pump_once(PipeRun *run) {
  bool moved = false;
  for (int i = run->n - 1; i >= 0; i--) {
    PipeSlot *slot = &run->slots[i];
    if (slot_is_source(slot))
      moved = slot_pump_source(slot) || moved;
    else if (slot_is_sink(slot))
      moved = slot_pump_sink(slot) || moved;
    else
      moved = slot_pump_filter(slot) || moved;
  }
  return moved;
}

static void on_deferred(Deferred *d) {
  PipeRun *run = (PipeRun *)((char *)d - offsetof(PipeRun, deferred));
  PipeOp *pipe = run->pipe;
  pipe_pump(run);
  op_unref(&pipe->op);
}

static void pipe_pump(PipeRun *run) {
  if (run->done) return;
  if (run->pumping) {
    run->again = true;
    return;
  }
  run->pumping = true;
  int rounds = 0;
  do {
    run->again = false;
    if (pipe_pump_once(run)) run->again = true;
  } while (run->again && ++rounds < PUMP_ROUNDS);
  run->pumping = false;
  if (run->again && !run->deferred.queued) {
    op_ref(&run->pipe->op);
    loop_defer(run->pipe->op.loop, &run->deferred);
  }
  pipe_check_end(run);
}

/* ---- answers ---- */

void stage_filled(Stage *stage, Chunk *chunk) {
  PipeSlot *slot = stage->slot;
  slot->busy = false;
  if (slot->run->stopping)
    chunk_unref(chunk);
  else
    slot_pass(slot, chunk);
  pipe_pump(slot->run);
}

void stage_ended(Stage *stage) {
  PipeSlot *slot = stage->slot;
  slot->busy = false;
  slot->ended = true;
  slot[1].upstream_ended = true;
  pipe_pump(slot->run);
}

void stage_taken(Stage *stage) {
  PipeSlot *slot = stage->slot;
  slot->busy = false;
  slot->run->moved_ms = clock_mono_ms();
  pipe_pump(slot->run);
}

void stage_commits(Stage *stage) { stage->slot->commits = stage->slot->run->pipe->op.sent = true; }

void stage_finished(Stage *stage) {
  PipeSlot *slot = stage->slot;
  slot->busy = false;
  slot->ended = true;
  stage->out_bytes = stage->in_bytes;
  pipe_pump(slot->run);
}

void stage_failed(Stage *stage, Err *err) {
  PipeSlot *slot = stage->slot;
  if (slot->commits) slot->run->pipe->op.sent = err->code == ERR_UNKNOWN;
  pipe_fail(slot->run, slot, err);
  pipe_pump(slot->run);
}

void stage_closed(Stage *stage) {
  PipeSlot *slot = stage->slot;
  slot->open = false;
  if (slot->commits) slot->run->pipe->op.sent = slot->run->err.code == ERR_UNKNOWN;
  pipe_pump(slot->run);
}

int64_t stage_expected(const Stage *stage) {
  const PipeSlot *slot = stage->slot;
  if (slot == NULL) return -1;
  for (const PipeSlot *above = slot - 1; !slot_is_source(above); above--)
    if (!above->stage->cls->passes) return -1;
  return slot->run->slots[0].stage->size;
}

/* ---- time ---- */

/* Who is being waited for. No stage's failure: it is stopped like the others. */
static void pipe_stall(PipeRun *run) {
  const PipeSlot *source = &run->slots[0], *sink = &run->slots[run->n - 1];
  const char *what = !sink->busy ? "gave nothing" : sink->finishing ? "did not come to its end" : "took nothing";
  char span[CLOCK_SPAN_SIZE];
  Err err = {0};
  clock_span(run->stall_ms, span);
  err_set(&err, ERR_TIMEOUT, "%s %s for %s (stall)", stage_name((sink->busy ? sink : source)->stage), what, span);
  pipe_fail(run, NULL, &err);
  pipe_check_end(run);
}

static void on_tick(uv_timer_t *timer) {
  PipeRun *run = timer->data;
  for (int i = 0; i < run->n; i++)
    if (run->slots[i].stage->cls->tick != NULL) run->slots[i].stage->cls->tick(run->slots[i].stage);
  if (run->stall_ms <= 0 || run->stopping || clock_mono_ms() - run->moved_ms < run->stall_ms) return;
  pipe_stall(run);
}

/* ---- life ---- */

static void pipe_cancel(Op *op) {
  PipeOp *pipe = (PipeOp *)op;
  pipe_stop(pipe->run, op->reason);
  pipe_check_end(pipe->run);
}

static void pipe_destroy(Op *op) {
  PipeOp *pipe = (PipeOp *)op;
  for (int i = 0; i < pipe->nstages; i++)
    stage_free(pipe->stages[i]);
  free(pipe->stages);
  free(pipe->slots);
  err_fini(&pipe->run->err);
  free(pipe->run);
  free(pipe);
}

static const OpClass pipe_class = {"pipe", pipe_cancel, pipe_destroy};

/* The sink first: when it cannot be opened nothing has been asked of the source. */
static void pipe_open(PipeRun *run) {
  for (int i = run->n - 1; i >= 0; i -= run->n - 1) {
    PipeSlot *slot = &run->slots[i];
    Err err = {0};
    if (slot->stage->cls->open == NULL || slot->stage->cls->open(slot->stage, run->pipe->op.loop, &err)) {
      slot->open = true;
    } else {
      pipe_fail(run, slot, &err);
      return;
    }
  }
}

static PipeRun *pipe_new_run(PipeOp *pipe, int64_t stall_ms) {
  PipeRun *run = pipe->run = mem_alloc(sizeof *run);
  run->pipe = pipe;
  run->n = pipe->nstages;
  run->stall_ms = stall_ms;
  run->moved_ms = clock_mono_ms();
  run->deferred.fn = on_deferred;
  run->slots = pipe->slots = mem_alloc((size_t)run->n * sizeof *run->slots);
  for (int i = 0; i < run->n; i++) {
    PipeSlot *slot = &run->slots[i];
    slot->run = run;
    slot->index = i;
    slot->stage = pipe->stages[i];
    slot->stage->slot = slot;
    slot->jobs_end = &slot->jobs;
  }
  return run;
}

PipeOp *pipe_start(Loop *loop, Stage *const *stages, int nstages, int64_t timeout_ms, const char *deadline_name,
                   int64_t stall_ms) {
  PipeOp *pipe = mem_alloc(sizeof *pipe);
  op_init(&pipe->op, loop, &pipe_class);
  pipe->failed = -1;
  pipe->nstages = nstages;
  pipe->stages = mem_alloc((size_t)nstages * sizeof *pipe->stages);
  memcpy(pipe->stages, stages, (size_t)nstages * sizeof *pipe->stages);
  PipeRun *run = pipe_new_run(pipe, stall_ms);
  op_arm(&pipe->op, timeout_ms, deadline_name);
  uv_timer_init(loop_uv(loop), &run->timer);
  run->timer.data = run;
  op_ref(&pipe->op); /* until the timer is closed */
  uv_timer_start(&run->timer, on_tick, PIPE_TICK_MS, PIPE_TICK_MS);
  run->pumping = true;
  pipe_open(run);
  run->pumping = false;
  pipe_pump(run);
  return pipe;
}

bool pipe_is(const Op *op) { return op->cls == &pipe_class; }
