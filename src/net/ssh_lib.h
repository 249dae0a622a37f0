/* ssh_lib: what the files of the library transport (libssh2) share.
 *
 *   ssh_session.c  a session's life: dial or jump, handshake, host key, login, channels, keepalive, end
 *   ssh_dial.c     a TCP connection: names on the thread pool, one address after the other
 *   ssh_wire.c     the bytes between the library and its socket, or the channel of an outer session
 *   ssh_jump.c     a session inside another one's channel; ssh_hop.c: the outer one, shared
 *   ssh_auth.c     the login: agent, key files; ssh_agent.c: the agent's protocol; ssh_key.c: key files and passphrases
 *   ssh_channel.c  the commands of a session
 *
 * One discipline keeps the library's rules ("after EAGAIN repeat the same call before any other"): it never gets an EAGAIN for
 * writing, because our send callback takes everything; who writes much looks first how much waits. So EAGAIN always means
 * "nothing to read", and any call may follow. Only opening a channel waits inside the session itself: one at a time.
 *
 * Everything that calls the library runs from session_pump, and that only from the loop (a descriptor, a timer, the deferred
 * queue): what a command's owner calls only marks the session. */
#ifndef PGSH_NET_SSH_LIB_H
#define PGSH_NET_SSH_LIB_H

#include <libssh2.h>
#include <stdatomic.h>

#include "loop/fdwatch.h"
#include "net/ssh_internal.h"

#define SSH_WIRE_BYTES ((size_t)256 << 10) /* read at once, and the most that waits to be written before writers pause */

/* ---- ssh_dial.c ---- */

typedef struct SshDial SshDial;
/* Connect. Told once, from the loop, then the dial is gone: fd, or -1 and err (its content is the receiver's). */
SshDial *ssh_dial_start(Loop *loop, const char *host, int port, int64_t timeout_ms, void (*done)(void *arg, int fd, Err *err),
                        void *arg);
void ssh_dial_cancel(SshDial *dial); /* nothing is told */

/* ---- ssh_wire.c ---- */

typedef struct SshWire {
  int fd; /* -1: none; for a session inside another one only borrowed for the library's checks */
  FdWatch *watch;
  SshSession *outer; /* of a session inside another one's channel, which moves the bytes; NULL: a socket */
  SshFlow in, out;
  bool full;  /* the outer session waits until some of `in` was read */
  bool ended; /* no more comes in */
  bool dead;  /* we gave up: nothing goes out */
  int errnum;
  int64_t heard_ms; /* when something came last */
} SshWire;

/* Callbacks of the library; the session's abstract is the SshSession. */
void ssh_wire_attach(SshSession *session);
/* Take in what has come, once. True: something has. */
bool ssh_wire_fill(SshWire *wire);
/* Let out what waits. True: something went. */
bool ssh_wire_flush(SshWire *wire);
void ssh_wire_watch(SshWire *wire); /* ask the loop for what is needed */
size_t ssh_wire_waits(const SshWire *wire);
/* Of a session inside another one: so many bytes of `out` went, so many came behind `in`'s end. */
void ssh_wire_sent(SshWire *wire, size_t len);
void ssh_wire_came(SshWire *wire, size_t len);
void ssh_wire_fini(SshWire *wire);

/* ---- ssh_jump.c ---- */

typedef struct SshJump SshJump;
/* Connect through the last of the hops; tells session by ssh_session_joined. */
SshJump *ssh_jump_start(SshSession *session, char **hops);
void ssh_jump_free(SshJump *jump);   /* ends the outer session too, when nobody else goes through it */
void ssh_jump_opened(SshJump *jump); /* its channel is open */
void ssh_jump_forget(SshJump *jump); /* its channel is no more; NULL is fine */

/* ---- a session ---- */

typedef enum SshPhase { SSH_DIALING, SSH_HANDSHAKE, SSH_AUTH, SSH_UP, SSH_DOWN, SSH_CLOSED } SshPhase;

typedef struct SshChannel SshChannel;

struct SshSession {
  SshOpen how;
  Loop *loop;
  SshPhase phase;
  bool in_kex;          /* the library is in the middle of the first key exchange */
  LIBSSH2_SESSION *lib; /* NULL: not yet, no more */
  SshWire wire;
  SshDial *dial;
  struct SshJump *jump; /* NULL: a direct connection */
  struct SshAuth *auth;
  Op *deadline; /* of connecting; then the keepalive's tick */
  SshChannel *channels;
  SshChannel *opening; /* the one that is being opened */
  int64_t opening_ms;  /* since when */
  int open, most;      /* channels; most: what the far side takes, 0: not known */
  Deferred deferred;   /* pump soon */
  bool pump_soon, down_soon, up_soon;
  SshDown why;
  Err err;
  int hops; /* how many sessions there are inside this one */
  FdReady on_event;
  int refs;
};

/* Look after the session soon. */
void ssh_session_pump_soon(SshSession *session);
/* It cannot go on. Takes over err's content. Only from the pump or a callback of the loop. */
void ssh_session_fail(SshSession *session, SshDown why, Err *err);
/* As the transport's open; so many hops come after it. */
SshSession *ssh_session_open_hop(const SshOpen *how, int hops);
/* The known hosts of its configuration, owned by the caller; err is set when a file could not be read. */
struct SshHosts *ssh_session_hosts(const SshSession *session, Err *err);
/* Somebody is asked for a passphrase: that much more time. */
void ssh_session_more_time(SshSession *session, int64_t ms);
/* There is a connection: a socket (owned from now on), or an outer session's channel. */
void ssh_session_joined(SshSession *session, int fd, SshSession *outer);
/* The library's last error as a text. Borrowed until its next call. */
const char *ssh_session_reason(SshSession *session, int *code);

