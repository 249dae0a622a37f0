/* pg_guard: see pg_guard.h. */
#include "net/pg_guard.h"

#include <string.h>

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
  PgLex lx = {.at = sql, .end = end};
  Called called = {0};
  bool ended = false, begun = false;
  PgToken kind;
  scan->empty = true;
  while ((kind = pg_lex_next(&lx)) != PG_TOKEN_END && kind != PG_TOKEN_BROKEN) {
    if (kind == PG_TOKEN_OTHER && lx.other == ';') {
      ended = !scan->empty;
      memset(&called, 0, sizeof called);
      continue;
    }
    if (ended) scan->many = true;
    scan->empty = false;
    if (kind == PG_TOKEN_NAME) {
      if (!begun && !lx.quoted) copy_name(scan->first, lx.name);
      called_add(&called, lx.name);
    } else if (kind == PG_TOKEN_OTHER) {
      scan_other(scan, &called, lx.other);
      if (lx.other == '(' && !begun) continue; /* ((select …)) */
    } else {
      memset(&called, 0, sizeof called);
      if (kind == PG_TOKEN_DOLLAR && depth > 0 && scan->found[0] == '\0') {
        Scan inner = {0};
        scan_sql(lx.body, lx.body_end, depth - 1, &inner);
        copy_name(scan->found, inner.found);
      }
    }
    begun = true;
  }
  scan->broken = kind == PG_TOKEN_BROKEN;
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
  PgLex lx = {.at = start, .end = start + len};
  char first[PG_GUARD_NAME];
  int depth = 0;
  PgToken kind;
  bool ended = false;
  *end = len;
  if (pg_guard_read(sql, len, first) != PG_GUARD_READ) return false;
  while ((kind = pg_lex_next(&lx)) != PG_TOKEN_END) {
    if (kind == PG_TOKEN_BROKEN || depth < 0) return false;
    bool semicolon = kind == PG_TOKEN_OTHER && lx.other == ';';
    if (ended && !semicolon) return false; /* one in front */
    if (kind != PG_TOKEN_OTHER || ended) continue;
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

static void relation_blank(PgLex *lx) {
  while (lx->at < lx->end && pg_lex_is_space(*lx->at))
    lx->at++;
}

static bool relation_name(PgLex *lx) {
  relation_blank(lx);
  const unsigned char *start = lx->at;
  if (pg_lex_peek(lx, 0) == '"') {
    lx->at++;
    return pg_lex_quoted_name(lx, false) == PG_TOKEN_NAME && lx->at - start > 2;
  }
  if (lx->at >= lx->end || !pg_lex_is_name_start(*lx->at)) return false;
  while (lx->at < lx->end && pg_lex_is_name_part(*lx->at))
    lx->at++;
  return true;
}

static bool relation_takes(PgLex *lx, unsigned char c) {
  relation_blank(lx);
  if (lx->at >= lx->end || *lx->at != c) return false;
  lx->at++;
  return true;
}

bool pg_guard_relation(const char *text, size_t len) {
  PgLex lx = {.at = (const unsigned char *)text, .end = (const unsigned char *)text + len};
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
