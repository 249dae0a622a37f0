/* slab: memory for Lua's objects, nearly all of which are small: by size, from large pieces, without a header for each.
 *
 * What was freed is kept for objects of the same size; it goes back to the system with the whole slab. Not for several threads.
 * With an address sanitizer everything comes from malloc, so that it sees each object. */
#ifndef PGSH_VM_SLAB_H
#define PGSH_VM_SLAB_H

#include <stddef.h>

#define SLAB_STEP ((size_t)8)
#define SLAB_MAX ((size_t)256) /* larger ones come from malloc */

typedef struct Slab {
  void *freed[SLAB_MAX / SLAB_STEP + 1]; /* lists, by size */
  char *at, *end;                        /* what is left of the newest piece */
  void *pieces;
  size_t bytes; /* of all pieces */
} Slab;

/* As realloc, with the size that the block has (0: none). new_size 0 frees. NULL: out of memory, the old block stays. */
void *slab_realloc(Slab *slab, void *old, size_t old_size, size_t new_size);
/* Everything at once, except what came from malloc. */
void slab_fini(Slab *slab);

#endif
