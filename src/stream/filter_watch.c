/* filter_watch: head and tail of what passes, and whether they say what they should. See filter.h.
 *
 * A dump is whole when its last lines say so ("PostgreSQL database dump complete"); a restore can refuse before it has begun. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "stream/filter.h"

#define WATCH_SHOWN 60 /* bytes of a text in a message */

typedef struct WatchFilter {
  Stage stage;
  size_t bytes; /* how many are wanted */
  char *match;  /* NULL: anything */
  size_t match_len;
  Buf seen;
  bool done; /* head: it is complete and was checked */
} WatchFilter;

/* Show bytes on one line: what is not printable ASCII as \xNN. The end of the text when `tail`, else its beginning. */
static void watch_show(Buf *out, const char *bytes, size_t len, bool tail) {
  size_t shown = len < WATCH_SHOWN ? len : WATCH_SHOWN;
  const char *from = tail ? bytes + len - shown : bytes;
  if (tail && shown < len) buf_add_str(out, "…");
  buf_add_char(out, '"');
  for (size_t i = 0; i < shown; i++) {
    unsigned char c = (unsigned char)from[i];
    if (c >= ' ' && c < 127)
      buf_add_char(out, from[i]);
    else
      buf_printf(out, c == '\n' ? "\\n" : "\\x%02x", c);
  }
  buf_add_char(out, '"');
  if (!tail && shown < len) buf_add_str(out, "…");
}

static bool watch_check(const WatchFilter *filter, StageJob *job, bool tail) {
  const char *seen = buf_str(&filter->seen);
  size_t len = filter->seen.len;
  if (filter->match == NULL || memmem(seen, len, filter->match, filter->match_len) != NULL) return true;
  Buf text = {0};
  watch_show(&text, filter->match, filter->match_len, false);
  buf_printf(&text, " is not in the %s %zu bytes: they %s ", tail ? "last" : "first", len, tail ? "end with" : "begin with");
  watch_show(&text, seen, len, tail);
  err_set(&job->err, ERR_IO, "%s", len > 0 ? buf_str(&text) : "nothing came");
  buf_fini(&text);
  return false;
}

static void watch_keep(WatchFilter *filter) {
  filter->stage.found_len = filter->seen.len;
  free(filter->stage.found);
  filter->stage.found = buf_take(&filter->seen);
}

static void watch_pass(StageJob *job) {
  job->at = job->in->len;
  job->out[job->nout++] = chunk_ref(job->in);
}

static bool head_work(Stage *stage, StageJob *job) {
  WatchFilter *filter = (WatchFilter *)stage;
  if (job->in != NULL && !filter->done) {
    size_t want = filter->bytes - filter->seen.len;
    buf_add(&filter->seen, job->in->data, want < job->in->len ? want : job->in->len);
  }
  if (!filter->done && (job->in == NULL || filter->seen.len == filter->bytes)) {
    if (!watch_check(filter, job, false)) return false;
    watch_keep(filter);
    filter->done = true;
  }
  if (job->in != NULL) watch_pass(job);
  return true;
}

/* Twice as much as wanted is kept, so that dropping the rest is rare. */
static void tail_add(WatchFilter *filter, const char *bytes, size_t len) {
  if (len > filter->bytes) {
    bytes += len - filter->bytes;
    len = filter->bytes;
  }
  if (filter->seen.len + len > 2 * filter->bytes) buf_consume(&filter->seen, filter->seen.len + len - filter->bytes);
  buf_add(&filter->seen, bytes, len);
}

static bool tail_work(Stage *stage, StageJob *job) {
  WatchFilter *filter = (WatchFilter *)stage;
  if (job->in != NULL) {
    tail_add(filter, job->in->data, job->in->len);
    watch_pass(job);
    return true;
  }
  if (filter->seen.len > filter->bytes) buf_consume(&filter->seen, filter->seen.len - filter->bytes);
  if (!watch_check(filter, job, true)) return false;
  watch_keep(filter);
  return true;
}

static void watch_free(Stage *stage) {
  WatchFilter *filter = (WatchFilter *)stage;
  free(filter->match);
  buf_fini(&filter->seen);
  free(filter);
}

static const StageClass head_class = {.kind = "head", .work = head_work, .passes = true, .quick = true, .free = watch_free};
static const StageClass tail_class = {.kind = "tail", .work = tail_work, .passes = true, .quick = true, .free = watch_free};

static Stage *watch_new(const StageClass *cls, size_t bytes, const char *match, size_t match_len) {
  WatchFilter *filter = mem_alloc(sizeof *filter);
  filter->bytes = bytes;
  if (match != NULL && match_len > 0) {
    filter->match = mem_alloc(match_len);
    memcpy(filter->match, match, match_len);
    filter->match_len = match_len;
  }
  stage_init(&filter->stage, cls, NULL);
  return &filter->stage;
}

Stage *filter_head(size_t bytes, const char *match, size_t match_len) { return watch_new(&head_class, bytes, match, match_len); }

Stage *filter_tail(size_t bytes, const char *match, size_t match_len) { return watch_new(&tail_class, bytes, match, match_len); }
