/* file_edit: file.edit, file.revert, file.diff (lua/meta/file.lua documents them).
 *
 * An edit is a read, a function of the script, and a change. The change carries the digests of both texts: it is made only while
 * the file is as it was read, and after a crash the file itself tells whether it had been made. What the journal has is not
 * computed again: by then the script's function would be given the new text. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/file.h"
#include "base/diff.h"
#include "base/file.h"
#include "loop/work.h"
#include "run/effect.h"
#include "run/run.h"
#include "stream/digest.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define EDIT_LIMIT ((size_t)16 << 20)
#define EDIT_KEEP ((size_t)1 << 20)  /* a longer text is not kept for file.revert */
#define EDIT_SHOW ((size_t)16 << 10) /* of the diff, to people */

enum { AT_PATH = 1, AT_FUNCTION = 2, AT_OPTIONS = 3, AT_ARGS = 4 }; /* the stack of an edit */

typedef struct EditArgs {
  char *path;
  Buf before, after, diff, detail;
  char was[DIGEST_HEX_SIZE], now[DIGEST_HEX_SIZE];
  bool reverts, unknown;
} EditArgs;

/* What the pool thread works on. */
typedef struct EditJob {
  char *path;
  Buf after;
  char was[DIGEST_HEX_SIZE], now[DIGEST_HEX_SIZE];
  json_t *note;    /* of an edit whose outcome is looked up */
  const char *how; /* it was found out */
  Err early;       /* the note could not be written */
} EditJob;

static int l_edit_gc(lua_State *L) {
  EditArgs *args = lua_touserdata(L, 1);
  free(args->path);
  buf_fini(&args->before);
  buf_fini(&args->after);
  buf_fini(&args->diff);
  buf_fini(&args->detail);
  memset(args, 0, sizeof *args);
  return 0;
}

