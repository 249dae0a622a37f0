/* end_child: what a child process (end_proc.c) and a far command (end_ssh.c) have in common as the ends of a pipe: chunks are
 * gathered, nothing is taken for the end before the command has ended well, and a stop ends it first. */
#ifndef PGSH_STREAM_END_CHILD_H
#define PGSH_STREAM_END_CHILD_H

#include <sys/types.h>

#include "stream/end.h"

typedef struct EndChild EndChild;

/* How its bytes are moved. Nothing waits: end_child_ready is called when there is something to do again. */
typedef struct EndChildWay {
  ssize_t (*read)(EndChild *child, char *to, size_t size);          /* -1: at its end; 0: nothing now */
  ssize_t (*write)(EndChild *child, const char *bytes, size_t len); /* 0 or less: not now; or never, then its end says why */
  void (*write_end)(EndChild *child);
  const ProcResult *(*result)(const EndChild *child);
  /* The rest may be NULL. */
  bool (*is_good)(const EndChild *child,
                  Err *err);      /* it has ended well by its own word, and so has its output: believed? err may be NULL */
  void (*quiet)(EndChild *child); /* end_child_ready is not wanted until the next read or write */
  bool (*all_read)(const EndChild *child); /* it has ended: had it read all that it was given? */
  void (*stop)(EndChild *child);           /* it is about to be ended. Its input must not end before it has */
  void (*close)(EndChild *child);          /* it has ended */
} EndChildWay;

/* The first member of both ends' structures. */
struct EndChild {
  Stage stage;
  Loop *loop; /* set by open */
  const EndChildWay *way;
  EndLines lines;
  Op *op;       /* the command; NULL: not begun */
  Op *timer;    /* until a chunk that is not full is passed on */
  Chunk *chunk; /* being filled or written */
  size_t at;    /* sink: what of it is written */
  bool input;   /* a sink */
  bool wanted, at_end, finishing, stopping, over;
};

/* Of a zeroed structure. `name` as stage_init's. */
void end_child_init(EndChild *child, const StageClass *cls, const char *name, const EndChildWay *way, EndLines lines, bool input);
/* What it owns: the listener, its reference to the command. */
void end_child_fini(EndChild *child);
/* The command has begun. Takes over the reference. */
void end_child_begin(EndChild *child, Op *op);
void end_child_ready(EndChild *child);

/* ---- for the classes ---- */

void end_child_pull(Stage *stage);
void end_child_put(Stage *stage, Chunk *chunk);
void end_child_finish(Stage *stage);
void end_child_stop(Stage *stage, ErrCode reason);
void end_child_lines_over(Stage *stage);

#endif
