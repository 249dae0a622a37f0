/* host, console: what the interactive shell is made of: lines, their completion, programs that have the terminal, the gate. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/host.h"
#include "api/psql.h"
#include "net/pg_danger.h"
#include "net/pg_guard.h"
#include "net/pg_secret.h"
#include "run/console.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define FILES_MOST 2000 /* a completion must be quick */

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

/* ---- SQL --------------------------------------------------------------------------------------------------------------------
 */

/* sql_guard(text): "read", "empty", "statement", "function", "many", "broken"; and the word or function that made it so. */
static int l_host_sql_guard(lua_State *L) {
  static const char *const verdicts[] = {"read", "empty", "statement", "function", "many", "broken"};
  size_t len;
  const char *sql = luaL_checklstring(L, 1, &len);
  char name[PG_GUARD_NAME];
  lua_pushstring(L, verdicts[pg_guard_read(sql, len, name)]);
  lua_pushstring(L, name);
  return 2;
}

/* sql_danger(text): why it may not be possible to take it back, or nil; is that sure; is it an UPDATE or DELETE. */
static int l_host_sql_danger(lua_State *L) {
  size_t len;
  const char *sql = luaL_checklstring(L, 1, &len);
  PgDanger danger;
  if (pg_danger(sql, len, &danger))
    lua_pushstring(L, danger.what);
  else
    lua_pushnil(L);
  lua_pushboolean(L, danger.told);
  lua_pushboolean(L, danger.rows);
  return 3;
}

/* sql_hide(text): the text without the passwords in it, which are known as secrets from now on; nil: it holds none. */
static int l_host_sql_hide(lua_State *L) {
  size_t len;
  const char *sql = luaL_checklstring(L, 1, &len);
  Buf clean = {0};
  if (pg_secret_hide(sql, len, vm_redact(vm_of(L)), &clean))
    lua_pushlstring(L, buf_str(&clean), clean.len);
  else
    lua_pushnil(L);
  buf_fini(&clean);
  return 1;
}

/* psql_twin(db): another connection to the same database, or nil while nobody knows where it is. */
static int l_host_psql_twin(lua_State *L) {
  psql_push_twin(L, 1);
  return 1;
}

/* psql_beside(db, dbname?, user?): another database of that server, or another user there; nil as above. */
static int l_host_psql_beside(lua_State *L) {
  psql_push_beside(L, 1, luaL_optstring(L, 2, NULL), luaL_optstring(L, 3, NULL));
  return 1;
}

/* psql_known(db): a table of what is known of its connection; empty before the first. Asks nobody. */
static int l_host_psql_known(lua_State *L) {
  psql_push_known(L, 1);
  return 1;
}

/* ---- the operator's own files: history, start-up file, saved procedures
 * -------------------------------------------------------- */

static bool file_write_all(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t done = write(fd, bytes, len);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    bytes += done;
    len -= (size_t)done;
  }
  return true;
}

/* Every directory above path that is not there yet, for its owner only. */
static void file_make_parents(const char *path) {
  char *copy = mem_strdup(path);
  for (char *p = copy + 1; *p != '\0'; p++) {
    if (*p != '/') continue;
    *p = '\0';
    mkdir(copy, 0700); /* what fails here fails to open, with a better message */
    *p = '/';
  }
  free(copy);
}

static int file_fail(lua_State *L, const char *path, int error) {
  lua_pushnil(L);
  if (error == EEXIST)
    lua_pushfstring(L, "%s exists: it is not overwritten", path);
  else
    lua_pushfstring(L, "%s: %s", path, error == ENOENT || error == ENOTDIR ? "there is no such directory" : strerror(error));
  return 2;
}

/* keep(path, text, how): "append" under a lock, or "replace", both with the directories above it; or "new": fails when it exists,
 * or its directory does not: the operator named it, perhaps not as he meant. Mode 0600. */
static int l_host_keep(lua_State *L) {
  static const char *const hows[] = {"append", "new", "replace", NULL};
  static const int flags[] = {O_APPEND | O_CREAT, O_CREAT | O_EXCL, O_CREAT | O_TRUNC};
  size_t len;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);
  int how = luaL_checkoption(L, 3, "append", hows);
  if (how != 1) file_make_parents(path);
  int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags[how], 0600);
  if (fd < 0) return file_fail(L, path, errno);
  bool kept = flock(fd, LOCK_EX) == 0 && file_write_all(fd, text, len);
  int error = errno;
  close(fd);
  if (!kept) return file_fail(L, path, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* tail(path, bytes): the end of a file, from the beginning of a line; nil when it cannot be read. */
static int l_host_tail(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  off_t most = (off_t)luaL_checkinteger(L, 2);
  struct stat info;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    if (fd >= 0) close(fd);
    return 0;
  }
  bool cut = info.st_size > most;
  size_t want = (size_t)(cut ? most : info.st_size);
  char *bytes = mem_alloc(want + 1);
  ssize_t got = pread(fd, bytes, want, cut ? info.st_size - most : 0);
  close(fd);
  const char *from = bytes, *newline = cut && got > 0 ? memchr(bytes, '\n', (size_t)got) : NULL;
  if (newline != NULL) from = newline + 1;
  lua_pushlstring(L, from, got > 0 ? (size_t)(bytes + got - from) : 0); /* out of memory leaks it: then so does everything */
  free(bytes);
  return 1;
}

static void files_add(lua_State *L, const char *dir, const struct dirent *entry) {
  bool folder = entry->d_type == DT_DIR;
  if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) return;
  if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
    struct stat info;
    const char *path = lua_pushfstring(L, "%s/%s", dir, entry->d_name);
    folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    lua_pop(L, 1);
  }
  lua_pushfstring(L, "%s%s", entry->d_name, folder ? "/" : "");
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* files(dir): the names in it, a slash behind those of directories; empty when it cannot be read. */
static int l_host_files(lua_State *L) {
  const char *dir = luaL_checkstring(L, 1);
  lua_newtable(L);
  DIR *opened = opendir(dir);
  if (opened == NULL) return 1;
  struct dirent *entry;
  for (int i = 0; i < FILES_MOST && (entry = readdir(opened)) != NULL; i++)
    files_add(L, dir, entry);
  closedir(opened);
  return 1;
}

void host_add_console(lua_State *L) {
  static const luaL_Reg functions[] = {{"line", l_host_line},
                                       {"set_prompt", l_host_set_prompt},
                                       {"remember", l_host_remember},
                                       {"key", l_host_key},
                                       {"frame", l_host_frame},
                                       {"completer", l_host_completer},
                                       {"terminal", l_host_terminal},
                                       {"program", l_host_program},
                                       {"foreground", l_host_foreground},
                                       {"gate", l_host_gate},
                                       {"passwords", l_host_passwords},
                                       {"sql_guard", l_host_sql_guard},
                                       {"sql_danger", l_host_sql_danger},
                                       {"sql_hide", l_host_sql_hide},
                                       {"psql_twin", l_host_psql_twin},
                                       {"psql_beside", l_host_psql_beside},
                                       {"psql_known", l_host_psql_known},
                                       {"files", l_host_files},
                                       {"keep", l_host_keep},
                                       {"tail", l_host_tail},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
