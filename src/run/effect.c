/* effect: see effect.h.
 *
 * A call is a small machine of continuations: gate → (replay | settled | asked) → intent → operation → outcome → (resolve →
 * again). Its state is an EffectCall userdata on the Lua stack, so that nothing leaks when an error unwinds. */
#include "run/effect.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "run/door.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"

/* How often a change whose outcome was unknown, and which the service's record says did not happen, is sent in all. */
#define EFFECT_MAX_SENDS 3

typedef struct EffectCall {
  EffectSpec spec; /* verb and show are its own copies */
  Scope *scope;
  char *verb, *show, *detail, *target;
  int order, effect, sends;
  int64_t started_ms;
  bool let_out; /* by this attempt */
  bool shielded;
  Err err; /* of the last send */
} EffectCall;

static int effect_let_out(lua_State *L, EffectCall *call, int at);

static int l_call_gc(lua_State *L) {
  EffectCall *call = lua_touserdata(L, 1);
  free(call->verb);
  free(call->show);
  free(call->detail);
  free(call->target);
  err_fini(&call->err);
  memset(call, 0, sizeof *call);
  return 0;
}

static EffectCall *effect_at(lua_State *L, lua_KContext at) { return lua_touserdata(L, (int)at); }

Run *run_of(lua_State *L) { return vm_user(vm_of(L)); }

static Scope *effect_scope(lua_State *L, const Run *run) {
  Task *task = task_current(L);
  Scope *scope = task != NULL ? task_scope(task) : NULL;
  return scope != NULL ? scope : door_default_scope(run->door);
}

/* What the operator reads and a replay matches: `what` of the options, else the primitive's own; secrets gone. */
static char *effect_rendering(lua_State *L, const EffectSpec *spec) {
  const char *show = spec->show;
  if (args_push(L, spec->options, "what") == LUA_TSTRING) show = lua_tostring(L, -1);
  char *copy = redact_take(vm_redact(vm_of(L)), mem_strdup(show));
  lua_pop(L, 1);
  return copy;
}

static EffectCall *effect_new_call(lua_State *L, const EffectSpec *spec) {
  EffectCall *call = lua_newuserdatauv(L, sizeof *call, 0);
  memset(call, 0, sizeof *call);
  if (luaL_newmetatable(L, "pgsh.EffectCall")) {
    lua_pushcfunction(L, l_call_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  Buf target = {0};
  buf_printf(&target, "%s %s", spec->target->kind, spec->target->name);
  call->spec = *spec;
  call->target = buf_take(&target);
  call->verb = mem_strdup(spec->verb);
  call->show = effect_rendering(L, spec);
  call->detail = redact_take(vm_redact(vm_of(L)), mem_strdup(spec->detail));
  call->scope = effect_scope(L, run_of(L));
  return call;
}

/* ---- events ----------------------------------------------------------------------------------------------------------- */

static void effect_set(json_t *body, const char *key, const char *value) {
  if (value != NULL) json_object_set_new(body, key, json_string(value));
}

static json_t *effect_body(const EffectCall *call) {
  json_t *body = json_object();
  if (call->effect > 0) json_object_set_new(body, "effect", json_integer(call->effect));
  if (call->spec.kind == EFFECT_CHANGE) {
    effect_set(body, "branch", call->scope->branch);
    json_object_set_new(body, "order", json_integer(call->order));
  }
  effect_set(body, "step", call->scope->step);
  effect_set(body, "phase", call->scope->phase);
  effect_set(body, "target", call->target);
  effect_set(body, "verb", call->verb);
  effect_set(body, "show", call->show);
  return body;
}

static void effect_emit(lua_State *L, EventType type, json_t *body) {
  Err err = {0};
  if (!stream_emit(run_of(L)->stream, type, body, &err)) luaerr_raise(L, &err);
}

static void effect_push_unknown(lua_State *L, const EffectCall *call) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "pgsh.unknown");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_pushstring(L, call->show);
  lua_call(L, 1, 1);
}

static void effect_said(lua_State *L, const EffectCall *call, const Op *op) {
  if (call->spec.said != NULL) call->spec.said(L, op, call->spec.args);
}

/* ---- reads ------------------------------------------------------------------------------------------------------------- */

static void effect_emit_read(lua_State *L, const EffectCall *call, const Err *failure) {
  json_t *body = effect_body(call);
  json_object_set_new(body, "ms", json_integer(clock_mono_ms() - call->started_ms));
  if (failure->code != ERR_NONE) json_object_set_new(body, "error", event_error(failure));
  call->scope->reads++;
  effect_emit(L, EVENT_EFFECT_READ, body);
}

