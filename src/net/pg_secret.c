/* pg_secret: see pg_secret.h. */
#include "net/pg_secret.h"

#include <string.h>
#include <strings.h>

#include "net/pg_lex.h"

#define SECRET_DEPTH 3    /* of SQL in dollar quotes */
#define SECRETS_KNOWN 100 /* of one text become known by their value: every text that is shown is searched for each */

typedef const unsigned char *Bytes;

/* What a name ends in whose value is a secret. */
static const char *const secret_names[] = {"password", "passwd",     "passphrase", "secret", "token",
                                           "apikey",   "access_key", "api_key",    NULL};
/* Functions whose arguments hold a password or a key. A '*' at the end: a prefix. */
static const char *const secret_functions[] = {"crypt", "hmac", "pgp_sym_*", "pgp_pub_decrypt*", NULL};

typedef struct Hide {
  Buf *out;
  Buf values;   /* what was hidden: each ends with a NUL */
  Bytes copied; /* the text up to here is in `out` */
  bool any;
} Hide;

/* One level of SQL. */
typedef struct Level {
  char word[PG_LEX_NAME]; /* the token in front, when it is a word, else "" */
  bool armed;             /* the next literal is a secret */
  bool rest;              /* a string ended in "… password": some later literal is one */
  int depth, inside;      /* of parentheses; of those of a function of keys, 0: not in one */
  int role;               /* words since CREATE or ALTER ROLE, itself one of them; 0: no such statement, or SET has come */
} Level;

static void hide(Hide *h, Bytes from, Bytes to) {
  if (from >= to || from < h->copied) return;
  buf_add(h->out, h->copied, (size_t)(from - h->copied));
  buf_add_str(h->out, REDACT_MARK);
  h->copied = to;
  h->any = true;
}

static void hide_value(Hide *h, Bytes from, Bytes to) {
  hide(h, from, to);
  buf_add(&h->values, from, (size_t)(to - from));
  buf_add_char(&h->values, '\0');
}

/* ---- literals ---- */

