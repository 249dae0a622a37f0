/* ssh_limits: which options of a configuration the library transport cannot honour. */
#ifndef PGSH_NET_SSH_LIMITS_H
#define PGSH_NET_SSH_LIMITS_H

#include "net/ssh_config.h"

/* Their keywords, in lower case, as a NULL-ended list that the caller frees with ssh_list_free. Looks at key files. */
void ssh_limits_find(const SshConfig *config, char ***names);
/* Free a NULL-ended list and its strings; NULL is fine. */
void ssh_list_free(char **list);

#endif
