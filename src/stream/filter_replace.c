/* filter_replace: a literal text becomes another one. See filter.h.
 *
 * An occurrence may begin in one chunk and end in the next. What may be the beginning of one at a chunk's end is held back; since
 * it equals the beginning of `from`, only its length is kept, and `from` serves for its bytes. At the next chunk's beginning the
 * automaton of Knuth, Morris and Pratt decides byte by byte what becomes of it; as soon as nothing is held, memmem does the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "stream/filter.h"

typedef struct ReplaceFilter {
  Stage stage;
  char *from, *to;
  size_t from_len, to_len;
  size_t *border;   /* [i]: the longest proper beginning of from[0..i] that is also its end */
  size_t held;      /* so many bytes at the beginning of `from` came last and are not passed on yet */
  const char *owed; /* what goes out before anything else: a part of `to` or `from` */
  size_t owed_len;
} ReplaceFilter;

/* Copy to the output as much as there is room for. */
static size_t replace_put(StageJob *job, const char *bytes, size_t len) {
  size_t done = 0;
  while (done < len) {
    Chunk *out = job->nout > 0 ? job->out[job->nout - 1] : NULL;
    if (out == NULL || out == job->in || out->len == out->size) {
      if (job->nout == STAGE_MAX_OUT) break;
      out = job->out[job->nout++] = chunk_new(0);
    }
    size_t part = len - done < out->size - out->len ? len - done : out->size - out->len;
    memcpy(out->data + out->len, bytes + done, part);
    out->len += part;
    done += part;
  }
  return done;
}

static bool replace_pay(ReplaceFilter *filter, StageJob *job) {
  size_t done = replace_put(job, filter->owed, filter->owed_len);
  filter->owed += done;
  filter->owed_len -= done;
  return filter->owed_len == 0;
}

static void replace_owe(ReplaceFilter *filter, const char *bytes, size_t len) {
  filter->owed = bytes;
  filter->owed_len = len;
}

static void replace_hit(ReplaceFilter *filter) {
  filter->held = 0;
  filter->stage.count++;
  replace_owe(filter, filter->to, filter->to_len);
}

/* How much of `from` is matched when `c` follows `held` bytes of it. */
static size_t replace_next(const ReplaceFilter *filter, size_t held, char c) {
  while (held > 0 && filter->from[held] != c)
    held = filter->border[held - 1];
  return filter->from[held] == c ? held + 1 : 0;
}

/* One byte behind what is held. The byte itself goes out with the chunk when nothing is held afterwards: it is not used then. */
static void replace_decide(ReplaceFilter *filter, StageJob *job) {
  size_t next = replace_next(filter, filter->held, job->in->data[job->at]);
  if (next == 0) {
    replace_owe(filter, filter->from, filter->held);
    filter->held = 0;
    return;
  }
  job->at++;
  if (next == filter->from_len)
    replace_hit(filter);
  else {
    replace_owe(filter, filter->from, filter->held + 1 - next);
    filter->held = next;
  }
}

/* Which beginning of `from` ends the chunk: it has no whole occurrence from `at` on. */
static size_t replace_ending(const ReplaceFilter *filter, const StageJob *job) {
  size_t len = job->in->len, at = job->at, held = 0;
  if (len - at >= filter->from_len) at = len - filter->from_len + 1;
  for (; at < len; at++)
    held = replace_next(filter, held, job->in->data[at]);
  return held;
}

/* Nothing is held or owed: search the rest of the chunk for one occurrence. False: the output is full. */
static bool replace_search(ReplaceFilter *filter, StageJob *job) {
  const char *rest = job->in->data + job->at;
  size_t left = job->in->len - job->at;
  const char *hit = memmem(rest, left, filter->from, filter->from_len);
  size_t ending = hit == NULL ? replace_ending(filter, job) : 0;
  if (hit == NULL && ending == 0 && job->at == 0 && job->nout < STAGE_MAX_OUT) {
    job->out[job->nout++] = chunk_ref(job->in);
    job->at = left;
    return true;
  }
  size_t plain = hit != NULL ? (size_t)(hit - rest) : left - ending;
  size_t done = replace_put(job, rest, plain);
  job->at += done;
  if (done < plain) return false;
  if (hit != NULL) {
    job->at += filter->from_len;
    replace_hit(filter);
  } else {
    job->at += ending;
    filter->held = ending;
  }
  return true;
}

/* No occurrence was completed: what is held was plain. */
static void replace_end(ReplaceFilter *filter, StageJob *job) {
  if (!replace_pay(filter, job)) return;
  replace_owe(filter, filter->from, filter->held);
  filter->held = 0;
  replace_pay(filter, job);
}

static bool replace_work(Stage *stage, StageJob *job) {
  ReplaceFilter *filter = (ReplaceFilter *)stage;
  if (job->in == NULL) replace_end(filter, job);
  while (job->in != NULL && replace_pay(filter, job) && job->at < job->in->len) {
    if (filter->held > 0)
      replace_decide(filter, job);
    else if (!replace_search(filter, job))
      break;
  }
  return true;
}

static void replace_free(Stage *stage) {
  ReplaceFilter *filter = (ReplaceFilter *)stage;
  free(filter->from);
  free(filter->to);
  free(filter->border);
  free(filter);
}

static const StageClass replace_class = {.kind = "replace", .work = replace_work, .free = replace_free};

static char *replace_copy(const char *bytes, size_t len) {
  char *copy = mem_alloc(len + 1);
  if (len > 0) memcpy(copy, bytes, len);
  return copy;
}

static void replace_learn(ReplaceFilter *filter) {
  filter->border = mem_alloc(filter->from_len * sizeof *filter->border);
  for (size_t i = 1; i < filter->from_len; i++)
    filter->border[i] = replace_next(filter, filter->border[i - 1], filter->from[i]);
}

Stage *filter_replace(const char *from, size_t from_len, const char *to, size_t to_len) {
  ReplaceFilter *filter = mem_alloc(sizeof *filter);
  filter->from = replace_copy(from, from_len);
  filter->to = replace_copy(to, to_len);
  filter->from_len = from_len;
  filter->to_len = to_len;
  filter->owed = filter->from;
  replace_learn(filter);
  stage_init(&filter->stage, &replace_class, NULL);
  return &filter->stage;
}
