/* view_human: which lines an event makes for people. How a line looks is the business of view_term and view_plain. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/view_private.h"

#define HUMAN_INDENT 7 /* below a step's title */

void view_add_text(View *view, StyleRole role, size_t indent, const char *text) {
  if (view->human == VIEW_TERM)
    view_term_text(view, role, indent, text);
  else
    view_plain_text(view, role, indent, text);
}

static void human_printf(View *view, StyleRole role, size_t indent, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void human_printf(View *view, StyleRole role, size_t indent, const char *format, ...) {
  Buf text = {0};
  va_list args;
  va_start(args, format);
  buf_vprintf(&text, format, args);
  va_end(args);
  view_add_text(view, role, indent, buf_str(&text));
  buf_fini(&text);
}

static void human_step(View *view, const StepLine *line) {
  if (view->human == VIEW_TERM)
    view_term_step(view, line);
  else
    view_plain_step(view, line);
}

/* The head of the run */

static bool human_is_manual(const FoldStep *step) { return step->kind != NULL && strcmp(step->kind, "manual") == 0; }

void view_human_summary(Buf *out, const Fold *fold) {
  size_t manual = 0;
  for (size_t i = 0; i < fold->step_count; i++)
    manual += human_is_manual(&fold->steps[i]);
  buf_printf(out, "%zu step%s", fold->step_count, fold->step_count == 1 ? "" : "s");
  if (manual > 0) buf_printf(out, " · %zu manual", manual);
  for (size_t i = 0; i < fold->clock_count; i++) {
    char budget[VIEW_SPAN_SIZE];
    if (fold->clocks[i].budget_ms <= 0) continue;
    view_format_budget(fold->clocks[i].budget_ms, budget);
    buf_printf(out, " · %s budget %s", fold->clocks[i].name, budget);
  }
}

/* Is the kind of this target named before it? */
static bool human_is_new_kind(const json_t *targets, size_t index) {
  const char *kind = fold_text(json_array_get(targets, index), "kind");
  for (size_t i = 0; kind != NULL && i < index; i++) {
    const char *other = fold_text(json_array_get(targets, i), "kind");
    if (other != NULL && strcmp(other, kind) == 0) return false;
  }
  return true;
}

static void human_add_kind(Buf *out, const json_t *targets, size_t first) {
  const char *kind = fold_text(json_array_get(targets, first), "kind");
  size_t i, count = 0;
  json_t *target;
  if (kind == NULL) {
    fold_add_target(out, json_array_get(targets, first));
    return;
  }
  json_array_foreach(targets, i, target) {
    const char *other = fold_text(target, "kind"), *name = fold_text(target, "name"), *detail = fold_text(target, "detail");
    if (other == NULL || strcmp(other, kind) != 0) continue;
    buf_printf(out, "%s%s", count++ == 0 ? kind : ",", " ");
    buf_add_str(out, name != NULL ? name : "");
    if (detail != NULL && detail[0] != '\0') buf_printf(out, " (%s)", detail);
  }
}

void view_human_targets(Buf *out, const json_t *targets) {
  for (size_t i = 0; i < json_array_size(targets); i++) {
    if (!human_is_new_kind(targets, i)) continue;
    if (out->len > 0) buf_add_str(out, " · ");
    human_add_kind(out, targets, i);
  }
}

static void human_header(View *view) {
  if (!view->header_due && !view->steps_due) return;
  if (!view->setup.quiet) {
    if (view->human == VIEW_TERM)
      view_term_header(view);
    else
      view_plain_header(view);
  }
  view->header_due = view->steps_due = false;
}

static void on_run_started(View *view, const json_t *event) {
  (void)event;
  view->header_due = !view->setup.shell; /* it shows targets and steps, which come next */
}

static void on_run_steps(View *view, const json_t *event) {
  (void)event;
  if (view->setup.shell) return;
  if (view->header_due) view->steps_due = true;
  human_header(view);
}

static void on_run_changed(View *view, const json_t *event) {
  size_t i;
  json_t *change;
  if (view->setup.quiet) return;
  view_add_text(view, STYLE_WARN, 0, "the procedure is not the one this run began with:");
  json_array_foreach(json_object_get(event, "changes"), i, change) {
    const char *text = json_is_string(change) ? json_string_value(change) : fold_text(change, "text");
    if (text != NULL) view_add_text(view, STYLE_WARN, 4, text);
  }
}

static void human_trace(View *view, const json_t *error) {
  const char *trace = fold_text(error, "traceback");
  if (trace != NULL) view_add_text(view, STYLE_DIM, 0, trace);
}

static StyleRole human_ending_role(const json_t *ended) {
  int64_t status = fold_integer(ended, "exit", 0);
  return status == 0 ? STYLE_OK : status == 6 || status == 5 || status == 130 ? STYLE_ALARM : STYLE_BAD;
}

static void on_run_ended(View *view, const json_t *event) {
  Buf line = {0};
  view_add_ending(&line, event, view->fold.run);
  if (view->fold.run == NULL) {
    line_paragraph(&view->paper, &view->err, human_ending_role(event), 0, 0, buf_str(&line));
  } else {
    if (view->human == VIEW_TERM && !view->setup.quiet) buf_add_char(&view->paper, '\n');
    view_add_text(view, human_ending_role(event), 0, buf_str(&line));
  }
  if (view->setup.verbose) human_trace(view, json_object_get(event, "error"));
  buf_fini(&line);
}

/* Steps */

/* Said instead of a note: what the step did. */
static void human_add_counts(Buf *out, const FoldStep *step) {
  if (step->reads > 0) buf_printf(out, "%" PRId64 " read%s", step->reads, step->reads == 1 ? "" : "s");
  if (step->reads > 0 && step->changes > 0) buf_add_str(out, ", ");
  if (step->changes > 0) buf_printf(out, "%" PRId64 " change%s", step->changes, step->changes == 1 ? "" : "s");
}

static void on_step_started(View *view, const json_t *event) {
  int64_t attempt = fold_integer(event, "attempt", 1);
  if (view->human == VIEW_TERM || view->setup.quiet) return; /* a terminal shows it live */
  Buf note = {0};
  if (attempt > 1) buf_printf(&note, "attempt %" PRId64, attempt);
  human_step(view, &(StepLine){.sign = SIGN_STARTED,
                               .role = STYLE_DIM,
                               .step = fold_step(&view->fold, event),
                               .ms = -1,
                               .note = note.len > 0 ? buf_str(&note) : NULL,
                               .note_role = STYLE_DIM});
  buf_fini(&note);
}

static void on_step_done(View *view, const json_t *event) {
  const FoldStep *step = fold_step(&view->fold, event);
  if (view->setup.quiet) return;
  Buf counts = {0};
  human_add_counts(&counts, step);
  const char *note = step->note != NULL ? step->note : counts.len > 0 ? buf_str(&counts) : NULL;
  human_step(view, &(StepLine){.sign = SIGN_DONE,
                               .role = STYLE_OK,
                               .step = step,
                               .ms = step->ms,
                               .note = note,
                               .note_role = step->note != NULL ? STYLE_PLAIN : STYLE_DIM});
  buf_fini(&counts);
}

static void on_step_skipped(View *view, const json_t *event) {
  const char *why = fold_text(event, "why");
  if (view->setup.quiet) return;
  Buf note = {0};
  buf_printf(&note, "skipped%s%s", why != NULL ? ": " : "", why != NULL ? why : "");
  human_step(view, &(StepLine){.sign = SIGN_SKIPPED,
                               .role = STYLE_DIM,
                               .step = fold_step(&view->fold, event),
                               .ms = -1,
                               .note = buf_str(&note),
                               .note_role = STYLE_DIM});
  buf_fini(&note);
}

static void on_step_undone(View *view, const json_t *event) {
  if (view->setup.quiet) return;
  human_step(view, &(StepLine){.sign = SIGN_UNDONE,
                               .role = STYLE_WARN,
                               .step = fold_step(&view->fold, event),
                               .ms = -1,
                               .note = "undone",
                               .note_role = STYLE_PLAIN});
}

static void on_step_note(View *view, const json_t *event) {
  const FoldStep *step = fold_step(&view->fold, event);
  if (view->setup.quiet || (step != NULL && step->state == FOLD_RUNNING)) return; /* shown behind its line when it ends */
  const char *text = fold_text(event, "text");
  if (text != NULL) view_add_text(view, STYLE_PLAIN, HUMAN_INDENT, text);
}

void view_human_error(View *view, const json_t *error, size_t indent) {
  const char *detail = fold_text(error, "detail"), *hint = fold_text(error, "hint"), *trace = fold_text(error, "traceback");
  if (detail != NULL) view_add_text(view, STYLE_DIM, indent, detail);
  if (hint != NULL) human_printf(view, STYLE_PLAIN, indent, "hint: %s", hint);
  if (trace != NULL && view->setup.verbose) view_add_text(view, STYLE_DIM, indent, trace);
}

/* USERS ARE READ-ONLY SINCE 0:31 (budget 5:00) */
static void human_alarm(View *view) {
  if (!fold_has_open_clock(&view->fold)) return;
  if (view->human == VIEW_TERM) view_term_rule(view);
  for (size_t i = 0; i < view->fold.clock_count; i++) {
    const FoldClock *clock = &view->fold.clocks[i];
    char span[VIEW_SPAN_SIZE], budget[VIEW_SPAN_SIZE];
    Buf line = {0};
    if (!clock->open) continue;
    view_format_clock(clock_mono_ms() - clock->opened_ms, span);
    view_format_clock(clock->budget_ms, budget);
    buf_add_str(&line, "USERS ARE ");
    view_add_capitals(&line, fold_clock_says(clock));
    buf_printf(&line, " SINCE %s", span);
    if (clock->budget_ms > 0) buf_printf(&line, " (budget %s)", budget);
    view_add_text(view, STYLE_BAD, 0, buf_str(&line));
    buf_fini(&line);
  }
}

static void on_step_failed(View *view, const json_t *event) {
  const FoldStep *step = fold_step(&view->fold, event);
  const json_t *error = json_object_get(event, "error");
  bool unknown = step->state == FOLD_UNKNOWN;
  Buf note = {0};
  if (unknown) buf_add_str(&note, "OUTCOME UNKNOWN: ");
  view_add_error(&note, error);
  human_step(view, &(StepLine){.sign = unknown ? SIGN_UNKNOWN : SIGN_FAILED,
                               .role = unknown ? STYLE_ALARM : STYLE_BAD,
                               .step = step,
                               .ms = step->ms,
                               .note = buf_str(&note),
                               .note_role = unknown ? STYLE_ALARM : STYLE_BAD});
  view_human_error(view, error, HUMAN_INDENT);
  human_alarm(view);
  buf_fini(&note);
}

/* Effects, facts: for those who asked for more */

static void human_effect(View *view, const char *label, const json_t *event, const char *end) {
  const char *verb = fold_text(event, "verb"), *show = fold_text(event, "show");
  Buf line = {0};
  buf_printf(&line, "%-7s ", label);
  fold_add_target(&line, json_object_get(event, "target"));
  if (show == NULL) show = "";
  if (verb != NULL && strncasecmp(show, verb, strlen(verb)) != 0) buf_printf(&line, "  %s", verb);
  buf_printf(&line, "  %s%s", show, end);
  view_add_text(view, STYLE_DIM, HUMAN_INDENT, buf_str(&line));
  buf_fini(&line);
}

static void on_effect_read(View *view, const json_t *event) {
  char span[CLOCK_SPAN_SIZE];
  Buf end = {0};
  if (!view->setup.verbose) return;
  clock_span(fold_integer(event, "ms", 0), span);
  buf_printf(&end, "  %s", span);
  if (json_object_get(event, "error") != NULL) {
    buf_add_str(&end, "  failed: ");
    view_add_error(&end, json_object_get(event, "error"));
  }
  human_effect(view, "read", event, buf_str(&end));
  buf_fini(&end);
}

static void on_effect_intent(View *view, const json_t *event) {
  const char *detail = fold_text(event, "detail");
  if (view->setup.verbose) human_effect(view, "change", event, "");
  if (detail != NULL && !view->setup.quiet) view_add_text(view, STYLE_DIM, HUMAN_INDENT, detail);
}

static void on_effect_replayed(View *view, const json_t *event) {
  if (view->setup.verbose) human_effect(view, "done", event, "  (from the journal)");
}

static void on_effect_outcome(View *view, const json_t *event) {
  const char *outcome = fold_text(event, "outcome");
  if (!view->setup.verbose || outcome == NULL) return;
  char span[CLOCK_SPAN_SIZE];
  clock_span(fold_integer(event, "ms", 0), span);
  human_printf(view, STYLE_DIM, HUMAN_INDENT, "%-7s %s", outcome, span);
}

static void on_fact(View *view, const json_t *event) {
  const char *name = fold_text(event, "name");
  if (!view->setup.verbose || name == NULL) return;
  char *value = json_dumps(json_object_get(event, "value"), JSON_COMPACT | JSON_ENCODE_ANY);
  human_printf(view, STYLE_DIM, HUMAN_INDENT, "fact    %s = %s", name, value != NULL ? value : "null");
  free(value);
}

/* Waits: a terminal shows them live */

static void on_wait_started(View *view, const json_t *event) {
  int64_t limit = fold_integer(event, "limit_ms", 0);
  const char *what = fold_text(event, "what");
  char budget[VIEW_SPAN_SIZE];
  if (view->human == VIEW_TERM || view->setup.quiet || what == NULL) return;
  view_format_budget(limit, budget);
  human_printf(view, STYLE_DIM, HUMAN_INDENT, "waiting: %s%s%s", what, limit > 0 ? " · limit " : "", limit > 0 ? budget : "");
}

static void on_wait_seen(View *view, const json_t *event) {
  const char *text = fold_text(event, "text");
  if (view->human == VIEW_TERM || view->setup.quiet || text == NULL) return;
  human_printf(view, STYLE_DIM, HUMAN_INDENT, "now: %s", text);
}

/* Clocks */

static void on_clock_opened(View *view, const json_t *event) {
  const FoldClock *clock = fold_clock(&view->fold, fold_text(event, "clock"));
  char budget[VIEW_SPAN_SIZE];
  if (view->human == VIEW_TERM || view->setup.quiet || clock == NULL) return;
  Buf line = {0};
  view_add_capitals(&line, fold_clock_says(clock));
  buf_add_str(&line, " from now on");
  view_format_clock(clock->budget_ms, budget);
  if (clock->budget_ms > 0) buf_printf(&line, ", budget %s", budget);
  view_add_text(view, STYLE_ALARM, HUMAN_INDENT, buf_str(&line));
  buf_fini(&line);
}

static void on_clock_closed(View *view, const json_t *event) {
  const FoldClock *clock = fold_clock(&view->fold, fold_text(event, "clock"));
  if (clock == NULL) return;
  bool over = fold_true(event, "over") || (clock->budget_ms > 0 && clock->ms > clock->budget_ms);
  if (view->setup.quiet && !over) return;
  char span[VIEW_SPAN_SIZE], budget[VIEW_SPAN_SIZE];
  Buf line = {0};
  view_format_clock(clock->ms, span);
  view_format_clock(clock->budget_ms, budget);
  if (over)
    view_add_capitals(&line, clock->name);
  else
    buf_add_str(&line, clock->name);
  buf_printf(&line, over ? " LASTED %s" : " lasted %s", span);
  if (clock->budget_ms > 0) buf_printf(&line, over ? ", OVER ITS BUDGET OF %s" : " of %s", budget);
  view_add_text(view, over ? STYLE_BAD : STYLE_OK, HUMAN_INDENT, buf_str(&line));
  buf_fini(&line);
}

/* Words */

static void on_answered(View *view, const json_t *event) {
  const char *question = fold_text(event, "question"), *answer = fold_text(event, "answer"), *by = fold_text(event, "by");
  if (view->setup.quiet || answer == NULL || by == NULL || strcmp(by, "operator") == 0) return; /* it stands on the screen */
  Buf first = {0};
  if (question != NULL) buf_add(&first, question, strcspn(question, "\n"));
  human_printf(view, STYLE_DIM, HUMAN_INDENT, "%s → %s (by %s)", buf_str(&first), answer, by);
  buf_fini(&first);
}

static void on_log(View *view, const json_t *event) {
  const char *level = fold_text(event, "level"), *text = fold_text(event, "text");
  if (level == NULL) level = "info";
  if (text == NULL || (strcmp(level, "debug") == 0 && !view->setup.verbose)) return;
  if (strcmp(level, "warn") == 0 || strcmp(level, "error") == 0) {
    human_printf(view, level[0] == 'e' ? STYLE_BAD : STYLE_WARN, 0, "pgsh: %s", text);
    view_human_error(view, json_object_get(event, "error"), HUMAN_INDENT);
  } else if (!view->setup.quiet) {
    view_add_text(view, strcmp(level, "debug") == 0 ? STYLE_DIM : STYLE_PLAIN, view->fold.current != NULL ? HUMAN_INDENT : 0,
                  text);
  }
}

static void on_setting(View *view, const json_t *event) {
  const char *text = fold_text(event, "text");
  if (!view->setup.quiet && text != NULL) human_printf(view, STYLE_WARN, 0, "setting: %s", text);
}

/* Events that are announced by others, or that come before the header is complete, must not bring it out. */
static bool human_keeps_header(EventType type) {
  return type == EVENT_RUN_STARTED || type == EVENT_RUN_RESUMED || type == EVENT_RUN_TARGETS || type == EVENT_RUN_STEPS;
}

void view_human_event(View *view, EventType type, const json_t *event) {
  static void (*const handlers[EVENT_COUNT])(View *, const json_t *) = {
      [EVENT_RUN_STARTED] = on_run_started,
      [EVENT_RUN_RESUMED] = on_run_started,
      [EVENT_RUN_STEPS] = on_run_steps,
      [EVENT_RUN_CHANGED] = on_run_changed,
      [EVENT_RUN_ENDED] = on_run_ended,
      [EVENT_STEP_STARTED] = on_step_started,
      [EVENT_STEP_DONE] = on_step_done,
      [EVENT_STEP_FAILED] = on_step_failed,
      [EVENT_STEP_SKIPPED] = on_step_skipped,
      [EVENT_STEP_UNDONE] = on_step_undone,
      [EVENT_STEP_NOTE] = on_step_note,
      [EVENT_FACT] = on_fact,
      [EVENT_EFFECT_INTENT] = on_effect_intent,
      [EVENT_EFFECT_OUTCOME] = on_effect_outcome,
      [EVENT_EFFECT_REPLAYED] = on_effect_replayed,
      [EVENT_EFFECT_READ] = on_effect_read,
      [EVENT_WAIT_STARTED] = on_wait_started,
      [EVENT_WAIT_SEEN] = on_wait_seen,
      [EVENT_CLOCK_OPENED] = on_clock_opened,
      [EVENT_CLOCK_CLOSED] = on_clock_closed,
      [EVENT_ANSWERED] = on_answered,
      [EVENT_LOG] = on_log,
      [EVENT_SETTING] = on_setting,
  };
  if (!human_keeps_header(type)) human_header(view);
  if (type >= EVENT_COUNT || handlers[type] == NULL) return;
  free(view->stamp);
  view->stamp = mem_strdup(fold_text(event, "at"));
  handlers[type](view, event);
}