static int k_read(lua_State *L, int status, lua_KContext at) {
  (void)status;
  EffectCall *call = effect_at(L, at);
  Op *op = await_settled(L);
  if (op->err.code != ERR_NONE && op->err.target == NULL) err_set_target(&op->err, call->target);
  effect_emit_read(L, call, &op->err);
  effect_said(L, call, op);
  await_check(L, op);
  return call->spec.push(L, op, call->spec.args);
}

static int effect_read(lua_State *L, EffectCall *call, int at) {
  if (call->spec.unknown) {
    effect_push_unknown(L, call);
    return 1;
  }
  call->started_ms = clock_mono_ms();
  return await_op(L, call->spec.start(L, call->spec.args), at, k_read);
}

/* ---- outcome of a change ------------------------------------------------------------------------------------------------ */

/* The journal learns the outcome before the script does. `result` may be NULL; taken over. */
static void effect_conclude(lua_State *L, EffectCall *call, Outcome outcome, json_t *result, const char *how) {
  Run *run = run_of(L);
  json_t *body = effect_body(call);
  effect_set(body, "outcome", outcome_name(outcome));
  effect_set(body, "how", how);
  json_object_set_new(body, "ms", json_integer(clock_mono_ms() - call->started_ms));
  if (result != NULL) json_object_set(body, "result", result);
  if (outcome != OUTCOME_OK) json_object_set_new(body, "error", event_error(&call->err));
  Record *record = door_find(run->door, call->scope->branch, call->order);
  if (record != NULL) {
    record->outcome = outcome;
    json_decref(record->result);
    record->result = result;
  } else {
    json_decref(result);
  }
  if (outcome == OUTCOME_OK) call->scope->changed++;
  Err err = {0};
  bool kept = stream_emit(run->stream, EVENT_EFFECT_OUTCOME, body, &err);
  if (!kept && call->err.code != ERR_JOURNAL) luaerr_raise(L, &err);
  err_fini(&err); /* when its note could not be written either: why not is said by that */
}

/* The value on top is the change's result. */
static int effect_done(lua_State *L, EffectCall *call, const char *how) {
  Err err = {0};
  json_t *result = luajson_from(L, -1, false, &err);
  err_fini(&err); /* a result JSON cannot hold is replayed as an empty one; the effect itself is done */
  effect_conclude(L, call, OUTCOME_OK, result, how);
  return 1;
}

static int effect_fail(lua_State *L, EffectCall *call, Outcome outcome, const char *how) {
  effect_conclude(L, call, outcome, NULL, how);
  return luaerr_raise(L, &call->err);
}

/* It happened. */
static int effect_succeed(lua_State *L, EffectCall *call, Op *op, const char *how) {
  int n = call->spec.push(L, op, call->spec.args);
  if (n != 1 || !lua_istable(L, -1)) return luaL_error(L, "%s: a change returns one table", call->verb);
  return effect_done(L, call, how);
}

static const char *effect_how(const EffectCall *call, const Op *op) { return call->spec.how != NULL ? call->spec.how(op) : NULL; }

static void effect_add_detail(EffectCall *call, const Err *seen) {
  Buf detail = {0};
  const char *parts[] = {call->err.detail, seen->message, seen->detail};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    if (parts[i] != NULL && parts[i][0] != '\0') buf_printf(&detail, "%s%s", detail.len > 0 ? "\n" : "", parts[i]);
  if (detail.len > 0) err_set_detail(&call->err, buf_str(&detail));
  buf_fini(&detail);
}

/* "Unknown" as an error of its own; what was seen becomes its detail. */
static void effect_make_unknown(EffectCall *call) {
  if (call->err.code == ERR_UNKNOWN) return;
  char *seen = mem_strdup(call->err.message), *detail = mem_strdup(call->err.detail);
  err_set(&call->err, ERR_UNKNOWN, "%s was sent and its outcome is not known%s%s", call->show, seen != NULL ? ": " : "",
          seen != NULL ? seen : "");
  err_set_target(&call->err, call->target);
  err_set_detail(&call->err, detail);
  free(seen);
  free(detail);
}

static int effect_unknown(lua_State *L, EffectCall *call) {
  effect_make_unknown(call);
  return effect_fail(L, call, OUTCOME_UNKNOWN, NULL);
}

