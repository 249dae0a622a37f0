/* region: see region.h. */
#include "cli/region.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tty.h"

void region_fini(Region *region) {
  buf_fini(&region->text);
  free(region->widths);
  *region = (Region){0};
}

void region_end_line(Region *region, Line *line) {
  if (region->rows == region->room) {
    region->room = region->room * 2 + 8;
    region->widths = mem_realloc(region->widths, region->room * sizeof *region->widths);
  }
  region->widths[region->rows++] = line->width;
  line_end(line);
}

/* How many rows of the screen it takes: terminals wrap its lines anew when they become narrower. */
static size_t region_screen_rows(const Region *drawn) {
  size_t columns, rows, sum = 0;
  tty_size(STDERR_FILENO, &columns, &rows);
  for (size_t i = 0; i < drawn->rows; i++)
    sum += drawn->widths[i] > columns ? (drawn->widths[i] + columns - 1) / columns : 1;
  return sum < rows ? sum : rows;
}

void region_erase(Region *drawn, Buf *out) {
  if (drawn->rows == 0) return;
  size_t rows = region_screen_rows(drawn);
  buf_add_char(out, '\r');
  if (rows > 1) buf_printf(out, "\033[%zuA", rows - 1);
  buf_add_str(out, "\033[J");
  region_fini(drawn);
  tty_set_live_rows(0);
}

/* Everything is erased first: what a shorter line would leave behind it, though blank, is wrapped by a terminal that becomes
 * narrower, and then the rows cannot be counted. */
void region_draw(Region *drawn, Region *next, Buf *out) {
  region_erase(drawn, out);
  buf_add(out, buf_str(&next->text), next->text.len - 1); /* the last line is not ended */
  region_fini(drawn);
  *drawn = *next;
  *next = (Region){0};
  tty_set_live_rows(drawn->rows);
}

bool region_is_same(const Region *drawn, const Region *next) {
  return drawn->rows > 0 && next->text.len == drawn->text.len &&
         memcmp(buf_str(&next->text), buf_str(&drawn->text), next->text.len) == 0;
}
