/* journal: a run's events on disk, one JSON object a line, only ever appended to. A view of the stream. */
#ifndef PGSH_RUN_JOURNAL_H
#define PGSH_RUN_JOURNAL_H

#include <jansson.h>

#include "run/event.h"

#define JOURNAL_VERSION 1

typedef struct Journal Journal;

/* Make a new journal (0600); fails when the file exists. */
Journal *journal_create(const char *path, Err *err);
/* Go on with one: a torn last line (the machine died while it was written) is cut off, then `events` is set to all of them. */
Journal *journal_open(const char *path, json_t **events, Err *err);
/* A journal kept elsewhere. Both get whole lines, in order. `self` is borrowed. */
typedef struct JournalPlace {
  /* Returns once they are durable, and all that was told before. */
  bool (*append)(void *self, const char *lines, size_t len, Err *err);
  /* They are to be there soon: returns at once. */
  void (*tell)(void *self, const char *lines, size_t len);
} JournalPlace;
Journal *journal_remote(const JournalPlace *place, void *self);
/* Read one that another process may be writing: a torn last line is left out, nothing is changed. NULL and err on failure. */
json_t *journal_read(const char *path, Err *err);
/* The first event only; NULL when there is none. */
json_t *journal_first(const char *path);
/* Writes what is kept back. NULL is fine. */
void journal_close(Journal *journal);
/* EventView: self is the Journal. LIVE events are left out, KEPT ones wait for the next SYNCED one, which is on disk
 * (fdatasync) before this returns; a TOLD one is not waited for, and takes those before it along. After one failure every further
 * call fails: a journal with a hole is no journal. */
bool journal_view(void *self, EventType type, json_t *event, Err *err);

#endif
