/* chunk: see chunk.h. */
#include "stream/chunk.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"

#define CHUNK_KEEP 16

/* A fresh MiB costs as many page faults as it has pages: what is given back is used again. */
static struct {
  pthread_mutex_t lock;
  Chunk *free;
  int count;
} recycled = {.lock = PTHREAD_MUTEX_INITIALIZER};

static Chunk *chunk_recycle(void) {
  pthread_mutex_lock(&recycled.lock);
  Chunk *chunk = recycled.free;
  if (chunk != NULL) {
    recycled.free = chunk->next;
    recycled.count--;
  }
  pthread_mutex_unlock(&recycled.lock);
  return chunk;
}

Chunk *chunk_new(size_t size) {
  if (size == 0) size = CHUNK_BYTES;
  Chunk *chunk = size == CHUNK_BYTES ? chunk_recycle() : NULL;
  if (chunk == NULL) chunk = mem_realloc(NULL, sizeof *chunk + size); /* not zeroed: it is about to be filled */
  chunk->len = 0;
  chunk->size = size;
  chunk->next = NULL;
  __atomic_store_n(&chunk->refs, 1, __ATOMIC_RELAXED);
  return chunk;
}

Chunk *chunk_ref(Chunk *chunk) {
  __atomic_add_fetch(&chunk->refs, 1, __ATOMIC_RELAXED);
  return chunk;
}

void chunk_unref(Chunk *chunk) {
  if (chunk == NULL || __atomic_sub_fetch(&chunk->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
  if (chunk->size == CHUNK_BYTES) {
    pthread_mutex_lock(&recycled.lock);
    if (recycled.count < CHUNK_KEEP) {
      chunk->next = recycled.free;
      recycled.free = chunk;
      recycled.count++;
      chunk = NULL;
    }
    pthread_mutex_unlock(&recycled.lock);
  }
  free(chunk);
}

void chunk_trim(void) {
  Chunk *chunk;
  while ((chunk = chunk_recycle()) != NULL)
    free(chunk);
}
