/* diff: see diff.h. Myers' greedy algorithm between the common beginning and the common end. */
#include "base/diff.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIFF_CONTEXT 3
#define DIFF_MAX_EDITS 1000

typedef struct Lines {
  const char **at; /* count + 1 entries: the last is the end */
  size_t count;
  bool *changed; /* removed (in a), added (in b) */
} Lines;

static Lines lines_of(const char *text, size_t len) {
  Lines lines = {0};
  const char *end = text + len;
  size_t count = 0;
  for (const char *p = text; p < end; count++) {
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    p = stop != NULL ? stop + 1 : end;
  }
  lines.at = mem_alloc((count + 1) * sizeof *lines.at);
  lines.changed = mem_alloc((count + 1) * sizeof *lines.changed);
  for (const char *p = text; p < end;) {
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    lines.at[lines.count++] = p;
    p = stop != NULL ? stop + 1 : end;
  }
  lines.at[lines.count] = end;
  return lines;
}

static void lines_fini(Lines *lines) {
  free(lines->at);
  free(lines->changed);
}

static size_t line_len(const Lines *lines, size_t i) { return (size_t)(lines->at[i + 1] - lines->at[i]); }

static bool same(const Lines *a, size_t i, const Lines *b, size_t k) {
  size_t len = line_len(a, i);
  return len == line_len(b, k) && memcmp(a->at[i], b->at[k], len) == 0;
}

/* ---- which lines ---- */

typedef struct Middle { /* what differs: lines from `head` on, n of a and m of b */
  const Lines *a, *b;
  size_t head;
  long n, m;
} Middle;

static long slide(const Middle *mid, long x, long y) {
  while (x < mid->n && y < mid->m && same(mid->a, mid->head + (size_t)x, mid->b, mid->head + (size_t)y)) {
    x++;
    y++;
  }
  return x;
}

/* Step d of the search on the furthest points `v` of the diagonals (v[0] is diagonal 0, negative ones before it). True: arrived.
 */
static bool search_step(const Middle *mid, long d, long *v) {
  for (long k = -d; k <= d; k += 2) {
    bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);
    long x = down ? v[k + 1] : v[k - 1] + 1;
    if (x > mid->n || x - k > mid->m) { /* off the field: no use going on */
      v[k] = x;
      continue;
    }
    v[k] = slide(mid, x, x - k);
    if (v[k] >= mid->n && v[k] - k >= mid->m) return true;
  }
  return false;
}

/* Walk back from the end over the saved steps, marking what was taken. */
static void mark_path(const Middle *mid, long *const *saved, long d) {
  long x = mid->n, y = mid->m;
  for (; d > 0; d--) {
    const long *v = saved[d - 1] + d; /* its diagonal 0: it has -d .. d */
    long k = x - y;
    bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);
    long from = down ? k + 1 : k - 1;
    long back_x = v[from], back_y = back_x - from;
    if (down)
      mid->b->changed[mid->head + (size_t)back_y] = true;
    else
      mid->a->changed[mid->head + (size_t)back_x] = true;
    x = back_x;
    y = back_y;
  }
}

static void mark_all(const Middle *mid) {
  for (long i = 0; i < mid->n; i++)
    mid->a->changed[mid->head + (size_t)i] = true;
  for (long i = 0; i < mid->m; i++)
    mid->b->changed[mid->head + (size_t)i] = true;
}

static void search(const Middle *mid) {
  long limit = mid->n + mid->m < DIFF_MAX_EDITS ? mid->n + mid->m : DIFF_MAX_EDITS, d = 0;
  long *field = mem_alloc((size_t)(2 * limit + 3) * sizeof *field), *v = field + limit + 1;
  long **saved = mem_alloc((size_t)(limit + 1) * sizeof *saved);
  v[1] = 0;
  bool found = false;
  for (; d <= limit; d++) {
    found = search_step(mid, d, v);
    if (found) break;
    size_t size = (size_t)(2 * d + 3) * sizeof *v; /* diagonals -(d+1) .. d+1, of which step d+1 looks back at -d .. d */
    saved[d] = mem_alloc(size);
    memcpy(saved[d] + 1, v - d, (size_t)(2 * d + 1) * sizeof *v);
  }
  if (found)
    mark_path(mid, saved, d);
  else
    mark_all(mid);
  for (long i = 0; i <= limit; i++)
    free(saved[i]);
  free(saved);
  free(field);
}

