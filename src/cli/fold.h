/* fold: what the events so far add up to: the run, its steps, open clocks, what is being waited for. Every view that shows
 * more than the event itself shows this. It prints nothing. */
#ifndef PGSH_CLI_FOLD_H
#define PGSH_CLI_FOLD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "run/event.h"

typedef enum FoldState { FOLD_PENDING, FOLD_RUNNING, FOLD_DONE, FOLD_FAILED, FOLD_UNKNOWN, FOLD_SKIPPED, FOLD_UNDONE } FoldState;

typedef struct FoldStep {
  char *id, *title, *kind;
  char *due; /* "start - 5m", or NULL */
  int number;
  FoldState state;
  int64_t started_ms; /* monotonic; while it runs */
  int64_t ms;         /* -1: not known */
  int64_t reads, changes;
  char *note;    /* the last one, or NULL */
  json_t *error; /* or NULL */
} FoldStep;

typedef struct FoldClock {
  char *name;
  char *says;        /* what users are meanwhile, or NULL: its name says it */
  int64_t opened_ms; /* monotonic */
  int64_t budget_ms; /* 0: none */
  int64_t ms;        /* once it is closed */
  bool open;
} FoldClock;

typedef struct FoldWait {
  char *what, *seen;
  int64_t started_ms, limit_ms; /* limit 0: none */
} FoldWait;

typedef struct Fold {
  char *run, *procedure, *summary;
  bool resumed;
  char *began; /* RFC 3339 */
  json_t *targets;
  FoldStep *steps;
  size_t step_count;
  json_t *index;     /* id → position in steps */
  FoldStep *current; /* the step that runs, or NULL; within `steps` */
  FoldClock *clocks;
  size_t clock_count;
  FoldWait *waits;
  size_t wait_count;
  char *sending; /* a change whose outcome is not there yet, or NULL */
  int64_t sending_effect;
  char *progress; /* what the last progress said, until the step ends */
  json_t *ended;  /* the run.ended event, or NULL */
} Fold;

/* A zeroed Fold is one without events. */
void fold_event(Fold *fold, EventType type, const json_t *event);
void fold_fini(Fold *fold);
/* The step an event speaks of ("step" is its id), or NULL. */
FoldStep *fold_step(const Fold *fold, const json_t *event);
/* The clock of that name, or NULL. */
FoldClock *fold_clock(const Fold *fold, const char *name);
const char *fold_clock_says(const FoldClock *clock);
bool fold_has_open_clock(const Fold *fold);
const char *fold_state_name(FoldState state);

/* Fields of events. A missing one or one of another type gives NULL, the fallback, false. */
const char *fold_text(const json_t *event, const char *key);
int64_t fold_integer(const json_t *event, const char *key, int64_t fallback);
bool fold_true(const json_t *event, const char *key);
/* A target is a string or {kind, name}: "heroku crates-io". Appended as it is. */
void fold_add_target(Buf *buf, const json_t *target);

#endif
