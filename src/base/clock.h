/* clock: the two clocks, and durations as people write them. */
#ifndef PGSH_BASE_CLOCK_H
#define PGSH_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ms(void); /* never goes back; for durations and deadlines */
int64_t clock_mono_ns(void);
int64_t clock_wall_ms(void); /* milliseconds since 1970-01-01 UTC */

#define CLOCK_ISO_SIZE 32
/* "2026-11-21T14:00:03.120Z" (RFC 3339, UTC, milliseconds). */
void clock_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE]);
/* Parse RFC 3339 ("2026-11-21T14:00:03Z", offset or Z needed, seconds and fraction optional, 'T' or a space). */
bool clock_parse_iso(const char *text, int64_t *wall_ms);
/* Parse "90", "90s", "5m", "1h30m", "250ms", "2d" into milliseconds; a bare number is seconds. False when it is not one. */
bool clock_parse_duration(const char *text, int64_t *ms);
#define CLOCK_SPAN_SIZE 24
/* "0.8 s", "41 s", "2:05", "1:02:05": short, for people. */
void clock_span(int64_t ms, char out[CLOCK_SPAN_SIZE]);

#endif
