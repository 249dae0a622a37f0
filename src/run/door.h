/* door: what the door remembers: scopes (who is calling, what is allowed) and the record of effects by branch.
 *
 * A branch is the path of a piece of a run ("stop-the-worker/run"); its changes are numbered from 1 each time it is entered.
 * The record answers a repeated or resumed attempt: a change that was completed is not made again. */
#ifndef PGSH_RUN_DOOR_H
#define PGSH_RUN_DOOR_H

#include <jansson.h>
#include <lua.h>

#include "base/buf.h"
#include "run/event.h"

typedef enum ScopeChanges { SCOPE_ALLOW, SCOPE_REFUSE, SCOPE_SHOW } ScopeChanges;

typedef struct Scope {
  struct Scope *outer;
  char *branch, *step, *phase;
  ScopeChanges changes;
  int order; /* of the last change asked for */
  int reads, changed, replayed;
  int children;       /* parts that were told apart so far */
  Buf told;           /* messages of servers that were shown, one a line; of the outermost scope of a shell's entry */
  int tellings;       /* how many */
  struct Scope *next; /* the door's list */
} Scope;

typedef enum Outcome {
  OUTCOME_PENDING, /* an intent without an outcome: the process died between them */
  OUTCOME_OK,
  OUTCOME_FAILED,
  OUTCOME_UNKNOWN,
} Outcome;

typedef struct Record {
  char *branch, *show, *target;
  int order, effect;
  Outcome outcome;
  bool forgotten;
  bool notes;     /* it cannot have taken effect without a note */
  char *note;     /* what its driver noted before that; NULL: nothing (yet) */
  json_t *result; /* owned; NULL when none */
} Record;

typedef struct Door Door;

Door *door_new(void);
void door_free(Door *door);

/* Scopes live as long as the door: a child task may outlast the call that made its scope. */
Scope *door_scope(Door *door, Scope *outer, const char *branch, const char *step, const char *phase, ScopeChanges changes);
/* Outside every scope (-e, pgsh lua, the top level of a script). */
Scope *door_default_scope(Door *door);

/* The record of one change, or NULL. Borrowed; valid until the next door_record. */
Record *door_find(Door *door, const char *branch, int order);
/* Make the record of a change, replacing a former one of the same branch and order and dropping what came after it. Returns it,
 * with a fresh effect number and OUTCOME_PENDING. */
Record *door_record(Door *door, const char *branch, int order, const char *target, const char *show);
/* Keep the note of a change that is on its way: its record, or NULL when the change is not on its way (any more). */
const Record *door_note(Door *door, int effect, const char *note);
/* The change that is just being started; 0: none. */
void door_set_starting(Door *door, int effect);
int door_starting(const Door *door);
void door_forget(Door *door, const char *prefix);
/* Every change below prefix whose outcome is not known, in order: calls fn for each. */
void door_unknowns(Door *door, const char *prefix, void (*fn)(const Record *record, void *arg), void *arg);
/* Rebuild the record from a journal's events. */
void door_load(Door *door, const json_t *events);

const char *outcome_name(Outcome outcome);

#endif
