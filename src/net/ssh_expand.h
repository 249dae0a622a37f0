/* ssh_expand: what ssh writes for ~, ${NAME} and % tokens in a value of the configuration. See ssh_config(5), TOKENS. */
#ifndef PGSH_NET_SSH_EXPAND_H
#define PGSH_NET_SSH_EXPAND_H

#include "base/buf.h"
#include "net/ssh_config.h"

/* The tokens of CertificateFile, IdentityAgent, IdentityFile; those of ProxyCommand and ProxyJump. */
#define SSH_EXPAND_FILE "CdhijkLlnpru"
#define SSH_EXPAND_PROXY "hnpr"

/* Append `text` to `out`, with the tokens named in `tokens` and %% expanded; with `is_path` also a leading ~ or ~user and
 * ${NAME}, in the one pass that ssh makes: what comes out of a token is not looked at again. False and err (ERR_SSH_CONNECT), as
 * ssh itself would end: an unknown token, a variable that is not set, an unknown user. */
bool ssh_expand(const SshConfig *config, const char *text, const char *tokens, bool is_path, Buf *out, Err *err);

#endif
