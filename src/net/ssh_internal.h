/* ssh_internal: what the files of net/ssh share: a command in the making, and the two transports behind one interface.
 *
 *   ssh.c           the handle: resolves, chooses the transport, keeps the session, sends commands over it
 *   ssh_cmd.c       a command: its outputs, its input, its end, its stop; the same for both transports
 *   ssh_wrap.c      what is really run on the far side: the prelude that tells the process group
 *   ssh_session.c … the library transport          ssh_openssh.c   the compatible transport
 *
 * A transport moves bytes and nothing else. It never looks into an SshSpec: what it runs is cmd->line, what it writes to the far
 * standard input is what ssh_cmd_input gives, what it reads goes to ssh_cmd_output. Everything is told from the loop, never
 * from inside a call of the SshTransport's functions, except where it says "may call back at once". */
#ifndef PGSH_NET_SSH_INTERNAL_H
#define PGSH_NET_SSH_INTERNAL_H

#include "net/ssh.h"
#include "net/ssh_config.h"

/* ---- a command ---- */

typedef struct SshSession SshSession; /* each transport's own structure */

typedef enum SshCmdState {
  SSH_CMD_WAITING, /* there is no session yet */
  SSH_CMD_GIVEN,   /* a transport has it: between its exec and the end it tells, or drop */
  SSH_CMD_OVER,    /* the transport knows nothing of it any more */
} SshCmdState;

/* A buffer that is read from its front without moving memory. */
typedef struct SshFlow {
  Buf bytes;
  size_t at;
} SshFlow;

typedef struct SshCmd {
  SshOp pub; /* first: an SshOp is an SshCmd */
  Ssh *ssh;  /* NULL: closed */
  SshSpec spec;
  struct SshCmd *next; /* the handle's list */
  SshCmdState state;
  void *channel; /* the transport's; it sets it in exec and clears it before it tells the end, or in drop */
  char *line;    /* what to run: a text for the far side's login shell */
  /* private to ssh_cmd.c */
  char *word;            /* what only this command's prelude says: see ssh_wrap.c */
  SshFlow in, out;       /* out: of a stream */
  SshFlow early;         /* input that goes before `in`: a password that was asked for */
  bool in_ended;         /* nothing is added to `in` any more */
  bool in_held;          /* until the prelude has said hello: sudo reads a password first */
  int prompts;           /* how often a password was asked for */
  Buf head;              /* standard error until the prelude has said hello */
  bool said_hello;       /* it has begun */
  long far_pid;          /* of the far shell */
  bool far_group;        /* it leads a process group */
  Buf part[2];           /* unfinished lines */
  bool told_end;         /* by the transport: its end, or that it was lost */
  bool stopping;         /* the far group is to be ended, and is being ended */
  Err failure;           /* why we end it ourselves */
  bool urgent;           /* goes before those that wait for a channel */
  int tries;             /* how often it was given to a transport */
  struct SshCmd *killer; /* the command that ends the far group */
  bool impatient;        /* its first span is over */
  bool elsewhere;        /* a second one was sent over a connection of its own */
  Op *patience;          /* how long we wait for the end of one that was stopped */
  Deferred deferred;     /* what may not be done inside a transport's call: ready, stop */
  bool tell_ready, tell_kick;
} SshCmd;

/* ---- what a transport calls (ssh_cmd.c) ---- */

/* Just before the far side may begin it: from here on a lost line means an unknown outcome. */
void ssh_cmd_begins(SshCmd *cmd);
/* How many bytes of an output it can take now; at 0 the transport reads no more of that output (and so closes its window) until
 * kick. */
size_t ssh_cmd_room(const SshCmd *cmd, bool is_err);
/* Output: at most what ssh_cmd_room said. Never calls the transport. */
void ssh_cmd_output(SshCmd *cmd, bool is_err, const char *bytes, size_t len);
/* What is to be written to its standard input now: the count, 0: nothing (kick comes when there is). Borrowed until
 * ssh_cmd_input_used. */
size_t ssh_cmd_input(const SshCmd *cmd, const char **bytes);
void ssh_cmd_input_used(SshCmd *cmd, size_t len);
/* Was everything written that will ever be? Then the transport ends its standard input, once. */
bool ssh_cmd_input_ended(const SshCmd *cmd);
/* It has ended and all its output was given: exit status, or the number of the signal (0: none) that ended it. The transport has
 * forgotten it before it calls this. */
void ssh_cmd_ended(SshCmd *cmd, int exit_code, int signal);
/* The line was lost, or the far side did not accept the command (then nothing has begun when ssh_cmd_begins was not called).
 * Takes over err's content. Forgotten as above. */
