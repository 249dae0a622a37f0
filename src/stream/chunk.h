/* chunk: a piece of a stream, counted. Its maker fills it; once it has been passed on nobody writes to it any more.
 *
 * Chunks of CHUNK_BYTES are recycled through a small list of the process. Everything here may be called on any thread. */
#ifndef PGSH_STREAM_CHUNK_H
#define PGSH_STREAM_CHUNK_H

#include <stddef.h>

#define CHUNK_BYTES ((size_t)1 << 20)

typedef struct Chunk {
  size_t len;  /* bytes in use */
  size_t size; /* room in data */
  /* private */
  int refs; /* atomic */
  struct Chunk *next;
  char data[];
} Chunk;

/* An empty one with room for at least size bytes (0: CHUNK_BYTES). The caller holds one reference. Never NULL. */
Chunk *chunk_new(size_t size);
Chunk *chunk_ref(Chunk *chunk);
void chunk_unref(Chunk *chunk); /* NULL is fine */
/* Give the recycled ones back to the system. */
void chunk_trim(void);

#endif
