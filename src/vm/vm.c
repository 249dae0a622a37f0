/* vm: see vm.h. */
#include "vm/vm.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/buf.h"
#include "vm/args.h"
#include "vm/internal.h"
#include "vm/luaerr.h"

/* The Vm whose CPU watchdog ticks; a process has one. */
static Vm *volatile vm_watched;

static void *vm_allocate(void *ud, void *old, size_t old_size, size_t new_size) {
  Vm *vm = ud;
  if (old == NULL) old_size = 0; /* Lua passes a type tag there */
  if (new_size == 0) {
    slab_realloc(&vm->slab, old, old_size, 0);
    vm->used_bytes -= old_size;
    return NULL;
  }
  bool grows = new_size > old_size;
  if (grows && vm->limits.memory_bytes > 0 && vm->used_bytes + (new_size - old_size) > vm->limits.memory_bytes) return NULL;
  void *block = slab_realloc(&vm->slab, old, old_size, new_size);
  if (block != NULL) vm->used_bytes += new_size - old_size;
  return block;
}

/* ---- modules ------------------------------------------------------------------------------------------------------- */

static const VmFile *vm_file(const char *name) {
  for (const VmFile *file = vm_files; file->name != NULL; file++)
    if (strcmp(file->name, name) == 0) return file;
  return NULL;
}

/* require "pgsh.a.b" → C module "pgsh.a.b", else embedded "pgsh/a/b.lua". The loader is yieldable-free on purpose: module
 * tops do no I/O. */
static int l_search(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  Vm *vm = vm_of(L);
  for (const VmModule *module = vm->modules; module != NULL && module->name != NULL; module++) {
    if (strcmp(module->name, name) == 0) {
      lua_pushcfunction(L, module->open);
      lua_pushstring(L, name);
      return 2;
    }
  }
  Buf path = {0};
  for (const char *p = name; *p != '\0'; p++)
    buf_add_char(&path, *p == '.' ? '/' : *p);
  buf_add_str(&path, ".lua");
  const VmFile *file = vm_file(buf_str(&path));
  buf_fini(&path);
  if (file == NULL) {
    lua_pushfstring(L, "no embedded module '%s'", name);
    return 1;
  }
  lua_pushfstring(L, "@pgsh:/%s", file->name);
  if (luaL_loadbufferx(L, (const char *)file->text, file->len, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L);
  lua_pushstring(L, file->name);
  return 2;
}

/* A searcher for $PGSH_PATH in front of the embedded one. */
static int l_search_user(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchpath");
  lua_pushvalue(L, 1);
  lua_getfield(L, -3, "pgsh_path");
  if (lua_isnil(L, -1)) return 1; /* no PGSH_PATH */
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1;
  lua_pop(L, 1);
  if (luaL_loadfilex(L, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L);
  lua_insert(L, -2);
  return 2;
}

/* $PGSH_PATH, a list of directories, as a pattern for package.searchpath. */
static void vm_push_user_path(lua_State *L, const char *list) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (const char *p = list; *p != '\0';) {
    size_t len = strcspn(p, ":");
    if (len > 0) {
      luaL_addlstring(&b, p, len);
      luaL_addstring(&b, "/?.lua;");
    }
    p += len + (p[len] == ':');
  }
  luaL_pushresult(&b);
}

/* Behind package.preload, before Lua's own: first what the operator changed without compiling, then what is embedded. Debian's
 * paths stay behind everything. */
static void vm_open_search(lua_State *L) {
  static const lua_CFunction searchers[] = {l_search_user, l_search};
  const lua_Integer added = sizeof searchers / sizeof searchers[0];
  const char *user = getenv("PGSH_PATH");
  lua_getglobal(L, "package");
  if (user != NULL && user[0] != '\0') {
    vm_push_user_path(L, user);
    lua_setfield(L, -2, "pgsh_path");
  }
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= 2; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + added);
  }
  for (lua_Integer i = 0; i < added; i++) {
    lua_pushcfunction(L, searchers[i]);
    lua_rawseti(L, -2, i + 2);
  }
  lua_pop(L, 2);
}

/* A Ctrl-C is rarely meant for a task that is nobody's child and happens to run just then. It is hit only when it keeps the
 * others from their turn for longer than this, some milliseconds. */
#define VM_SPARED_INSTRUCTIONS 1000000

/* ---- interrupts and the CPU watchdog -------------------------------------------------------------------------------- */

