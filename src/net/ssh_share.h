/* ssh_share: hosts that a configuration cannot tell apart share what `ssh -G` says.
 *
 * `ssh -G` costs 5 ms of CPU, which is most of what a command on 200 hosts costs. Where the files hold no Match and no
 * CanonicalizeHostname (ssh_files.h), hosts whose names are of one length, match the same patterns and are written in the same
 * form (user, port) are a group. Two of them are really asked about. Their answers must differ only where each has its own name;
 * then the others' answers are the same with theirs. Of names of one length only one text can lead to both answers, so that it
 * is no guess. A third run tells which files ssh really reads. Whatever is otherwise: each host is asked about by itself. */
#ifndef PGSH_NET_SSH_SHARE_H
#define PGSH_NET_SSH_SHARE_H

#include <stdbool.h>

#include "base/buf.h"
#include "loop/loop.h"

typedef enum SshShareTurn {
  SSH_SHARE_RUN,   /* run ssh -G, then ssh_share_tell */
  SSH_SHARE_WAIT,  /* go_on comes: take another turn */
  SSH_SHARE_KNOWN, /* here is the answer */
} SshShareTurn;

/* One who wants to know; embedded in its owner. A zeroed one with `host`, `file`, `go_on` set (both borrowed) is fresh. */
typedef struct SshSharer {
  const char *host, *file;
  void (*go_on)(struct SshSharer *self); /* from the loop */
  /* private */
  struct SshSharer *next;
  struct ShareGroup *group;
  int slot; /* of the group's two that are really asked about, counted from 1; 0: none */
  bool placed, waiting;
} SshSharer;

/* What to do next. The answer is appended to `text`. */
SshShareTurn ssh_share_turn(SshSharer *self, Loop *loop, Buf *text);
/* What came of a run: the text; NULL: it failed, or with `stopped` was stopped. */
void ssh_share_tell(SshSharer *self, const Buf *text, bool stopped);
/* Does not want to know any more, or knows. Idempotent. */
void ssh_share_leave(SshSharer *self);

#endif
