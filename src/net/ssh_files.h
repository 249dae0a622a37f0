/* ssh_files: which files ssh's configuration is, and which `Host` patterns stand in them. See ssh_config(5).
 *
 * It does not say what is configured: only ssh itself does (ssh_config.h). It says whether ssh can tell two hosts apart: two
 * names that match the same of all patterns are the same to a configuration without Match and CanonicalizeHostname. Too many
 * patterns do no harm (more hosts differ), too few would: what is not understood makes all of it of no use. */
#ifndef PGSH_NET_SSH_FILES_H
#define PGSH_NET_SSH_FILES_H

#include <stdbool.h>

#include "base/buf.h"

typedef struct SshFiles SshFiles;

/* Read what `ssh -F file` reads; NULL: the user's and the system's, with all that they include. Never NULL. Reads regular files
 * only, so waits for nothing. */
SshFiles *ssh_files_read(const char *file);
void ssh_files_free(SshFiles *files);
/* Is there nothing in them but what is understood? */
bool ssh_files_plain(const SshFiles *files);
/* Are they still what was read? Looks at each file's status; at its content while it is so new that a change might not show. */
bool ssh_files_current(SshFiles *files);
/* Does `said`, from `ssh -v`, name these very files as read? */
bool ssh_files_are(const SshFiles *files, const char *said);
/* For each pattern, '1' when the name matches it, else '0'. */
void ssh_files_vector(const SshFiles *files, const char *name, Buf *vector);

#endif
