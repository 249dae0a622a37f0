/* task: a coroutine run by the host. The only place that resumes Lua.
 *
 * A task's bottom frame is a C function that calls the user's function under lua_pcallk, so that closers may wait while an
 * error unwinds. A task ends its children with itself. Cancelling is sticky: every later wait of the task raises, except
 * inside a shield. */
#ifndef PGSH_VM_TASK_H
#define PGSH_VM_TASK_H

#include "loop/op.h"
#include "vm/vm.h"

typedef struct Task Task;

/* Start a task: pops the function and its `nargs` arguments from L. It first runs from the loop's queue, never at once.
 * `name` is copied. Child of the current task of L when there is one. The handle is borrowed: valid until task_release, which
 * the caller must call once (the task itself may end earlier or later). Inherits the parent's scope and deadline. */
Task *task_spawn(lua_State *L, int nargs, const char *name);
void task_release(Task *task);
bool task_done(const Task *task);
/* After task_done: push its results (returns the count) or fill err. */
bool task_results(Task *task, lua_State *L, int *nresults);
/* After task_done and failure: push the error object. */
void task_push_error(Task *task, lua_State *L);
/* An Op that succeeds when the task has ended (also when it failed: look with task_results). Caller holds one reference. */
Op *task_join(Task *task);
/* It is nobody's child any more: it ends by itself, by a cancel of its own, or with the process. */
void task_detach(Task *task);
/* Called once when it ends. */
void task_on_done(Task *task, void (*fn)(Task *task, void *arg), void *arg);

/* The task L runs in; NULL in a coroutine of the user's own or at load. */
Task *task_current(lua_State *L);
/* No other task of the process has or had it; not 0. */
uint64_t task_id(const Task *task);
const char *task_name(const Task *task);
/* Upper layer's context of a task: inherited by children. Borrowed. */
void *task_scope(const Task *task);
void task_set_scope(Task *task, void *scope);

/* Ask it and its children to stop; reason ERR_INTERRUPTED, ERR_CANCELLED or ERR_TIMEOUT. Idempotent; the first reason stays. */
void task_cancel(Task *task, ErrCode reason);
ErrCode task_cancelled(const Task *task); /* ERR_NONE when it was not */
void task_clear_cancel(Task *task);       /* the operator chose to go on */
/* Waits inside are not hit by a cancel (a further one still waits for its end). Nests. */
void task_shield(Task *task, bool on);

/* The task's own deadline (monotonic ms; 0: none) and what it is called; replaced, returns the former one. */
typedef struct TaskDeadline {
  int64_t at_ms;
  char name[48];
} TaskDeadline;
TaskDeadline task_deadline(const Task *task);
void task_set_deadline(Task *task, TaskDeadline deadline);
/* How many milliseconds an operation with its own timeout_ms (<= 0: none) may take in this task; 0: no limit. `name` is set to
 * the name of the deadline that is nearer, or NULL when it is the operation's own. */
int64_t task_time_left(const Task *task, int64_t timeout_ms, const char **name);

#endif