void ssh_cmd_lost(SshCmd *cmd, Err *err);

/* ---- a transport ---- */

/* Why a session is not, or no longer, there. */
typedef enum SshDown {
  SSH_DOWN_FAILED, /* could not connect or log in; the error is ERR_SSH_CONNECT or ERR_SSH_HOST_KEY */
  SSH_DOWN_CANNOT, /* this transport cannot do what this host needs: the other one may. err says what it is */
  SSH_DOWN_BUSY,   /* the far side hung up before it said who it is, as sshd does above MaxStartups: it may take it later */
  SSH_DOWN_LOST,   /* it was up */
} SshDown;

typedef struct SshOpen {
  Loop *loop;
  const SshOptions *options; /* both outlive the session */
  const SshConfig *config;
  int64_t timeout_ms; /* of connecting and logging in, > 0 */
  /* Told once, from the loop: it is up, exec may be called. */
  void (*up)(void *arg, SshSession *session);
  /* Told once, from the loop, and then the session only waits for close. Its commands were told lost before. Takes over err's
   * content. */
  void (*down)(void *arg, SshSession *session, SshDown why, Err *err);
  /* Somebody is asked for a passphrase, which takes that long at most; NULL: nobody waits but for this session. */
  void (*more_time)(void *arg, int64_t ms);
  void *arg;
} SshOpen;

typedef struct SshTransportOps {
  const char *name; /* "lib", "openssh": ssh_where says it */
  /* Begin to connect and log in. Never NULL; nothing is told before it returns. */
  SshSession *(*open)(const SshOpen *how);
  /* End it: nothing is told of it any more, also not of its commands (the handle has dropped them before). What still has to
   * be waited for (a child, a half-closed handle) it keeps by itself; op_alive() and the loop's handles return to what they were.
   */
  void (*close)(SshSession *session);
  /* Run cmd->line. Any number at once; those that the far side does not take at once (MaxSessions) wait inside the transport.
   * May call back at once. */
  void (*exec)(SshSession *session, SshCmd *cmd);
  /* There is more input, its end, or more room for output. May call back at once. */
  void (*kick)(SshSession *session, SshCmd *cmd);
  /* Nobody wants it any more: close its channel without telling anything. The memory of cmd may go right after. */
  void (*drop)(SshSession *session, SshCmd *cmd);
} SshTransportOps;

extern const SshTransportOps ssh_transport_lib;     /* ssh_session.c */
extern const SshTransportOps ssh_transport_openssh; /* ssh_openssh.c */

/* ---- ssh_cmd.c, for ssh.c ---- */

/* Armed; two references: the caller's and the handle's list. */
SshCmd *ssh_cmd_new(Loop *loop, Ssh *ssh, SshSpec *spec, int64_t timeout_ms, const char *deadline_name);
/* Nothing was begun, and nothing will be. Takes over err's content. */
void ssh_cmd_fail(SshCmd *cmd, Err *err);
/* The handle is closed: what was begun is unknown. */
void ssh_cmd_abandon(SshCmd *cmd);

/* ---- ssh.c, for ssh_cmd.c ---- */

void ssh_forget(Ssh *ssh, SshCmd *cmd); /* it is over: takes it off the list and gives the list's reference back */
/* The login shell's name, as the prelude of a command has told it. */
void ssh_learn_shell(Ssh *ssh, const char *name, size_t len);
void ssh_kick(Ssh *ssh, SshCmd *cmd); /* the transport's kick, when it has it */
void ssh_drop(Ssh *ssh, SshCmd *cmd); /* the transport's drop, when it has it */
/* A command at once, over the session there is: NULL when there is none. A reference. Takes over spec's content. `elsewhere`:
 * over a second connection, since that one takes no more commands. */
SshCmd *ssh_urgent(Ssh *ssh, SshSpec *spec, int64_t timeout_ms, bool elsewhere);
/* The session went down before the command could have begun: send it over a new one? */
bool ssh_again(Ssh *ssh, SshCmd *cmd);

/* ---- ssh_key.c ---- */

/* Is it a key file that only a passphrase opens? */
bool ssh_key_is_encrypted(const char *path);

/* ---- ssh_wrap.c ---- */

/* Make cmd->word, and what its input begins with. */
void ssh_wrap_begin(SshCmd *cmd);
/* Compose cmd->line. `shell`: the login shell's name, as a prelude has told it, or "". */
void ssh_wrap_line(SshCmd *cmd, const char *shell);
/* The command that ends a far process group: TERM, two seconds, KILL. */
void ssh_wrap_kill(const SshCmd *cmd, Buf *command);

#endif
