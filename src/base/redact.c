/* redact: see redact.h. */
#include "base/redact.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct SecretValue {
  char *bytes;
  size_t len;
} SecretValue;

struct Redact {
  SecretValue *values; /* longest first: a secret that contains another is replaced whole */
  size_t count, cap;
};

Redact *redact_new(void) { return mem_alloc(sizeof(Redact)); }

void redact_free(Redact *redact) {
  if (redact == NULL) return;
  for (size_t i = 0; i < redact->count; i++)
    free(redact->values[i].bytes);
  free(redact->values);
  free(redact);
}

static bool redact_has(const Redact *redact, const char *value, size_t len) {
  for (size_t i = 0; i < redact->count; i++)
    if (redact->values[i].len == len && memcmp(redact->values[i].bytes, value, len) == 0) return true;
  return false;
}

static void redact_insert(Redact *redact, const char *value, size_t len) {
  if (len < REDACT_MIN_BYTES || redact_has(redact, value, len)) return;
  if (redact->count == redact->cap) {
    redact->cap = redact->cap > 0 ? redact->cap * 2 : 8;
    redact->values = mem_realloc(redact->values, redact->cap * sizeof *redact->values);
  }
  size_t at = 0;
  while (at < redact->count && redact->values[at].len >= len)
    at++;
  memmove(&redact->values[at + 1], &redact->values[at], (redact->count - at) * sizeof *redact->values);
  char *copy = mem_alloc(len + 1);
  memcpy(copy, value, len);
  redact->values[at] = (SecretValue){copy, len};
  redact->count++;
}

static void redact_percent(const char *value, size_t len, Buf *out) {
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)value[i];
    if (isalnum(c) || strchr("-._~", c) != NULL)
      buf_add_char(out, (char)c);
    else
      buf_printf(out, "%%%02X", c);
  }
}

static void redact_unpercent(const char *value, size_t len, Buf *out) {
  for (size_t i = 0; i < len; i++) {
    if (value[i] == '%' && i + 2 < len && isxdigit((unsigned char)value[i + 1]) && isxdigit((unsigned char)value[i + 2])) {
      char hex[3] = {value[i + 1], value[i + 2], '\0'};
      buf_add_char(out, (char)strtol(hex, NULL, 16));
      i += 2;
    } else {
      buf_add_char(out, value[i]);
    }
  }
}

static void redact_json(const char *value, size_t len, Buf *out) {
  for (size_t i = 0; i < len; i++) {
    if (value[i] == '"' || value[i] == '\\') buf_add_char(out, '\\');
    buf_add_char(out, value[i]);
  }
}

void redact_add(Redact *redact, const char *value, size_t len) {
  if (len < REDACT_MIN_BYTES) return;
  void (*const forms[])(const char *, size_t, Buf *) = {redact_percent, redact_unpercent, redact_json};
  redact_insert(redact, value, len);
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    Buf form = {0};
    forms[i](value, len, &form);
    redact_insert(redact, buf_str(&form), form.len);
    buf_fini(&form);
  }
}

/* Passwords of conninfo strings: password=word or password='quoted \' word'. */
static void redact_add_conninfo(Redact *redact, const char *text) {
  for (const char *p = text; (p = strcasestr(p, "password")) != NULL;) {
    p += strlen("password");
    while (*p == ' ')
      p++;
    if (*p != '=') continue;
    p++;
    while (*p == ' ')
      p++;
    Buf word = {0};
    if (*p == '\'') {
      for (p++; *p != '\0' && *p != '\''; p++) {
        if (*p == '\\' && p[1] != '\0') p++;
        buf_add_char(&word, *p);
      }
    } else {
      for (; *p != '\0' && !isspace((unsigned char)*p) && *p != '&'; p++)
        buf_add_char(&word, *p);
    }
    redact_add(redact, buf_str(&word), word.len);
    buf_fini(&word);
  }
}

void redact_add_credentials(Redact *redact, const char *text) {
  for (const char *p = text; (p = strstr(p, "://")) != NULL;) {
    p += 3;
    size_t authority = strcspn(p, "/?# \t\r\n\"'");
    const char *at = memrchr(p, '@', authority);
    if (at == NULL) continue;
    const char *colon = memchr(p, ':', (size_t)(at - p));
    if (colon != NULL) redact_add(redact, colon + 1, (size_t)(at - colon - 1));
  }
  redact_add_conninfo(redact, text);
}

static const SecretValue *redact_first(const Redact *redact, const char *text, size_t len, size_t *where) {
  const SecretValue *found = NULL;
  size_t limit = len;
  for (size_t i = 0; i < redact->count; i++) {
    const SecretValue *value = &redact->values[i];
    const char *hit = value->len <= len ? memmem(text, len, value->bytes, value->len) : NULL;
    if (hit != NULL && (size_t)(hit - text) < limit) {
      limit = (size_t)(hit - text);
      found = value;
    }
  }
  *where = limit;
  return found;
}

bool redact_text(const Redact *redact, const char *text, size_t len, Buf *out) {
  size_t where;
  const SecretValue *hit = redact_first(redact, text, len, &where);
  buf_clear(out);
  if (hit == NULL) return false;
  while (hit != NULL) {
    buf_add(out, text, where);
    buf_add_str(out, REDACT_MARK);
    text += where + hit->len;
    len -= where + hit->len;
    hit = redact_first(redact, text, len, &where);
  }
  buf_add(out, text, len);
  return true;
}

char *redact_take(const Redact *redact, char *text) {
  Buf clean = {0};
  if (text == NULL || !redact_text(redact, text, strlen(text), &clean)) {
    buf_fini(&clean);
    return text;
  }
  free(text);
  return buf_take(&clean);
}
