/* filter: the filters of a pipe. Each function makes a stage; the caller owns it until a pipe takes it over (stage_free). */
#ifndef PGSH_STREAM_FILTER_H
#define PGSH_STREAM_FILTER_H

#include "stream/stage.h"

/* gzip (RFC 1952) with libdeflate: one member for each MiB of input, compressed in parallel. level 1 to 12. The same input gives
 * the same bytes, however it was cut. No input: one empty member. NULL: never. (filter_gzip.c) */
Stage *filter_gzip(int level);
/* gzip with zlib as ONE member: blocks of 1 MiB, each primed with the 32 KiB before it and compressed in parallel (the
 * scheme of pigz). level 1 to 9. (filter_deflate.c) */
Stage *filter_gzip_single(int level);
/* The plain text of gzip data: all members, each one's CRC and length checked. Anything else behind a member (trailing zeros are
 * allowed, as gzip(1) does), damage or an end too early is refused, ERR_IO; so is empty input. (filter_gunzip.c) */
Stage *filter_gunzip(void);
/* Passes everything through; `found` is the digest in lower-case hexadecimal. `expect` (copied, may be NULL): another digest is
 * refused at the end, ERR_IO. NULL when there is no such digest. (filter_hash.c) */
Stage *filter_hash(const char *algorithm, const char *expect);
/* Every occurrence of `from` (not empty) becomes `to`, left to right, not overlapping, also across chunks. `count` is how many.
 * Bytes, not patterns. (filter_replace.c) */
Stage *filter_replace(const char *from, size_t from_len, const char *to, size_t to_len);
/* Pass everything through; `found` is the first or last `bytes` bytes. `match` (may be NULL): a text that must be in them, else
 * ERR_IO: the head as soon as it is complete, the tail at the end. (filter_watch.c) */
Stage *filter_head(size_t bytes, const char *match, size_t match_len);
Stage *filter_tail(size_t bytes, const char *match, size_t match_len);
/* Passes everything through and tells how it goes, twice a second and at the end. `size`: how many bytes are expected here; -1:
 * what the source knows, if nothing before the meter changes the number. (filter_meter.c) */
typedef struct MeterSeen {
  uint64_t bytes;
  int64_t total; /* -1: not known */
  int64_t ms;
  double rate;    /* bytes a second, of the last seconds */
  int64_t eta_ms; /* -1: not known */
  bool end;
} MeterSeen;
typedef void (*MeterTold)(void *arg, const Stage *stage, const MeterSeen *seen);
Stage *filter_meter(int64_t size, MeterTold told, void *arg);

#endif
