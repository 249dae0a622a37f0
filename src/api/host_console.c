/* host, console: what the interactive shell is made of: lines, their completion, programs that have the terminal, the gate. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/host.h"
#include "run/console.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

static const char host_completer; /* its address is the completer's key in the registry */

static const Console *host_console(lua_State *L) {
  const Console *console = run_of(L)->console;
  if (console == NULL) luaerr_throw(L, ERR_ANSWER, "there is no terminal");
  return console;
}

/* ---- lines ---------------------------------------------------------------------------------------------------------------- */

static int k_line(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  LineOp *line = (LineOp *)await_settled(L);
  await_check(L, &line->answer.op);
  if (line->interrupted)
    lua_pushboolean(L, 0);
  else
    lua_pushstring(L, line->answer.answer); /* NULL is nil */
  return 1;
}

static int l_host_line(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1), *preset = luaL_optstring(L, 2, NULL);
  const Console *console = host_console(L);
  vm_interrupts_clear(vm_of(L));
  await_begin(L, "line");
  return await_op(L, &console->read(console->self, vm_loop(vm_of(L)), prompt, preset)->op, 0, k_line);
}

static int l_host_set_prompt(lua_State *L) {
  const Console *console = host_console(L);
  console->set_prompt(console->self, luaL_checkstring(L, 1));
  return 0;
}

static int l_host_remember(lua_State *L) {
  const Console *console = host_console(L);
  console->remember(console->self, luaL_optstring(L, 1, NULL));
  return 0;
}

/* ---- a text that is redrawn in place until a key is pressed ---------------------------------------------------------------- */

static int k_key(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_check(L, await_settled(L));
  return 0;
}

static int l_host_key(lua_State *L) {
  const Console *console = host_console(L);
  await_begin(L, "key");
  return await_op(L, &console->key(console->self, vm_loop(vm_of(L)))->op, 0, k_key);
}

static int l_host_frame(lua_State *L) {
  const Console *console = host_console(L);
  console->frame(console->self, luaL_checkstring(L, 1));
  return 0;
}

/* ---- completion: called from the loop, on the main thread of the state, in protected mode ------------------------------------
 */

static char *host_copy_field(lua_State *L, int table, const char *key) {
  lua_getfield(L, table, key);
  char *copy = lua_type(L, -1) == LUA_TSTRING ? mem_strdup(lua_tostring(L, -1)) : NULL;
  lua_pop(L, 1);
  return copy;
}

/* (choices, line, point): the completer returns { start, matches, append, hint } or nothing. */
static int l_choose(lua_State *L) {
  ConsoleChoices *choices = lua_touserdata(L, 1);
  lua_settop(L, 3);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &host_completer);
  if (!lua_isfunction(L, -1)) return 0;
  lua_insert(L, 2);
  lua_call(L, 2, 1);
  if (!lua_istable(L, 2)) return 0;
  choices->hint = host_copy_field(L, 2, "hint");
  lua_getfield(L, 2, "start");
  choices->start = (size_t)lua_tointeger(L, -1);
  lua_getfield(L, 2, "append");
  const char *append = lua_tostring(L, -1);
  choices->append = append != NULL ? append[0] : '\0';
  if (lua_getfield(L, 2, "matches") != LUA_TTABLE) return 0;
  size_t count = lua_rawlen(L, -1);
  choices->matches = mem_alloc((count + 1) * sizeof *choices->matches);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    if (lua_type(L, -1) == LUA_TSTRING) choices->matches[choices->count++] = mem_strdup(lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  return 0;
}

static void on_complete(void *arg, const char *line, size_t point, ConsoleChoices *choices) {
  lua_State *L = arg;
  int top = lua_gettop(L);
  if (!lua_checkstack(L, 8)) return;
  lua_pushcfunction(L, l_choose);
  lua_pushlightuserdata(L, choices);
  lua_pushstring(L, line);
  lua_pushinteger(L, (lua_Integer)point);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) { /* a completion that fails completes nothing */
    free(choices->hint);
    choices->hint = NULL;
  }
  lua_settop(L, top);
}