/* ---- an unknown outcome: the service's own record decides --------------------------------------------------------------- */

static void effect_shield(lua_State *L, EffectCall *call, bool on) {
  Task *task = task_current(L);
  if (on == call->shielded || task == NULL) return;
  call->shielded = on;
  task_shield(task, on);
}

/* Without being asked: not when the operator wants to stop, and not again for hours. */
static bool effect_may_repeat(lua_State *L, const EffectCall *call) {
  return task_cancelled(task_current(L)) == ERR_NONE && !(call->spec.lengthy && call->let_out);
}

/* It cannot be told what became of it. */
static int effect_not_told(lua_State *L, EffectCall *call, int at) {
  if (call->spec.repeatable && call->sends < 2 && effect_may_repeat(L, call)) return effect_let_out(L, call, at);
  return effect_unknown(L, call);
}

/* The service's record says so. Sent again, unless the operator wants to stop or it was tried often enough. */
static int effect_did_not_happen(lua_State *L, EffectCall *call, int at) {
  ErrCode stopped = task_cancelled(task_current(L));
  if (call->sends < EFFECT_MAX_SENDS && effect_may_repeat(L, call)) return effect_let_out(L, call, at);
  if (call->err.code == ERR_UNKNOWN) call->err.code = stopped != ERR_NONE ? stopped : ERR_NOT_DONE;
  err_set_hint(&call->err, "the service's record says that it did not happen");
  return effect_fail(L, call, OUTCOME_FAILED, "record");
}

static int k_resolved(lua_State *L, int status, lua_KContext at) {
  EffectCall *call = effect_at(L, at);
  effect_shield(L, call, false);
  bool answered = status == LUA_OK || status == LUA_YIELD;
  if (answered && lua_isboolean(L, -2) && lua_toboolean(L, -2)) {
    if (!lua_istable(L, -1)) lua_newtable(L);
    return effect_done(L, call, "record");
  }
  if (answered && lua_isboolean(L, -2)) return effect_did_not_happen(L, call, (int)at);
  if (!answered) {
    Err err = {0};
    luaerr_get(L, -1, &err);
    effect_add_detail(call, &err);
    err_fini(&err);
  }
  return call->spec.lengthy && answered ? effect_not_told(L, call, (int)at) : effect_unknown(L, call);
}

static int effect_resolve(lua_State *L, EffectCall *call, int at) {
  if (args_push(L, call->spec.options, "resolve") != LUA_TFUNCTION) return effect_not_told(L, call, at);
  /* Also when the operator has just pressed Ctrl-C: what became of a change must be known if it can be. */
  effect_shield(L, call, true);
  int base = lua_gettop(L);
  lua_pushcfunction(L, luaerr_handler);
  lua_insert(L, base);
  return k_resolved(L, lua_pcallk(L, 0, 2, base, at, k_resolved), at);
}

static int k_changed(lua_State *L, int status, lua_KContext at) {
  (void)status;
  EffectCall *call = effect_at(L, at);
  Op *op = await_settled(L);
  const char *how = effect_how(call, op);
  effect_said(L, call, op);
  if (op->err.code == ERR_NONE) return effect_succeed(L, call, op, how);
  err_move(&call->err, &op->err);
  if (call->err.target == NULL) err_set_target(&call->err, call->target);
  ErrCode code = call->err.code;
  bool stopped = code == ERR_TIMEOUT || code == ERR_INTERRUPTED || code == ERR_CANCELLED;
  if (code == ERR_UNKNOWN || (op->sent && stopped)) return effect_resolve(L, call, (int)at);
  return effect_fail(L, call, OUTCOME_FAILED, how);
}

/* ---- letting a change out ------------------------------------------------------------------------------------------------ */

static int effect_let_out(lua_State *L, EffectCall *call, int at) {
  Run *run = run_of(L);
  lua_settop(L, at);
  Record *record = door_record(run->door, call->scope->branch, call->order, call->target, call->show);
  call->effect = record->effect;
  call->sends++;
  call->let_out = true;
  record->notes = call->spec.notes;
  call->started_ms = clock_mono_ms();
  json_t *body = effect_body(call);
  if (call->spec.notes) json_object_set_new(body, "notes", json_true());
  effect_set(body, "detail", call->detail);
  effect_emit(L, EVENT_EFFECT_INTENT, body); /* raises when it is not on disk: then nothing is let out */
  door_set_starting(run->door, call->effect);
  Op *op = call->spec.start(L, call->spec.args);
  door_set_starting(run->door, 0);
  return await_op(L, op, at, k_changed);
}

