/* pg_lex: see pg_lex.h. */
#include "net/pg_lex.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c; }

static void skip_line(PgLex *lx) {
  while (lx->at < lx->end && *lx->at != '\n' && *lx->at != '\r')
    lx->at++;
}

/* A block comment; they nest. False when it does not end. */
static bool skip_block(PgLex *lx) {
  int depth = 0;
  while (lx->at < lx->end) {
    if (pg_lex_peek(lx, 0) == '/' && pg_lex_peek(lx, 1) == '*') {
      depth++;
      lx->at += 2;
    } else if (pg_lex_peek(lx, 0) == '*' && pg_lex_peek(lx, 1) == '/') {
      lx->at += 2;
      if (--depth == 0) return true;
    } else {
      lx->at++;
    }
  }
  return false;
}

/* Space and comments. False when a comment does not end. */
static bool skip_blank(PgLex *lx) {
  for (;;) {
    unsigned char c = pg_lex_peek(lx, 0);
    if (lx->at < lx->end && pg_lex_is_space(c))
      lx->at++;
    else if (c == '-' && pg_lex_peek(lx, 1) == '-')
      skip_line(lx);
    else if (c == '/' && pg_lex_peek(lx, 1) == '*') {
      if (!skip_block(lx)) return false;
    } else
      return true;
  }
}

/* Behind a closing quote: does the literal go on, in the same kind of quote, on a later line? Then it is entered. */
static bool string_continues(PgLex *lx) {
  PgLex ahead = *lx;
  bool newline = false;
  while (ahead.at < ahead.end) {
    unsigned char c = *ahead.at;
    if (c == '\n' || c == '\r') newline = true;
    if (pg_lex_is_space(c))
      ahead.at++;
    else if (c == '-' && pg_lex_peek(&ahead, 1) == '-')
      skip_line(&ahead);
    else
      break;
  }
  if (!newline || pg_lex_peek(&ahead, 0) != '\'') return false;
  lx->at = ahead.at + 1;
  return true;
}

/* From behind the opening quote. `escapes`: a backslash takes the next character with it. */
static PgToken lex_string(PgLex *lx, bool escapes) {
  while (lx->at < lx->end) {
    unsigned char c = *lx->at++;
    if (c == '\\' && escapes && lx->at < lx->end)
      lx->at++;
    else if (c == '\'') {
      if (pg_lex_peek(lx, 0) == '\'')
        lx->at++;
      else if (!string_continues(lx))
        return PG_TOKEN_STRING;
    }
  }
  return PG_TOKEN_BROKEN;
}

static void name_add(PgLex *lx, size_t *len, unsigned char c) {
  if (*len < sizeof lx->name - 1) lx->name[(*len)++] = (char)c;
  lx->name[*len] = '\0';
}

static int hex_value(unsigned char c) {
  if (is_digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \XXXX or \+XXXXXX of a U& name, from behind the backslash. Only what can be part of a listed name has to come out right. */
static bool name_add_escape(PgLex *lx, size_t *len) {
  if (pg_lex_peek(lx, 0) == '\\') {
    lx->at++;
    name_add(lx, len, '\\');
    return true;
  }
  size_t digits = 4;
  if (pg_lex_peek(lx, 0) == '+') {
    lx->at++;
    digits = 6;
  }
  uint32_t code = 0;
  for (size_t i = 0; i < digits; i++) {
    int value = hex_value(pg_lex_peek(lx, 0));
    if (value < 0) return false;
    code = code * 16 + (uint32_t)value;
    lx->at++;
  }
  name_add(lx, len, code < 0x80 ? (unsigned char)code : (unsigned char)0x80);
  return true;
}

/* UESCAPE 'c' behind a U& name makes another character the escape: such a name is not worth understanding. */
static bool uescape_follows(const PgLex *lx) {
  PgLex ahead = *lx;
  if (!skip_blank(&ahead)) return true;
  return ahead.end - ahead.at >= 7 && strncasecmp((const char *)ahead.at, "uescape", 7) == 0;
}

/* From behind the opening quote. */
PgToken pg_lex_quoted_name(PgLex *lx, bool unicode) {
  size_t len = 0;
  lx->name[0] = '\0';
  lx->quoted = true;
  while (lx->at < lx->end) {
    unsigned char c = *lx->at++;
    if (c == '"' && pg_lex_peek(lx, 0) == '"') {
      lx->at++;
      name_add(lx, &len, '"');
    } else if (c == '"') {
      return unicode && uescape_follows(lx) ? PG_TOKEN_BROKEN : PG_TOKEN_NAME;
    } else if (c == '\\' && unicode) {
      if (!name_add_escape(lx, &len)) return PG_TOKEN_BROKEN;
    } else {
      name_add(lx, &len, c);
    }
  }
  return PG_TOKEN_BROKEN;
}

static PgToken lex_name(PgLex *lx) {
  size_t len = 0;
  lx->name[0] = '\0';
  lx->quoted = false;
  while (lx->at < lx->end && pg_lex_is_name_part(*lx->at))
    name_add(lx, &len, lower(*lx->at++));
  return PG_TOKEN_NAME;
}

/* $tag$ … $tag$, from the first dollar; a lone dollar or $1 is an ordinary character. */
static PgToken lex_dollar(PgLex *lx) {
  const unsigned char *tag = lx->at, *p = tag + 1;
  if (p < lx->end && pg_lex_is_name_start(*p))
    while (p < lx->end && (pg_lex_is_name_start(*p) || is_digit(*p)))
      p++;
  if (p >= lx->end || *p != '$') {
    lx->other = *lx->at++;
    return PG_TOKEN_OTHER;
  }
  size_t taglen = (size_t)(p + 1 - tag);
  lx->body = p + 1;
  for (p = lx->body; (size_t)(lx->end - p) >= taglen; p++) {
    if (*p != '$' || memcmp(p, tag, taglen) != 0) continue;
    lx->body_end = p;
    lx->at = p + taglen;
    return PG_TOKEN_DOLLAR;
  }
  return PG_TOKEN_BROKEN;
}

/* A letter that changes what the following quote means. */
static bool lex_prefixed(PgLex *lx, PgToken *kind) {
  unsigned char c = lower(pg_lex_peek(lx, 0)), next = pg_lex_peek(lx, 1);
  if (next == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n')) {
    lx->at += 2;
    *kind = lex_string(lx, c == 'e');
    return true;
  }
  if (c != 'u' || next != '&' || (pg_lex_peek(lx, 2) != '\'' && pg_lex_peek(lx, 2) != '"')) return false;
  bool name = pg_lex_peek(lx, 2) == '"';
  lx->at += 3;
  *kind = name ? pg_lex_quoted_name(lx, true) : lex_string(lx, false);
  return true;
}

PgToken pg_lex_next(PgLex *lx) {
  PgToken kind;
  if (!skip_blank(lx)) return PG_TOKEN_BROKEN;
  lx->start = lx->at;
  if (lx->at >= lx->end) return PG_TOKEN_END;
  unsigned char c = *lx->at;
  if (lex_prefixed(lx, &kind)) return kind;
  if (pg_lex_is_name_start(c)) return lex_name(lx);
  if (c == '$') return lex_dollar(lx);
  lx->at++;
  if (c == '\'') return lex_string(lx, false);
  if (c == '"') return pg_lex_quoted_name(lx, false);
  lx->other = c;
  return PG_TOKEN_OTHER;
}
