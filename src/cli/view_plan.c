/* view_plan: the plan, as text on standard output: what would be done, to whom, and from where on it is a guess. */
#include <inttypes.h>
#include <string.h>

#include "cli/view_private.h"

#define PLAN_INDENT 6
#define PLAN_RIGHT 56 /* where "opens …" and "closes …" stand */

/* In a run that has begun (an undo shows first what it would do) it is not data but something to decide on. */
static bool plan_is_for_people(const View *view) { return view->fold.run != NULL; }
static const Style *plan_style(const View *view) { return plan_is_for_people(view) ? &view->err : &view->out; }

static void plan_print(View *view, Buf *text) {
  if (plan_is_for_people(view))
    buf_add(&view->paper, buf_str(text), text->len);
  else
    view_write_data(view, buf_str(text), text->len);
  buf_fini(text);
}

/* "opens READ-ONLY (budget 5m)"; the clock is a name or {name, budget_ms}. */
static void plan_add_clock(View *view, Buf *out, const char *word, const json_t *value) {
  const char *name = json_is_string(value) ? json_string_value(value) : fold_text(value, "name");
  if (name == NULL) return;
  const FoldClock *clock = fold_clock(&view->fold, name);
  int64_t budget_ms = fold_integer(value, "budget_ms", clock != NULL ? clock->budget_ms : 0);
  if (out->len > 0) buf_add_str(out, ", ");
  buf_printf(out, "%s ", word);
  view_add_capitals(out, name);
  if (budget_ms > 0 && strcmp(word, "opens") == 0) {
    char budget[VIEW_SPAN_SIZE];
    view_format_budget(budget_ms, budget);
    buf_printf(out, " (budget %s)", budget);
  }
}

/* One or several. */
static void plan_add_clocks(View *view, Buf *out, const char *word, const json_t *value) {
  if (!json_is_array(value)) plan_add_clock(view, out, word, value);
  for (size_t i = 0; i < json_array_size(value); i++)
    plan_add_clock(view, out, word, json_array_get(value, i));
}

static void plan_detail(View *view, Buf *out, StyleRole role, const char *label, const char *text) {
  Line line;
  line_begin(&line, out, plan_style(view), 0);
  line_pad(&line, PLAN_INDENT);
  line_printf(&line, role, "%-7s", label);
  line_add(&line, STYLE_PLAIN, "  ");
  line_add(&line, STYLE_PLAIN, text);
  line_end(&line);
}

static void on_plan_step(View *view, const json_t *event) {
  const char *title = fold_text(event, "title"), *kind = fold_text(event, "kind");
  const FoldStep *known = fold_step(&view->fold, event);
  const char *due = fold_text(event, "due"); /* its "at" is when it was emitted, as everywhere */
  if (due == NULL && known != NULL) due = known->due;
  Buf out = {0}, right = {0};
  Line line;
  plan_add_clocks(view, &right, "opens", json_object_get(event, "opens"));
  plan_add_clocks(view, &right, "closes", json_object_get(event, "closes"));
  line_begin(&line, &out, plan_style(view), 0);
  line_printf(&line, STYLE_PLAIN, "%3d", (int)fold_integer(event, "number", 0));
  line_pad(&line, PLAN_INDENT - 1);
  line_add(&line, STYLE_BOLD, title != NULL ? title : "");
  if (kind != NULL && strcmp(kind, "manual") == 0) line_add(&line, STYLE_WARN, "   manual");
  if (due != NULL) line_printf(&line, STYLE_DIM, "   at %s", due);
  if (right.len > 0) {
    line_pad(&line, PLAN_RIGHT);
    line_add(&line, STYLE_ALARM, buf_str(&right));
  }
  line_end(&line);
  const char *verify = fold_text(event, "verify"), *undo = fold_text(event, "undo");
  if (verify != NULL) plan_detail(view, &out, STYLE_DIM, "verify", verify);
  if (undo != NULL) plan_detail(view, &out, STYLE_DIM, "undo", undo);
  buf_fini(&right);
  plan_print(view, &out);
}

