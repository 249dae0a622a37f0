/* head, tail and hash in a chain, cut anywhere: they change nothing and find what is there. */
#include "fuzz.h"
#include "stage_drive.h"
#include "stream/digest.h"
#include "stream/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 5) return 0;
  size_t bytes = data[0], match_len = data[1] % 8, most = 1u + data[2];
  const char *text = (const char *)data + 5, *match = text + data[3] % (size - 4);
  size_t len = size - 5, seen = len < bytes ? len : bytes;
  if (match_len > (size_t)(text + len - match)) match_len = (size_t)(text + len - match);
  char hex[DIGEST_HEX_SIZE];
  digest_bytes("sha256", text, len, hex, NULL);
  if (data[4] & 1) hex[data[3] % 64] = 'X';
  Drive tail = {.stage = filter_tail(bytes, NULL, 0)};
  Drive hash = {.stage = filter_hash("sha256", hex), .next = &tail};
  Drive head = {.stage = filter_head(bytes, match, match_len), .seed = data[4], .next = &hash};
  drive_bytes(&head, text, len, most);
  bool good = drive_end(&head);
  bool there = match_len == 0 || memmem(text, seen, match, match_len) != NULL;
  if (head.failed == there || good != (there && !(data[4] & 1))) abort();
  if (there && (head.found_len != seen || memcmp(head.found, text, seen) != 0)) abort();
  if (there && (tail.found_len != seen || memcmp(tail.found, text + len - seen, seen) != 0)) abort();
  if (there && (tail.out.len != len || memcmp(buf_str(&tail.out), text, len) != 0)) abort();
  drive_fini(&head);
  drive_fini(&hash);
  drive_fini(&tail);
  return 0;
}
