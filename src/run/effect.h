/* effect: the one door to the outside world.
 *
 * A primitive describes what it is about to do and calls effect_call, as `return effect_call(L, &spec);`. The door
 *   1. checks the guards (reads only where only reads are allowed; changes only to listed targets),
 *   2. in a plan shows a change and returns an unknown; a read is really made,
 *   3. in a resumed or repeated step answers from the journal what had been completed,
 *   4. asks the operator where that is due (--step), or shows the change to the session's own gate (Run.gate: a Lua function that
 *      gets {target, kind, name, address, verb, show, detail}, may wait, and raises to refuse),
 *   5. writes the intent, and only when it is on disk lets the operation start,
 *   6. waits, writes the outcome (ok, failed, unknown), asks the service's record when it is unknown: by the note that the driver
 *      made before the point of no return, also in a resumed run,
 *   7. returns the result or raises.
 * A primitive does none of this by itself. */
#ifndef PGSH_RUN_EFFECT_H
#define PGSH_RUN_EFFECT_H

#include <lua.h>

#include "loop/op.h"
#include "run/door.h"
#include "run/guard.h"

struct Run;

typedef enum EffectKind { EFFECT_READ, EFFECT_CHANGE } EffectKind;

typedef struct EffectSpec {
  EffectKind kind;
  Target *target;
  const char *verb;   /* "execute", "PATCH": copied */
  const char *show;   /* one line a person can read, also the key by which a replay matches: copied. Never a secret. */
  const char *detail; /* what it changes, in lines (a diff), or NULL: shown in a plan and when it is let out; not part of the key:
                         copied */
  int args;           /* absolute stack index of the primitive's own argument userdata (its __gc frees it); stays there */
  int options;        /* absolute stack index of the options table, or 0. The door reads `resolve` and `what` (replaces show) */
  bool unknown;       /* an argument is unknown (only in a plan): nothing is started, the answer is unknown too */
  bool repeatable;    /* a change that may be sent again without harm: an unknown outcome is settled by sending it again, once */
  bool lengthy;       /* repeatable, but it may take hours: only a later attempt, which the operator begins, sends it again */
  /* Begin; raises nothing. The returned Op is armed or settled already; the door takes over the reference. */
  Op *(*start)(lua_State *L, int args);
  /* Push what the script gets from an Op that succeeded. A read may push any number of values and returns the count. A change
   * pushes exactly one table that JSON can hold: it is journaled as the effect's result and given back by a replay. */
  int (*push)(lua_State *L, Op *op, int args);
  /* For the gate of a session (Run.gate), of a change: add to the table on top what only the primitive knows. May be NULL; may
   * raise. */
  void (*tell)(lua_State *L, int args);
  /* What the far side said besides, now that the Op has settled, well or not; NULL: nothing. */
  void (*said)(lua_State *L, const Op *op, int args);

  /* ---- a change whose outcome the service's own record can tell; each may be NULL ---- */
  /* It writes a note (effect_note) before it can take effect: when this process dies without one, it did not happen, and a
   * resumed run lets it out again. */
  bool notes;
  /* In a later attempt or process: ask what became of the one that left this note. Raises nothing; the Op as of start. Success:
   * it happened (push is called with this Op); failure with `how`: it did not; any other failure: that cannot be told. */
  Op *(*settle)(lua_State *L, int args, const char *note);
  /* How the outcome of a settled Op was found out when the answer was lost ("record"), success or failure; NULL: it was answered.
   */
  const char *(*how)(const Op *op);
} EffectSpec;

/* `resolve` (options): a function of reads, called when the outcome is unknown, now or at a resume. Returns true and
 * optionally the result table: it did happen; false: it did not (it is then sent again, a lengthy one by a later attempt only);
 * nil: cannot tell.
 *
 * Outcome of a failed Op: unknown when op->err.code is ERR_UNKNOWN, or when op->sent is set and the error is a timeout or a
 * cancel; else failed. A driver clears op->sent once it knows that the far side did nothing. */
int effect_call(lua_State *L, const EffectSpec *spec);

/* For a change whose arguments have to be computed from what is there now: what the journal has of it, before it is asked for.
 * NULL: nothing, or not this one. Borrowed until the next call. An outcome that is OK will be answered from the journal. */
const Record *effect_recorded(lua_State *L, const EffectSpec *spec);

/* In start: the number of the change that is being let out; 0 for a read. */
int effect_current(lua_State *L);
/* From the loop, not from Lua: journal what the change's driver has to remember before the point of no return. When it returns
 * true the note is on disk. False and err: the driver must not go on. Never a secret. */
bool effect_note(struct Run *run, int effect, const char *note, Err *err);

#endif
