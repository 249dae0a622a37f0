/* text: see text.h. */
#include "cli/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static enum { TEXT_UNSET, TEXT_ASCII, TEXT_UTF8 } text_charset;

static const char *text_locale_name(void) {
  static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *value = getenv(names[i]);
    if (value != NULL && value[0] != '\0') return value;
  }
  return "C";
}

void text_use_locale(void) {
  if (text_charset != TEXT_UNSET) return;
  bool known = setlocale(LC_CTYPE, "") != NULL;
  bool utf8 = known && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
  /* ssh carries LANG to machines that do not have that locale; the terminal is a UTF-8 one all the same. */
  if (!known && (strcasestr(text_locale_name(), "utf-8") != NULL || strcasestr(text_locale_name(), "utf8") != NULL))
    utf8 = setlocale(LC_CTYPE, "C.UTF-8") != NULL;
  /* An 8-bit locale would change what string.upper and %a do in scripts. */
  if (!utf8) setlocale(LC_CTYPE, "C");
  text_charset = utf8 ? TEXT_UTF8 : TEXT_ASCII;
}

bool text_is_utf8(void) {
  text_use_locale();
  return text_charset == TEXT_UTF8;
}

/* One character of NUL-terminated text; 0 when the bytes are not UTF-8. */
static size_t text_decode(const char *text, uint32_t *point) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const unsigned char *p = (const unsigned char *)text;
  size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
  if (len == 0 || p[0] >= 0xf8) return 0;
  uint32_t value = len == 1 ? p[0] : p[0] & (0x7fu >> len);
  for (size_t i = 1; i < len; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
    value = value << 6 | (p[i] & 0x3fu);
  }
  if (value < least[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 0;
  *point = value;
  return len;
}

/* Controls, and characters that move or hide what stands around them. */
static bool text_is_hostile(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x2069) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

static const char *text_ascii(uint32_t point) {
  static const struct {
    uint32_t point;
    const char *ascii;
  } table[] = {
      {0x00b7, "-"},  {0x00d7, "x"},  {0x2013, "-"},  {0x2014, "-"},   {0x2018, "'"}, {0x2019, "'"},
      {0x201c, "\""}, {0x201d, "\""}, {0x2022, "*"},  {0x2026, "..."}, {0x2039, "<"}, {0x203a, ">"},
      {0x2190, "<-"}, {0x2192, "->"}, {0x2264, "<="}, {0x2265, ">="},  {0x2500, "-"},
  };
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (table[i].point == point) return table[i].ascii;
  return "?";
}

void text_add_clean(Buf *buf, const char *text) {
  bool utf8 = text_is_utf8();
  for (const char *p = text; *p != '\0';) {
    uint32_t point = 0;
    size_t len = text_decode(p, &point);
    if (len == 0) {
      buf_printf(buf, "\\x%02x", (unsigned char)*p);
      len = 1;
    } else if (point == '\n' || point == '\t') {
      buf_add_char(buf, ' ');
    } else if (text_is_hostile(point)) {
      buf_printf(buf, point < 0x80 ? "\\x%02x" : "\\u{%04x}", (unsigned)point);
    } else if (point >= 0x80 && !utf8) {
      buf_add_str(buf, text_ascii(point));
    } else {
      buf_add(buf, p, len);
    }
    p += len;
  }
}

static size_t text_columns(uint32_t point) {
  int columns = point < 0x80 ? 1 : wcwidth((wchar_t)point);
  return columns < 0 ? 1 : (size_t)columns; /* unassigned here may be assigned in the terminal's tables */
}

static size_t text_measure(const char *text, size_t limit, size_t *columns) {
  size_t used = 0, bytes = 0;
  while (text[bytes] != '\0') {
    uint32_t point = '?';
    size_t len = text_decode(text + bytes, &point);
    size_t more = text_columns(point);
    if (used + more > limit) break;
    used += more;
    bytes += len > 0 ? len : 1;
  }
  *columns = used;
  return bytes;
}

size_t text_width(const char *text) {
  size_t columns;
  text_use_locale();
  text_measure(text, SIZE_MAX, &columns);
  return columns;
}

size_t text_fit(const char *text, size_t columns) {
  size_t used;
  text_use_locale();
  return text_measure(text, columns, &used);
}

size_t text_break(const char *text, size_t columns) {
  size_t fit = text_fit(text, columns);
  if (text[fit] == '\0') return fit;
  for (size_t i = fit; i > 0; i--)
    if (text[i] == ' ' && text[i - 1] != ' ') return i;
  if (fit > 0) return fit;
  uint32_t point;
  size_t len = text_decode(text, &point);
  return len > 0 ? len : 1;
}

#define TEXT_WORD_MAX 48

/* Edit distance in which swapped neighbours count once. */
static size_t text_distance(const char *a, const char *b) {
  size_t la = strlen(a), lb = strlen(b), row[3][TEXT_WORD_MAX + 1];
  if (la > TEXT_WORD_MAX || lb > TEXT_WORD_MAX) return SIZE_MAX;
  for (size_t j = 0; j <= lb; j++)
    row[0][j] = j;
  for (size_t i = 1; i <= la; i++) {
    size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
    now[0] = i;
    for (size_t j = 1; j <= lb; j++) {
      size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
      if (last[j] + 1 < best) best = last[j] + 1;
      if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best) best = before[j - 2] + 1;
      now[j] = best;
    }
  }
  return row[la % 3][lb];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t count) {
  const char *nearest = NULL;
  size_t len = strlen(word), best = len / 3 + 2;
  for (size_t i = 0; i < count; i++) {
    size_t distance = text_distance(word, candidates[i]);
    if (distance < best) {
      best = distance;
      nearest = candidates[i];
    }
  }
  return nearest;
}
