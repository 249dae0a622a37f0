/* ssh_config: what the user's own ssh would do for a host, as `ssh -G` says it. See ssh_config(5), TOKENS.
 *
 * Private parsers of the configuration get Match, Include and canonicalisation wrong; ssh itself does not. */
#ifndef PGSH_NET_SSH_CONFIG_H
#define PGSH_NET_SSH_CONFIG_H

#include <stdbool.h>

#include "loop/op.h"

typedef struct SshConfig {
  char *host;     /* as given */
  char *original; /* the name in it, without user and port: %n */
  char *hostname; /* resolved, canonical */
  char *user;
  int port;
  char *host_key_alias;  /* NULL: none */
  char **identity_files; /* expanded (~, ${ENV}, % tokens); NULL-ended; those are left out of which neither FILE nor FILE.pub
                            exists */
  bool identities_only;
  char *identity_agent;                          /* socket path (SSH_AUTH_SOCK's when not configured); NULL: no agent */
  char **user_known_hosts, **global_known_hosts; /* expanded; NULL-ended */
  char *strict_host_key_checking; /* "yes", "accept-new", "no", "ask": pgsh is strict whatever it says; for the notice */
  char **jumps; /* ProxyJump's list, first hop first; NULL-ended; each as ssh_config_start takes it. Only of the first hop the
                 * own ProxyJump counts */
  char *proxy_command;                                                             /* NULL: none */
  char *host_key_algorithms, *kex_algorithms, *ciphers, *macs, *pubkey_algorithms; /* comma lists as ssh printed them */
  int connect_timeout_s;                                                           /* 0: not configured */
  int keepalive_s;                                                                 /* ServerAliveInterval; 0: not configured */
  char *control_path;                                                              /* NULL: none */
  char *remote_command;                                                            /* NULL: none */
  bool gssapi;
  char **certificate_files; /* configured ones; NULL-ended */
  char *pkcs11_provider;    /* NULL: none */
  char **unsupported;       /* names of configured options that the library transport cannot honour (lower case); NULL-ended */
  /* private */
  char **all; /* every "keyword value" line, lower-cased keyword */
} SshConfig;

/* Parse what `ssh -G` printed. Keywords are compared without case; unknown ones are kept in all. False and err (ERR_SSH_CONNECT)
 * when what is needed is missing. `host` as given to ssh. */
bool ssh_config_parse(SshConfig *config, const char *host, const char *text, size_t len, Err *err);
void ssh_config_fini(SshConfig *config); /* idempotent */
/* May `host` be given to ssh? One word that begins with no dash and holds nothing that a shell would look at. ERR_USAGE. */
bool ssh_config_host_ok(const char *host, Err *err);
/* Append "-- host" to a command line of ssh, or "-l user -p port -- address" for an IPv6 address in a URI, which ssh itself does
 * not take. */
void ssh_config_argv(char ***argv, const char *host);
/* Run `ssh -G [-F file] -- host` (timeout, </dev/null, its standard error in the error's detail) and parse it. `host`: an alias,
 * user@host, ssh://user@host:port (with [brackets] around an IPv6 address). ERR_USAGE, ERR_SPAWN, ERR_SSH_CONNECT. The Op's
 * structure: */
typedef struct SshConfigOp {
  Op op;
  SshConfig config; /* when it succeeded; take it by copying the structure and zeroing this one */
} SshConfigOp;
SshConfigOp *ssh_config_start(Loop *loop, const char *host, const char *file, int64_t timeout_ms);
/* A value of any keyword, NULL when absent. Borrowed. */
const char *ssh_config_get(const SshConfig *config, const char *keyword);

#endif
