/* view_json: the events for programs: one line each (--output jsonl), or one object at the end (--output json). */
#include <stdlib.h>
#include <string.h>

#include "cli/view_private.h"

static void view_json_print(View *view, const json_t *value, size_t flags) {
  char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
  if (text == NULL) return;
  Buf line = {0};
  buf_add_str(&line, text);
  buf_add_char(&line, '\n');
  view_write_data(view, buf_str(&line), line.len);
  buf_fini(&line);
  free(text);
}

void view_jsonl_event(View *view, const json_t *event) { view_json_print(view, event, JSON_COMPACT); }

/* The event without what the stream put in front. */
static json_t *view_json_body(const json_t *event) {
  json_t *body = json_deep_copy(event);
  json_object_del(body, "seq");
  json_object_del(body, "at");
  json_object_del(body, "type");
  return body;
}

static void view_json_to_plan(View *view, const json_t *event, const char *list) {
  size_t count = json_array_size(view->plan);
  if (count == 0) return;
  json_t *step = json_array_get(view->plan, count - 1), *items = json_object_get(step, list);
  if (items == NULL) {
    items = json_array();
    json_object_set_new(step, list, items);
  }
  json_array_append_new(items, view_json_body(event));
}

void view_json_event(View *view, EventType type, const json_t *event) {
  if (type == EVENT_OUTPUT) {
    const char *text = fold_text(event, "text");
    buf_add_str(&view->output, text != NULL ? text : "");
    if (view->output.len > 0 && view->output.data[view->output.len - 1] != '\n') buf_add_char(&view->output, '\n');
  } else if (view->fold.run != NULL) {
    return; /* an undo that shows what it would do: not the plan that was asked for */
  } else if (type == EVENT_PLAN_STEP) {
    if (view->plan == NULL) view->plan = json_array();
    json_array_append_new(view->plan, view_json_body(event));
  } else if (type == EVENT_EFFECT_PLANNED) {
    view_json_to_plan(view, event, "effects");
  } else if (type == EVENT_PLAN_NOTE) {
    view_json_to_plan(view, event, "notes");
  } else if (type == EVENT_PLAN_ENDED) {
    json_decref(view->plan_ended);
    view->plan_ended = view_json_body(event);
  }
}

static void view_json_set(json_t *object, const char *key, const char *text) {
  if (text != NULL) json_object_set_new(object, key, json_string(text));
}

static json_t *view_json_step(const FoldStep *step) {
  json_t *object = json_object();
  view_json_set(object, "id", step->id);
  json_object_set_new(object, "number", json_integer(step->number));
  view_json_set(object, "title", step->title);
  view_json_set(object, "kind", step->kind);
  view_json_set(object, "status", fold_state_name(step->state));
  if (step->ms >= 0) json_object_set_new(object, "ms", json_integer(step->ms));
  if (step->reads > 0) json_object_set_new(object, "reads", json_integer(step->reads));
  if (step->changes > 0) json_object_set_new(object, "changes", json_integer(step->changes));
  view_json_set(object, "note", step->note);
  if (step->error != NULL) json_object_set(object, "error", step->error);
  return object;
}

static json_t *view_json_clock(const FoldClock *clock) {
  int64_t ms = clock->open ? clock_mono_ms() - clock->opened_ms : clock->ms;
  json_t *object = json_object();
  view_json_set(object, "name", clock->name);
  json_object_set_new(object, "ms", json_integer(ms));
  if (clock->budget_ms > 0) json_object_set_new(object, "budget_ms", json_integer(clock->budget_ms));
  json_object_set_new(object, "open", json_boolean(clock->open));
  json_object_set_new(object, "over", json_boolean(clock->budget_ms > 0 && ms > clock->budget_ms));
  return object;
}

static void view_json_add_folded(json_t *object, const Fold *fold) {
  json_t *steps = json_array(), *clocks = json_array();
  for (size_t i = 0; i < fold->step_count; i++)
    json_array_append_new(steps, view_json_step(&fold->steps[i]));
  for (size_t i = 0; i < fold->clock_count; i++)
    json_array_append_new(clocks, view_json_clock(&fold->clocks[i]));
  json_object_set_new(object, "steps", steps);
  json_object_set_new(object, "clocks", clocks);
}

json_t *view_json_error(const Err *err) {
  json_t *error = json_object();
  view_json_set(error, "kind", err_kind(err->code));
  view_json_set(error, "code", err_code_name(err->code));
  view_json_set(error, "message", err->message);
  view_json_set(error, "target", err->target);
  view_json_set(error, "hint", err->hint);
  view_json_set(error, "detail", err->detail);
  if (err->sqlstate[0] != '\0') view_json_set(error, "sqlstate", err->sqlstate);
  return error;
}

void view_json_finish(View *view, int exit_status, const Err *err) {
  const Fold *fold = &view->fold;
  json_t *object = json_object();
  view_json_set(object, "run", fold->run);
  view_json_set(object, "procedure", fold->procedure);
  view_json_set(object, "status", fold->ended != NULL ? fold_text(fold->ended, "status") : exit_status == 0 ? "done" : "failed");
  json_object_set_new(object, "exit", json_integer(exit_status));
  view_json_set(object, "message", fold_text(fold->ended, "message"));
  if (json_object_get(fold->ended, "next") != NULL) json_object_set(object, "next", json_object_get(fold->ended, "next"));
  if (err != NULL) json_object_set_new(object, "error", view_json_error(err));
  if (fold->targets != NULL) json_object_set(object, "targets", fold->targets);
  if (view->output.len > 0) view_json_set(object, "output", buf_str(&view->output));
  if (view->plan_ended != NULL) json_object_set(object, "plan", view->plan_ended);
  if (view->plan != NULL)
    json_object_set(object, "steps", view->plan);
  else
    view_json_add_folded(object, fold);
  view_json_print(view, object, JSON_COMPACT);
  json_decref(object);
}
