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
/* The whole statement, whatever follows. */
static const char *const danger_first[] = {"drop", "truncate", "reassign", NULL};
static const char *const danger_untold[] = {"do", "call", "execute", NULL};
/* Words of a WHERE that name nothing. */
static const char *const danger_constants[] = {"true", "false", "and", "or",      "not", "is", "null",
                                               "in",   "like",  "any", "between", "all", NULL};
/* Behind these UPDATE and DELETE are no verbs: FOR UPDATE, FOR NO KEY UPDATE, ON CONFLICT DO UPDATE, THEN DELETE, a CTE's name.
 */
static const char *const danger_not_verbs[] = {"for", "key", "do", "then", "with", "recursive", NULL};

/* Of one statement. */
typedef struct Look {
  PgDanger *danger;
  char first[PG_LEX_NAME], verb[PG_LEX_NAME]; /* the first word; "update", "delete", "merge" */
  char word[PG_LEX_NAME];                     /* the token in front, when it is a word, else "" */
  unsigned char sign;                         /* the token in front, when it is one character, else 0 */
  int depth;                                  /* of parentheses */
  bool where, within, named;                  /* it has one; in it; it names something */
  bool type;                                  /* ALTER … TYPE */
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

static bool is_verb(const char *word) {
  return strcmp(word, "update") == 0 || strcmp(word, "delete") == 0 || strcmp(word, "merge") == 0;
}

static void look_verb(Look *look, const char *word) {
  static const char *const fronts[] = {"with", "explain", "update", "delete", "merge", NULL};
  if (strcmp(look->verb, "merge") == 0 && strcmp(look->word, "then") == 0) look_found(look, false, "merge", "");
  bool verb = !is_one_of(danger_not_verbs, look->word) && look->sign != ',' && look->sign != '.';
  if (look->verb[0] == '\0' && verb && is_one_of(fronts, look->first)) memcpy(look->verb, word, strlen(word) + 1);
}

/* ALTER … DROP NOT NULL and the like only loosen something. */
static void look_alter(Look *look, const PgLex *lx) {
  static const char *const loose[] = {"not", "default", "identity", "expression", NULL};
  PgLex ahead = *lx;
  if (strcmp(lx->name, "drop") == 0 && !(pg_lex_next(&ahead) == PG_TOKEN_NAME && !ahead.quoted && is_one_of(loose, ahead.name)))
    look_found(look, true, "alter … drop", "");
  if (strcmp(lx->name, "type") == 0) look->type = true;
  if (strcmp(lx->name, "using") == 0 && look->type) look_found(look, true, "alter … type … using", "");
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
  }
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
  memcpy(look->word, lx->name, sizeof look->word);
  look->sign = 0;
}

static void look_sign(Look *look, unsigned char c) {
  if (c == '(') {
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
