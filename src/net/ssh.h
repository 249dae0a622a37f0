/* ssh: commands on another host, as a handle. No Lua.
 *
 *   Ssh *ssh = ssh_open(loop, &options);
 *   SshOp *op = ssh_exec(ssh, &spec, 0, NULL);      resolves and connects when needed, runs, settles
 *   … op_on_settled(&op->op, …) … op->result.out …; op_unref(&op->op);
 *   ssh_close(ssh);
 *
 * A handle has at most one session, made on first need and kept; many commands may run over it at once. Two transports do the
 * work, behind one interface: the library (libssh2: fast) and the user's own ssh (compatible: RSA keys with an old library,
 * certificates, FIDO keys, GSSAPI, ProxyCommand). Which one is found out by asking the library what it can, never by versions'
 * names; the choice is told once as a notice.
 *
 * What an Op means when it fails: `sent` is true once the command may have begun on the far side. ERR_SSH_CONNECT: there is no
 * session, nothing was begun (retried over a new session only then). ERR_SSH_HOST_KEY: the host's key is not the known one, or
 * none is known. ERR_PROCESS: the command ended otherwise than spec->accept says. ERR_UNKNOWN: the line was lost after the
 * command had begun and before its end was told. A cancel or deadline signals the far side's processes (TERM, then KILL) and
 * settles when their end is told, else `sent` stays true. */
#ifndef PGSH_NET_SSH_H
#define PGSH_NET_SSH_H

#include "loop/op.h"
#include "loop/proc.h"

typedef struct Ssh Ssh;

typedef enum SshTransport { SSH_AUTO, SSH_LIB, SSH_OPENSSH } SshTransport;

/* A passphrase in the making: the structure of whoever asks begins with this (run.h's AnswerOp has the same shape). */
typedef struct SshAnswerOp {
  Op op;
  char *answer; /* owned by the Op; NULL until it succeeded; wiped by whoever reads it */
} SshAnswerOp;

typedef struct SshOptions {
  const char *host;           /* as one types it: an alias of the configuration, user@host, ssh://user@host:port */
  const char *config;         /* another configuration file (-F), carried to each hop; NULL: the user's */
  SshTransport transport;     /* SSH_AUTO unless the user insists */
  int64_t connect_timeout_ms; /* 0: ConnectTimeout of the configuration, else SSH_CONNECT_TIMEOUT_MS */
  /* Ask for a key file's passphrase, once a key and process. NULL: nobody to ask. Returns an armed or settled Op; a reference. */
  SshAnswerOp *(*ask)(void *self, const char *question);
  void (*secret)(void *self, const char *text); /* told of what was answered; may be NULL */
  void (*notice)(void *self, const char *text); /* for the log; may be NULL */
  void *self;                                   /* outlives the handle */
} SshOptions;

#define SSH_CONNECT_TIMEOUT_MS 10000
#define SSH_KEEPALIVE_S 15
#define SSH_WINDOW_BYTES ((size_t)2 << 20)

/* Copies the options. Nothing is resolved or connected yet. */
Ssh *ssh_open(Loop *loop, const SshOptions *options);
/* Ends the session; commands that run fail (ERR_UNKNOWN when they had begun). NULL is fine. */
void ssh_close(Ssh *ssh);
/* How many commands run. */
int ssh_busy(const Ssh *ssh);
/* "user@db1.example:22 (lib)" once connected, else the host as given. Borrowed. */
const char *ssh_where(const Ssh *ssh);

/* ---- commands ---- */

typedef struct SshSpec {
  char *command; /* for the far side's /bin/sh; quoting is the caller's */
  bool simple;   /* it is `exec` and quoted words: any POSIX shell does the same with it */
  char *name;    /* how errors call it; NULL: the beginning of the command */
  char **env;    /* NULL-ended "NAME=value" to add, "NAME" to take away; goes over the channel, never into an argument */
  char *cwd;     /* NULL: where a login begins */
  /* Run it as this user, by sudo; NULL: as the one who logs in. The password, NULL: sudo asks for none, goes over the channel. */
  char *become, *become_password;
  Buf input; /* its standard input; without has_input it is at its end at once */
  bool has_input;
  size_t limit_bytes; /* of each output; 0: PROC_LIMIT_BYTES; see ProcSpec */
  bool tail;
  int *accept; /* as ProcSpec */
  ProcLine line;
  void *line_arg;
  bool read; /* it only reads: a lost line is then ERR_SSH_CONNECT, not an unknown outcome */
  /* Streams: the outputs and the input are moved by ssh_read and ssh_write, not kept (standard error is). `ready` is told from
   * the loop when there may be more to do. A command that ends well before it has read all of a stream is ERR_PROCESS. */
  bool stream_in, stream_out;
  void (*ready)(void *arg);
  void *ready_arg;
} SshSpec;

void ssh_spec_fini(SshSpec *spec);

typedef struct SshOp {
  Op op;
  ProcResult result; /* of one that has settled */
} SshOp;

/* Run a command: takes over spec's content, also when it fails. Armed or settled; the caller holds one reference. */
SshOp *ssh_exec(Ssh *ssh, SshSpec *spec, int64_t timeout_ms, const char *deadline_name);
/* Streams of a running command. Bytes moved; 0: not now (`ready` comes); -1: at its end (the Op settles, or has). */
ssize_t ssh_read(SshOp *op, char *into, size_t room);
ssize_t ssh_write(SshOp *op, const char *bytes, size_t len);
void ssh_write_end(SshOp *op); /* the end of its input */
/* Neither `ready` nor `line` comes any more. */
void ssh_quiet(SshOp *op);
/* Who is told `ready` from now on. */
void ssh_listen(SshOp *op, void (*ready)(void *arg), void *arg);

/* One word, quoted for a POSIX shell. */
void ssh_quote(Buf *line, const char *word);

#endif