int effect_current(lua_State *L) { return door_starting(run_of(L)->door); }

bool effect_note(Run *run, int effect, const char *note, Err *err) {
  const Record *record = door_note(run->door, effect, note);
  if (record == NULL) return err_set(err, ERR_INTERNAL, "change %d is not on its way any more", effect);
  json_t *body = json_object();
  json_object_set_new(body, "effect", json_integer(effect));
  effect_set(body, "branch", record->branch);
  json_object_set_new(body, "order", json_integer(record->order));
  effect_set(body, "note", note);
  return stream_emit(run->stream, EVENT_EFFECT_NOTED, body, err);
}

static int k_asked(lua_State *L, int status, lua_KContext at) {
  (void)status;
  EffectCall *call = effect_at(L, at);
  AnswerOp *answer = (AnswerOp *)await_settled(L);
  await_check(L, &answer->op);
  if (answer->answer == NULL || answer->answer[0] != 'y')
    return luaerr_throw(L, ERR_REFUSED, "the operator refused: %s", call->show);
  return effect_let_out(L, call, (int)at);
}

static int effect_ask(lua_State *L, EffectCall *call, int at, const char *text, const char *flag) {
  Run *run = run_of(L);
  if (run->asker == NULL) return luaerr_throw(L, ERR_ANSWER, "an answer is needed: %s", text);
  Question question = {.text = text, .flag = flag, .options = "yn", .labels = "[y]es   [n]o"};
  json_t *body = json_object();
  effect_set(body, "question", text);
  effect_set(body, "flag", flag);
  effect_emit(L, EVENT_ASKED, body);
  (void)call;
  return await_op(L, &run->asker(run->asker_self, vm_loop(vm_of(L)), &question)->op, at, k_asked);
}

static int k_gated(lua_State *L, int status, lua_KContext at) {
  (void)status;
  return effect_let_out(L, effect_at(L, at), (int)at);
}

/* Whoever is in charge of this session looks at the change first: he returns, or raises what refuses it. */
static int effect_show_gate(lua_State *L, const EffectCall *call, int at) {
  const struct {
    const char *key, *value;
  } fields[] = {{"target", call->target},
                {"kind", call->spec.target->kind},
                {"name", call->spec.target->name},
                {"address", call->spec.target->detail},
                {"verb", call->verb},
                {"show", call->show},
                {"detail", call->detail}};
  lua_rawgeti(L, LUA_REGISTRYINDEX, run_of(L)->gate);
  lua_createtable(L, 0, 7);
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    lua_pushstring(L, fields[i].value);
    lua_setfield(L, -2, fields[i].key);
  }
  if (call->spec.tell != NULL) call->spec.tell(L, call->spec.args);
  return k_gated(L, (lua_callk(L, 1, 0, at, k_gated), LUA_OK), at);
}

static int effect_gate(lua_State *L, EffectCall *call, int at) {
  if (run_of(L)->gate != 0) return effect_show_gate(L, call, at);
  if (!run_of(L)->step_by_step) return effect_let_out(L, call, at);
  bool more = call->detail != NULL && call->detail[0] != '\0';
  const char *text = lua_pushfstring(L, "%s   %s%s%s", call->target, call->show, more ? "\n" : "", more ? call->detail : "");
  return effect_ask(L, call, at, text, "leave out --step");
}

/* ---- replay --------------------------------------------------------------------------------------------------------------- */

static int effect_diverged(lua_State *L, const EffectCall *call, const Record *record) {
  Err err = {0};
  err_set(&err, ERR_DIVERGED, "the journal has '%s' as change %d of %s, the script now wants '%s'", record->show, call->order,
          call->scope->branch, call->show);
  err_set_target(&err, call->target);
  err_set_hint(&err, "look at what was done with: pgsh show; then undo the step, or make the script agree with it");
  return luaerr_raise(L, &err);
}

static int effect_replay(lua_State *L, EffectCall *call, const Record *record) {
  call->effect = record->effect;
  call->scope->replayed++;
  json_t *result = record->result;
  effect_emit(L, EVENT_EFFECT_REPLAYED, effect_body(call));
  if (result != NULL && !json_is_null(result))
    luajson_push(L, result);
  else
    lua_newtable(L);
  return 1;
}