static void on_effect_planned(View *view, const json_t *event) {
  const char *phase = fold_text(event, "phase"), *verb = fold_text(event, "verb"), *show = fold_text(event, "show");
  const char *detail = fold_text(event, "detail");
  bool change = phase == NULL || strcmp(phase, "run") == 0 || strcmp(phase, "direct") == 0;
  Buf out = {0}, text = {0};
  fold_add_target(&text, json_object_get(event, "target"));
  if (text.len > 0) buf_add_str(&text, "   ");
  if (show == NULL) show = "";
  if (verb != NULL && strncasecmp(show, verb, strlen(verb)) != 0) buf_printf(&text, "%s   ", verb);
  buf_add_str(&text, show);
  plan_detail(view, &out, change ? STYLE_WARN : STYLE_DIM, change ? "change" : phase, buf_str(&text));
  if (detail != NULL) line_paragraph(&out, plan_style(view), STYLE_DIM, 0, PLAN_INDENT + 9, detail);
  buf_fini(&text);
  plan_print(view, &out);
}

static void on_plan_note(View *view, const json_t *event) {
  const char *kind = fold_text(event, "kind"), *text = fold_text(event, "text");
  bool error = kind != NULL && strcmp(kind, "error") == 0;
  Buf out = {0};
  if (text == NULL) return;
  size_t len = strcspn(text, "\n");
  Buf first = {0};
  buf_add(&first, text, len);
  plan_detail(view, &out, error ? STYLE_BAD : STYLE_DIM, kind != NULL ? kind : "note", buf_str(&first));
  if (text[len] != '\0') line_paragraph(&out, plan_style(view), STYLE_DIM, 0, PLAN_INDENT + 9, text + len + 1);
  buf_fini(&first);
  plan_print(view, &out);
}

static void plan_add_uncertain(View *view, Buf *out, const json_t *list) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    const char *step = fold_text(item, "step"), *file = fold_text(item, "file"), *text = fold_text(item, "text");
    const FoldStep *known = fold_step(&view->fold, item);
    Line line;
    line_begin(&line, out, plan_style(view), 0);
    line_add(&line, STYLE_WARN, i == 0 ? "Uncertain from: " : "                ");
    if (known != NULL)
      line_printf(&line, STYLE_PLAIN, "step %d, ", known->number);
    else if (step != NULL)
      line_printf(&line, STYLE_PLAIN, "step %s, ", step);
    if (file != NULL) line_printf(&line, STYLE_PLAIN, "%s:%" PRId64, file, fold_integer(item, "line", 0));
    if (text != NULL) line_printf(&line, STYLE_PLAIN, file != NULL ? " (%s)" : "%s", text);
    line_end(&line);
  }
}

static void plan_add_left_out(View *view, Buf *out, const json_t *list) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    const char *step = json_is_string(item) ? json_string_value(item) : fold_text(item, "step"), *why = fold_text(item, "why");
    Line line;
    if (step == NULL) continue;
    line_begin(&line, out, plan_style(view), 0);
    line_printf(&line, STYLE_PLAIN, "Left out: %s%s%s", step, why != NULL ? ": " : "", why != NULL ? why : "");
    line_end(&line);
  }
}

/* "targets" is how many, or a list. */
static int64_t plan_count(const json_t *event, const char *key) {
  const json_t *value = json_object_get(event, key);
  return json_is_array(value) ? (int64_t)json_array_size(value) : fold_integer(event, key, 0);
}

static const char *plan_plural(int64_t count) { return count == 1 ? "" : "s"; }

static void on_plan_ended(View *view, const json_t *event) {
  int64_t changes = plan_count(event, "changes"), targets = plan_count(event, "targets"), reads = plan_count(event, "reads");
  Buf out = {0};
  Line line;
  buf_add_char(&out, '\n');
  line_begin(&line, &out, plan_style(view), 0);
  line_printf(&line, STYLE_BOLD, "%" PRId64 " change%s on %" PRId64 " target%s, %" PRId64 " read%s made, nothing changed.",
              changes, plan_plural(changes), targets, plan_plural(targets), reads, plan_plural(reads));
  line_end(&line);
  plan_add_uncertain(view, &out, json_object_get(event, "uncertain"));
  plan_add_left_out(view, &out, json_object_get(event, "left_out"));
  plan_print(view, &out);
}

bool view_plan_event(View *view, EventType type, const json_t *event) {
  switch (type) {
  case EVENT_PLAN_STEP: on_plan_step(view, event); return true;
  case EVENT_EFFECT_PLANNED: on_effect_planned(view, event); return true;
  case EVENT_PLAN_NOTE: on_plan_note(view, event); return true;
  case EVENT_PLAN_ENDED: on_plan_ended(view, event); return true;
  default: return false;
  }
}
