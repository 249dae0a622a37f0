/* pg_guard: see pg_guard.h. The lexer follows src/backend/parser/scan.l. */
#include "net/pg_guard.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Functions that act although the transaction is read only. A name with a dot must be called with that schema; one that
 * ends in '*' is a prefix. Large objects are here because PostgreSQL refuses them in a read-only transaction only from 16 on. */
static const char *const guard_functions[] = {
    "pg_terminate_backend", "pg_cancel_backend", "pg_promote", "pg_switch_wal", "pg_switch_xlog", "pg_reload_conf",
    "pg_rotate_logfile", "pg_rotate_logfile_old", "pg_create_restore_point", "pg_wal_replay_pause", "pg_wal_replay_resume",
    "pg_xlog_replay_pause", "pg_xlog_replay_resume", "pg_backup_start", "pg_backup_stop", "pg_start_backup", "pg_stop_backup",
    "pg_log_backend_memory_contexts", "pg_log_standby_snapshot", "pg_notify",
    /* replication */
    "pg_create_physical_replication_slot", "pg_create_logical_replication_slot", "pg_copy_physical_replication_slot",
    "pg_copy_logical_replication_slot", "pg_drop_replication_slot", "pg_replication_slot_advance", "pg_logical_slot_get_changes",
    "pg_logical_slot_get_binary_changes", "pg_logical_emit_message", "pg_sync_replication_slots", "pg_replication_origin_create",
    "pg_replication_origin_drop", "pg_replication_origin_advance", "pg_replication_origin_session_setup",
    "pg_replication_origin_session_reset", "pg_replication_origin_xact_setup", "pg_replication_origin_xact_reset",
    /* statistics */
    "pg_stat_reset*", "pg_stat_statements_reset", "pg_stat_kcache_reset", "pg_wait_sampling_reset_profile",
    "pg_restore_relation_stats", "pg_restore_attribute_stats", "pg_clear_relation_stats", "pg_clear_attribute_stats",
    /* files and large objects */
    "pg_file_write", "pg_file_sync", "pg_file_rename", "pg_file_unlink", "lo_import", "lo_export", "lo_create", "lo_creat",
    "lo_unlink", "lo_put", "lo_from_bytea", "lo_truncate", "lo_truncate64", "lowrite",
    /* catalogues and storage, written without a command that READ ONLY would see */
    "pg_import_system_collations", "pg_extension_config_dump", "pg_nextoid", "gin_clean_pending_list",
    "brin_summarize_new_values", "brin_summarize_range", "brin_desummarize_range", "pg_truncate_visibility_map",
    "heap_force_kill", "heap_force_freeze", "pg_buffercache_evict*", "autoprewarm_start_worker", "autoprewarm_dump_now",
    /* other servers, other sessions, SQL in a string */
    "dblink*", "query_to_xml*", "pg_background_launch", "pg_background_detach", "cron.schedule", "cron.schedule_in_database",
    "cron.unschedule", "cron.alter_job", "aws_lambda.invoke", "query_export_to_s3", "table_import_from_s3", "http_post",
    "http_put", "http_patch", "http_delete", NULL};

/* What a read may begin with. */
static const char *const guard_reads[] = {"select", "with", "values", "table", "show", "explain", NULL};

typedef enum TokenKind { TOKEN_END, TOKEN_NAME, TOKEN_STRING, TOKEN_DOLLAR, TOKEN_OTHER, TOKEN_BROKEN } TokenKind;

typedef struct Lexer {
  const unsigned char *at, *end;
  char name[PG_GUARD_NAME]; /* of a TOKEN_NAME: as the server would look it up */
  bool quoted;
  unsigned char other;                  /* of a TOKEN_OTHER: the character */
  const unsigned char *body, *body_end; /* of a TOKEN_DOLLAR */
} Lexer;

static bool is_name_start(unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80; }
static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
static bool is_name_part(unsigned char c) { return is_name_start(c) || is_digit(c) || c == '$'; }
static bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c; }

static unsigned char peek(const Lexer *lx, size_t ahead) { return (size_t)(lx->end - lx->at) > ahead ? lx->at[ahead] : 0; }

static void skip_line(Lexer *lx) {
  while (lx->at < lx->end && *lx->at != '\n' && *lx->at != '\r')
    lx->at++;
}

/* A block comment; they nest. False when it does not end. */
static bool skip_block(Lexer *lx) {
  int depth = 0;
  while (lx->at < lx->end) {
    if (peek(lx, 0) == '/' && peek(lx, 1) == '*') {
      depth++;
      lx->at += 2;
    } else if (peek(lx, 0) == '*' && peek(lx, 1) == '/') {
      lx->at += 2;
      if (--depth == 0) return true;
    } else {
      lx->at++;
    }
  }
  return false;
}

