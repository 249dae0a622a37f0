/* pg_danger: see pg_danger.h. */
#include "net/pg_danger.h"

#include <stdio.h>
#include <string.h>

#include "net/pg_lex.h"

/* Functions whose effect no other call takes back. */
static const char *const danger_functions[] = {"pg_terminate_backend",
                                               "pg_promote",
                                               "pg_drop_replication_slot",
                                               "pg_replication_slot_advance",
                                               "pg_logical_slot_get_changes",
                                               "pg_logical_slot_get_binary_changes",
                                               "pg_replication_origin_drop",
                                               "pg_replication_origin_advance",
                                               "lo_unlink",
                                               "lo_truncate",
                                               "lo_truncate64",
                                               "pg_file_write",
                                               "pg_file_rename",
                                               "pg_file_unlink",
                                               "heap_force_kill",
                                               "heap_force_freeze",
                                               "drop_partition_time",
                                               "drop_partition_id",
                                               NULL};
/* Functions that run SQL which is in a string. */
static const char *const danger_runners[] = {"dblink", "dblink_exec", "dblink_open", "dblink_send_query", "pg_background_launch",
                                             NULL};
/* What a SELECT that is no read calls without a doubt about its effect, besides the server's own pg_… and lo_…: sequences, what
 * computes, and the words that may stand in front of a parenthesis. */
static const char *const danger_clear[] = {"nextval",
                                           "setval",
                                           "currval",
                                           "lastval",
                                           "coalesce",
                                           "greatest",
                                           "least",
                                           "nullif",
                                           "max",
                                           "min",
                                           "count",
                                           "sum",
                                           "avg",
                                           "now",
                                           "lower",
                                           "upper",
                                           "length",
                                           "to_regclass",
                                           "quote_ident",
                                           "format",
                                           "array_agg",
                                           "string_agg",
                                           "generate_series",
                                           "version",
                                           "current_setting",
                                           "cast",
                                           "extract",
                                           "row",
                                           "array",
                                           "interval",
                                           "values",
                                           "in",
                                           "any",
                                           "some",
                                           "all",
                                           "exists",
                                           "and",
                                           "or",
                                           "not",
                                           "as",
                                           "from",
                                           "where",
                                           "select",
                                           "on",
                                           "using",
                                           "over",
                                           "filter",
                                           "within",
                                           "group",
                                           "join",
                                           "lateral",
                                           "when",
                                           "then",
                                           "else",
                                           "case",
                                           "by",
                                           "distinct",
                                           "is",
                                           "between",
                                           "like",
                                           "limit",
                                           "offset",
                                           "having",
                                           "union",
                                           "except",
                                           "intersect",
                                           "of",
                                           "materialized",
                                           "explain",
                                           "analyze",
                                           "verbose",
                                           "int",
                                           "numeric",
                                           "varchar",
                                           "char",
                                           NULL};
static const char *const danger_queries[] = {"select", "values", "table", "with", "explain", NULL};
/* The whole statement, whatever follows. */
static const char *const danger_first[] = {"drop", "truncate", "reassign", NULL};
static const char *const danger_untold[] = {"do", "call", "execute", NULL};
/* Words of a WHERE that name nothing. */
static const char *const danger_constants[] = {"true", "false", "and",     "or",  "not",    "is",     "null", "in",
                                               "like", "any",   "between", "all", "exists", "select", NULL};
/* Behind these UPDATE and DELETE are no verbs: FOR UPDATE, FOR NO KEY UPDATE, ON CONFLICT DO UPDATE, THEN DELETE, a CTE's name.
 */
static const char *const danger_not_verbs[] = {"for", "key", "do", "then", "with", "recursive", NULL};

#define TRUTH_DEPTH 16

/* A piece of a WHERE between AND, OR and parentheses. */
typedef struct Piece {
  char left[PG_LEX_NAME], right[PG_LEX_NAME]; /* x = x */
  int tokens;
  bool equals, named; /* only signs of equality between the two; it names something, or is false */
} Piece;

