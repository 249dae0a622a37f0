/* event: see event.h. */
#include "run/event.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

typedef struct EventRow {
  const char *name;
  EventDurability durability;
} EventRow;

static const EventRow event_rows[EVENT_COUNT] = {
#define EVENT(id, name, durability, text) [EVENT_##id] = {name, EVENT_##durability},
#include "run/event.def"
#undef EVENT
};

#define STREAM_VIEWS 8

struct Stream {
  const Redact *redact;
  struct {
    EventView view;
    void *self;
  } views[STREAM_VIEWS];
  size_t count;
  json_int_t seq;
};

Stream *stream_new(const Redact *redact) {
  Stream *stream = mem_alloc(sizeof *stream);
  stream->redact = redact;
  return stream;
}

void stream_free(Stream *stream) { free(stream); }

void stream_add_view(Stream *stream, EventView view, void *self) {
  if (stream->count == STREAM_VIEWS) abort();
  stream->views[stream->count].view = view;
  stream->views[stream->count].self = self;
  stream->count++;
}

void stream_add_first(Stream *stream, EventView view, void *self) {
  stream_add_view(stream, view, self);
  for (size_t i = stream->count - 1; i > 0; i--)
    stream->views[i] = stream->views[i - 1];
  stream->views[0].view = view;
  stream->views[0].self = self;
}

static json_t *event_clean_string(const Redact *redact, json_t *value) {
  Buf clean = {0};
  json_t *replacement = NULL;
  if (redact_text(redact, json_string_value(value), json_string_length(value), &clean))
    replacement = json_stringn_nocheck(buf_str(&clean), clean.len);
  buf_fini(&clean);
  return replacement;
}

/* Replace secrets everywhere below `value`, which is changed in place; a string is returned anew. */
static json_t *event_clean(const Redact *redact, json_t *value) {
  if (json_is_string(value)) return event_clean_string(redact, value);
  if (json_is_array(value)) {
    for (size_t i = 0; i < json_array_size(value); i++) {
      json_t *clean = event_clean(redact, json_array_get(value, i));
      if (clean != NULL) json_array_set_new(value, i, clean);
    }
  } else if (json_is_object(value)) {
    const char *key;
    json_t *item;
    void *next;
    json_object_foreach_safe(value, next, key, item) {
      json_t *clean = event_clean(redact, item);
      if (clean != NULL) json_object_set_new_nocheck(value, key, clean);
    }
  }
  return NULL;
}

bool stream_emit(Stream *stream, EventType type, json_t *body, Err *err) {
  char at[CLOCK_ISO_SIZE];
  clock_iso(clock_wall_ms(), at);
  json_t *event = json_object();
  json_object_set_new_nocheck(event, "seq", json_integer(++stream->seq));
  json_object_set_new_nocheck(event, "at", json_string_nocheck(at));
  json_object_set_new_nocheck(event, "type", json_string_nocheck(event_rows[type].name));
  if (body != NULL) {
    event_clean(stream->redact, body);
    json_object_update(event, body);
    json_decref(body);
  }
  bool ok = true;
  for (size_t i = 0; i < stream->count; i++) {
    bool seen = stream->views[i].view(stream->views[i].self, type, event, ok ? err : NULL);
    /* A screen that is gone must not stop a maintenance; a journal that is, must. Only the journal is strict. */
    if (!seen && event_rows[type].durability == EVENT_SYNCED) ok = false;
  }
  json_decref(event);
  return ok;
}

json_int_t stream_seq(const Stream *stream) { return stream->seq; }
void stream_set_seq(Stream *stream, json_int_t seq) { stream->seq = seq; }

const char *event_name(EventType type) { return event_rows[type].name; }
EventDurability event_durability(EventType type) { return event_rows[type].durability; }

EventType event_by_name(const char *name) {
  int type = 0;
  while (type < EVENT_COUNT && strcmp(event_rows[type].name, name) != 0)
    type++;
  return (EventType)type;
}

static void event_set(json_t *object, const char *key, const char *value) {
  if (value != NULL && value[0] != '\0') json_object_set_new(object, key, json_string(value));
}

json_t *event_error(const Err *err) {
  json_t *object = json_object();
  event_set(object, "kind", err_kind(err->code));
  event_set(object, "code", err_code_name(err->code));
  event_set(object, "message", err->message != NULL ? err->message : err_text(err->code));
  event_set(object, "target", err->target);
  event_set(object, "hint", err->hint);
  event_set(object, "detail", err->detail);
  event_set(object, "sqlstate", err->sqlstate);
  if (err->status != 0) json_object_set_new(object, "status", json_integer(err->status));
  if (err->exit_code >= 0) json_object_set_new(object, "exit", json_integer(err->exit_code));
  if (err->signal != 0) json_object_set_new(object, "signal", json_integer(err->signal));
  return object;
}
