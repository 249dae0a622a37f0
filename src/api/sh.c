/* sh: module pgsh.sh (lua/meta/sh.lua documents it). Child processes of this machine.
 *
 * Whether a command only reads cannot be seen from outside: sh.read is the script's word, where the other primitives enforce. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/part.h"
#include "api/sh.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define SH_NAME_BYTES 60
#define SH_KEEP_BYTES ((size_t)64 << 10) /* of each output of sh.run: it goes into the journal */

void sh_args_fini(void *self) {
  ShArgs *args = self;
  proc_spec_fini(&args->spec);
  buf_fini(&args->show);
  memset(args, 0, sizeof *args);
}

static int l_args_gc(lua_State *L) {
  sh_args_fini(lua_touserdata(L, 1));
  return 0;
}

static ShArgs *sh_new_args(lua_State *L) {
  ShArgs *args = lua_newuserdatauv(L, sizeof *args, 0);
  memset(args, 0, sizeof *args);
  if (luaL_newmetatable(L, "pgsh.ShArgs")) {
    lua_pushcfunction(L, l_args_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return args;
}

/* ---- the command ---- */

/* One word as a shell would take it, so that what is shown can be pasted. */
void sh_show_word(Buf *show, const char *word) {
  if (show->len > 0) buf_add_char(show, ' ');
  if (word[0] != '\0' &&
      strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-‹›") == strlen(word)) {
    buf_add_str(show, word);
    return;
  }
  buf_add_char(show, '\'');
  for (const char *c = word; *c != '\0'; c++) {
    if (*c == '\'')
      buf_add_str(show, "'\\''");
    else
      buf_add_char(show, *c);
  }
  buf_add_char(show, '\'');
}

const char *sh_check_word(lua_State *L, ShArgs *args, int index, const char *what) {
  size_t len = 0;
  if (secret_get(L, index, NULL) != NULL) {
    Err err = {0};
    err_set(&err, ERR_USAGE, "sh: a secret in %s would be seen by everyone in the process list", what);
    err_set_hint(&err, "give it in env = {…} or as input");
    luaerr_raise(L, &err);
  }
  bool unknown = args_is_unknown(L, index);
  args->unknown = args->unknown || unknown;
  const char *text = unknown ? luaL_tolstring(L, index, &len) : lua_tolstring(L, index, &len);
  if (text == NULL) {
    luaerr_throw(L, ERR_USAGE, "sh: %s: a string expected, got %s", what, luaL_typename(L, index));
    return "";
  }
  if (strlen(text) != len) luaerr_throw(L, ERR_USAGE, "sh: %s holds a zero byte", what);
  return text;
}

static void sh_args_list(lua_State *L, ShArgs *args, int index) {
  lua_Integer count = luaL_len(L, index);
  if (count < 1) luaerr_throw(L, ERR_USAGE, "sh: an empty command");
  for (lua_Integer i = 1; i <= count; i++) {
    int top = lua_gettop(L);
    lua_geti(L, index, i);
    const char *word = sh_check_word(L, args, top + 1, "an argument");
    proc_list_add(&args->spec.argv, word);
    sh_show_word(&args->show, word);
    lua_settop(L, top);
  }
}

static void sh_args_string(lua_State *L, ShArgs *args, int index) {
  const char *text = sh_check_word(L, args, index, "the command");
  proc_list_add(&args->spec.argv, "/bin/sh");
  proc_list_add(&args->spec.argv, "-c");
  proc_list_add(&args->spec.argv, text);
  buf_add_str(&args->show, text);
  /* Errors call it by its own text: "/bin/sh exited with 1" tells nobody anything. */
  Buf name = {0};
  size_t len = strcspn(text, "\n");
  bool cut = text[len] != '\0' || len > SH_NAME_BYTES;
  if (len > SH_NAME_BYTES) len = SH_NAME_BYTES;
  while (cut && len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
    len--;
  buf_add(&name, text, len);
  if (cut) buf_add_str(&name, "…");
  args->spec.name = buf_take(&name);
}

void sh_args_words(lua_State *L, ShArgs *args, const ShTool *tool, int index) {
  if (!lua_istable(L, index) || args_is_unknown(L, index))
    luaerr_throw(L, ERR_USAGE, "%s: a list of words expected, got %s", tool->shown, luaL_typename(L, index));
  for (char **word = tool->argv; *word != NULL; word++)
    proc_list_add(&args->spec.argv, *word);
  for (char **entry = tool->env; entry != NULL && *entry != NULL; entry++)
    proc_list_add(&args->spec.env, *entry);
  buf_add_str(&args->show, tool->shown);
  args->spec.name = mem_strdup(tool->shown);
  sh_args_list(L, args, index);
}

void sh_args_command(lua_State *L, ShArgs *args, int index) {
  if (lua_istable(L, index) && !args_is_unknown(L, index))
    sh_args_list(L, args, index);
  else
    sh_args_string(L, args, index);
}

/* ---- options ---- */

/* A change of the environment; a later one of the same name wins. */
static void sh_env_set(char ***env, const char *entry) {
  size_t len = strcspn(entry, "=");
  for (char **one = *env; one != NULL && *one != NULL; one++)
    if (strncmp(*one, entry, len) == 0 && ((*one)[len] == '=' || (*one)[len] == '\0')) {
      explicit_bzero(*one, strlen(*one));
      free(*one);
      *one = mem_strdup(entry);
      return;
    }
  proc_list_add(env, entry);
}

bool sh_args_env(lua_State *L, char ***env, int options) {
  bool unknown = false;
  int type = args_push(L, options, "env");
  int table = lua_gettop(L);
  if (type != LUA_TNIL && type != LUA_TTABLE)
    luaerr_throw(L, ERR_USAGE, "env: a table expected, got %s", luaL_typename(L, table));
  if (type == LUA_TTABLE) lua_pushnil(L);
  while (type == LUA_TTABLE && lua_next(L, table) != 0) {
    size_t len = 0;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (name[0] == '\0' || strchr(name, '=') != NULL) luaerr_throw(L, ERR_USAGE, "env: a table of NAME = value expected");
    if (args_is_unknown(L, -1)) {
      unknown = true;
    } else if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
      sh_env_set(env, name);
    } else {
      const char *value = args_text(L, -1, &len);
      if (value == NULL || strlen(value) != len)
        luaerr_throw(L, ERR_USAGE, "env: %s: a string (or false, to take it away) expected", name);
      sh_env_set(env, lua_pushfstring(L, "%s=%s", name, value));
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return unknown;
}

static void sh_args_input(lua_State *L, ShArgs *args, int options) {
  if (args_push(L, options, "input") != LUA_TNIL) {
    size_t len = 0;
    bool unknown = args_is_unknown(L, -1);
    const char *text = unknown ? "" : args_text(L, -1, &len);
    if (text == NULL) luaerr_throw(L, ERR_USAGE, "input: a string expected, got %s", luaL_typename(L, -1));
    args->unknown = args->unknown || unknown;
    buf_add(&args->spec.input, text, len);
    args->spec.has_input = true;
  }
  lua_pop(L, 1);
}

static void sh_args_ok(lua_State *L, ShArgs *args, int options) {
  int type = args_push(L, options, "ok");
  if (type != LUA_TNIL && type != LUA_TTABLE) luaerr_throw(L, ERR_USAGE, "ok: a list of exit statuses expected");
  lua_Integer count = type == LUA_TTABLE ? luaL_len(L, -1) : 0;
  int *accept = args->spec.accept = mem_alloc(((size_t)count + 2) * sizeof *accept);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, -1, i);
    lua_Integer status = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
    if (status < 0 || status > 255) luaerr_throw(L, ERR_USAGE, "ok: a list of exit statuses expected");
    accept[i - 1] = (int)status;
    lua_pop(L, 1);
  }
  accept[count > 0 ? count : 1] = -1; /* none given: 0 */
  lua_pop(L, 1);
}

static void sh_args_proof(lua_State *L, ShArgs *args, int options) {
  const char *proof = args_string(L, options, "proof", NULL);
  if (proof != NULL && (proof[0] == '\0' || strpbrk(proof, ":\n") != NULL))
    luaerr_throw(L, ERR_USAGE, "proof: a text without colon and line break expected");
  args->spec.proof = mem_strdup(proof);
  int type = args_push(L, options, "refused"), list = lua_gettop(L);
  if (type != LUA_TNIL && type != LUA_TTABLE) luaerr_throw(L, ERR_USAGE, "refused: a list of texts expected");
  for (lua_Integer i = 1; type == LUA_TTABLE && i <= luaL_len(L, list); i++) {
    lua_geti(L, list, i);
    if (lua_type(L, -1) != LUA_TSTRING) luaerr_throw(L, ERR_USAGE, "refused: a list of texts expected");
    proc_list_add(&args->spec.refused, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void sh_args_options(lua_State *L, ShArgs *args, int options, bool change) {
  if (sh_args_env(L, &args->spec.env, options)) args->unknown = true;
  sh_args_input(L, args, options);
  sh_args_ok(L, args, options);
  args->spec.cwd = mem_strdup(args_string(L, options, "cwd", NULL));
  args->timeout_ms = args_duration(L, options, "timeout", 0);
  int64_t limit = args_size(L, options, "limit", change ? (int64_t)SH_KEEP_BYTES : (int64_t)PROC_LIMIT_BYTES);
  args->spec.limit_bytes = limit > 0 ? (size_t)limit : 1;
  args->spec.tail = change;
  args->spec.changes = change;
  sh_args_proof(L, args, options);
}

void sh_finish_show(Buf *show, size_t most) {
  for (size_t i = 0; i < show->len; i++)
    if ((unsigned char)show->data[i] < 0x20 || show->data[i] == 0x7f) show->data[i] = ' ';
  if (show->len <= most) return;
  size_t whole = show->len, len = most;
  while (len > 0 && ((unsigned char)show->data[len] & 0xC0) == 0x80)
    len--;
  show->len = len;
  buf_printf(show, "… (%zu bytes)", whole);
}

/* ---- the operation ---- */

static Op *sh_start(lua_State *L, int index) {
  const ShArgs *args = lua_touserdata(L, index);
  ProcSpec spec = proc_spec_copy(&args->spec);
  const char *deadline = NULL;
  int64_t left = await_time_left(L, args->timeout_ms, &deadline);
  return proc_start(vm_loop(vm_of(L)), &spec, left, deadline);
}

static void sh_push_end(lua_State *L, const ProcResult *result) {
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, result->exit_code);
  lua_setfield(L, -2, "exit");
}

/* How long the UTF-8 character at text is; 0 when it is not valid (RFC 3629), or a zero byte, which JSON texts here may not hold.
 */
static size_t sh_utf8_len(const unsigned char *text, size_t left) {
  unsigned char c = text[0];
  size_t len = c < 0x80 ? 1 : c >= 0xC2 && c <= 0xDF ? 2 : c >= 0xE0 && c <= 0xEF ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
  if (c == 0 || len == 0 || len > left) return 0;
  for (size_t i = 1; i < len; i++)
    if ((text[i] & 0xC0) != 0x80) return 0;
  bool overlong = (c == 0xE0 && text[1] < 0xA0) || (c == 0xF0 && text[1] < 0x90);
  bool outside = (c == 0xED && text[1] >= 0xA0) || (c == 0xF4 && text[1] >= 0x90);
  return overlong || outside ? 0 : len;
}

/* The journal holds text: what is not becomes the replacement character. A tail that begins inside a character loses its rest. */
void sh_push_text(lua_State *L, const char *bytes, size_t size, bool truncated) {
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  const unsigned char *text = (const unsigned char *)bytes;
  size_t i = 0;
  while (truncated && i < size && i < 3 && (text[i] & 0xC0) == 0x80)
    i++;
  while (i < size) {
    size_t len = sh_utf8_len(text + i, size - i);
    if (len == 0)
      luaL_addstring(&out, "\xEF\xBF\xBD");
    else
      luaL_addlstring(&out, (const char *)text + i, len);
    i += len > 0 ? len : 1;
  }
  luaL_pushresult(&out);
}

void sh_push_result(lua_State *L, const ProcResult *result, bool change) {
  sh_push_end(L, result);
  const Buf *texts[] = {&result->out, &result->err};
  for (int i = 0; i < 2; i++) {
    if (change)
      sh_push_text(L, buf_str(texts[i]), texts[i]->len, result->truncated);
    else
      lua_pushlstring(L, buf_str(texts[i]), texts[i]->len);
    lua_setfield(L, -2, i == 0 ? "out" : "err");
  }
  if (!result->truncated) return;
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "truncated");
}

static int sh_push_read(lua_State *L, Op *op, int args) {
  (void)args;
  sh_push_result(L, proc_result(op), false);
  return 1;
}

static int sh_push_change(lua_State *L, Op *op, int args) {
  (void)args;
  sh_push_result(L, proc_result(op), true);
  return 1;
}

/* ---- the functions ---- */

int sh_call(lua_State *L, const ShTool *tool, int index, EffectKind kind) {
  static const char *const read_keys[] = {"input", "env", "cwd", "timeout", "limit", "ok", "what", "proof", NULL};
  static const char *const run_keys[] = {"input", "env",   "cwd",     "timeout", "limit",  "ok",
                                         "what",  "proof", "refused", "resolve", "detail", NULL};
  lua_settop(L, index + 1);
  int options = args_options(L, index + 1, kind == EFFECT_CHANGE ? run_keys : read_keys);
  luaL_checkstack(L, 20, "sh");
  ShArgs *args = sh_new_args(L);
  if (tool != NULL)
    sh_args_words(L, args, tool, index);
  else
    sh_args_command(L, args, index);
  sh_args_options(L, args, options, kind == EFFECT_CHANGE);
  sh_finish_show(&args->show, SH_SHOW_BYTES);
  lua_settop(L, index + 2);
  EffectSpec spec = {
      .kind = kind,
      .target = tool != NULL ? tool->target : guard_target(run_of(L)->guard, "sh", "localhost", NULL),
      .verb = kind == EFFECT_CHANGE ? "run" : "read",
      .show = buf_str(&args->show),
      .detail = kind == EFFECT_CHANGE ? args_string(L, options, "detail", NULL) : NULL,
      .args = index + 2,
      .options = options,
      .unknown = args->unknown,
      .start = sh_start,
      .push = kind == EFFECT_CHANGE ? sh_push_change : sh_push_read,
  };
  return effect_call(L, &spec);
}

static int l_sh_read(lua_State *L) { return sh_call(L, NULL, 1, EFFECT_READ); }
static int l_sh_run(lua_State *L) { return sh_call(L, NULL, 1, EFFECT_CHANGE); }

int luaopen_pgsh_sh(lua_State *L) {
  static const luaL_Reg functions[] = {{"read", l_sh_read},     {"run", l_sh_run},   {"output", l_part_output},
                                       {"input", l_part_input}, {"tool", l_sh_tool}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
