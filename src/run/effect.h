/* effect: the one door to the outside world.
 *
 * A primitive describes what it is about to do and calls effect_call, as `return effect_call(L, &spec);`. The door
 *   1. checks the guards (reads only where only reads are allowed; changes only to listed targets),
 *   2. in a plan shows a change and returns an unknown; a read is really made,
 *   3. in a resumed or repeated step answers from the journal what had been completed,
 *   4. asks the operator where that is due (--step),
 *   5. writes the intent, and only when it is on disk lets the operation start,
 *   6. waits, writes the outcome (ok, failed, unknown), asks the service's record when it is unknown,
 *   7. returns the result or raises.
 * A primitive does none of this by itself. */
#ifndef PGSH_RUN_EFFECT_H
#define PGSH_RUN_EFFECT_H

#include <lua.h>

#include "loop/op.h"
#include "run/guard.h"

typedef enum EffectKind { EFFECT_READ, EFFECT_CHANGE } EffectKind;

typedef struct EffectSpec {
  EffectKind kind;
  Target *target;
  const char *verb; /* "execute", "PATCH": copied */
  const char *show; /* one line a person can read, also the key by which a replay matches: copied. Never a secret. */
  int args;         /* absolute stack index of the primitive's own argument userdata (its __gc frees it); stays there */
  int options;      /* absolute stack index of the options table, or 0. The door reads `resolve` and `what` (replaces show) */
  bool unknown;     /* an argument is unknown (only in a plan): nothing is started, the answer is unknown too */
  bool repeatable;  /* a change that may be sent again without harm: an unknown outcome is settled by sending it again, once */
  /* Begin; raises nothing. The returned Op is armed or settled already; the door takes over the reference. */
  Op *(*start)(lua_State *L, int args);
  /* Push what the script gets from an Op that succeeded. A read may push any number of values and returns the count. A change
   * pushes exactly one table that JSON can hold: it is journaled as the effect's result and given back by a replay. */
  int (*push)(lua_State *L, Op *op, int args);
} EffectSpec;

/* `resolve` (options): a function of reads, called when the outcome is unknown, now or at a resume. Returns true and
 * optionally the result table: it did happen; false: it did not (it is then sent again); nil: cannot tell.
 *
 * Outcome of a failed Op: unknown when op->err.code is ERR_UNKNOWN, or when op->sent is set and the error is a timeout or a
 * cancel; else failed. A driver clears op->sent once it knows that the far side did nothing. */
int effect_call(lua_State *L, const EffectSpec *spec);

#endif
