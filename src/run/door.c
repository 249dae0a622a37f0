/* door: see door.h. */
#include "run/door.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct Door {
  Scope *scopes, *outside;
  Record *records; /* in the order of their making */
  size_t count, cap;
  json_t *index; /* branch → array of positions in records, by order */
  int effects, starting;
};

Door *door_new(void) {
  Door *door = mem_alloc(sizeof *door);
  door->index = json_object();
  door->outside = door_scope(door, NULL, "direct", NULL, "direct", SCOPE_ALLOW);
  return door;
}

static void door_clear_record(Record *record) {
  free(record->branch);
  free(record->show);
  free(record->target);
  free(record->note);
  json_decref(record->result);
}

void door_free(Door *door) {
  if (door == NULL) return;
  while (door->scopes != NULL) {
    Scope *scope = door->scopes;
    door->scopes = scope->next;
    free(scope->branch);
    free(scope->step);
    free(scope->phase);
    buf_fini(&scope->told);
    free(scope);
  }
  for (size_t i = 0; i < door->count; i++)
    door_clear_record(&door->records[i]);
  free(door->records);
  json_decref(door->index);
  free(door);
}

Scope *door_scope(Door *door, Scope *outer, const char *branch, const char *step, const char *phase, ScopeChanges changes) {
  Scope *scope = mem_alloc(sizeof *scope);
  scope->outer = outer;
  scope->branch = mem_strdup(branch);
  scope->step = mem_strdup(step);
  scope->phase = mem_strdup(phase);
  scope->changes = changes;
  scope->next = door->scopes;
  door->scopes = scope;
  return scope;
}

Scope *door_default_scope(Door *door) { return door->outside; }

static size_t door_position(const Door *door, const char *branch, int order) {
  json_t *positions = json_object_get(door->index, branch);
  json_t *position = json_array_get(positions, (size_t)order - 1);
  return json_is_integer(position) ? (size_t)json_integer_value(position) : SIZE_MAX;
}

Record *door_find(Door *door, const char *branch, int order) {
  size_t at = door_position(door, branch, order);
  return at == SIZE_MAX ? NULL : &door->records[at];
}

static Record *door_put(Door *door, const char *branch, int order, const char *target, const char *show) {
  json_t *positions = json_object_get(door->index, branch);
  if (positions == NULL) {
    positions = json_array();
    json_object_set_new(door->index, branch, positions);
  }
  while (json_array_size(positions) >= (size_t)order)
    json_array_remove(positions, json_array_size(positions) - 1);
  while (json_array_size(positions) + 1 < (size_t)order)
    json_array_append_new(positions, json_null());
  if (door->count == door->cap) {
    door->cap = door->cap > 0 ? door->cap * 2 : 32;
    door->records = mem_realloc(door->records, door->cap * sizeof(Record));
  }
  json_array_append_new(positions, json_integer((json_int_t)door->count));
  Record *record = &door->records[door->count++];
  *record = (Record){.branch = mem_strdup(branch), .show = mem_strdup(show), .target = mem_strdup(target), .order = order};
  return record;
}

Record *door_record(Door *door, const char *branch, int order, const char *target, const char *show) {
  Record *record = door_put(door, branch, order, target, show);
  record->effect = ++door->effects;
  return record;
}

/* The newest with that number, when it still stands for its branch and order. */
static Record *door_by_effect(Door *door, int effect) {
  for (size_t i = door->count; i > 0; i--) {
    Record *record = &door->records[i - 1];
    if (record->effect == effect) return door_position(door, record->branch, record->order) == i - 1 ? record : NULL;
  }
  return NULL;
}

const Record *door_note(Door *door, int effect, const char *note) {
  Record *record = effect > 0 ? door_by_effect(door, effect) : NULL;
  if (record == NULL || record->outcome != OUTCOME_PENDING) return NULL;
  free(record->note);
  record->note = mem_strdup(note);
  return record;
}

void door_set_starting(Door *door, int effect) { door->starting = effect; }
int door_starting(const Door *door) { return door->starting; }

static bool door_below(const char *branch, const char *prefix) {
  size_t len = strlen(prefix);
  return strncmp(branch, prefix, len) == 0 && (branch[len] == '/' || branch[len] == '\0');
}

void door_forget(Door *door, const char *prefix) {
  const char *branch;
  json_t *positions;
  void *next;
  json_object_foreach_safe(door->index, next, branch, positions) {
    if (door_below(branch, prefix)) json_object_del(door->index, branch);
  }
}

void door_unknowns(Door *door, const char *prefix, void (*fn)(const Record *record, void *arg), void *arg) {
  const char *branch;
  json_t *positions, *position;
  size_t i;
  json_object_foreach(door->index, branch, positions) {
    if (!door_below(branch, prefix)) continue;
    json_array_foreach(positions, i, position) {
      if (!json_is_integer(position)) continue;
      const Record *record = &door->records[json_integer_value(position)];
      if (record->outcome == OUTCOME_PENDING || record->outcome == OUTCOME_UNKNOWN) fn(record, arg);
    }
  }
}

static const char *const outcome_names[] = {"pending", "ok", "failed", "unknown"};

const char *outcome_name(Outcome outcome) { return outcome_names[outcome]; }

static Outcome outcome_by_name(const char *name) {
  for (int i = 0; name != NULL && i <= OUTCOME_UNKNOWN; i++)
    if (strcmp(outcome_names[i], name) == 0) return (Outcome)i;
  return OUTCOME_UNKNOWN;
}

static const char *door_text(const json_t *event, const char *key) {
  const char *text = json_string_value(json_object_get(event, key));
  return text != NULL ? text : "";
}

static void door_load_event(Door *door, EventType type, json_t *event) {
  const char *branch = door_text(event, "branch");
  int order = (int)json_integer_value(json_object_get(event, "order"));
  int effect = (int)json_integer_value(json_object_get(event, "effect"));
  if (effect > door->effects) door->effects = effect;
  if (type == EVENT_EFFECT_INTENT && order > 0) {
    Record *record = door_put(door, branch, order, door_text(event, "target"), door_text(event, "show"));
    record->effect = effect;
    record->notes = json_is_true(json_object_get(event, "notes"));
  } else if (type == EVENT_EFFECT_NOTED) {
    door_note(door, effect, door_text(event, "note"));
  } else if (type == EVENT_EFFECT_OUTCOME && order > 0) {
    Record *record = door_find(door, branch, order);
    if (record == NULL) return;
    record->outcome = outcome_by_name(door_text(event, "outcome"));
    json_decref(record->result);
    record->result = json_incref(json_object_get(event, "result"));
  } else if (type == EVENT_STEP_UNDONE) {
    /* Its making is taken back; that it was undone stays, so that an undo is not done twice. */
    Buf run = {0};
    buf_printf(&run, "%s/run", door_text(event, "step"));
    door_forget(door, buf_str(&run));
    buf_fini(&run);
  }
}

void door_load(Door *door, const json_t *events) {
  for (size_t i = 0; i < json_array_size(events); i++) {
    json_t *event = json_array_get(events, i);
    door_load_event(door, event_by_name(door_text(event, "type")), event);
  }
}