/* The earlier one did not happen, as `how` says: it is closed, and made anew. */
static int effect_again(lua_State *L, EffectCall *call, int at, const char *how) {
  if (call->err.target == NULL) err_set_target(&call->err, call->target);
  effect_conclude(L, call, OUTCOME_FAILED, NULL, how);
  await_begin(L, call->verb); /* unless the operator has had enough meanwhile */
  return effect_gate(L, call, at);
}

static int k_settled(lua_State *L, int status, lua_KContext at) {
  (void)status;
  EffectCall *call = effect_at(L, at);
  Op *op = await_settled(L);
  effect_shield(L, call, false);
  const char *how = effect_how(call, op);
  if (op->err.code == ERR_NONE) return effect_succeed(L, call, op, how != NULL ? how : "record");
  if (how == NULL) {
    effect_add_detail(call, &op->err);
    return effect_resolve(L, call, (int)at);
  }
  err_move(&call->err, &op->err);
  return effect_again(L, call, (int)at, how);
}

static int effect_settle(lua_State *L, EffectCall *call, int at, const char *note) {
  effect_shield(L, call, true);
  return await_op(L, call->spec.settle(L, call->spec.args, note), at, k_settled);
}

static int effect_from_record(lua_State *L, EffectCall *call, const Record *record, int at) {
  bool same = strcmp(record->show, call->show) == 0 && strcmp(record->target, call->target) == 0;
  if (record->outcome == OUTCOME_FAILED) return effect_gate(L, call, at);
  if (!same) return effect_diverged(L, call, record);
  if (record->outcome == OUTCOME_OK) return effect_replay(L, call, record);
  /* It was let out and nobody knows what became of it. The intent counts as one sending. */
  call->effect = record->effect;
  call->sends = 1;
  call->started_ms = clock_mono_ms();
  err_set(&call->err, ERR_UNKNOWN, "%s was begun in an earlier attempt, and its outcome was not recorded", call->show);
  err_set_target(&call->err, call->target);
  if (record->note != NULL)
    return call->spec.settle != NULL ? effect_settle(L, call, at, record->note) : effect_resolve(L, call, at);
  if (!record->notes) return effect_resolve(L, call, at);
  err_set(&call->err, ERR_INTERRUPTED, "an earlier attempt was cut off before %s could take effect", call->show);
  return effect_again(L, call, at, "journal");
}

static int effect_change(lua_State *L, EffectCall *call, int at) {
  Run *run = run_of(L);
  Scope *scope = call->scope;
  Err err = {0};
  if (scope->changes == SCOPE_REFUSE) {
    err_set(&err, ERR_READ_ONLY, "%s changes something, and a %s only reads", call->show, scope->phase);
    err_set_target(&err, call->target);
    return luaerr_raise(L, &err);
  }
  if (!guard_allows(run->guard, call->spec.target, &err)) return luaerr_raise(L, &err);
  call->order = ++scope->order;
  if (scope->changes == SCOPE_SHOW || run->mode == RUN_PLAN) {
    scope->changed++;
    json_t *body = effect_body(call);
    effect_set(body, "detail", call->detail);
    effect_emit(L, EVENT_EFFECT_PLANNED, body);
    effect_push_unknown(L, call);
    return 1;
  }
  if (call->spec.unknown)
    return luaerr_throw(L, ERR_USAGE, "%s: an argument is a value that is only known after a run", call->show);
  const Record *record = run->mode == RUN_REAL ? door_find(run->door, scope->branch, call->order) : NULL;
  return record != NULL ? effect_from_record(L, call, record, at) : effect_gate(L, call, at);
}

const Record *effect_recorded(lua_State *L, const EffectSpec *spec) {
  const Run *run = run_of(L);
  const Scope *scope = effect_scope(L, run);
  if (run->mode != RUN_REAL || scope->changes != SCOPE_ALLOW) return NULL;
  const Record *record = door_find(run->door, scope->branch, scope->order + 1);
  if (record == NULL) return NULL;
  char *show = effect_rendering(L, spec);
  bool same = strcmp(record->show, show) == 0;
  free(show);
  return same ? record : NULL;
}

int effect_call(lua_State *L, const EffectSpec *spec) {
  await_begin(L, spec->verb);
  luaL_checkstack(L, 20, "effect");
  EffectCall *call = effect_new_call(L, spec);
  int at = lua_gettop(L);
  return spec->kind == EFFECT_READ ? effect_read(L, call, at) : effect_change(L, call, at);
}