static void mark(const Lines *a, const Lines *b) {
  size_t head = 0, tail = 0, least = a->count < b->count ? a->count : b->count;
  while (head < least && same(a, head, b, head))
    head++;
  while (tail < least - head && same(a, a->count - 1 - tail, b, b->count - 1 - tail))
    tail++;
  Middle mid = {a, b, head, (long)(a->count - head - tail), (long)(b->count - head - tail)};
  if (mid.n == 0 || mid.m == 0)
    mark_all(&mid);
  else
    search(&mid);
}

/* ---- the text ---- */

static void add_line(Buf *out, char sign, const Lines *lines, size_t i) {
  size_t len = line_len(lines, i);
  buf_add_char(out, sign);
  buf_add(out, lines->at[i], len);
  if (lines->at[i][len - 1] != '\n') buf_add_str(out, "\n\\ No newline at end of file\n");
}

static void add_range(Buf *out, char sign, size_t first, size_t count) {
  buf_printf(out, "%c%zu", sign, count == 0 ? first : first + 1);
  if (count != 1) buf_printf(out, ",%zu", count);
}

static bool changed(const Lines *lines, size_t i) { return i < lines->count && lines->changed[i]; }

/* A run of changes and context from (i, k) on; ends where more than twice the context is equal. */
static void add_hunk(Buf *out, const Lines *a, const Lines *b, size_t *i, size_t *k) {
  size_t before = *i < DIFF_CONTEXT ? *i : DIFF_CONTEXT, equal = 0;
  size_t a_first = *i - before, b_first = *k - before, x = a_first, y = b_first;
  Buf body = {0};
  for (size_t n = 0; n < before; n++, x++, y++)
    add_line(&body, ' ', a, x);
  size_t kept = body.len, a_kept = x, b_kept = y;
  while (x < a->count || y < b->count) {
    if (changed(a, x)) {
      add_line(&body, '-', a, x++);
      equal = 0;
    } else if (changed(b, y)) {
      add_line(&body, '+', b, y++);
      equal = 0;
    } else if (++equal > 2 * DIFF_CONTEXT) {
      break;
    } else {
      add_line(&body, ' ', a, x++);
      y++;
    }
    if (equal <= DIFF_CONTEXT) {
      kept = body.len;
      a_kept = x;
      b_kept = y;
    }
  }
  buf_add_str(out, "@@ ");
  add_range(out, '-', a_first, a_kept - a_first);
  buf_add_char(out, ' ');
  add_range(out, '+', b_first, b_kept - b_first);
  buf_add_str(out, " @@\n");
  buf_add(out, buf_str(&body), kept);
  buf_fini(&body);
  *i = a_kept;
  *k = b_kept;
}

static void add_names(Buf *out, const char *path) {
  while (strncmp(path, "./", 2) == 0)
    path += 2;
  while (*path == '/')
    path++;
  const char *tab = strchr(path, ' ') != NULL ? "\t" : ""; /* where the name ends */
  buf_printf(out, "--- a/%s%s\n+++ b/%s%s\n", path, tab, path, tab);
}

void diff_unified(Buf *out, const char *path, const char *a, size_t a_len, const char *b, size_t b_len) {
  if (a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0)) return;
  Lines from = lines_of(a, a_len), to = lines_of(b, b_len);
  mark(&from, &to);
  add_names(out, path);
  for (size_t i = 0, k = 0; i < from.count || k < to.count;) {
    if (changed(&from, i) || changed(&to, k)) {
      add_hunk(out, &from, &to, &i, &k);
    } else {
      i++;
      k++;
    }
  }
  lines_fini(&from);
  lines_fini(&to);
}
