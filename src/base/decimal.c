/* decimal: see decimal.h.
 *
 * Nearly all numbers are m · 10^e with m < 2^64 and |e| <= 27. Where long double has 64 bits of mantissa, both m and 10^|e| are
 * exact in it, so that one multiplication or division rounds once, to 64 bits. Rounding that to a double's 53 bits gives the
 * nearest double unless it lies exactly half way between two: then only the true value could tell, and strtod reads it. */
#include "base/decimal.h"

#include <float.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if LDBL_MANT_DIG == 64

#define POWER_MAX 27
#define DIGITS_MAX 19 /* fit in 64 bits */

static const long double powers[POWER_MAX + 1] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
                                                  1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
                                                  1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

typedef struct Decimal {
  uint64_t mantissa;
  int digits, power;
} Decimal;

/* [digits][.digits][e[±]digits] up to a NUL; false: something else, or too long. */
static bool decimal_scan(const char *p, Decimal *d) {
  bool point = false;
  for (;; p++) {
    unsigned digit = (unsigned)(*p - '0');
    if (digit <= 9) {
      d->mantissa = d->mantissa * 10 + digit;
      if (d->mantissa != 0) d->digits++;
      d->power -= point;
    } else if (*p == '.' && !point) {
      point = true;
    } else {
      break;
    }
  }
  if (d->digits > DIGITS_MAX) return false;
  if (*p == '\0') return true;
  if (*p++ != 'e') return false;
  bool minus = *p == '-';
  if (*p == '-' || *p == '+') p++;
  int power = 0, n = 0;
  for (; *p >= '0' && *p <= '9' && n < 4; p++, n++)
    power = power * 10 + (*p - '0');
  d->power += minus ? -power : power;
  return *p == '\0' && n > 0;
}

static bool decimal_quick(const char *text, double *value) {
  Decimal d = {0};
  if (*text < '0' || *text > '9' || !decimal_scan(text, &d) || d.power > POWER_MAX || d.power < -POWER_MAX) return false;
  long double exact = (long double)d.mantissa;
  long double near = d.power >= 0 ? exact * powers[d.power] : exact / powers[-d.power];
  uint64_t bits;
  memcpy(&bits, &near, sizeof bits); /* the mantissa, low bits first */
  if ((bits & 0x7FF) == 0x400) return false;
  *value = (double)near; /* nowhere near the ends of a double's range */
  return true;
}

#else

static bool decimal_quick(const char *text, double *value) {
  (void)text;
  (void)value;
  return false;
}

#endif

double decimal_read(const char *text, size_t len) {
  double value;
  bool minus = len > 0 && text[0] == '-';
  if (len > 40 || !decimal_quick(text + minus, &value)) return strtod(text, NULL);
  return minus ? -value : value;
}
