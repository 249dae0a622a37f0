/* doc_scalar: what scalars mean, and how a value is written so that it means the same to every reader: to Kubernetes, to a
 * YAML 1.1 and to a 1.2 parser. A string that one of them would take for something else is quoted. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/doc_internal.h"

/* ---- characters ---- */

/* The code point at text, and how many bytes it takes; 0 bytes: not UTF-8. */
static unsigned code_point(const char *text, size_t len, size_t *bytes) {
  const unsigned char *p = (const unsigned char *)text;
  size_t n = p[0] < 0x80                   ? 1
             : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
             : p[0] >= 0xE0 && p[0] < 0xF0 ? 3
             : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                           : 0;
  unsigned c = n <= 1 ? p[0] : p[0] & (0xFFu >> (n + 1));
  *bytes = n <= len ? n : 0;
  for (size_t i = 1; i < *bytes; i++) {
    if ((p[i] & 0xC0) != 0x80) *bytes = 0;
    c = c << 6 | (p[i] & 0x3Fu);
  }
  bool wrong = (n == 3 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) || (n == 4 && (c < 0x10000 || c > 0x10FFFF));
  if (wrong) *bytes = 0;
  return c;
}

bool doc_valid(const char *text, size_t len, size_t *where) {
  size_t bytes;
  for (*where = 0; *where < len; *where += bytes) {
    code_point(text + *where, len - *where, &bytes);
    if (bytes == 0 || text[*where] == '\0') return false;
  }
  return true;
}

/* Must be written as an escape in YAML: controls, line ends of other standards, the byte order mark, what is not a character. */
static bool needs_escape(unsigned c) {
  return (c < 0x20 && c != '\t') || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE ||
         c == 0xFFFF;
}

static bool has_escapes(const char *text, size_t len, bool lines) {
  size_t bytes;
  for (size_t i = 0; i < len; i += bytes) {
    unsigned c = code_point(text + i, len - i, &bytes);
    if (bytes == 0 || (needs_escape(c) && !(lines && c == '\n'))) return true;
  }
  return false;
}

/* ---- meaning ---- */

static bool among(const char *text, size_t len, const char *const words[]) {
  for (size_t i = 0; words[i] != NULL; i++)
    if (strlen(words[i]) == len && memcmp(words[i], text, len) == 0) return true;
  return false;
}

static bool all_of(const char *text, const char *set) { return text[0] != '\0' && strspn(text, set) == strlen(text); }

/* "[-+]? ( .digits | digits [. digits*] ) [e [-+] digits]" */
static bool is_decimal(const char *text) {
  static const char digits[] = "0123456789";
  if (*text == '+' || *text == '-') text++;
  size_t whole = strspn(text, digits), part = 0;
  text += whole;
  if (*text == '.') {
    part = strspn(++text, digits);
    text += part;
  }
  if (whole + part == 0) return false;
  if (*text == 'e' || *text == 'E') {
    text++;
    if (*text == '+' || *text == '-') text++;
    return all_of(text, digits);
  }
  return *text == '\0';
}