static EditArgs *edit_new_args(lua_State *L, const char *path) {
  EditArgs *args = lua_newuserdatauv(L, sizeof *args, 0);
  memset(args, 0, sizeof *args);
  if (luaL_newmetatable(L, "pgsh.EditArgs")) {
    lua_pushcfunction(L, l_edit_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  args->path = mem_strdup(path);
  return args;
}

static void edit_digest(const Buf *text, char hex[DIGEST_HEX_SIZE]) {
  Err err = {0};
  if (!digest_bytes("sha256", buf_str(text), text->len, hex, &err)) hex[0] = '\0';
  err_fini(&err);
}

static bool edit_changes(const EditArgs *args) { return strcmp(args->was, args->now) != 0; }

/* ---- on a thread ---- */

static void edit_free_job(void *arg) {
  EditJob *job = arg;
  free(job->path);
  buf_fini(&job->after);
  json_decref(job->note);
  err_fini(&job->early);
  free(job);
}

/* The digest of what is in the file now. */
static bool edit_look(const EditJob *job, char hex[DIGEST_HEX_SIZE], Err *err) {
  Buf text = {0};
  bool ok = file_read(job->path, EDIT_LIMIT, &text, err);
  if (ok) edit_digest(&text, hex);
  buf_fini(&text);
  return ok;
}

static void edit_run(WorkOp *work) {
  EditJob *job = work->arg;
  char hex[DIGEST_HEX_SIZE];
  if (job->early.code != ERR_NONE) {
    err_move(&work->failure, &job->early);
    return;
  }
  if (!edit_look(job, hex, &work->failure) || strcmp(hex, job->now) == 0) return;
  if (strcmp(hex, job->was) != 0) {
    err_set(&work->failure, ERR_REFUSED, "%s has changed since it was read: nothing was written", job->path);
    return;
  }
  file_write(job->path, buf_str(&job->after), job->after.len, 0644, &work->failure);
}

static void edit_run_settle(WorkOp *work) {
  EditJob *job = work->arg;
  char hex[DIGEST_HEX_SIZE];
  if (!edit_look(job, hex, &work->failure)) return;
  bool happened = strcmp(hex, job->now) == 0, before = strcmp(hex, job->was) == 0;
  if (happened || before) job->how = "record";
  if (before && !happened)
    err_set(&work->failure, ERR_NOT_DONE, "%s is as it was before", job->path);
  else if (!happened)
    err_set(&work->failure, ERR_REFUSED, "%s is neither as it was before nor as it was to be", job->path);
}

/* ---- notes and results: {path, was, now, diff?, before?} ---- */

static void edit_set(json_t *object, const char *key, const Buf *text) {
  json_t *string = text->len <= EDIT_KEEP ? json_stringn(buf_str(text), text->len) : NULL;
  if (string != NULL) json_object_set_new(object, key, string); /* what is not UTF-8 has no place in a journal */
}

static char *edit_note(const EditArgs *args) {
  json_t *note = json_object();
  json_object_set_new(note, "was", json_string(args->was));
  json_object_set_new(note, "now", json_string(args->now));
  edit_set(note, "before", &args->before);
  edit_set(note, "diff", &args->diff);
  char *text = json_dumps(note, JSON_COMPACT);
  json_decref(note);
  return text;
}

static void edit_push_text(lua_State *L, const char *key, const char *text, size_t len) {
  lua_pushlstring(L, text, len);
  lua_setfield(L, -2, key);
}

static void edit_push_buf(lua_State *L, const char *key, const Buf *text) {
  json_t *string = text->len <= EDIT_KEEP ? json_stringn(buf_str(text), text->len) : NULL;
  json_decref(string);
  if (string != NULL) edit_push_text(L, key, buf_str(text), text->len);
}

static int edit_push(lua_State *L, Op *op, int index) {
  const EditArgs *args = lua_touserdata(L, index);
  const EditJob *job = ((WorkOp *)op)->arg;
  lua_createtable(L, 0, 6);
  edit_push_text(L, "path", args->path, strlen(args->path));
  if (job->note != NULL) { /* made by an earlier attempt */
    const char *key;
    json_t *value;
    json_object_foreach(job->note, key, value) { edit_push_text(L, key, json_string_value(value), json_string_length(value)); }
    lua_pushboolean(L, 1);
  } else {
    edit_push_text(L, "was", args->was, strlen(args->was));
    edit_push_text(L, "now", args->now, strlen(args->now));
    edit_push_buf(L, "before", &args->before);
    edit_push_buf(L, "diff", &args->diff);
    lua_pushboolean(L, edit_changes(args));
  }
  lua_setfield(L, -2, "changed");
  return 1;
}

/* ---- the door's callbacks ---- */

static Op *edit_begin(lua_State *L, EditJob *job, void (*run)(WorkOp *)) {
  return &work_start(vm_loop(vm_of(L)), "file", run, job, edit_free_job, 0)->op;
}

static EditJob *edit_new_job(const EditArgs *args) {
  EditJob *job = mem_alloc(sizeof *job);
  job->path = mem_strdup(args->path);
  memcpy(job->was, args->was, sizeof job->was);
  memcpy(job->now, args->now, sizeof job->now);
  return job;
}

static Op *edit_start(lua_State *L, int index) {
  const EditArgs *args = lua_touserdata(L, index);
  EditJob *job = edit_new_job(args);
  buf_add(&job->after, buf_str(&args->after), args->after.len);
  if (edit_changes(args)) {
    char *note = edit_note(args);
    effect_note(run_of(L), effect_current(L), note, &job->early);
    free(note);
  }
  Op *op = edit_begin(L, job, edit_run);
  op->sent = true; /* the thread does not stop half way: when the operator does, the file has to be looked at */
  return op;
}

static Op *edit_settle(lua_State *L, int index, const char *text) {
  EditJob *job = edit_new_job(lua_touserdata(L, index));
  job->note = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  const char *was = json_string_value(json_object_get(job->note, "was"));
  const char *now = json_string_value(json_object_get(job->note, "now"));
  snprintf(job->was, sizeof job->was, "%s", was != NULL ? was : "");
  snprintf(job->now, sizeof job->now, "%s", now != NULL ? now : "");
  return edit_begin(L, job, edit_run_settle);
}

static const char *edit_how(const Op *op) { return ((const EditJob *)((const WorkOp *)op)->arg)->how; }

/* ---- the call ---- */

static EffectSpec edit_spec(lua_State *L) {
  EditArgs *args = lua_touserdata(L, AT_ARGS);
  bool changes = edit_changes(args), known = args->was[0] != '\0';
  return (EffectSpec){.kind = EFFECT_CHANGE,
                      .target = guard_target(run_of(L)->guard, "file", "localhost", NULL),
                      .verb = args->reverts ? "restore" : "edit",
                      .show = lua_pushfstring(L, "%s %s", args->reverts ? "restore" : "edit", args->path),
                      .detail = buf_str(&args->detail),
                      .args = AT_ARGS,
                      .options = lua_istable(L, AT_OPTIONS) ? AT_OPTIONS : 0,
                      .unknown = args->unknown,
                      .repeatable = known && !changes,
                      .start = edit_start,
                      .push = edit_push,
                      .notes = changes,
                      .settle = edit_settle,
                      .how = edit_how};
}

/* For people: not too much of it, and only what can be shown. */
static void edit_detail(EditArgs *args) {
  const Buf *diff = &args->diff;
  size_t len = diff->len;
  if (len > EDIT_SHOW)
    for (len = EDIT_SHOW; len > 0 && diff->data[len - 1] != '\n';)
      len--;
  json_t *string = json_stringn(buf_str(diff), len);
  for (size_t i = 0; i < len; i++)
    buf_add_char(&args->detail, string == NULL && (unsigned char)diff->data[i] >= 0x80 ? '?' : diff->data[i]);
  json_decref(string);
  if (len < diff->len) buf_printf(&args->detail, "… and %zu bytes more of the diff", diff->len - len);
  if (diff->len == 0) buf_printf(&args->detail, "%s is already as it is to be", args->path);
}

static int edit_change(lua_State *L) {
  EditArgs *args = lua_touserdata(L, AT_ARGS);
  if (args->was[0] != '\0') {
    diff_unified(&args->diff, args->path, buf_str(&args->before), args->before.len, buf_str(&args->after), args->after.len);
    edit_detail(args);
  }
  EffectSpec spec = edit_spec(L);
  return effect_call(L, &spec);
}

/* The new text, or nothing, is on top. */
static int k_edit_made(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  EditArgs *args = lua_touserdata(L, AT_ARGS);
  if (args_is_unknown(L, -1)) {
    const char *text = luaL_tolstring(L, -1, NULL);
    args->unknown = true;
    buf_add_str(&args->detail, text);
    EffectSpec spec = edit_spec(L);
    return effect_call(L, &spec);
  }
  size_t len = args->before.len;
  const char *text = lua_isnil(L, -1) ? buf_str(&args->before) : args_text(L, -1, &len);
  if (text == NULL)
    return luaerr_throw(L, ERR_USAGE, "file.edit: the function has to return the new text (or nil: as it is), got a %s",
                        luaL_typename(L, -1));
  buf_add(&args->after, text, len);
  edit_digest(&args->before, args->was);
  edit_digest(&args->after, args->now);
  return edit_change(L);
}

/* Has an earlier attempt written it, or somebody else since? Then the function is not for the text that is there now. */
static bool edit_was_begun(lua_State *L, const EditArgs *args) {
  EffectSpec spec = edit_spec(L);
  const Record *record = effect_recorded(L, &spec);
  lua_pop(L, 1);
  if (record == NULL || record->note == NULL || record->outcome == OUTCOME_FAILED) return false;
  char hex[DIGEST_HEX_SIZE];
  edit_digest(&args->before, hex);
  json_t *note = json_loads(record->note, 0, NULL);
  const char *was = json_string_value(json_object_get(note, "was"));
  bool begun = was == NULL || strcmp(was, hex) != 0;
  json_decref(note);
  return begun;
}

static int k_edit_read(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  EditArgs *args = lua_touserdata(L, AT_ARGS);
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  buf_add(&args->before, text, len);
  if (edit_was_begun(L, args)) {
    EffectSpec spec = edit_spec(L);
    return effect_call(L, &spec);
  }
  lua_pushvalue(L, AT_FUNCTION);
  lua_insert(L, -2);
  lua_callk(L, 1, 1, 0, k_edit_made);
  return k_edit_made(L, LUA_OK, 0);
}

/* Answered from the journal, or read the file and go on with k. */
static int edit_read(lua_State *L, lua_KFunction k) {
  const EditArgs *args = lua_touserdata(L, AT_ARGS);
  EffectSpec spec = edit_spec(L);
  const Record *record = effect_recorded(L, &spec);
  if (args->unknown || (record != NULL && record->outcome == OUTCOME_OK)) return effect_call(L, &spec);
  lua_pop(L, 1);
  lua_pushcfunction(L, l_file_read);
  lua_pushstring(L, args->path);
  lua_callk(L, 1, 1, 0, k);
  return k(L, LUA_OK, 0);
}

int l_file_edit(lua_State *L) {
  static const char *const keys[] = {"what", NULL};
  lua_settop(L, 3);
  luaL_checktype(L, AT_FUNCTION, LUA_TFUNCTION);
  args_options(L, AT_OPTIONS, keys);
  bool unknown = args_is_unknown(L, AT_PATH);
  const char *path = unknown ? luaL_tolstring(L, AT_PATH, NULL) : luaL_checkstring(L, AT_PATH);
  EditArgs *args = edit_new_args(L, path);
  args->unknown = unknown;
  lua_insert(L, AT_ARGS);
  lua_settop(L, AT_ARGS);
  return edit_read(L, k_edit_read);
}

/* ---- taking it back ---- */

static int k_revert_read(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  EditArgs *args = lua_touserdata(L, AT_ARGS);
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  buf_add(&args->before, text, len);
  char hex[DIGEST_HEX_SIZE];
  edit_digest(&args->before, hex);
  if (edit_was_begun(L, args)) {
    EffectSpec spec = edit_spec(L);
    return effect_call(L, &spec);
  }
  if (strcmp(hex, args->now) != 0 && strcmp(hex, args->was) != 0)
    return luaerr_throw(L, ERR_REFUSED, "%s has changed since it was edited: it is not restored", args->path);
  memcpy(args->was, hex, sizeof args->was);
  return edit_change(L);
}

static const char *revert_field(lua_State *L, const char *key, size_t *len) {
  return lua_getfield(L, 1, key) == LUA_TSTRING ? lua_tolstring(L, -1, len) : NULL;
}

/* file.revert(result [, options]) */
int l_file_revert(lua_State *L) {
  static const char *const keys[] = {"what", NULL};
  lua_settop(L, 2);
  lua_pushnil(L); /* options are third, as in an edit */
  lua_insert(L, AT_FUNCTION);
  args_options(L, AT_OPTIONS, keys);
  luaL_checktype(L, 1, LUA_TTABLE);
  bool unknown = args_is_unknown(L, 1);
  size_t len = 0, ignored;
  EditArgs *args = edit_new_args(L, "");
  args->reverts = true;
  args->unknown = unknown;
  lua_getfield(L, 1, "path");
  const char *path = luaL_tolstring(L, -1, &ignored);
  free(args->path);
  args->path = mem_strdup(path);
  if (unknown) {
    lua_settop(L, AT_ARGS);
    return edit_read(L, k_revert_read);
  }
  const char *before = revert_field(L, "before", &len), *was = revert_field(L, "was", &ignored);
  const char *now = revert_field(L, "now", &ignored);
  if (was == NULL || now == NULL) return luaerr_throw(L, ERR_USAGE, "file.revert: the result of a file.edit expected");
  if (before == NULL)
    return luaerr_throw(L, ERR_REFUSED, "the former text of %s was not kept: it is longer than 1 MiB, or not UTF-8", path);
  buf_add(&args->after, before, len);
  edit_digest(&args->after, args->now);
  if (strcmp(args->now, was) != 0)
    return luaerr_throw(L, ERR_REFUSED, "the former text of %s holds a secret, which the journal does not keep", path);
  snprintf(args->was, sizeof args->was, "%s", now);
  lua_settop(L, AT_ARGS);
  return edit_read(L, k_revert_read);
}

/* file.diff(path, before, after) */
int l_file_diff(lua_State *L) {
  size_t a_len, b_len;
  const char *path = luaL_checkstring(L, 1), *a = luaL_checklstring(L, 2, &a_len), *b = luaL_checklstring(L, 3, &b_len);
  EditArgs *args = edit_new_args(L, path);
  diff_unified(&args->diff, path, a, a_len, b, b_len);
  lua_pushlstring(L, buf_str(&args->diff), args->diff.len);
  return 1;
}
