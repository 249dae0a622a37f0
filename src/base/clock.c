/* clock: see clock.h. */
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t clock_mono_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_mono_ms(void) { return clock_mono_ns() / 1000000; }

int64_t clock_wall_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void clock_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE]) {
  time_t seconds = (time_t)(wall_ms / 1000);
  struct tm tm;
  char date[24];
  gmtime_r(&seconds, &tm);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
  snprintf(out, CLOCK_ISO_SIZE, "%s.%03dZ", date, (int)(wall_ms % 1000));
}

/* Days since 1970-01-01 of a proleptic Gregorian date (timegm is not in POSIX). */
static int64_t clock_days(int year, int month, int day) {
  int y = month <= 2 ? year - 1 : year;
  int era = (y >= 0 ? y : y - 399) / 400;
  int yoe = y - era * 400;
  int doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return (int64_t)era * 146097 + doe - 719468;
}

static const int clock_month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

/* Fraction and zone behind the minutes; advances *p. */
static bool clock_parse_zone(const char **p, int *offset_minutes) {
  int hours, minutes, used = 0;
  if (**p == 'Z' || **p == 'z') {
    (*p)++;
    *offset_minutes = 0;
    return true;
  }
  if (**p != '+' && **p != '-') return false;
  int sign = **p == '-' ? -1 : 1;
  if (sscanf(*p + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || hours > 23 || minutes > 59) return false;
  *p += 1 + used;
  *offset_minutes = sign * (hours * 60 + minutes);
  return true;
}

bool clock_parse_iso(const char *text, int64_t *wall_ms) {
  int year, month, day, hour, minute, second = 0, used = 0, offset = 0;
  int64_t fraction = 0;
  char separator;
  if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d%n", &year, &month, &day, &separator, &hour, &minute, &used) != 6) return false;
  if (separator != 'T' && separator != 't' && separator != ' ') return false;
  const char *p = text + used;
  if (*p == ':') {
    if (sscanf(p, ":%2d%n", &second, &used) != 1) return false;
    p += used;
    if (*p == '.') {
      int64_t scale = 100;
      for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
        fraction += (*p - '0') * scale;
    }
  }
  if (!clock_parse_zone(&p, &offset) || *p != '\0') return false;
  if (month < 1 || month > 12 || day < 1 || day > clock_month_days[month - 1]) return false;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return false;
  int64_t seconds = clock_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset * 60;
  *wall_ms = seconds * 1000 + fraction;
  return true;
}

static int64_t clock_unit(const char **p) {
  static const struct {
    const char *name;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    size_t len = strlen(units[i].name);
    if (strncmp(*p, units[i].name, len) == 0 && (units[i].name[0] != 'm' || len == 2 || (*p)[1] != 's')) {
      *p += len;
      return units[i].ms;
    }
  }
  return 0;
}

bool clock_parse_duration(const char *text, int64_t *ms) {
  const char *p = text;
  double total = 0;
  if (*p == '\0') return false;
  while (*p != '\0') {
    if ((*p < '0' || *p > '9') && *p != '.') return false;
    char *end;
    double value = strtod(p, &end);
    if (end == p || value < 0 || value > 1e9) return false;
    p = end;
    if (*p == '\0') {
      if (total > 0) return false; /* "1h30" says no unit: ask, do not guess */
      total = value * 1000;
      break;
    }
    int64_t unit = clock_unit(&p);
    if (unit == 0) return false;
    total += value * (double)unit;
  }
  if (total > 1e14) return false;
  *ms = (int64_t)(total + 0.5);
  return true;
}

void clock_span(int64_t ms, char out[CLOCK_SPAN_SIZE]) {
  if (ms < 0) ms = 0;
  int64_t s = ms / 1000;
  if (ms < 10000)
    snprintf(out, CLOCK_SPAN_SIZE, "%.1f s", (double)ms / 1000);
  else if (s < 60)
    snprintf(out, CLOCK_SPAN_SIZE, "%" PRId64 " s", s);
  else if (s < 3600)
    snprintf(out, CLOCK_SPAN_SIZE, "%" PRId64 ":%02d", s / 60, (int)(s % 60));
  else
    snprintf(out, CLOCK_SPAN_SIZE, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
}