/* An integer as Go reads it with base 0; too large for 64 bits becomes a real. */
static bool read_integer(const char *text, DocValue *value) {
  bool minus = *text == '-';
  const char *p = text + (*text == '-' || *text == '+'), *set = "0123456789";
  int base = 10;
  if (p[0] == '0' && p[1] != '\0') {
    char kind = (char)(p[1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
    set = base == 16 ? "0123456789abcdefABCDEF" : base == 2 ? "01" : "01234567";
    p += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
  }
  if (!all_of(p, set)) return false;
  errno = 0;
  unsigned long long magnitude = strtoull(p, NULL, base);
  if (errno == 0 && (magnitude <= INT64_MAX || (minus && magnitude == (unsigned long long)INT64_MAX + 1))) {
    value->type = DOC_INT;
    value->integer = minus ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
  }
  value->type = DOC_REAL;
  value->real = base == 10 ? strtod(p, NULL) : 0;
  for (; base != 10 && *p != '\0'; p++)
    value->real = value->real * base + (*p <= '9' ? *p - '0' : (*p | 0x20) - 'a' + 10);
  if (minus) value->real = -value->real;
  return true;
}

static bool read_number(const char *text, size_t len, DocValue *value) {
  char plain[400];
  size_t n = 0;
  if (len == 0 || len >= sizeof plain || strchr("+-.0123456789", text[0]) == NULL) return false;
  for (size_t i = 0; i < len; i++)
    if (text[i] != '_' || text[0] == '.') plain[n++] = text[i];
  plain[n] = '\0';
  if (strlen(plain) != n) return false;
  if (text[0] != '.' && read_integer(plain, value)) return true;
  if (!is_decimal(plain)) return false;
  value->type = DOC_REAL;
  value->real = strtod(plain, NULL);
  return true;
}

static void read_plain(const char *text, size_t len, DocValue *value) {
  static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
  static const char *const yes[] = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
  static const char *const no[] = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};
  static const char *const nan_[] = {".nan", ".NaN", ".NAN", NULL};
  static const char *const inf[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", NULL};
  value->boolean = among(text, len, yes);
  if (value->boolean || among(text, len, no)) {
    value->type = DOC_BOOL;
  } else if (among(text, len, nulls)) {
    value->type = DOC_NULL;
  } else if (among(text, len, nan_)) {
    value->type = DOC_REAL;
    value->real = NAN;
  } else if (among(text, len, inf)) {
    value->type = DOC_REAL;
    value->real = text[0] == '-' ? -INFINITY : INFINITY;
  } else {
    read_number(text, len, value);
  }
}

static void read_json(const char *text, DocValue *value) {
  if (text[0] == 't' || text[0] == 'f') {
    value->type = DOC_BOOL;
    value->boolean = text[0] == 't';
  } else if (text[0] == 'n') {
    value->type = DOC_NULL;
  } else if (strpbrk(text, ".eE") != NULL || !read_integer(text, value)) {
    value->type = DOC_REAL;
    value->real = strtod(text, NULL);
  }
}

void doc_value(const DocTree *tree, uint32_t id, DocValue *value) {
  const DocNode *node = &tree->nodes[id];
  const char *text = doc_text(tree, id), *tag = node->tag == 0 ? NULL : buf_str(&tree->pool) + node->tag;
  *value = (DocValue){.type = DOC_STRING, .text = text, .len = node->len};
  if (node->style != DOC_PLAIN || node->kind != DOC_SCALAR) return;
  if (tree->json) {
    read_json(text, value);
    return;
  }
  static const char core[] = "tag:yaml.org,2002:";
  bool typed = tag != NULL && strncmp(tag, core, sizeof core - 1) == 0 && strcmp(tag + sizeof core - 1, "str") != 0 &&
               strcmp(tag + sizeof core - 1, "binary") != 0;
  if (tag == NULL || typed) read_plain(text, node->len, value);
}

void doc_value_of(const json_t *value, DocValue *out) {
  *out = (DocValue){.type = DOC_NULL};
  switch (json_typeof(value)) {
  case JSON_TRUE:
  case JSON_FALSE:
    out->type = DOC_BOOL;
    out->boolean = json_is_true(value);
    break;
  case JSON_INTEGER:
    out->type = DOC_INT;
    out->integer = json_integer_value(value);
    break;
  case JSON_REAL:
    out->type = DOC_REAL;
    out->real = json_real_value(value);
    break;
  case JSON_STRING:
    out->type = DOC_STRING;
    out->text = json_string_value(value);
    out->len = json_string_length(value);
    break;
  default: break;
  }
}

bool doc_value_equal(const DocValue *a, const DocValue *b) {
  if (a->type != b->type) return false;
  switch (a->type) {
  case DOC_BOOL: return a->boolean == b->boolean;
  case DOC_INT: return a->integer == b->integer;
  case DOC_REAL: return a->real == b->real || (isnan(a->real) && isnan(b->real));
  case DOC_STRING: return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
  default: return true;
  }
}

/* ---- may a string stand without quotes? ---- */

/* Digits with colons: base 60 in YAML 1.1. A date. A number with commas or underscores, or with a letter behind it that some
 * reader knows. */
static bool looks_like_number(const char *text, size_t len) {
  char plain[80] = {0};
  size_t n = 0;
  DocValue value = {.type = DOC_STRING};
  if (strchr("+-.0123456789", text[0]) == NULL) return false;
  if (len >= sizeof plain) return strspn(text, "0123456789abcdefxobABCDEFXOB+-_.,:") >= len;
  for (size_t i = 0; i < len; i++)
    if (text[i] != '_' && text[i] != ',') plain[n++] = text[i];
  plain[n] = '\0';
  const char *p = plain + (plain[0] == '+' || plain[0] == '-');
  size_t digits = strspn(p, "0123456789");
  if (n == 0 || *p == '\0' || strcmp(p, ".") == 0) return true;
  if (read_number(plain, n, &value)) return true;
  if (digits == 4 && p[4] == '-' && strspn(p, "0123456789-TtZz:.+ \t") == strlen(p)) return true;
  return digits > 0 && p[digits] == ':' && strspn(p, "0123456789:.") == strlen(p);
}

static bool is_word(const char *text, size_t len) {
  static const char *const words[] = {"y",    "n", "yes",  "no",   "on",    "off",   "true", "false", "null",
                                      "none", "~", ".nan", ".inf", "+.inf", "-.inf", "=",    "<<",    NULL};
  for (size_t i = 0; words[i] != NULL; i++)
    if (strlen(words[i]) == len && strncasecmp(words[i], text, len) == 0) return true;
  return false;
}

static bool begins_plain(const char *text, size_t len) {
  if (text[0] == '-' && len > 2 && text[1] == '-') text++; /* --flag */
  if (text[0] == '-') return len > 1 && strchr("-?:,[]{}#&*!|>'\"%@` \t", text[1]) == NULL;
  return strchr("-?:,[]{}#&*!|>'\"%@` \t", text[0]) == NULL;
}

static bool may_be_plain(const char *text, size_t len, const DocForm *form) {
  if (len == 0 || has_escapes(text, len, false) || memchr(text, '\t', len) != NULL) return false;
  if (!begins_plain(text, len) || text[len - 1] == ' ' || text[len - 1] == ':') return false;
  if (is_word(text, len) || looks_like_number(text, len) || (len >= 3 && memcmp(text, "...", 3) == 0)) return false;
  for (size_t i = 0; i < len; i++) {
    char next = i + 1 < len ? text[i + 1] : '\0';
    if ((text[i] == ':' && (next == ' ' || form->key)) || (text[i] == ' ' && next == '#')) return false;
    if (form->flow && (strchr(",[]{}", text[i]) != NULL || (text[i] == ':' && strchr(",[]{}", next) != NULL))) return false;
  }
  return !(form->key && len > 120);
}

/* ---- writing ---- */

static void write_escape(Buf *out, unsigned c, bool json) {
  static const char controls[] = "\b\f\n\r\t", names[] = "bfnrt";
  const char *found = c != 0 && c < 0x80 ? strchr(controls, (int)c) : NULL;
  if (found != NULL)
    buf_printf(out, "\\%c", names[found - controls]);
  else if (json || c > 0xFF)
    buf_printf(out, "\\u%04x", c);
  else
    buf_printf(out, "\\x%02x", c);
}

static void write_double(Buf *out, const char *text, size_t len, bool json) {
  size_t bytes;
  buf_add_char(out, '"');
  for (size_t i = 0; i < len; i += bytes) {
    unsigned c = code_point(text + i, len - i, &bytes);
    if (bytes == 0) bytes = 1;
    if (c == '"' || c == '\\')
      buf_printf(out, "\\%c", (char)c);
    else if (json ? c < 0x20 || c == 0x7F : needs_escape(c) || c == '\t')
      write_escape(out, c, json);
    else
      buf_add(out, text + i, bytes);
  }
  buf_add_char(out, '"');
}

static void write_single(Buf *out, const char *text, size_t len) {
  buf_add_char(out, '\'');
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '\'') buf_add_char(out, '\'');
    buf_add_char(out, text[i]);
  }
  buf_add_char(out, '\'');
}

