/* timer: sleeping, as an Op. */
#ifndef PGSH_LOOP_TIMER_H
#define PGSH_LOOP_TIMER_H

#include "loop/op.h"

/* An Op that succeeds after delay_ms (0: in the next turn). Caller holds one reference. timeout_ms <= 0: none. */
Op *timer_start(Loop *loop, int64_t delay_ms, int64_t timeout_ms, const char *deadline_name);

#endif
