/* end_text: memory as source and as sink, and the sink that keeps nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "stream/end.h"

/* ---- a text ---- */

typedef struct TextEnd {
  Stage stage;
  char *bytes;
  size_t len, at;
} TextEnd;

static void text_pull(Stage *stage) {
  TextEnd *end = (TextEnd *)stage;
  if (end->at == end->len) {
    stage_ended(stage);
    return;
  }
  Chunk *chunk = chunk_new(0);
  chunk->len = end->len - end->at < chunk->size ? end->len - end->at : chunk->size;
  memcpy(chunk->data, end->bytes + end->at, chunk->len);
  end->at += chunk->len;
  stage_filled(stage, chunk);
}

static void text_free(Stage *stage) {
  TextEnd *end = (TextEnd *)stage;
  if (end->bytes != NULL) explicit_bzero(end->bytes, end->len);
  free(end->bytes);
  free(end);
}

static const StageClass text_class = {.kind = "text", .pull = text_pull, .free = text_free};

Stage *end_text(const char *bytes, size_t len) {
  TextEnd *end = mem_alloc(sizeof *end);
  stage_init(&end->stage, &text_class, NULL);
  end->bytes = mem_realloc(NULL, len + 1);
  memcpy(end->bytes, bytes, len);
  end->len = len;
  end->stage.size = (int64_t)len;
  return &end->stage;
}

/* ---- what came ---- */

typedef struct CaptureEnd {
  Stage stage;
  Buf kept;
  size_t limit;
} CaptureEnd;

static void capture_put(Stage *stage, Chunk *chunk) {
  CaptureEnd *end = (CaptureEnd *)stage;
  bool fits = chunk->len <= end->limit - end->kept.len;
  if (fits) buf_add(&end->kept, chunk->data, chunk->len);
  chunk_unref(chunk);
  if (fits) {
    stage_taken(stage);
    return;
  }
  Err err = {0};
  err_set(&err, ERR_LIMIT, "more than %.3g MiB came; raise limit=, or write it to a file", (double)end->limit / 1048576.0);
  stage_failed(stage, &err);
}

static void capture_finish(Stage *stage) {
  CaptureEnd *end = (CaptureEnd *)stage;
  stage->found_len = end->kept.len;
  stage->found = buf_take(&end->kept);
  stage_finished(stage);
}

static void capture_free(Stage *stage) {
  CaptureEnd *end = (CaptureEnd *)stage;
  buf_fini(&end->kept);
  free(end);
}

static const StageClass capture_class = {.kind = "text", .put = capture_put, .finish = capture_finish, .free = capture_free};

Stage *end_capture(size_t limit) {
  CaptureEnd *end = mem_alloc(sizeof *end);
  stage_init(&end->stage, &capture_class, NULL);
  end->limit = limit;
  return &end->stage;
}

/* ---- nothing ---- */

static void discard_put(Stage *stage, Chunk *chunk) {
  chunk_unref(chunk);
  stage_taken(stage);
}

static void discard_finish(Stage *stage) { stage_finished(stage); }

static const StageClass discard_class = {.kind = "nothing", .put = discard_put, .finish = discard_finish};

Stage *end_discard(void) {
  Stage *stage = mem_alloc(sizeof *stage);
  stage_init(stage, &discard_class, NULL);
  return stage;
}