/* ---- ssh_auth.c ---- */

typedef struct SshAuth SshAuth;
SshAuth *ssh_auth_new(SshSession *session);
/* One more step. 1: logged in; 0: it waits (it marks the session when there is more); -1: no more keys, err says what was tried.
 */
int ssh_auth_step(SshAuth *auth, Err *err);
void ssh_auth_free(SshAuth *auth);

/* ---- ssh_agent.c ---- */

typedef struct SshAgent SshAgent;
/* Connect to the agent's socket. NULL: there is none. `ready` is told from the loop when an answer is there. */
SshAgent *ssh_agent_open(Loop *loop, const char *path, void (*ready)(void *arg), void *arg);
void ssh_agent_close(SshAgent *agent);
/* Ask; one question at a time. */
void ssh_agent_ask_keys(SshAgent *agent);
void ssh_agent_ask_sign(SshAgent *agent, const void *blob, size_t blob_len, const void *data, size_t len);
/* 0: not yet; -1: the agent failed; 1: *answer is its message, borrowed until the next question. */
int ssh_agent_answer(SshAgent *agent, const unsigned char **answer, size_t *len);

/* ---- ssh_key.c ---- */

typedef struct SshKeyFile {
  char *path;
  unsigned char *blob; /* the public key's wire form; NULL: not known without the passphrase */
  size_t blob_len;
  bool has_pub; /* path.pub is there */
  bool has_private;
  bool plain; /* OpenSSH's format, not encrypted: ssh_sign can */
  bool encrypted;
  bool openable; /* encrypted, and ssh_key_open and ssh_sign can: not an older format, not RSA */
} SshKeyFile;
bool ssh_key_read(SshKeyFile *key, const char *path); /* false: it is no key */
void ssh_key_fini(SshKeyFile *key);
/* The signature of data by a key file that is plain; without the algorithm's name in front. False: it is broken. */
bool ssh_key_sign(const SshKeyFile *key, const void *data, size_t len, Buf *signature);
typedef enum SshKeyOpened { SSH_KEY_OPENED, SSH_KEY_WRONG, SSH_KEY_BROKEN } SshKeyOpened;
/* The private part of an openable one, which the caller wipes. Slow on purpose: for the thread pool; `stop` is looked at. */
SshKeyOpened ssh_key_open(const char *path, const char *passphrase, const atomic_bool *stop, Buf *private_part);
/* ssh_sign.c: can it sign with keys of that type? */
bool ssh_sign_knows(const char *type);
/* By the private part of such a file. */
bool ssh_sign(const unsigned char *private_part, size_t private_len, const void *data, size_t len, Buf *signature);
/* The type in a wire form: "ssh-ed25519". False: it is none. */
bool ssh_key_type(const unsigned char *blob, size_t len, char type[64]);
/* A string of a wire form: moves *at on. False: it is cut short. */
bool ssh_wire_string(const unsigned char **at, size_t *left, const unsigned char **text, size_t *len);

/* ---- ssh_passphrase.c: asked for once a file and process, also when many sessions want it; a key is opened once ---- */

/* 1: *text is it, borrowed; 0: somebody is asked, `ready` is told from the loop; -1: there is nobody to ask, or no answer. */
int ssh_passphrase_get(const SshOptions *options, const char *path, const char **text, void (*ready)(void *arg), void *arg);
void ssh_passphrase_wrong(const char *path); /* forget it */
/* The private part of an openable key, opened on the thread pool. 1: ssh_passphrase_key has it; 0: as above; -1: as above; -2:
 * the passphrase is wrong (and forgotten). */
int ssh_passphrase_open(const SshOptions *options, Loop *loop, const SshKeyFile *file, void (*ready)(void *arg), void *arg);
const Buf *ssh_passphrase_key(const char *path); /* NULL: it is not open. Borrowed until the loop's next turn */
void ssh_passphrase_leave(const void *arg);      /* `ready` with this arg does not come */

/* ---- ssh_channel.c ---- */

/* Move what can be moved, on every channel. False: the session cannot go on; err says why. */
bool ssh_channels_step(SshSession *session, bool *progress, Err *err);
/* The session is lost: tell all. */
void ssh_channels_lost(SshSession *session, const Err *err);
void ssh_channels_free(SshSession *session);
void ssh_channel_exec(SshSession *session, SshCmd *cmd);
void ssh_channel_kick(SshSession *session, SshCmd *cmd);
void ssh_channel_drop(SshSession *session, SshCmd *cmd);
/* A forwarded connection for a session inside this one: it is a channel like the commands'. */
SshChannel *ssh_channel_forward(SshSession *session, SshSession *inner, const char *host, int port);
void ssh_channel_unforward(SshSession *session, SshChannel *channel);
bool ssh_channel_queued(const SshChannel *channel); /* it is not being opened yet */
/* Is a channel being opened since so long? No other one can be meanwhile. */
bool ssh_channels_stuck(const SshSession *session, int64_t ms);

#endif
