/* ssh_hop: the session to a host through which others are reached, shared by all that go through it with the same settings.
 *
 * The library opens one channel of a session at a time. While the far side tries to reach a host that does not answer, that
 * session is stuck: those that wait behind it go over another one. */
#ifndef PGSH_NET_SSH_HOP_H
#define PGSH_NET_SSH_HOP_H

#include "net/ssh_lib.h"

typedef struct SshHop SshHop;

/* One who goes through a hop; embedded in its owner. All is told from the loop. */
typedef struct SshHopUser {
  void (*up)(struct SshHopUser *user, SshSession *session);           /* once; also when it was up already */
  void (*down)(struct SshHopUser *user, SshDown why, const Err *err); /* once; then the user only leaves */
  void (*more_time)(struct SshHopUser *user, int64_t ms);             /* somebody is asked for a passphrase */
  bool waiting;                                                       /* for its channel: the owner says so */
  /* private */
  struct SshHopUser *next;
  SshHop *hop;
  bool told;
} SshHopUser;

/* Take a session with the settings of how->config, else make one; hops: as ssh_session_open_hop. Takes over config (zeroed). */
void ssh_hop_join(SshHopUser *user, const SshOpen *how, SshConfig *config, int hops);
/* Is the session stuck with somebody else's channel, so that another one would be better? */
bool ssh_hop_stuck(const SshHopUser *user);
/* Go over to another session, of the same settings. */
void ssh_hop_change(SshHopUser *user);
/* The last that leaves ends the session. Idempotent. */
void ssh_hop_leave(SshHopUser *user);

#endif