static int l_host_completer(lua_State *L) {
  const Console *console = host_console(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &host_completer);
  console->set_complete(console->self, on_complete, vm_main(vm_of(L)));
  return 0;
}

/* ---- the terminal -----------------------------------------------------------------------------------------------------------
 */

static int l_host_terminal(lua_State *L) {
  const Console *console = run_of(L)->console;
  size_t columns = 80, rows = 24;
  bool terminal = console != NULL && console->size(console->self, &columns, &rows);
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, (lua_Integer)columns);
  lua_setfield(L, -2, "columns");
  lua_pushinteger(L, (lua_Integer)rows);
  lua_setfield(L, -2, "rows");
  lua_pushboolean(L, terminal);
  lua_setfield(L, -2, "terminal");
  lua_pushboolean(L, console != NULL && console->colour(console->self));
  lua_setfield(L, -2, "colour");
  lua_pushboolean(L, console != NULL && console->redraws(console->self));
  lua_setfield(L, -2, "redraws");
  return 1;
}

static int k_program(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  AnswerOp *answer = (AnswerOp *)await_settled(L);
  await_check(L, &answer->op);
  lua_pushinteger(L, answer->answer != NULL ? strtol(answer->answer, NULL, 10) : 0);
  return 1;
}

/* program(argv, input?) */
static int l_host_program(lua_State *L) {
  size_t len = 0;
  const Console *console = host_console(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *input = luaL_optlstring(L, 2, NULL, &len);
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
  luaL_argcheck(L, count > 0 && count < 100, 1, "a list of words");
  await_begin(L, "program");
  char **argv = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *argv, 0);
  luaL_checkstack(L, (int)count + 5, "program");
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, 1, i + 1);
    argv[i] = (char *)(uintptr_t)luaL_checkstring(L, -1); /* on the stack as long as it is needed */
  }
  argv[count] = NULL;
  return await_op(L, &console->program(console->self, vm_loop(vm_of(L)), argv, input, len)->op, 0, k_program);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------------------
 */

static Task *host_opt_task(lua_State *L) {
  if (lua_isnoneornil(L, 1)) return NULL;
  Task **box = luaL_checkudata(L, 1, "pgsh.Task");
  return *box;
}

/* foreground(task, patience): whom Ctrl-C is for; nil: the main task. */
static int l_host_foreground(lua_State *L) {
  Run *run = run_of(L);
  run->foreground = host_opt_task(L);
  if (run->console != NULL) run->console->set_patience(run->console->self, (int)luaL_optinteger(L, 2, 1));
  return 0;
}

/* gate(f): every change is shown to f before it is let out; nil: to nobody. Returns the former one. */
static int l_host_gate(lua_State *L) {
  Run *run = run_of(L);
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  if (run->gate != 0)
    lua_rawgeti(L, LUA_REGISTRYINDEX, run->gate);
  else
    lua_pushnil(L);
  luaL_unref(L, LUA_REGISTRYINDEX, run->gate != 0 ? run->gate : LUA_NOREF);
  lua_pushvalue(L, 1);
  run->gate = lua_isnil(L, -1) ? 0 : luaL_ref(L, LUA_REGISTRYINDEX);
  lua_settop(L, 2);
  return 1;
}

/* passwords(f): who is asked for the password of a connection; nil: nobody. */
static int l_host_passwords(lua_State *L) {
  Run *run = run_of(L);
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_unref(L, LUA_REGISTRYINDEX, run->passwords != 0 ? run->passwords : LUA_NOREF);
  run->passwords = lua_isnil(L, 1) ? 0 : luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

void host_add_console(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"line", l_host_line},         {"set_prompt", l_host_set_prompt}, {"remember", l_host_remember},
      {"key", l_host_key},           {"frame", l_host_frame},           {"completer", l_host_completer},
      {"terminal", l_host_terminal}, {"program", l_host_program},       {"foreground", l_host_foreground},
      {"gate", l_host_gate},         {"passwords", l_host_passwords},   {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
