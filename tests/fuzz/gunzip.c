/* The gunzip filter over any bytes, and over good ones that were damaged, in pieces of any size: it agrees with gzip.c, which has
 * them in one piece, about good and bad and what is in it. Only zeros behind the last member are a matter of the filter alone. */
#include "fuzz.h"
#include "stage_drive.h"
#include "stream/filter.h"
#include "stream/gzip.h"

/* Members of the bytes, damaged as `how` says. */
static void make_members(const uint8_t *data, size_t size, uint8_t how, uint8_t where, Buf *out) {
  size_t half = how & 8 ? size / 2 : size;
  gzip_compress(data, half, 1 + how % 3, NULL, out, NULL);
  if (half < size) gzip_compress(data + half, size - half, 6, NULL, out, NULL);
  size_t at = out->len * where / 256;
  switch (how >> 4) {
  case 1: out->len = at; break;
  case 2: out->data[at] = (char)(out->data[at] ^ (1 << how % 8)); break;
  case 3: buf_add(out, "\0\0\0\0\0\0\0\0", how % 8u); break;
  case 4: buf_add(out, data, size < where ? size : where); break;
  case 5: buf_add(out, "\0\0\0x", 4); break;
  case 6: out->data[out->len - 1 - where % 8] ^= 1; break;
  default: break;
  }
}

/* What gzip.c thinks of it; zeros are taken off the end until it is content. */
static bool whole(const Buf *packed, bool strip, Buf *out) {
  for (size_t len = packed->len;; len--) {
    buf_clear(out);
    if (gzip_decompress(packed->data, len, SIZE_MAX, NULL, out, NULL)) return true;
    if (!strip || len == 0 || packed->data[len - 1] != '\0') return false;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4) return 0;
  Buf packed = {0}, out = {0};
  if (data[0] & 1)
    buf_add(&packed, data + 4, size - 4);
  else
    make_members(data + 4, size - 4, data[1], data[2], &packed);
  Drive drive = {.stage = filter_gunzip(), .seed = (uint32_t)(data[2] << 8 | data[3])};
  drive_bytes(&drive, packed.data, packed.len, data[3] & 1 ? 1u + data[3] : 1u << 20);
  bool good = drive_end(&drive);
  if (whole(&packed, good, &out) != good) abort();
  if (good && (out.len != drive.out.len || (out.len > 0 && memcmp(out.data, drive.out.data, out.len) != 0))) abort();
  if (!good && drive.err.code != ERR_IO) abort();
  drive_fini(&drive);
  buf_fini(&packed);
  buf_fini(&out);
  return 0;
}
