/* versions: what this pgsh is made of, as it runs: for whoever reports a fault. */
#ifndef PGSH_API_VERSIONS_H
#define PGSH_API_VERSIONS_H

#include "base/buf.h"

/* A line for each library: its name, its version. */
void versions_add(Buf *out);

#endif
