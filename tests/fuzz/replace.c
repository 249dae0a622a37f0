/* The replace filter against a naive one, cut anywhere. Few different letters, so that texts overlap themselves. */
#include "fuzz.h"
#include "stage_drive.h"
#include "stream/filter.h"

static Buf naive(const char *in, size_t len, const Buf *from, const Buf *to, uint64_t *count) {
  Buf out = {0};
  for (size_t at = 0; at < len;) {
    if (len - at >= from->len && memcmp(in + at, from->data, from->len) == 0) {
      buf_add(&out, buf_str(to), to->len);
      at += from->len;
      (*count)++;
    } else {
      buf_add(&out, in + at++, 1);
    }
  }
  return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 6) return 0;
  Buf text = {0}, from = {0}, to = {0};
  uint8_t mask = (uint8_t)(data[0] & 1 ? 1 : data[0] & 2 ? 3 : 255);
  for (size_t i = 6; i < size; i++)
    buf_add_char(&text, (char)(data[i] & mask));
  if (text.len == 0) buf_add_char(&text, 'x');
  size_t from_len = 1 + data[1] % (data[0] & 4 ? 4 : 64), from_at = data[2] % text.len; /* a piece of the text: it occurs */
  if (from_len > text.len - from_at) from_len = text.len - from_at;
  buf_add(&from, text.data + from_at, from_len);
  for (size_t i = 0; i < (size_t)data[3] % 16; i++)
    buf_add_char(&to, (char)(data[3] + i));
  /* Now and then so long that it does not fit one chunk, or the output of one call. */
  if (data[0] == 255 && data[5] == 255)
    for (size_t want = (size_t)data[4] << 14; to.len > 0 && to.len < want;) {
      buf_reserve(&to, to.len);
      buf_add(&to, to.data, to.len);
    }
  if (to.len > 1000 && text.len > 4) text.len = 4;
  uint64_t count = 0;
  Buf want = naive(text.data, text.len, &from, &to, &count);
  Drive drive = {.stage = filter_replace(from.data, from.len, buf_str(&to), to.len), .seed = data[4]};
  drive_bytes(&drive, text.data, text.len, 1u + data[5]);
  if (!drive_end(&drive)) abort();
  if (drive.count != count || drive.out.len != want.len) abort();
  if (want.len > 0 && memcmp(drive.out.data, want.data, want.len) != 0) abort();
  drive_fini(&drive);
  buf_fini(&want);
  buf_fini(&text);
  buf_fini(&from);
  buf_fini(&to);
  return 0;
}
