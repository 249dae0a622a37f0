/* internal: what vm.c and task.c share. Not for other layers. */
#ifndef PGSH_VM_INTERNAL_H
#define PGSH_VM_INTERNAL_H

#include <signal.h>

#include "vm/slab.h"
#include "vm/task.h"
#include "vm/vm.h"

struct Vm {
  Loop *loop;
  Redact *redact;
  lua_State *L;
  VmLimits limits;
  size_t used_bytes;
  Slab slab;
  void *user;
  const VmModule *modules;
  Task *tasks; /* that have not ended: all are looked at when one of them ends */
  Task *ended; /* that are not freed */
  uint64_t spawned;
  /* Shared with signal handlers. */
  lua_State *volatile running; /* the coroutine that executes now */
  volatile sig_atomic_t slice; /* counts resumes: the CPU watchdog sees whether one lasts */
  volatile sig_atomic_t interrupts;
  volatile sig_atomic_t watch_slice;
  volatile sig_atomic_t watch_ticks;
  unsigned stops; /* how often the running task was told to stop since it was resumed */
  bool spared;    /* the running task was let go on, although there was an interrupt */
};

/* Put in front of a coroutine's life: its task pointer. */
void task_open(lua_State *L);
/* Was the task that L runs in detached? False in a coroutine of the user's own. */
bool task_is_aside(lua_State *L);
void task_shutdown(Vm *vm);
/* After the state is closed: those that C code never released. */
void task_free_rest(Vm *vm);

#endif
