/* fold: see fold.h. */
#include "cli/fold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

const char *fold_text(const json_t *event, const char *key) { return json_string_value(json_object_get(event, key)); }

int64_t fold_integer(const json_t *event, const char *key, int64_t fallback) {
  const json_t *value = json_object_get(event, key);
  if (json_is_integer(value)) return json_integer_value(value);
  double real = json_real_value(value); /* 0 unless it is a real */
  return json_is_real(value) && real > -9e15 && real < 9e15 ? (int64_t)real : fallback;
}

bool fold_true(const json_t *event, const char *key) { return json_is_true(json_object_get(event, key)); }

void fold_add_target(Buf *buf, const json_t *target) {
  if (json_is_string(target)) {
    buf_add_str(buf, json_string_value(target));
    return;
  }
  const char *kind = fold_text(target, "kind"), *name = fold_text(target, "name");
  if (kind != NULL) buf_add_str(buf, kind);
  if (kind != NULL && name != NULL) buf_add_char(buf, ' ');
  if (name != NULL) buf_add_str(buf, name);
}

const char *fold_state_name(FoldState state) {
  static const char *const names[] = {"pending", "running", "done", "failed", "unknown", "skipped", "undone"};
  return names[state];
}

static void fold_replace(char **field, const char *text) {
  char *copy = mem_strdup(text);
  free(*field);
  *field = copy;
}

static void fold_keep(char **field, const json_t *event, const char *key) {
  const char *text = fold_text(event, key);
  if (text != NULL) fold_replace(field, text);
}

/* Steps */

FoldStep *fold_step(const Fold *fold, const json_t *event) {
  const char *id = fold_text(event, "step");
  const json_t *position = id != NULL ? json_object_get(fold->index, id) : NULL;
  return position != NULL ? &fold->steps[json_integer_value(position)] : NULL;
}

static FoldStep *fold_add_step(Fold *fold, const char *id) {
  size_t current = fold->current != NULL ? (size_t)(fold->current - fold->steps) : SIZE_MAX;
  fold->steps = mem_realloc(fold->steps, (fold->step_count + 1) * sizeof *fold->steps);
  if (current != SIZE_MAX) fold->current = &fold->steps[current];
  FoldStep *step = &fold->steps[fold->step_count++];
  *step = (FoldStep){.id = mem_strdup(id != NULL ? id : ""), .number = (int)fold->step_count, .ms = -1};
  if (fold->index == NULL) fold->index = json_object();
  json_object_set_new(fold->index, step->id, json_integer((json_int_t)fold->step_count - 1));
  return step;
}

/* The step an event is about; made when run.steps did not name it. */
static FoldStep *fold_take_step(Fold *fold, const json_t *event) {
  FoldStep *step = fold_step(fold, event);
  if (step == NULL) step = fold_add_step(fold, fold_text(event, "step"));
  fold_keep(&step->title, event, "title");
  fold_keep(&step->kind, event, "kind");
  step->number = (int)fold_integer(event, "number", step->number);
  return step;
}

static void fold_clear_step(FoldStep *step) {
  free(step->id);
  free(step->title);
  free(step->kind);
  free(step->due);
  free(step->note);
  json_decref(step->error);
}

static void fold_clear_wait(FoldWait *wait) {
  free(wait->what);
  free(wait->seen);
}

static void fold_clear_waits(Fold *fold) {
  for (size_t i = 0; i < fold->wait_count; i++)
    fold_clear_wait(&fold->waits[i]);
  fold->wait_count = 0;
  fold_replace(&fold->sending, NULL);
  fold_replace(&fold->progress, NULL);
}

static void fold_end_step(Fold *fold, const json_t *event, FoldState state) {
  FoldStep *step = fold_take_step(fold, event);
  step->state = state;
  step->ms = fold_integer(event, "ms", -1);
  step->reads = fold_integer(event, "reads", 0);
  step->changes = fold_integer(event, "changes", 0);
  fold_keep(&step->note, event, "note");
  fold_keep(&step->note, event, "why");
  if (fold->current == step) {
    fold->current = NULL;
    fold_clear_waits(fold);
  }
}

static void on_run_started(Fold *fold, const json_t *event) {
  fold_keep(&fold->run, event, "run");
  fold_keep(&fold->procedure, event, "procedure");
  fold_keep(&fold->summary, event, "summary");
  fold_keep(&fold->began, event, "at");
}

static void on_run_resumed(Fold *fold, const json_t *event) {
  on_run_started(fold, event);
  fold->resumed = true;
}

static void on_run_targets(Fold *fold, const json_t *event) {
  json_decref(fold->targets);
  fold->targets = json_incref(json_object_get(event, "targets"));
}

