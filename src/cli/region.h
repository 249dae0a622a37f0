/* region: rows at the bottom of the terminal on standard error that are redrawn in place. */
#ifndef PGSH_CLI_REGION_H
#define PGSH_CLI_REGION_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/style.h"

/* Rows, composed or drawn; all zero: none. */
typedef struct Region {
  Buf text;       /* lines, each ended */
  size_t *widths; /* of each row, in columns */
  size_t rows, room;
} Region;

void region_fini(Region *region);
/* A line that was begun on region->text is whole: it is a row. */
void region_end_line(Region *region, Line *line);

/* Append to `out` what erases it from the screen, however the terminal has wrapped its rows since; it is empty afterwards. */
void region_erase(Region *drawn, Buf *out);
/* Append what shows `next` in place of what is drawn. It is taken: `drawn` is it afterwards, and `next` is empty. The cursor
 * stays in the last row. `next` has a row at least. */
void region_draw(Region *drawn, Region *next, Buf *out);
/* Are they the same for the eye? */
bool region_is_same(const Region *drawn, const Region *next);

#endif