static void add_utf8(Buf *out, unsigned long code) {
  if (code < 0x80) {
    buf_add_char(out, (char)code);
  } else if (code < 0x800) {
    buf_add_char(out, (char)(0xC0 | (code >> 6)));
    buf_add_char(out, (char)(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    buf_add_char(out, (char)(0xE0 | (code >> 12)));
    buf_add_char(out, (char)(0x80 | ((code >> 6) & 0x3F)));
    buf_add_char(out, (char)(0x80 | (code & 0x3F)));
  } else {
    buf_add_char(out, (char)(0xF0 | ((code >> 18) & 7)));
    buf_add_char(out, (char)(0x80 | ((code >> 12) & 0x3F)));
    buf_add_char(out, (char)(0x80 | ((code >> 6) & 0x3F)));
    buf_add_char(out, (char)(0x80 | (code & 0x3F)));
  }
}

/* Up to `most` digits of that base; how many there were. */
static size_t digits(Bytes p, Bytes end, size_t most, unsigned base, unsigned long *value) {
  static const char all[] = "0123456789abcdef";
  size_t n = 0;
  for (*value = 0; n < most && p + n < end; n++) {
    int c = p[n] >= 'A' && p[n] <= 'F' ? p[n] + 32 : p[n];
    const char *digit = c != 0 ? memchr(all, c, base) : NULL;
    if (digit == NULL) break;
    *value = *value * base + (unsigned long)(digit - all);
  }
  return n;
}

/* Behind the backslash of E'…'; returns what is behind the escape. */
static Bytes decode_escape(Buf *value, Bytes p, Bytes end) {
  static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
  unsigned long code;
  size_t n;
  const char *plain = memchr(from, *p, sizeof from - 1);
  if (plain != NULL) {
    buf_add_char(value, to[plain - from]);
    return p + 1;
  }
  if (*p == 'x' && (n = digits(p + 1, end, 2, 16, &code)) > 0) {
    buf_add_char(value, (char)code);
    return p + 1 + n;
  }
  if ((*p == 'u' || *p == 'U') && (n = digits(p + 1, end, *p == 'u' ? 4 : 8, 16, &code)) > 0) {
    add_utf8(value, code);
    return p + 1 + n;
  }
  if ((n = digits(p, end, 3, 8, &code)) > 0) {
    buf_add_char(value, (char)code);
    return p + n;
  }
  buf_add_char(value, (char)*p);
  return p + 1;
}

/* Behind the backslash of U&'…'. */
static Bytes decode_unicode(Buf *value, Bytes p, Bytes end) {
  unsigned long code;
  size_t sign = *p == '+', n = digits(p + sign, end, sign ? 6 : 4, 16, &code);
  if (n == 0) {
    buf_add_char(value, (char)*p);
    return p + 1;
  }
  add_utf8(value, code);
  return p + sign + n;
}

/* What the server makes of a literal, from behind its first quote to its last. `kind`: the letter in front, in lower case. */
static void decode(Buf *value, Bytes p, Bytes end, int kind) {
  while (p < end) {
    if (*p == '\\' && p + 1 < end && (kind == 'e' || kind == 'u')) {
      p = kind == 'e' ? decode_escape(value, p + 1, end) : decode_unicode(value, p + 1, end);
    } else if (*p == '\'') {
      if (p + 1 < end && p[1] == '\'') {
        buf_add_char(value, '\'');
      } else { /* it goes on, on a later line */
        Bytes again = memchr(p + 1, '\'', (size_t)(end - p - 1));
        if (again == NULL) return;
        p = again - 1;
      }
      p += 2;
    } else {
      buf_add_char(value, (char)*p++);
    }
  }
}

static void hide_literal(Hide *h, const PgLex *lx, bool known) {
  Bytes from = memchr(lx->start, '\'', (size_t)(lx->at - lx->start)), to = lx->at - 1;
  Buf value = {0};
  if (from == NULL || ++from >= to) return;
  decode(&value, from, to, *lx->start | 32);
  if (known && value.len > 0) {
    buf_add(&h->values, buf_str(&value), value.len);
    buf_add_char(&h->values, '\0');
  }
  buf_fini(&value);
  if (known)
    hide_value(h, from, to);
  else
    hide(h, from, to);
}

/* ---- what a string holds ---- */

/* Behind the "://" of scheme://user:password@host. */
static void hide_url(Hide *h, Bytes p, Bytes end) {
  Bytes authority = p;
  while (p < end && strchr("/?# \t\r\n\"'", *p) == NULL)
    p++;
  Bytes at = memrchr(authority, '@', (size_t)(p - authority));
  Bytes colon = at != NULL ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
  if (colon != NULL) hide_value(h, colon + 1, at);
}

/* The quote at p as it stands inside of a literal: '' or \' or, in dollar quotes, ' or ". Its length, 0: there is none. */
static size_t inner_quote(Bytes p, Bytes end) {
  if (end - p >= 2 && p[1] == '\'' && (p[0] == '\'' || p[0] == '\\')) return 2;
  return p < end && (*p == '\'' || *p == '"') ? 1 : 0;
}

/* Behind "password" in a string: what follows is hidden. False: it ends there, or a place for a value follows (%L). */
static bool hide_behind(Hide *h, Bytes p, Bytes end) {
  while (p < end && pg_lex_is_space(*p))
    p++;
  bool equals = p < end && *p == '=';
  for (p += equals; p < end && pg_lex_is_space(*p);)
    p++;
  if (p >= end || *p == '%') return false;
  if (!equals && (*p | 32) == 'e' && inner_quote(p + 1, end) > 0) p++;
  size_t quote = inner_quote(p, end);
  if (quote == 0 && !equals) return true;
  Bytes from = p + quote, to = from;
  if (quote > 0) {
    Bytes close = memmem(from, (size_t)(end - from), p, quote);
    to = close != NULL ? close : end;
  } else {
    while (to < end && !pg_lex_is_space(*to) && *to != '&' && *to != '\'')
      to++;
  }
  hide_value(h, from, to);
  return true;
}

/* A connection string, SQL, or any other text. False when it ends in "password": what is put behind it is one. */
static bool hide_within(Hide *h, Bytes p, Bytes end) {
  bool whole = true;
  while (end - p >= 3) {
    if (memcmp(p, "://", 3) == 0)
      hide_url(h, p + 3, end);
    else if (end - p >= 8 && strncasecmp((const char *)p, "password", 8) == 0 && !hide_behind(h, p + 8, end))
      whole = false;
    p = h->copied > p ? h->copied : p + 1; /* what is hidden is not looked into */
  }
  return whole;
}

/* ---- SQL ---- */

static bool is_secret_name(const char *name) {
  size_t len = strlen(name);
  for (size_t i = 0; secret_names[i] != NULL; i++) {
    size_t n = strlen(secret_names[i]);
    if (len >= n && strcasecmp(name + len - n, secret_names[i]) == 0) return true;
  }
  return false;
}

static bool is_secret_function(const char *name) {
  for (size_t i = 0; secret_functions[i] != NULL; i++) {
    size_t n = strlen(secret_functions[i]);
    bool prefix = secret_functions[i][n - 1] == '*';
    if (prefix ? strncmp(name, secret_functions[i], n - 1) == 0 : strcmp(name, secret_functions[i]) == 0) return true;
  }
  return false;
}

/* CREATE and ALTER ROLE have no literals but passwords and VALID UNTIL: a slip in the keyword must not leave one in clear. What
 * they SET is a parameter; a USER MAPPING has options of its own. */
static void level_role(Level *level, const char *name) {
  bool makes = strcmp(level->word, "create") == 0 || strcmp(level->word, "alter") == 0;
  bool mapping = strcmp(level->word, "user") == 0 && strcmp(name, "mapping") == 0;
  if (makes && (strcmp(name, "role") == 0 || strcmp(name, "user") == 0 || strcmp(name, "group") == 0))
    level->role = 1;
  else if (mapping || (level->role > 1 && strcmp(name, "set") == 0))
    level->role = 0;
  else if (level->role == 1)
    level->role = 2;
}

static void level_name(Level *level, const char *name) {
  level_role(level, name);
  bool by = strcmp(name, "by") == 0 && strcmp(level->word, "identified") == 0;
  bool to = level->armed && strcmp(name, "to") == 0;
  level->armed = by || to || is_secret_name(name);
  memcpy(level->word, name, strlen(name) + 1);
}

static void level_sign(Level *level, unsigned char c) {
  if (c == ';') level->role = 0;
  if (c == '(') {
    level->depth++;
    if (level->inside == 0 && is_secret_function(level->word)) level->inside = level->depth;
  }
  if (c == ')' && level->depth > 0 && level->depth-- == level->inside) level->inside = 0;
  if (strchr("=:>(", c) == NULL) level->armed = false; /* password = '…', := '…', => '…' */
  level->word[0] = '\0';
}

static void hide_sql(Hide *h, Bytes from, Bytes end, int depth);

static void level_literal(Level *level, Hide *h, const PgLex *lx, PgToken kind, int depth) {
  if (level->role > 0 && strcmp(level->word, "until") != 0) level->armed = true;
  bool secret = level->armed || level->rest || level->inside > 0;
  if (kind == PG_TOKEN_STRING) {
    Bytes from = memchr(lx->start, '\'', (size_t)(lx->at - lx->start));
    if (secret)
      hide_literal(h, lx, level->armed);
    else if (from != NULL && !hide_within(h, from + 1, lx->at - 1))
      level->rest = true;
  } else if (level->armed) {
    hide_value(h, lx->body, lx->body_end);
  } else if (secret) {
    hide(h, lx->body, lx->body_end);
  } else if (level->word[0] == '\0' || strcmp(level->word, "connection") == 0) { /* an argument; else DO $$ or AS $$ */
    if (!hide_within(h, lx->body, lx->body_end)) level->rest = true;
  } else if (depth > 0) {
    hide_sql(h, lx->body, lx->body_end, depth - 1);
  }
  level->armed = false;
  level->word[0] = '\0';
}

static void hide_sql(Hide *h, Bytes from, Bytes end, int depth) {
  PgLex lx = {.at = from, .end = end};
  Level level = {0};
  PgToken kind;
  while ((kind = pg_lex_next(&lx)) != PG_TOKEN_END && kind != PG_TOKEN_BROKEN) {
    if (kind == PG_TOKEN_NAME)
      level_name(&level, lx.name);
    else if (kind == PG_TOKEN_OTHER)
      level_sign(&level, lx.other);
    else
      level_literal(&level, h, &lx, kind, depth);
  }
  /* A literal that does not end is the secret nobody else will look for. */
  if (kind == PG_TOKEN_BROKEN && level.armed) hide(h, lx.start, end);
}

/* ---- what was hidden becomes known by its value ---- */

typedef struct Found {
  const char *value; /* NULL: it is a name in the text too */
  size_t len;
} Found;

/* In one pass: the text may be long. */
static void found_drop_names(Found *found, size_t count, Bytes text, size_t len) {
  PgLex lx = {.at = text, .end = text + len};
  PgToken kind;
  while (count > 0 && (kind = pg_lex_next(&lx)) != PG_TOKEN_END && kind != PG_TOKEN_BROKEN) {
    if (kind != PG_TOKEN_NAME) continue;
    for (size_t i = 0; i < count; i++)
      if (found[i].value != NULL && strcasecmp(lx.name, found[i].value) == 0) found[i].value = NULL;
  }
}

static void hide_make_known(const Hide *h, Bytes text, size_t len, Redact *redact) {
  Found found[SECRETS_KNOWN];
  size_t count = 0;
  for (size_t at = 0, n; at < h->values.len && count < SECRETS_KNOWN; at += n + 1) {
    const char *value = h->values.data + at;
    n = strlen(value);
    if (n < REDACT_MIN_BYTES || (count > 0 && strcmp(found[count - 1].value, value) == 0)) continue; /* decoded and as it stood */
    found[count++] = (Found){value, n};
  }
  found_drop_names(found, count, text, len);
  for (size_t i = 0; i < count; i++)
    if (found[i].value != NULL) redact_add(redact, found[i].value, found[i].len);
}

static void hide_fini(Hide *h) {
  if (h->values.data != NULL) explicit_bzero(h->values.data, h->values.cap);
  buf_fini(&h->values);
}

bool pg_secret_hide(const char *sql, size_t len, Redact *redact, Buf *out) {
  buf_clear(out);
  if (len == 0) return false;
  Bytes text = (Bytes)sql;
  Hide h = {.out = out, .copied = text};
  hide_sql(&h, text, text + len, SECRET_DEPTH);
  if (h.any) buf_add(out, h.copied, (size_t)(text + len - h.copied));
  hide_make_known(&h, text, len, redact);
  hide_fini(&h);
  return h.any;
}

bool pg_secret_hide_text(const char *text, Buf *out) {
  Bytes from = (Bytes)text, end = from + strlen(text);
  Hide h = {.out = out, .copied = from};
  buf_clear(out);
  hide_within(&h, from, end);
  if (h.any) buf_add(out, h.copied, (size_t)(end - h.copied));
  hide_fini(&h);
  return h.any;
}
