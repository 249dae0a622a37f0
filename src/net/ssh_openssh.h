/* ssh_openssh: what the files of the compatible transport share.
 *
 *   ssh_openssh.c       the session: the user's own ssh as a master (ControlMaster), watched by a shell
 *   ssh_openssh_mux.c   a command: one more ssh that has the master open a channel (it costs no key exchange)
 *   ssh_openssh_argv.c  their command lines, and what the words of ssh mean */
#ifndef PGSH_NET_SSH_OPENSSH_H
#define PGSH_NET_SSH_OPENSSH_H

#include "net/ssh_internal.h"

/* sshd's own limit of channels a session (MaxSessions) is 10. One is kept for what is urgent. */
#define OPENSSH_CHANNELS 10

typedef struct OpensshMux OpensshMux;

struct SshSession {
  SshOpen how;
  char *dir;        /* a directory of our own: the master's socket, what ssh has to say */
  char *path;       /* the master's socket */
  bool is_users;    /* it is the user's own ControlPath: that master is not ours */
  Op *master;       /* the shell that watches the master, or only the directory; NULL: it has ended */
  int leash;        /* what that shell waits for to be closed; -1: closed */
  uv_timer_t timer; /* looks whether the master's socket is there; later: how long one that lost a command is in doubt */
  bool in_doubt;    /* whether the master is still of use: nothing is started */
  int64_t until_ms; /* connecting ends */
  Err why;          /* it has ended: told as down once the last command has been told */
  bool timer_closed, timed_out, is_busy, is_up, is_down, closing;
  OpensshMux *muxes; /* commands, running or waiting for a channel, as they came */
  int running, limit;
  int count; /* commands so far: names of files */
};

/* ---- ssh_openssh.c ---- */

/* The session is of no use any more: end the master, and tell. `why` is copied, for where no master of ours says something
 * better. */
void ssh_openssh_end_session(SshSession *session, const Err *why);
/* A command has gone. */
void ssh_openssh_idle(SshSession *session);

/* A command was lost: see whether the master ends, before it gets another one. */
void ssh_openssh_doubt(SshSession *session);

/* ---- ssh_openssh_mux.c ---- */

/* Start those for which there is a channel. */
void ssh_openssh_next(SshSession *session);
void ssh_openssh_exec(SshSession *session, SshCmd *cmd);
void ssh_openssh_kick(SshSession *session, SshCmd *cmd);
void ssh_openssh_drop(SshSession *session, SshCmd *cmd);
/* The master has ended: those that wait for a channel are lost, as session->why says; those that run will see it by themselves.
 */
void ssh_openssh_lose_waiting(SshSession *session);

/* ---- ssh_openssh_argv.c ---- */

/* The master, watched: begins with the shell's words. */
void ssh_openssh_master_argv(const SshSession *session, char ***argv);
/* A command over the master; what ssh itself has to say goes to the file `log`. */
void ssh_openssh_client_argv(const SshSession *session, const char *line, const char *log, char ***argv);
/* Why the master ended, from what it said: ERR_SSH_HOST_KEY or ERR_SSH_CONNECT. */
void ssh_openssh_explain(const SshSession *session, const char *said, Err *err);

/* Did ssh say nothing but that the far side hung up before it said who it is? */
bool ssh_openssh_is_busy(const char *said);

/* What became of a command whose ssh exited with 255, by what ssh wrote to its log. */
typedef enum OpensshEnd {
  OPENSSH_EXITED,  /* the far side told that status itself */
  OPENSSH_REFUSED, /* the far side opened no channel; nothing was begun */
  OPENSSH_NOTHING, /* the master was not there; nothing was begun */
  OPENSSH_LOST,    /* it may have begun */
} OpensshEnd;
OpensshEnd ssh_openssh_end(const char *log);

#endif