/* Does a WHERE hold for every row, as far as its text tells? Of each level of parentheses. */
typedef struct Truth {
  struct {
    Piece piece;
    bool narrows, any; /* a piece of this chain of ANDs does; a chain of this level does not */
  } levels[TRUTH_DEPTH];
  int depth;
} Truth;

/* Of one statement. */
typedef struct Look {
  PgDanger *danger;
  char first[PG_LEX_NAME], verb[PG_LEX_NAME]; /* the first word; "update", "delete", "merge" */
  char word[PG_LEX_NAME];                     /* the token in front, when it is a word, else "" */
  unsigned char sign;                         /* the token in front, when it is one character, else 0 */
  int depth;                                  /* of parentheses */
  bool where, within, named;                  /* it has one; in it; it names something */
  bool query;                                 /* it begins as a read does, and has no verb */
  bool reason, unclear;                       /* of such: why it is a change; it calls what nobody knows */
  bool other, catalog;                        /* the word in front has a schema other than pg_catalog; it is pg_catalog */
  bool full, concurrently;
  Truth truth;
} Look;

static bool is_one_of(const char *const *list, const char *word) {
  for (; *list != NULL; list++)
    if (strcmp(*list, word) == 0) return true;
  return false;
}

static void look_found(Look *look, bool told, const char *what, const char *more) {
  PgDanger *danger = look->danger;
  if (danger->what[0] != '\0' && (danger->told || !told)) return;
  snprintf(danger->what, sizeof danger->what, "%s%s", what, more);
  danger->told = told;
}

/* ---- what a WHERE leaves ---- */

static bool piece_narrows(const Piece *piece) {
  bool same = piece->tokens == 2 && piece->equals && piece->left[0] != '\0' && strcmp(piece->left, piece->right) == 0;
  return piece->named && !same;
}

static void truth_and(Truth *truth) {
  if (truth->depth >= TRUTH_DEPTH) return;
  Piece *piece = &truth->levels[truth->depth].piece;
  if (piece_narrows(piece)) truth->levels[truth->depth].narrows = true;
  memset(piece, 0, sizeof *piece);
}

static void truth_or(Truth *truth) {
  truth_and(truth);
  if (truth->depth >= TRUTH_DEPTH) return;
  if (!truth->levels[truth->depth].narrows) truth->levels[truth->depth].any = true;
  truth->levels[truth->depth].narrows = false;
}

static void truth_name(Truth *truth, const PgLex *lx) {
  bool plain = !lx->quoted;
  if (plain && strcmp(lx->name, "and") == 0) {
    truth_and(truth);
  } else if (plain && strcmp(lx->name, "or") == 0) {
    truth_or(truth);
  } else if (truth->depth < TRUTH_DEPTH) {
    Piece *piece = &truth->levels[truth->depth].piece;
    memcpy(piece->tokens == 0 ? piece->left : piece->right, lx->name, sizeof piece->left);
    piece->tokens++;
    if (!plain || strcmp(lx->name, "false") == 0 || !is_one_of(danger_constants, lx->name)) piece->named = true;
  }
}

static void truth_sign(Truth *truth, unsigned char c) {
  if (c == '(') {
    if (++truth->depth < TRUTH_DEPTH) memset(&truth->levels[truth->depth], 0, sizeof truth->levels[0]);
  } else if (c == ')' && truth->depth > 0) {
    truth_or(truth);
    truth->depth--;
    if (truth->depth >= TRUTH_DEPTH) return;
    Piece *piece = &truth->levels[truth->depth].piece;
    if (truth->depth + 1 >= TRUTH_DEPTH || !truth->levels[truth->depth + 1].any) piece->named = true;
    piece->tokens += 3;
  } else if (truth->depth < TRUTH_DEPTH) {
    Piece *piece = &truth->levels[truth->depth].piece;
    if (piece->tokens == 1 && (c == '=' || c == '<' || c == '>'))
      piece->equals = c == '=';
    else
      piece->tokens += 3;
  }
}

/* ---- words ---- */

