/* pg_lex: SQL as the server's own lexer would take it apart (src/backend/parser/scan.l), as far as what a statement does can be
 * told from it: names, literals, dollar quotes, nested comments. Pure: no allocation; any bytes may be given. Assumes
 * standard_conforming_strings = on, which pg_conn sees to. */
#ifndef PGSH_NET_PG_LEX_H
#define PGSH_NET_PG_LEX_H

#include <stdbool.h>
#include <stddef.h>

#define PG_LEX_NAME 64

typedef enum PgToken {
  PG_TOKEN_END,
  PG_TOKEN_NAME,
  PG_TOKEN_STRING, /* whatever stands in front of its quote: E, B, X, N, U& */
  PG_TOKEN_DOLLAR,
  PG_TOKEN_OTHER,
  PG_TOKEN_BROKEN /* does not end, or cannot be read */
} PgToken;

/* Begin with {.at = sql, .end = sql + len}. */
typedef struct PgLex {
  const unsigned char *at, *end;
  const unsigned char *start; /* of the token; `at` is behind it */
  char name[PG_LEX_NAME];     /* of a NAME: as the server would look it up */
  bool quoted;
  unsigned char other;                  /* of an OTHER: the character */
  const unsigned char *body, *body_end; /* of a DOLLAR */
} PgLex;

PgToken pg_lex_next(PgLex *lx);
/* From behind the opening quote; `unicode`: it began with U&". */
PgToken pg_lex_quoted_name(PgLex *lx, bool unicode);

static inline bool pg_lex_is_name_start(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}
static inline bool pg_lex_is_name_part(unsigned char c) { return pg_lex_is_name_start(c) || (c >= '0' && c <= '9') || c == '$'; }
static inline bool pg_lex_is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
/* The character so many bytes ahead, 0 behind the end. */
static inline unsigned char pg_lex_peek(const PgLex *lx, size_t ahead) {
  return (size_t)(lx->end - lx->at) > ahead ? lx->at[ahead] : 0;
}

#endif
