/* ssh_lines: what :follow is made of: the lines of a far command's output, one after the other, as they come. Nobody asks for
 * one: the far side waits (its window closes). */
#include <lauxlib.h>
#include <string.h>

#include "api/ssh.h"
#include "run/effect.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define LINES_READ_BYTES 65536
#define LINES_MOST_BYTES ((size_t)16 << 20) /* of one line */

typedef struct SshLines {
  SshOp *op; /* NULL: closed */
  struct LinesOp *waiting;
  Buf text;
  size_t at;
  bool ended;
} SshLines;

/* Settles when there may be something to read. */
typedef struct LinesOp {
  Op op;
  SshOp *command;
} LinesOp;

static void lines_op_destroy(Op *op) {
  LinesOp *self = (LinesOp *)op;
  if (self->command != NULL) {
    ssh_quiet(self->command);
    op_cancel(&self->command->op, ERR_CANCELLED);
    op_unref(&self->command->op);
  }
  free(self);
}

static const OpClass lines_op_class = {"ssh.follow", NULL, lines_op_destroy};

/* ---- waking ---- */

static void on_first(void *arg) {
  LinesOp *first = arg;
  op_succeed(&first->op);
}

static void on_ready(void *arg) {
  SshLines *lines = arg;
  if (lines->waiting != NULL) op_succeed(&lines->waiting->op);
}

static Op *lines_start(lua_State *L, int index) {
  const SshArgs *args = lua_touserdata(L, index);
  LinesOp *first = mem_alloc(sizeof *first);
  SshSpec spec = ssh_args_spec(args);
  const char *deadline = NULL;
  op_init(&first->op, vm_loop(vm_of(L)), &lines_op_class);
  int64_t left = await_time_left(L, args->sh.timeout_ms, &deadline);
  op_arm(&first->op, left, deadline);
  spec.stream_out = true;
  spec.tail = true; /* of what it says besides */
  spec.ready = on_first;
  spec.ready_arg = first;
  first->command = ssh_exec(args->handle->ssh, &spec, left, deadline);
  return &first->op;
}

/* ---- the iterator ---- */

static void lines_close(SshLines *lines) {
  SshOp *op = lines->op;
  lines->op = NULL;
  if (op != NULL) {
    ssh_quiet(op);
    op_cancel(&op->op, ERR_CANCELLED); /* it ends there, too */
    op_unref(&op->op);
  }
  if (lines->waiting != NULL) {
    op_succeed(&lines->waiting->op);
    op_unref(&lines->waiting->op);
    lines->waiting = NULL;
  }
  buf_fini(&lines->text);
}

static int l_lines_close(lua_State *L) {
  lines_close(luaL_checkudata(L, 1, SSH_LINES_NAME));
  return 0;
}

static int lines_push(lua_State *L, Op *op, int index) {
  LinesOp *first = (LinesOp *)op;
  (void)index;
  SshLines *lines = lua_newuserdatauv(L, sizeof *lines, 1);
  memset(lines, 0, sizeof *lines);
  luaL_setmetatable(L, SSH_LINES_NAME);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lines->op = first->command;
  first->command = NULL;
  ssh_listen(lines->op, on_ready, lines);
  return 1;
}

/* The next whole line, or at the end what is left. */
static bool lines_take(lua_State *L, SshLines *lines) {
  size_t left = lines->text.len - lines->at;
  const char *from = buf_str(&lines->text) + lines->at, *end = left > 0 ? memchr(from, '\n', left) : NULL;
  if (end == NULL && (!lines->ended || left == 0)) return false;
  size_t len = end != NULL ? (size_t)(end - from) : left;
  lua_pushlstring(L, from, len);
  lines->at += len + (end != NULL);
  return true;
}

static ssize_t lines_read(SshLines *lines) {
  if (lines->at > 0) buf_consume(&lines->text, lines->at);
  lines->at = 0;
  char *to = buf_reserve(&lines->text, LINES_READ_BYTES);
  ssize_t n = ssh_read(lines->op, to, LINES_READ_BYTES);
  if (n > 0) lines->text.len += (size_t)n;
  if (n < 0) lines->ended = true;
  return n;
}

static int lines_next(lua_State *L, SshLines *lines);

static int k_lines_next(lua_State *L, int status, lua_KContext ctx) {
  SshLines *lines = lua_touserdata(L, 1);
  (void)status;
  (void)ctx;
  Op *op = await_settled(L);
  if (lines->waiting != NULL) op_unref(&lines->waiting->op);
  lines->waiting = NULL;
  if (op->err.code != ERR_NONE) lines_close(lines);
  await_check(L, op);
  lua_settop(L, 1);
  return lines_next(L, lines);
}

static int k_lines_over(lua_State *L, int status, lua_KContext ctx) {
  SshLines *lines = lua_touserdata(L, 1);
  (void)status;
  (void)ctx;
  Op *op = await_settled(L);
  lines_close(lines);
  await_check(L, op);
  return 0;
}

static int lines_next(lua_State *L, SshLines *lines) {
  for (;;) {
    if (lines->op == NULL) return 0;
    if (lines_take(L, lines)) return 1;
    if (lines->text.len - lines->at > LINES_MOST_BYTES) {
      lines_close(lines);
      return luaerr_throw(L, ERR_LIMIT, "a line of more than %zu MiB", LINES_MOST_BYTES >> 20);
    }
    if (lines->ended && lines->text.len == lines->at) {
      await_begin(L, "ssh.follow");
      return await_op(L, op_ref(&lines->op->op), 0, k_lines_over);
    }
    ssize_t n = lines_read(lines);
    if (n != 0) continue;
    await_begin(L, "ssh.follow");
    LinesOp *wait = mem_alloc(sizeof *wait);
    op_init(&wait->op, vm_loop(vm_of(L)), &lines_op_class);
    const char *deadline = NULL;
    op_arm(&wait->op, await_time_left(L, 0, &deadline), deadline);
    op_ref(&wait->op);
    lines->waiting = wait;
    return await_op(L, &wait->op, 0, k_lines_next);
  }
}

static int l_lines_next(lua_State *L) {
  SshLines *lines = luaL_checkudata(L, 1, SSH_LINES_NAME);
  lua_settop(L, 1);
  return lines_next(L, lines);
}

/* core.lines(handle, command [, options]): an iterator that is closed by itself. */
int l_ssh_lines(lua_State *L) {
  static const char *const keys[] = {"input", "env", "cwd", "timeout", "ok", "what", "become", NULL};
  lua_settop(L, 3);
  SshHandle *handle = ssh_check(L, 1);
  int options = args_options(L, 3, keys);
  luaL_checkstack(L, 20, "ssh");
  SshArgs *args = ssh_args_new(L, handle);
  ssh_args_fill(L, args, options, true); /* the end of its standard error is kept */
  args->read = true;
  EffectSpec spec = {.kind = EFFECT_READ,
                     .target = handle->target,
                     .verb = "follow",
                     .show = buf_str(&args->sh.show),
                     .args = 4,
                     .options = options,
                     .unknown = args->sh.unknown,
                     .start = lines_start,
                     .push = lines_push};
  return effect_call(L, &spec);
}

void ssh_lines_open(lua_State *L) {
  static const luaL_Reg meta[] = {{"__call", l_lines_next}, {"__gc", l_lines_close}, {"__close", l_lines_close}, {NULL, NULL}};
  luaL_newmetatable(L, SSH_LINES_NAME);
  luaL_setfuncs(L, meta, 0);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