static void write_string(Buf *out, const DocValue *value, const DocForm *form) {
  const char *text = value->text;
  if (form->json || form->style == DOC_DOUBLE)
    write_double(out, text, value->len, form->json);
  else if (form->style != DOC_SINGLE && may_be_plain(text, value->len, form))
    buf_add(out, text, value->len);
  else if (form->style == DOC_SINGLE && !has_escapes(text, value->len, false))
    write_single(out, text, value->len);
  else
    write_double(out, text, value->len, false);
}

static void write_real(Buf *out, double real) {
  char text[40];
  for (int precision = 15; precision <= 17; precision++) {
    snprintf(text, sizeof text, "%.*g", precision, real);
    if (strtod(text, NULL) == real) break;
  }
  size_t mantissa = strcspn(text, "e");
  buf_add(out, text, mantissa);
  if (memchr(text, '.', mantissa) == NULL) buf_add_str(out, ".0");
  buf_add_str(out, text + mantissa);
}

void doc_write(Buf *out, const DocValue *value, const DocForm *form) {
  switch (value->type) {
  case DOC_NULL: buf_add_str(out, "null"); break;
  case DOC_BOOL: buf_add_str(out, value->boolean ? "true" : "false"); break;
  case DOC_INT: buf_printf(out, "%lld", (long long)value->integer); break;
  case DOC_REAL: write_real(out, value->real); break;
  default: write_string(out, value, form); break;
  }
}

bool doc_block_fits(const DocValue *value) {
  if (value->type != DOC_STRING || value->len == 0 || has_escapes(value->text, value->len, true)) return false;
  const char *text = value->text, *end = text + value->len;
  if (*text == '\n' || *text == ' ' || *text == '\t') return false;
  for (const char *line = text; line < end;) { /* lines of blanks alone are where readers differ */
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (stop == NULL) stop = end;
    if (stop > line && line + strspn(line, " \t") >= stop) return false;
    line = stop + 1;
  }
  return true;
}