static FoldClock *fold_take_clock(Fold *fold, const char *name, int64_t budget_ms) {
  FoldClock *clock = fold_clock(fold, name);
  if (clock == NULL) {
    fold->clocks = mem_realloc(fold->clocks, (fold->clock_count + 1) * sizeof *fold->clocks);
    clock = &fold->clocks[fold->clock_count++];
    *clock = (FoldClock){.name = mem_strdup(name)};
  }
  if (budget_ms > 0) clock->budget_ms = budget_ms;
  return clock;
}

static void fold_open_clock(FoldClock *clock, const json_t *from);

static void on_run_steps(Fold *fold, const json_t *event) {
  size_t i;
  json_t *item;
  json_array_foreach(json_object_get(event, "steps"), i, item) {
    const char *id = fold_text(item, "id");
    json_t *key = json_pack("{s:s?}", "step", id);
    FoldStep *step = fold_step(fold, key);
    json_decref(key);
    if (step == NULL) step = fold_add_step(fold, id);
    fold_keep(&step->title, item, "title");
    fold_keep(&step->kind, item, "kind");
    fold_keep(&step->due, item, "at");
    step->number = (int)fold_integer(item, "number", (int64_t)i + 1);
  }
  json_array_foreach(json_object_get(event, "clocks"), i, item) {
    const char *name = json_is_string(item) ? json_string_value(item) : fold_text(item, "name");
    if (name == NULL) continue;
    FoldClock *clock = fold_take_clock(fold, name, fold_integer(item, "budget_ms", 0));
    if (json_object_get(item, "at_ms") != NULL) fold_open_clock(clock, item); /* a resumed run: it has run all the time */
  }
}

static void on_run_ended(Fold *fold, const json_t *event) {
  fold_keep(&fold->run, event, "run");
  json_decref(fold->ended);
  fold->ended = json_deep_copy(event);
  fold->current = NULL;
  fold_clear_waits(fold);
}

static void on_step_started(Fold *fold, const json_t *event) {
  FoldStep *step = fold_take_step(fold, event);
  fold_clear_waits(fold);
  fold_replace(&step->note, NULL);
  json_decref(step->error);
  step->error = NULL;
  step->state = FOLD_RUNNING;
  step->started_ms = clock_mono_ms();
  step->ms = -1;
  fold->current = step;
}

static void on_step_done(Fold *fold, const json_t *event) { fold_end_step(fold, event, FOLD_DONE); }
static void on_step_skipped(Fold *fold, const json_t *event) { fold_end_step(fold, event, FOLD_SKIPPED); }
static void on_step_undone(Fold *fold, const json_t *event) { fold_end_step(fold, event, FOLD_UNDONE); }

static void on_step_failed(Fold *fold, const json_t *event) {
  const char *outcome = fold_text(event, "outcome");
  bool unknown = outcome != NULL && strcmp(outcome, "unknown") == 0;
  fold_end_step(fold, event, unknown ? FOLD_UNKNOWN : FOLD_FAILED);
  FoldStep *step = fold_step(fold, event);
  json_decref(step->error);
  step->error = json_deep_copy(json_object_get(event, "error"));
}

static void on_step_note(Fold *fold, const json_t *event) {
  FoldStep *step = fold_step(fold, event);
  if (step == NULL) step = fold->current;
  if (step != NULL) fold_keep(&step->note, event, "text");
}

/* What is waited for */

static FoldWait *fold_wait(const Fold *fold, const json_t *event) {
  const char *what = fold_text(event, "what");
  for (size_t i = 0; i < fold->wait_count; i++)
    if (what == NULL || strcmp(fold->waits[i].what, what) == 0) return &fold->waits[i];
  return NULL;
}

static void on_wait_started(Fold *fold, const json_t *event) {
  const char *what = fold_text(event, "what");
  fold->waits = mem_realloc(fold->waits, (fold->wait_count + 1) * sizeof *fold->waits);
  fold->waits[fold->wait_count++] = (FoldWait){
      .what = mem_strdup(what != NULL ? what : ""),
      .started_ms = clock_mono_ms(),
      .limit_ms = fold_integer(event, "limit_ms", 0),
  };
}

static void on_wait_seen(Fold *fold, const json_t *event) {
  FoldWait *wait = fold_wait(fold, event);
  if (wait != NULL) fold_keep(&wait->seen, event, "text");
}

static void on_wait_ended(Fold *fold, const json_t *event) {
  FoldWait *wait = fold_wait(fold, event);
  if (wait == NULL) return;
  fold_clear_wait(wait);
  size_t behind = (size_t)(&fold->waits[fold->wait_count] - wait) - 1;
  memmove(wait, wait + 1, behind * sizeof *wait);
  fold->wait_count--;
}

static void on_effect_intent(Fold *fold, const json_t *event) {
  fold_keep(&fold->sending, event, "show");
  fold->sending_effect = fold_integer(event, "effect", 0);
}

