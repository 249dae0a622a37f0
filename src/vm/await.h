/* await: the one way a C primitive waits.
 *
 *   static int k_sleep(lua_State *L, int status, lua_KContext ctx) { Op *op = await_settled(L); await_check(L, op); return 0; }
 *   static int l_sleep(lua_State *L) { await_begin(L, "sleep"); Op *op = timer_start(…); return await_op(L, op, 0, k_sleep); }
 */
#ifndef PGSH_VM_AWAIT_H
#define PGSH_VM_AWAIT_H

#include "loop/op.h"
#include "vm/task.h"

/* Raise unless a primitive may wait here: in a task, yieldable, not cancelled. Call before anything is started. */
void await_begin(lua_State *L, const char *primitive);
/* Wait for `op` (takes over the caller's reference). Use as `return await_op(…)`. When it has settled, k is called with the
 * Op's box on top of the stack; below it the stack is as it was. It always goes through the loop, also when op has settled. */
int await_op(lua_State *L, Op *op, lua_KContext ctx, lua_KFunction k);
/* In k: the settled Op, whose box is on top of the stack (keep it there while the Op is used). */
Op *await_settled(lua_State *L);
/* In k: raise the Op's error when it has one. */
void await_check(lua_State *L, Op *op);
/* The time an operation may take: its own timeout_ms against the task's deadline. */
int64_t await_time_left(lua_State *L, int64_t timeout_ms, const char **deadline_name);

#endif
