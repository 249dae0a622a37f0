/* slab: see slab.h. */
#include "vm/slab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A process that needs little shall not take much. */
#define PIECE_BYTES ((size_t)64 << 10)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLAB_USED 0
#else
#define SLAB_USED 1
#endif

typedef struct Piece {
  struct Piece *next;
  void *unused; /* keeps what follows aligned as malloc would */
} Piece;

static size_t slab_class(size_t size) { return (size + SLAB_STEP - 1) / SLAB_STEP; }

static bool slab_has(size_t size) { return SLAB_USED && size <= SLAB_MAX; }

static bool slab_grow(Slab *slab) {
  size_t size = PIECE_BYTES;
  Piece *piece = malloc(size);
  if (piece == NULL) return false;
  piece->next = slab->pieces;
  slab->pieces = piece;
  slab->bytes += size;
  slab->at = (char *)(piece + 1);
  slab->end = (char *)piece + size;
  return true;
}

static void *slab_take(Slab *slab, size_t size) {
  size_t n = slab_class(size);
  void *block = slab->freed[n];
  if (block != NULL) {
    memcpy(&slab->freed[n], block, sizeof(void *));
    return block;
  }
  /* What is left of a piece is less than SLAB_MAX, and lost. */
  if ((size_t)(slab->end - slab->at) < n * SLAB_STEP && !slab_grow(slab)) return NULL;
  block = slab->at;
  slab->at += n * SLAB_STEP;
  return block;
}

static void slab_give(Slab *slab, void *block, size_t size) {
  size_t n = slab_class(size);
  memcpy(block, &slab->freed[n], sizeof(void *));
  slab->freed[n] = block;
}

static void slab_drop(Slab *slab, void *block, size_t size) {
  if (block == NULL) return;
  if (slab_has(size))
    slab_give(slab, block, size);
  else
    free(block);
}

void *slab_realloc(Slab *slab, void *old, size_t old_size, size_t new_size) {
  if (new_size == 0) {
    slab_drop(slab, old, old_size);
    return NULL;
  }
  if (old != NULL && !slab_has(old_size) && !slab_has(new_size)) return realloc(old, new_size);
  if (old != NULL && slab_has(old_size) && slab_has(new_size) && slab_class(old_size) == slab_class(new_size)) return old;
  void *block = slab_has(new_size) ? slab_take(slab, new_size) : malloc(new_size);
  /* Lua counts on it that making a block smaller does not fail. The old one serves as a smaller one too, for ever. */
  if (block == NULL) return new_size < old_size ? old : NULL;
  if (old != NULL) memcpy(block, old, old_size < new_size ? old_size : new_size);
  slab_drop(slab, old, old_size);
  return block;
}

void slab_fini(Slab *slab) {
  for (Piece *piece = slab->pieces, *next; piece != NULL; piece = next) {
    next = piece->next;
    free(piece);
  }
  memset(slab, 0, sizeof *slab);
}
