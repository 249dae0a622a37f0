/* filter_hash: the digest of what passes. See filter.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "stream/digest.h"
#include "stream/filter.h"

#define HASH_SHOWN 16 /* digits of a digest in a message: enough to tell it from any other by eye */

typedef struct HashFilter {
  Stage stage;
  Digest *digest;
  char *algorithm;
  char *expect; /* NULL: anything */
  uint64_t bytes;
} HashFilter;

/* How many digits tell the two apart: all of them when they begin alike (a slip of the pen). */
static int hash_shown(const char *a, const char *b) { return strncasecmp(a, b, HASH_SHOWN) == 0 ? DIGEST_HEX_SIZE : HASH_SHOWN; }

static const char *hash_dots(const char *hex, int shown) { return strlen(hex) > (size_t)shown ? "…" : ""; }

static bool hash_check(const HashFilter *filter, StageJob *job) {
  const char *is = filter->stage.found, *want = filter->expect;
  if (want == NULL || strcasecmp(is, want) == 0) return true;
  int shown = hash_shown(is, want);
  return err_set(&job->err, ERR_IO, "the %s of these %llu bytes is %.*s%s, not %.*s%s as expected", filter->algorithm,
                 (unsigned long long)filter->bytes, shown, is, hash_dots(is, shown), shown, want, hash_dots(want, shown));
}

static bool hash_work(Stage *stage, StageJob *job) {
  HashFilter *filter = (HashFilter *)stage;
  if (job->in == NULL) {
    stage->found = mem_realloc(stage->found, DIGEST_HEX_SIZE);
    digest_final(filter->digest, stage->found);
    stage->found_len = strlen(stage->found);
    return hash_check(filter, job);
  }
  digest_update(filter->digest, job->in->data, job->in->len);
  filter->bytes += job->in->len;
  job->at = job->in->len;
  job->out[job->nout++] = chunk_ref(job->in);
  return true;
}

static void hash_free(Stage *stage) {
  HashFilter *filter = (HashFilter *)stage;
  digest_free(filter->digest);
  free(filter->algorithm);
  free(filter->expect);
  free(filter);
}

static const StageClass hash_class = {.kind = "hash", .work = hash_work, .passes = true, .free = hash_free};

Stage *filter_hash(const char *algorithm, const char *expect) {
  Digest *digest = digest_new(algorithm);
  if (digest == NULL) return NULL;
  HashFilter *filter = mem_alloc(sizeof *filter);
  filter->digest = digest;
  filter->algorithm = mem_strdup(algorithm);
  filter->expect = mem_strdup(expect);
  stage_init(&filter->stage, &hash_class, NULL);
  filter->stage.label = mem_strdup(algorithm);
  return &filter->stage;
}