static bool is_verb(const char *word) {
  return strcmp(word, "update") == 0 || strcmp(word, "delete") == 0 || strcmp(word, "merge") == 0;
}

static void look_verb(Look *look, const char *word) {
  static const char *const fronts[] = {"with", "explain", "update", "delete", "merge", NULL};
  if (strcmp(look->verb, "merge") == 0 && strcmp(look->word, "then") == 0) look_found(look, false, "merge", "");
  bool verb = !is_one_of(danger_not_verbs, look->word) && look->sign != ',' && look->sign != '.';
  if (look->verb[0] == '\0' && verb && is_one_of(fronts, look->first)) memcpy(look->verb, word, strlen(word) + 1);
}

/* A query that is made as a change: what makes it one may be seen (FOR UPDATE, INTO, nextval), or be in a function or a view. */
static void look_query(Look *look, const char *word) {
  static const char *const locks[] = {"update", "share", "no", "key", NULL};
  static const char *const others[] = {"insert", "create", "refresh", "execute", "declare", NULL};
  if (strcmp(look->word, "for") == 0 && is_one_of(locks, word)) look->reason = true;
  if (look->depth == 0 && strcmp(word, "into") == 0) look->reason = true;
  if (look->depth == 0 && is_one_of(others, word)) look->query = false;
}

static void look_call(Look *look) {
  if (look->word[0] == '\0') return;
  bool own = strncmp(look->word, "pg_", 3) == 0 || strncmp(look->word, "lo_", 3) == 0;
  if (look->other || !(own || is_one_of(danger_clear, look->word))) look->unclear = true;
  if (own || strcmp(look->word, "nextval") == 0 || strcmp(look->word, "setval") == 0) look->reason = true;
}

/* ALTER … DROP NOT NULL and the like only loosen something. A TYPE that is not behind a column's name is a name itself. */
static void look_alter(Look *look, const PgLex *lx) {
  static const char *const loose[] = {"not", "default", "identity", "expression", NULL};
  static const char *const names[] = {"alter",  "column", "table",      "only", "exists", "add",
                                      "rename", "to",     "constraint", "of",   NULL};
  PgLex ahead = *lx;
  if (strcmp(lx->name, "drop") == 0 && !(pg_lex_next(&ahead) == PG_TOKEN_NAME && !ahead.quoted && is_one_of(loose, ahead.name)))
    look_found(look, true, "alter … drop", "");
  if (strcmp(lx->name, "type") == 0 && look->word[0] != '\0' && !is_one_of(names, look->word))
    look_found(look, true, "alter … type", "");
  if (strcmp(lx->name, "all") == 0 && strcmp(look->word, "reset") == 0) look_found(look, true, "alter … reset all", "");
}

static void look_locks(Look *look) {
  const char *first = look->first;
  bool refresh = strcmp(first, "refresh") == 0 && !look->concurrently;
  if (refresh || look->full || strcmp(first, "cluster") == 0 || strcmp(first, "lock") == 0)
    look->danger->locks = "locks the table against everybody while it runs";
  else if (strcmp(first, "reindex") == 0 && !look->concurrently && look->danger->locks == NULL)
    look->danger->locks = "locks the table against every change while it runs";
}

static void look_copy(Look *look, const char *word) {
  if (strcmp(word, "program") == 0 && (strcmp(look->word, "to") == 0 || strcmp(look->word, "from") == 0))
    look_found(look, false, "copy … program", "");
}

