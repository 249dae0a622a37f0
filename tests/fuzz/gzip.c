/* Both compressing filters over any bytes, cut anywhere: gunzip gives the bytes back, also gzip.c's, and the compressed bytes do not
 * depend on the cuts. The input is blown up: blocks and members are larger than what the fuzzer makes. */
#include "fuzz.h"
#include "stage_drive.h"
#include "stream/filter.h"
#include "stream/gzip.h"

static Buf blow_up(const uint8_t *data, size_t size, size_t want) {
  Buf plain = {0};
  uint32_t noise = 1;
  while (size > 0 && plain.len < want) {
    size_t part = plain.len > size ? plain.len / 2 : size; /* what is there again: it grows fast */
    buf_reserve(&plain, part);
    buf_add(&plain, part > size ? plain.data : (const char *)data, part);
    noise = noise * 1664525u + 1013904223u;
    buf_add(&plain, &noise, noise >> 30); /* so that it does not compress to nothing */
  }
  if (plain.len > want) plain.len = want;
  return plain;
}

static Stage *compressor(bool single, int level) { return single ? filter_gzip_single(level) : filter_gzip(level); }

static Buf squeeze(Stage *stage, const Buf *plain, uint32_t seed, size_t most) {
  Drive drive = {.stage = stage, .seed = seed};
  drive_bytes(&drive, plain->data, plain->len, most);
  if (!drive_end(&drive)) abort();
  Buf out = drive.out;
  drive.out = (Buf){0};
  drive_fini(&drive);
  return out;
}

static void check_back(const Buf *packed, const Buf *plain, uint32_t seed, size_t most) {
  Drive drive = {.stage = filter_gunzip(), .seed = seed};
  drive_bytes(&drive, packed->data, packed->len, most);
  if (!drive_end(&drive)) abort();
  if (drive.out.len != plain->len || (plain->len > 0 && memcmp(drive.out.data, plain->data, plain->len) != 0)) abort();
  drive_fini(&drive);
}

static void check_whole(const Buf *packed, const Buf *plain) {
  Buf out = {0};
  if (!gzip_decompress(packed->data, packed->len, SIZE_MAX, NULL, &out, NULL)) abort();
  if (out.len != plain->len) abort();
  buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4) return 0;
  bool single = data[0] & 1;
  int level = 1 + (data[0] >> 1) % 9;
  size_t want = data[0] > 240 ? ((size_t)data[1] << 13) + data[2] : size; /* now and then several blocks */
  uint32_t seed = (uint32_t)(data[1] << 8 | data[2]);
  size_t most = data[3] & 1 ? (size_t)1 << 20 : 1 + (want >> 6) + (want >> 6) * (data[3] >> 1);
  Buf plain = blow_up(data + 4, size - 4, want);
  Buf one = squeeze(compressor(single, level), &plain, seed, most);
  Buf two = squeeze(compressor(single, level), &plain, seed * 7 + 1, (size_t)1 << 19);
  if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0) abort();
  check_back(&one, &plain, seed, 1 + one.len / 8);
  check_whole(&one, &plain);
  buf_fini(&plain);
  buf_fini(&one);
  buf_fini(&two);
  return 0;
}
