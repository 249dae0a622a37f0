/* guard: the targets a run may change. Handles made while the script loads name them; then the list is sealed. */
#ifndef PGSH_RUN_GUARD_H
#define PGSH_RUN_GUARD_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

typedef struct Guard Guard;
typedef struct Target {
  char *kind;   /* "psql", "http", "heroku", "sh", … */
  char *name;   /* "crates-io DATABASE" */
  char *detail; /* a redirected address and the like, or NULL */
  bool listed;  /* named before the list was sealed */
} Target;

Guard *guard_new(void);
void guard_free(Guard *guard);
/* The target of that kind and name, made when new. Valid as long as the guard. `detail` may be NULL (keeps the former). */
Target *guard_target(Guard *guard, const char *kind, const char *name, const char *detail);
/* From now on a new target is not listed. */
void guard_seal(Guard *guard);
bool guard_sealed(const Guard *guard);
/* May this target be changed? False and err (ERR_TARGET) when it was not named in time. */
bool guard_allows(const Guard *guard, const Target *target, Err *err);
/* [{kind, name, detail?}] of the listed ones, without the operator's own machine (sh and file localhost), which needs no naming.
 */
json_t *guard_list(const Guard *guard);

#endif
