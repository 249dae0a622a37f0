/* ssh_bcrypt: bcrypt_pbkdf, by which OpenSSH derives the key of an encrypted key file from its passphrase. OpenSSL has it not,
 * and libssh2 does not give it away. Slow on purpose (0.1 s and more): for the thread pool. */
#ifndef PGSH_NET_SSH_BCRYPT_H
#define PGSH_NET_SSH_BCRYPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Fill key. `stop` is looked at between rounds; NULL: never. False: stopped, or the arguments make no sense. Any thread. */
bool ssh_bcrypt_pbkdf(const char *passphrase, const void *salt, size_t salt_len, unsigned rounds, unsigned char *key,
                      size_t key_len, const atomic_bool *stop);

#endif
