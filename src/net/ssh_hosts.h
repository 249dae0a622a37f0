/* ssh_hosts: which keys a host is known by. Reads known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) itself, because
 * libssh2's own reader ignores @revoked, @cert-authority and wildcards. */
#ifndef PGSH_NET_SSH_HOSTS_H
#define PGSH_NET_SSH_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* What the files say of one key of a host. */
typedef enum SshHostState {
  SSH_HOST_OK,        /* this very key is known, and not revoked */
  SSH_HOST_CHANGED,   /* another key of the same type is known */
  SSH_HOST_OTHER,     /* only keys of other types are known */
  SSH_HOST_UNKNOWN,   /* nothing is known of the host */
  SSH_HOST_REVOKED,   /* a @revoked line holds this key */
  SSH_HOST_AUTHORITY, /* only a @cert-authority line matches: certificates are the compatible transport's */
} SshHostState;

typedef struct SshHosts SshHosts;

/* Read the files (NULL-ended; those that do not exist are skipped). Never NULL; err is set when one could not be read or is
 * larger than a sane file (then nothing in it counts). */
SshHosts *ssh_hosts_load(char *const *files, Err *err);
void ssh_hosts_free(SshHosts *hosts);
/* For tests: from a text. */
SshHosts *ssh_hosts_parse(const char *text, size_t len);

/* Look a key up. `name` is HostKeyAlias, else the host name in lower case, or "[name]:port" when port is not 22 (ssh_hosts_name).
 * `type` is the key's algorithm ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"), `blob` its wire form. */
SshHostState ssh_hosts_check(const SshHosts *hosts, const char *name, const char *type, const void *blob, size_t len);
/* The types known for a host, best first, as a comma list for the key exchange; "" when nothing is known: so that a server offers
 * the key that is known. "ssh-rsa" stands for rsa-sha2-512,rsa-sha2-256 too. */
void ssh_hosts_types(const SshHosts *hosts, const char *name, Buf *list);
/* The name under which a host is known. */
void ssh_hosts_name(const char *alias, const char *host, int port, Buf *name);
/* Does a name match a pattern (its first len bytes) with `*` and `?`, without regard to case? */
bool ssh_hosts_glob(const char *name, const char *pattern, size_t len);
/* "SHA256:…" as ssh-keygen -l prints it, of a key's wire form. */
void ssh_hosts_fingerprint(const void *blob, size_t len, Buf *text);
/* Where the known key of that type stands: "file:line", and its fingerprint; for the message about a changed key. False: there is
 * none. */
bool ssh_hosts_known(const SshHosts *hosts, const char *name, const char *type, Buf *where, Buf *fingerprint);

#endif