/* Space and comments. False when a comment does not end. */
static bool skip_blank(Lexer *lx) {
  for (;;) {
    unsigned char c = peek(lx, 0);
    if (lx->at < lx->end && is_space(c))
      lx->at++;
    else if (c == '-' && peek(lx, 1) == '-')
      skip_line(lx);
    else if (c == '/' && peek(lx, 1) == '*') {
      if (!skip_block(lx)) return false;
    } else
      return true;
  }
}

/* Behind a closing quote: does the literal go on, in the same kind of quote, on a later line? Then it is entered. */
static bool string_continues(Lexer *lx) {
  Lexer ahead = *lx;
  bool newline = false;
  while (ahead.at < ahead.end) {
    unsigned char c = *ahead.at;
    if (c == '\n' || c == '\r') newline = true;
    if (is_space(c))
      ahead.at++;
    else if (c == '-' && peek(&ahead, 1) == '-')
      skip_line(&ahead);
    else
      break;
  }
  if (!newline || peek(&ahead, 0) != '\'') return false;
  lx->at = ahead.at + 1;
  return true;
}

/* From behind the opening quote. `escapes`: a backslash takes the next character with it. */
static TokenKind lex_string(Lexer *lx, bool escapes) {
  while (lx->at < lx->end) {
    unsigned char c = *lx->at++;
    if (c == '\\' && escapes && lx->at < lx->end)
      lx->at++;
    else if (c == '\'') {
      if (peek(lx, 0) == '\'')
        lx->at++;
      else if (!string_continues(lx))
        return TOKEN_STRING;
    }
  }
  return TOKEN_BROKEN;
}

static void name_add(Lexer *lx, size_t *len, unsigned char c) {
  if (*len < sizeof lx->name - 1) lx->name[(*len)++] = (char)c;
  lx->name[*len] = '\0';
}

