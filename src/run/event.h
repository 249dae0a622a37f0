/* event: the one stream of typed events. Journal, terminal, --output jsonl, report and resume state are views of it.
 *
 * An event is a JSON object; the stream adds "seq", "at" (RFC 3339, UTC) and "type" in front, and removes secrets from
 * every string before any view sees it. */
#ifndef PGSH_RUN_EVENT_H
#define PGSH_RUN_EVENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/redact.h"

typedef enum EventType {
#define EVENT(id, name, durability, text) EVENT_##id,
#include "run/event.def"
#undef EVENT
  EVENT_COUNT
} EventType;

typedef enum EventDurability {
  EVENT_LIVE,   /* shown, never written */
  EVENT_KEPT,   /* written with the next synced one, or at the end */
  EVENT_TOLD,   /* as kept, but for whoever looks from another terminal: in a file at once (not synced), in a shared database soon
                 */
  EVENT_SYNCED, /* on disk before stream_emit returns */
} EventDurability;

typedef struct Stream Stream;
/* A view. `event` is borrowed and complete. A view that cannot do its duty returns false and fills err. */
typedef bool (*EventView)(void *self, EventType type, json_t *event, Err *err);

Stream *stream_new(const Redact *redact);
void stream_free(Stream *stream);
/* Views are called in the order they were added. */
void stream_add_view(Stream *stream, EventView view, void *self);
/* The journal, once its run has begun: before every other view, so that nothing is shown that is not yet on disk. */
void stream_add_first(Stream *stream, EventView view, void *self);
/* Emit; takes over `body` (an object, or NULL for none). False when a view of a SYNCED event failed: the caller must then not go
 * on. */
bool stream_emit(Stream *stream, EventType type, json_t *body, Err *err);

/* The last number given; a resumed run goes on counting. */
json_int_t stream_seq(const Stream *stream);
void stream_set_seq(Stream *stream, json_int_t seq);

/* An Err as the "error" field of an event. New reference. */
json_t *event_error(const Err *err);

const char *event_name(EventType type);
EventDurability event_durability(EventType type);
/* By name; EVENT_COUNT when there is none. */
EventType event_by_name(const char *name);

#endif