static void on_stop_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  Vm *vm = vm_of(L);
  if (vm->interrupts > 0 && vm->stops == 0 && !vm->spared && task_is_aside(L)) {
    vm->spared = true;
    lua_sethook(L, on_stop_hook, LUA_MASKCOUNT, VM_SPARED_INSTRUCTIONS);
    return;
  }
  /* It stays armed until the task is resumed the next time, by turns a little and right after: the first lets closers have their
   * thousand instructions, the second hits the loop around a pcall that has swallowed the stop. */
  vm->stops++;
  lua_sethook(L, on_stop_hook, LUA_MASKCOUNT, vm->stops % 2 == 1 ? 1000 : 1);
  if (vm->interrupts > 0) {
    luaerr_throw(L, ERR_INTERRUPTED, "interrupted");
  } else {
    luaerr_throw(L, ERR_LIMIT, "the script computed for %d s without waiting for anything", vm->limits.cpu_seconds);
  }
}

static void vm_stop_running(Vm *vm) {
  lua_State *running = vm->running;
  if (running != NULL) lua_sethook(running, on_stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

void vm_interrupt(Vm *vm) {
  vm->interrupts = vm->interrupts + 1;
  vm_stop_running(vm);
  loop_wake(vm->loop);
}

int vm_interrupts(const Vm *vm) { return vm->interrupts; }
void vm_interrupts_clear(Vm *vm) {
  vm->interrupts = 0;
  if (vm->running == NULL || vm->stops == 0) return;
  vm->stops = 0; /* it has been stopped, and would be again before long */
  lua_sethook(vm->running, NULL, 0, 0);
}

/* Ticks once for each second of CPU: an idle process gets none. */
static void on_cpu_second(int signal_number) {
  (void)signal_number;
  Vm *vm = vm_watched;
  if (vm == NULL || vm->running == NULL) return;
  if (vm->watch_slice != vm->slice) {
    vm->watch_slice = vm->slice;
    vm->watch_ticks = 0;
    return;
  }
  vm->watch_ticks = vm->watch_ticks + 1;
  if (vm->watch_ticks >= vm->limits.cpu_seconds) {
    vm->watch_ticks = 0;
    vm_stop_running(vm);
  }
}

static void vm_watch_cpu(Vm *vm) {
  if (vm->limits.cpu_seconds <= 0) return;
  vm_watched = vm;
  struct sigaction action = {.sa_handler = on_cpu_second, .sa_flags = SA_RESTART};
  sigaction(SIGVTALRM, &action, NULL);
  struct itimerval every = {.it_interval = {1, 0}, .it_value = {1, 0}};
  setitimer(ITIMER_VIRTUAL, &every, NULL);
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

Vm *vm_new(Loop *loop, Redact *redact, VmLimits limits) {
  Vm *vm = mem_alloc(sizeof *vm);
  vm->loop = loop;
  vm->redact = redact;
  vm->limits = limits;
  vm->L = lua_newstate(vm_allocate, vm);
  if (vm->L == NULL) abort();
  *(void **)lua_getextraspace(vm->L) = NULL;
  /* A host that mostly waits: collect later than Lua's default, the memory limit stands all the same. */
  lua_gc(vm->L, LUA_GCINC, 400, 400, 0);
  luaL_openlibs(vm->L);
  luaerr_open(vm->L);
  secret_open(vm->L);
  task_open(vm->L);
  vm_open_search(vm->L);
  vm_watch_cpu(vm);
  return vm;
}

bool vm_free(Vm *vm, Err *err) {
  if (vm == NULL) return true;
  task_shutdown(vm);
  if (vm_watched == vm) {
    struct itimerval off = {0};
    setitimer(ITIMER_VIRTUAL, &off, NULL);
    vm_watched = NULL;
  }
  vm->limits.memory_bytes = 0;
  lua_close(vm->L);
  vm->L = NULL;
  task_free_rest(vm);
  /* What finalisers let go of closes in the loop; bounded: a foreign handle must not hold the exit. */
  int64_t end = (int64_t)(uv_hrtime() / 1000000) + 2000;
  while (op_alive() > 0 && (int64_t)(uv_hrtime() / 1000000) < end) {
    loop_turn(vm->loop, false);
    if (op_alive() > 0) uv_sleep(1);
  }
  int left = op_alive();
  slab_fini(&vm->slab);
  free(vm);
  if (left > 0) return err_set(err, ERR_INTERNAL, "%d operation%s still in flight at the end", left, left == 1 ? "" : "s");
  return true;
}

Vm *vm_of(lua_State *L) {
  void *ud;
  lua_getallocf(L, &ud);
  return ud;
}

lua_State *vm_main(Vm *vm) { return vm->L; }
Loop *vm_loop(Vm *vm) { return vm->loop; }
Redact *vm_redact(Vm *vm) { return vm->redact; }
void vm_set_user(Vm *vm, void *user) { vm->user = user; }
void *vm_user(Vm *vm) { return vm->user; }
void vm_add_modules(Vm *vm, const VmModule *modules) { vm->modules = modules; }