static int hex_value(unsigned char c) {
  if (is_digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \XXXX or \+XXXXXX of a U& name, from behind the backslash. Only what can be part of a listed name has to come out right. */
static bool name_add_escape(Lexer *lx, size_t *len) {
  if (peek(lx, 0) == '\\') {
    lx->at++;
    name_add(lx, len, '\\');
    return true;
  }
  size_t digits = 4;
  if (peek(lx, 0) == '+') {
    lx->at++;
    digits = 6;
  }
  uint32_t code = 0;
  for (size_t i = 0; i < digits; i++) {
    int value = hex_value(peek(lx, 0));
    if (value < 0) return false;
    code = code * 16 + (uint32_t)value;
    lx->at++;
  }
  name_add(lx, len, code < 0x80 ? (unsigned char)code : (unsigned char)0x80);
  return true;
}

/* UESCAPE 'c' behind a U& name makes another character the escape: such a name is not worth understanding. */
static bool uescape_follows(const Lexer *lx) {
  Lexer ahead = *lx;
  if (!skip_blank(&ahead)) return true;
  return ahead.end - ahead.at >= 7 && strncasecmp((const char *)ahead.at, "uescape", 7) == 0;
}

/* From behind the opening quote. */
static TokenKind lex_quoted_name(Lexer *lx, bool unicode) {
  size_t len = 0;
  lx->name[0] = '\0';
  lx->quoted = true;
  while (lx->at < lx->end) {
    unsigned char c = *lx->at++;
    if (c == '"' && peek(lx, 0) == '"') {
      lx->at++;
      name_add(lx, &len, '"');
    } else if (c == '"') {
      return unicode && uescape_follows(lx) ? TOKEN_BROKEN : TOKEN_NAME;
    } else if (c == '\\' && unicode) {
      if (!name_add_escape(lx, &len)) return TOKEN_BROKEN;
    } else {
      name_add(lx, &len, c);
    }
  }
  return TOKEN_BROKEN;
}

static TokenKind lex_name(Lexer *lx) {
  size_t len = 0;
  lx->name[0] = '\0';
  lx->quoted = false;
  while (lx->at < lx->end && is_name_part(*lx->at))
    name_add(lx, &len, lower(*lx->at++));
  return TOKEN_NAME;
}

/* $tag$ … $tag$, from the first dollar; a lone dollar or $1 is an ordinary character. */
static TokenKind lex_dollar(Lexer *lx) {
  const unsigned char *tag = lx->at, *p = tag + 1;
  if (p < lx->end && is_name_start(*p))
    while (p < lx->end && (is_name_start(*p) || is_digit(*p)))
      p++;
  if (p >= lx->end || *p != '$') {
    lx->other = *lx->at++;
    return TOKEN_OTHER;
  }
  size_t taglen = (size_t)(p + 1 - tag);
  lx->body = p + 1;
  for (p = lx->body; (size_t)(lx->end - p) >= taglen; p++) {
    if (*p != '$' || memcmp(p, tag, taglen) != 0) continue;
    lx->body_end = p;
    lx->at = p + taglen;
    return TOKEN_DOLLAR;
  }
  return TOKEN_BROKEN;
}

/* A letter that changes what the following quote means. */
static bool lex_prefixed(Lexer *lx, TokenKind *kind) {
  unsigned char c = lower(peek(lx, 0)), next = peek(lx, 1);
  if (next == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n')) {
    lx->at += 2;
    *kind = lex_string(lx, c == 'e');
    return true;
  }
  if (c != 'u' || next != '&' || (peek(lx, 2) != '\'' && peek(lx, 2) != '"')) return false;
  bool name = peek(lx, 2) == '"';
  lx->at += 3;
  *kind = name ? lex_quoted_name(lx, true) : lex_string(lx, false);
  return true;
}

static TokenKind lex_next(Lexer *lx) {
  TokenKind kind;
  if (!skip_blank(lx)) return TOKEN_BROKEN;
  if (lx->at >= lx->end) return TOKEN_END;
  unsigned char c = *lx->at;
  if (lex_prefixed(lx, &kind)) return kind;
  if (is_name_start(c)) return lex_name(lx);
  if (c == '$') return lex_dollar(lx);
  lx->at++;
  if (c == '\'') return lex_string(lx, false);
  if (c == '"') return lex_quoted_name(lx, false);
  lx->other = c;
  return TOKEN_OTHER;
}

static bool is_listed(const char *schema, const char *name) {
  for (size_t i = 0; guard_functions[i] != NULL; i++) {
    const char *entry = guard_functions[i], *dot = strchr(entry, '.');
    size_t len = strlen(entry);
    if (dot != NULL) {
      size_t n = (size_t)(dot - entry);
      if (strlen(schema) == n && memcmp(schema, entry, n) == 0 && strcmp(name, dot + 1) == 0) return true;
    } else if (entry[len - 1] == '*' ? strncmp(name, entry, len - 1) == 0 : strcmp(name, entry) == 0) {
      return true;
    }
  }
  return false;
}

static void copy_name(char to[PG_GUARD_NAME], const char *from) {
  size_t len = strnlen(from, PG_GUARD_NAME - 1);
  memcpy(to, from, len);
  to[len] = '\0';
}

typedef struct Scan {
  char first[PG_GUARD_NAME]; /* the first word */
  char found[PG_GUARD_NAME]; /* the first listed function that is called */
  bool empty, many, broken;
} Scan;

/* The last words seen: schema . name ( */
typedef struct Called {
  char schema[PG_GUARD_NAME], name[PG_GUARD_NAME];
  bool dot; /* a dot stands behind name */
} Called;

static void called_add(Called *called, const char *name) {
  if (called->dot)
    copy_name(called->schema, called->name);
  else
    called->schema[0] = '\0';
  copy_name(called->name, name);
  called->dot = false;
}

static void scan_other(Scan *scan, Called *called, unsigned char c) {
  if (c == '(' && called->name[0] != '\0' && !called->dot && scan->found[0] == '\0' && is_listed(called->schema, called->name))
    copy_name(scan->found, called->name);
  if (c == '.' && called->name[0] != '\0')
    called->dot = true;
  else
    memset(called, 0, sizeof *called);
}

/* `depth`: how many levels of dollar quotes are looked into. */
static void scan_sql(const unsigned char *sql, const unsigned char *end, int depth, Scan *scan) {
  Lexer lx = {.at = sql, .end = end};
  Called called = {0};
  bool ended = false, begun = false;
  TokenKind kind;
  scan->empty = true;
  while ((kind = lex_next(&lx)) != TOKEN_END && kind != TOKEN_BROKEN) {
    if (kind == TOKEN_OTHER && lx.other == ';') {
      ended = !scan->empty;
      memset(&called, 0, sizeof called);
      continue;
    }
    if (ended) scan->many = true;
    scan->empty = false;
    if (kind == TOKEN_NAME) {
      if (!begun && !lx.quoted) copy_name(scan->first, lx.name);
      called_add(&called, lx.name);
    } else if (kind == TOKEN_OTHER) {
      scan_other(scan, &called, lx.other);
      if (lx.other == '(' && !begun) continue; /* ((select …)) */
    } else {
      memset(&called, 0, sizeof called);
      if (kind == TOKEN_DOLLAR && depth > 0 && scan->found[0] == '\0') {
        Scan inner = {0};
        scan_sql(lx.body, lx.body_end, depth - 1, &inner);
        copy_name(scan->found, inner.found);
      }
    }
    begun = true;
  }
  scan->broken = kind == TOKEN_BROKEN;
}

/* SHOW and EXPLAIN are reads too. */
static bool guard_is_utility(const unsigned char *sql, size_t len) {
  Scan scan = {0};
  scan_sql(sql, sql + len, 0, &scan);
  return strcmp(scan.first, "show") == 0 || strcmp(scan.first, "explain") == 0;
}

PgGuard pg_guard_read(const char *sql, size_t len, char name[PG_GUARD_NAME]) {
  Scan scan = {0};
  name[0] = '\0';
  if (len == 0) return PG_GUARD_EMPTY;
  scan_sql((const unsigned char *)sql, (const unsigned char *)sql + len, 0, &scan);
  if (scan.broken) return PG_GUARD_BROKEN;
  if (scan.empty) return PG_GUARD_EMPTY;
  copy_name(name, scan.first);
  bool reads = false;
  for (size_t i = 0; guard_reads[i] != NULL; i++)
    reads = reads || strcmp(scan.first, guard_reads[i]) == 0;
  if (!reads) return PG_GUARD_STATEMENT;
  copy_name(name, scan.found);
  if (scan.found[0] != '\0') return PG_GUARD_FUNCTION;
  return scan.many ? PG_GUARD_MANY : PG_GUARD_READ;
}

bool pg_guard_acts(const char *sql, size_t len, char name[PG_GUARD_NAME]) {
  Scan scan = {0};
  name[0] = '\0';
  if (len == 0) return false;
  scan_sql((const unsigned char *)sql, (const unsigned char *)sql + len, 3, &scan);
  copy_name(name, scan.found);
  return scan.found[0] != '\0';
}

bool pg_guard_query(const char *sql, size_t len, size_t *end) {
  const unsigned char *start = (const unsigned char *)sql;
  Lexer lx = {.at = start, .end = start + len};
  char first[PG_GUARD_NAME];
  int depth = 0;
  TokenKind kind;
  bool ended = false;
  *end = len;
  if (pg_guard_read(sql, len, first) != PG_GUARD_READ) return false;
  while ((kind = lex_next(&lx)) != TOKEN_END) {
    if (kind == TOKEN_BROKEN || depth < 0) return false;
    bool semicolon = kind == TOKEN_OTHER && lx.other == ';';
    if (ended && !semicolon) return false; /* one in front */
    if (kind != TOKEN_OTHER || ended) continue;
    if (semicolon) {
      if (depth != 0) return false;
      ended = true;
      *end = (size_t)(lx.at - 1 - start);
    }
    if (lx.other == '(') depth++;
    if (lx.other == ')') depth--;
  }
  return depth == 0 && !guard_is_utility(start, len);
}

/* ---- schema.table (a, "B") ---- */

static void relation_blank(Lexer *lx) {
  while (lx->at < lx->end && is_space(*lx->at))
    lx->at++;
}

static bool relation_name(Lexer *lx) {
  relation_blank(lx);
  const unsigned char *start = lx->at;
  if (peek(lx, 0) == '"') {
    lx->at++;
    return lex_quoted_name(lx, false) == TOKEN_NAME && lx->at - start > 2;
  }
  if (lx->at >= lx->end || !is_name_start(*lx->at)) return false;
  while (lx->at < lx->end && is_name_part(*lx->at))
    lx->at++;
  return true;
}

static bool relation_takes(Lexer *lx, unsigned char c) {
  relation_blank(lx);
  if (lx->at >= lx->end || *lx->at != c) return false;
  lx->at++;
  return true;
}

bool pg_guard_relation(const char *text, size_t len) {
  Lexer lx = {.at = (const unsigned char *)text, .end = (const unsigned char *)text + len};
  int names = 0;
  do {
    if (!relation_name(&lx) || ++names > 3) return false;
  } while (relation_takes(&lx, '.'));
  if (relation_takes(&lx, '(')) {
    do {
      if (!relation_name(&lx)) return false;
    } while (relation_takes(&lx, ','));
    if (!relation_takes(&lx, ')')) return false;
  }
  relation_blank(&lx);
  return lx.at == lx.end;
}