static void on_effect_outcome(Fold *fold, const json_t *event) {
  if (fold_integer(event, "effect", 0) == fold->sending_effect) fold_replace(&fold->sending, NULL);
}

static void on_progress(Fold *fold, const json_t *event) {
  int64_t done = fold_integer(event, "done", -1), total = fold_integer(event, "total", 0);
  const char *text = fold_text(event, "text");
  Buf line = {0};
  buf_add_str(&line, text != NULL ? text : "");
  if (done >= 0 && total > 0)
    buf_printf(&line, " %" PRId64 " of %" PRId64 " (%" PRId64 " %%)", done, total, (int64_t)((double)done * 100 / (double)total));
  else if (done >= 0)
    buf_printf(&line, " %" PRId64, done);
  free(fold->progress);
  fold->progress = buf_take(&line);
}

/* An entry of the shell is over: whatever its tasks waited for. */
static void on_shell_done(Fold *fold, const json_t *event) {
  (void)event;
  fold_clear_waits(fold);
}

/* Clocks */

FoldClock *fold_clock(const Fold *fold, const char *name) {
  for (size_t i = 0; name != NULL && i < fold->clock_count; i++)
    if (strcmp(fold->clocks[i].name, name) == 0) return &fold->clocks[i];
  return NULL;
}

const char *fold_clock_says(const FoldClock *clock) { return clock->says != NULL ? clock->says : clock->name; }

bool fold_has_open_clock(const Fold *fold) {
  for (size_t i = 0; i < fold->clock_count; i++)
    if (fold->clocks[i].open) return true;
  return false;
}

/* `at_ms` is when it was opened, perhaps by an earlier attempt at the run. */
static void fold_open_clock(FoldClock *clock, const json_t *from) {
  int64_t now = clock_wall_ms(), at = fold_integer(from, "at_ms", now);
  fold_keep(&clock->says, from, "says");
  clock->open = true;
  clock->opened_ms = clock_mono_ms() - (now > at ? now - at : 0);
}

static void on_clock_opened(Fold *fold, const json_t *event) {
  const char *name = fold_text(event, "clock");
  if (name != NULL) fold_open_clock(fold_take_clock(fold, name, fold_integer(event, "budget_ms", 0)), event);
}

static void on_clock_closed(Fold *fold, const json_t *event) {
  FoldClock *clock = fold_clock(fold, fold_text(event, "clock"));
  if (clock == NULL) return;
  clock->open = false;
  clock->budget_ms = fold_integer(event, "budget_ms", clock->budget_ms);
  clock->ms = fold_integer(event, "ms", clock_mono_ms() - clock->opened_ms);
}

void fold_event(Fold *fold, EventType type, const json_t *event) {
  static void (*const handlers[EVENT_COUNT])(Fold *, const json_t *) = {
      [EVENT_RUN_STARTED] = on_run_started,       [EVENT_RUN_RESUMED] = on_run_resumed, [EVENT_RUN_TARGETS] = on_run_targets,
      [EVENT_RUN_STEPS] = on_run_steps,           [EVENT_RUN_ENDED] = on_run_ended,     [EVENT_STEP_STARTED] = on_step_started,
      [EVENT_STEP_DONE] = on_step_done,           [EVENT_STEP_FAILED] = on_step_failed, [EVENT_STEP_SKIPPED] = on_step_skipped,
      [EVENT_STEP_UNDONE] = on_step_undone,       [EVENT_STEP_NOTE] = on_step_note,     [EVENT_WAIT_STARTED] = on_wait_started,
      [EVENT_WAIT_SEEN] = on_wait_seen,           [EVENT_WAIT_ENDED] = on_wait_ended,   [EVENT_EFFECT_INTENT] = on_effect_intent,
      [EVENT_EFFECT_OUTCOME] = on_effect_outcome, [EVENT_PROGRESS] = on_progress,       [EVENT_CLOCK_OPENED] = on_clock_opened,
      [EVENT_CLOCK_CLOSED] = on_clock_closed,     [EVENT_SHELL_DONE] = on_shell_done,
  };
  if (type < EVENT_COUNT && handlers[type] != NULL) handlers[type](fold, event);
}

static void fold_clear_clock(FoldClock *clock) {
  free(clock->name);
  free(clock->says);
}

void fold_fini(Fold *fold) {
  json_decref(fold->index);
  for (size_t i = 0; i < fold->step_count; i++)
    fold_clear_step(&fold->steps[i]);
  for (size_t i = 0; i < fold->clock_count; i++)
    fold_clear_clock(&fold->clocks[i]);
  fold_clear_waits(fold);
  free(fold->steps);
  free(fold->clocks);
  free(fold->waits);
  free(fold->run);
  free(fold->procedure);
  free(fold->summary);
  free(fold->began);
  json_decref(fold->targets);
  json_decref(fold->ended);
  memset(fold, 0, sizeof *fold);
}
