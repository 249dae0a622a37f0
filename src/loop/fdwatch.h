/* fdwatch: wait for a file descriptor that a foreign library owns (libpq, libssh2). */
#ifndef PGSH_LOOP_FDWATCH_H
#define PGSH_LOOP_FDWATCH_H

#include "loop/loop.h"

typedef struct FdWatch FdWatch;
typedef void (*FdReady)(void *arg, int events); /* UV_READABLE | UV_WRITABLE; an error is both */

/* Begin to watch fd (not owned). Closed before the library closes fd. NULL when it cannot be polled. */
FdWatch *fdwatch_open(Loop *loop, int fd, FdReady ready, void *arg);
/* Which events are wanted from now on; 0: none. */
void fdwatch_set(FdWatch *watch, int events);
/* Stop; the callback does not come again. The memory goes with the loop's next turn. NULL is fine. */
void fdwatch_close(FdWatch *watch);

#endif