static void look_word(Look *look, const PgLex *lx) {
  const char *word = lx->name;
  if (look->first[0] == '\0') {
    memcpy(look->first, word, strlen(word) + 1);
    if (is_one_of(danger_first, word)) look_found(look, true, word, "");
    if (is_one_of(danger_untold, word)) look_found(look, false, word, "");
    look->query = is_one_of(danger_queries, word);
  }
  if (look->query) look_query(look, word);
  if (strcmp(word, "full") == 0 && strcmp(look->first, "vacuum") == 0) look->full = true;
  if (strcmp(word, "concurrently") == 0) look->concurrently = true;
  if (look->depth > 0) {
    if (look->sign == '(' && is_verb(word) && strcmp(look->first, "create") != 0 && strcmp(look->first, "comment") != 0)
      look_found(look, false, word, " in parentheses");
    return;
  }
  if (is_verb(word)) look_verb(look, word);
  if (strcmp(look->first, "alter") == 0) look_alter(look, lx);
  if (strcmp(look->first, "copy") == 0) look_copy(look, word);
  if (look->verb[0] != '\0' && strcmp(word, "where") == 0) {
    look->where = look->within = true;
  } else if (look->within && strcmp(word, "returning") == 0) {
    look->within = false;
  }
}

static void look_name(Look *look, const PgLex *lx) {
  bool begins = !look->where;
  if (!lx->quoted) look_word(look, lx);
  if (look->within && !begins && (lx->quoted || !is_one_of(danger_constants, lx->name))) look->named = true;
  if (look->within && !begins) truth_name(&look->truth, lx);
  look->other = look->sign == '.' && !look->catalog;
  look->catalog = strcmp(lx->name, "pg_catalog") == 0;
  memcpy(look->word, lx->name, sizeof look->word);
  look->sign = 0;
}

static void look_sign(Look *look, unsigned char c) {
  if (look->within) truth_sign(&look->truth, c);
  if (c == '(') {
    look_call(look);
    look->depth++;
    if (is_one_of(danger_functions, look->word)) look_found(look, true, look->word, "");
    if (is_one_of(danger_runners, look->word)) look_found(look, false, look->word, "");
  } else if (c == ')' && look->depth > 0) {
    look->depth--;
  }
  look->word[0] = '\0';
  look->sign = c;
}

static void look_end(Look *look, bool broken) {
  bool change = strcmp(look->verb, "update") == 0 || strcmp(look->verb, "delete") == 0;
  if (broken) look_found(look, false, "a statement that cannot be read", "");
  if (change && strcmp(look->first, "explain") != 0) look->danger->rows = true;
  if (change && !look->where) look_found(look, true, look->verb, " without where");
  if (change && look->where && !look->named) look_found(look, true, look->verb, " whose where names no column");
  truth_or(&look->truth);
  if (change && look->where && look->truth.levels[0].any) look_found(look, true, look->verb, " whose where is true of every row");
  if (look->query && look->verb[0] == '\0' && (look->unclear || !look->reason)) look_found(look, false, look->first, "");
  look_locks(look);
}

/* One statement; returns the token that ended it. */
static PgToken look_at(PgLex *lx, PgDanger *danger) {
  Look look = {.danger = danger};
  PgToken kind;
  while ((kind = pg_lex_next(lx)) != PG_TOKEN_END && kind != PG_TOKEN_BROKEN) {
    if (kind == PG_TOKEN_OTHER && lx->other == ';') break;
    if (kind == PG_TOKEN_NAME) {
      look_name(&look, lx);
    } else if (kind == PG_TOKEN_OTHER) {
      look_sign(&look, lx->other);
    } else {
      if (strcmp(look.first, "copy") == 0 && look.depth == 0 && strcmp(look.word, "to") == 0)
        look_found(&look, true, "copy … to a file", "");
      if (look.within) look.truth.levels[look.truth.depth < TRUTH_DEPTH ? look.truth.depth : 0].piece.tokens += 3;
      look.word[0] = '\0';
      look.sign = 0;
    }
  }
  look_end(&look, kind == PG_TOKEN_BROKEN);
  return kind;
}

bool pg_danger(const char *sql, size_t len, PgDanger *danger) {
  static const char nothing[1];
  const unsigned char *text = (const unsigned char *)(len > 0 ? sql : nothing);
  PgLex lx = {.at = text, .end = text + len};
  PgToken kind;
  memset(danger, 0, sizeof *danger);
  do
    kind = look_at(&lx, danger);
  while (kind != PG_TOKEN_END && kind != PG_TOKEN_BROKEN);
  return danger->what[0] != '\0';
}
