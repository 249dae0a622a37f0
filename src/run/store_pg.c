/* store_pg: see store_pg.h. */
#include "run/store_pg.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/pgsync.h"
#include "run/teller.h"

typedef struct Held {
  char *key, *holder;
  unsigned generation; /* of the connection that has it */
} Held;

struct StorePg {
  Teller *teller;
  pthread_mutex_t line; /* of what follows: the teller's thread sends, too */
  PgSync *db;
  bool ready; /* the schema is there */
  char run[STORE_ID_SIZE];
  long long last; /* the newest event of the run that is known to be there */
  Held *held;
  size_t held_count;
};

#define LOCK_NUMBER "hashtextextended('pgsh ' || $1, 7263)"

static const char store_pg_schema[] = "do $$ begin perform pg_advisory_xact_lock(hashtextextended('pgsh schema', 7263)); "
                                      "create schema if not exists pgsh; "
                                      "create table if not exists pgsh.event (run text not null, seq bigint not null, event json "
                                      "not null, primary key (run, seq)); "
                                      "create table if not exists pgsh.lock (key text primary key, holder text not null); end $$";

static bool store_pg_send(void *self, const char *lines, size_t len, Err *err);

StorePg *store_pg_new(const char *conninfo) {
  StorePg *store = mem_alloc(sizeof *store);
  store->db = pgsync_new(conninfo);
  pthread_mutex_init(&store->line, NULL);
  store->teller = teller_new(store_pg_send, store);
  return store;
}

void store_pg_free(StorePg *store) {
  if (store == NULL) return;
  teller_free(store->teller);
  pthread_mutex_destroy(&store->line);
  for (size_t i = 0; i < store->held_count; i++) {
    free(store->held[i].key);
    free(store->held[i].holder);
  }
  free(store->held);
  pgsync_free(store->db);
  free(store);
}

/* Look before making: `create … if not exists` needs the right to create even when there is nothing to do. One after the other:
 * two that make at the same time would trip over each other. */
static bool store_pg_prepare(StorePg *store, Err *err) {
  PgSyncRows rows;
  if (store->ready) return true;
  if (!pgsync_exec(store->db, "select to_regclass('pgsh.event') is not null and to_regclass('pgsh.lock') is not null", 0, NULL,
                   &rows, err))
    return false;
  bool there = pgsync_value(&rows, 0, 0)[0] == 't';
  pgsync_free_rows(&rows);
  if (!there && !pgsync_exec(store->db, store_pg_schema, 0, NULL, NULL, err)) return false;
  return store->ready = true;
}

/* ---- locks ------------------------------------------------------------------------------------------------------------ */

static void store_pg_say_held(StorePg *store, const char *key, Err *err) {
  PgSyncRows rows;
  const char *holder = "another session";
  bool known = pgsync_exec(store->db, "select holder from pgsh.lock where key = $1", 1, &key, &rows, NULL) && rows.rows == 1;
  if (known) holder = pgsync_value(&rows, 0, 0);
  err_set(err, ERR_LOCKED, "%s is held by %s", key, holder);
  err_set_hint(err, "wait for that run to end, or look at it with: pgsh runs");
  if (known) pgsync_free_rows(&rows);
}

static bool store_pg_take(StorePg *store, const char *key, const char *holder, Err *err) {
  PgSyncRows rows;
  if (!pgsync_exec(store->db, "select pg_try_advisory_lock(" LOCK_NUMBER ")", 1, &key, &rows, err)) return false;
  bool got = pgsync_value(&rows, 0, 0)[0] == 't';
  pgsync_free_rows(&rows);
  if (!got) {
    store_pg_say_held(store, key, err);
    return false;
  }
  const char *params[] = {key, holder};
  return pgsync_exec(store->db, "insert into pgsh.lock values ($1, $2) on conflict (key) do update set holder = excluded.holder",
                     2, params, NULL, err);
}

static bool store_pg_hold(StorePg *store, const char *key, const char *holder, Err *err) {
  if (!store_pg_prepare(store, err) || !store_pg_take(store, key, holder, err)) return false;
  store->held = mem_realloc(store->held, (store->held_count + 1) * sizeof(Held));
  store->held[store->held_count++] = (Held){mem_strdup(key), mem_strdup(holder), pgsync_generation(store->db)};
  return true;
}

bool store_pg_lock(StorePg *store, const char *key, const char *holder, Err *err) {
  pthread_mutex_lock(&store->line);
  bool ok = store_pg_hold(store, key, holder, err);
  pthread_mutex_unlock(&store->line);
  return ok;
}

static void store_pg_let_go(StorePg *store, const char *key) {
  for (size_t i = 0; i < store->held_count; i++) {
    Held *held = &store->held[i];
    if (strcmp(held->key, key) != 0) continue;
    /* When the line is lost, so is the lock. */
    (void)pgsync_exec(store->db, "select pg_advisory_unlock(" LOCK_NUMBER ")", 1, &key, NULL, NULL);
    free(held->key);
    free(held->holder);
    *held = store->held[--store->held_count];
    return;
  }
}

void store_pg_unlock(StorePg *store, const char *key) {
  pthread_mutex_lock(&store->line);
  store_pg_let_go(store, key);
  pthread_mutex_unlock(&store->line);
}

/* The line is up, with all locks. Those of a session that was lost went with it, and somebody else may hold one by now. */
static bool store_pg_ready(StorePg *store, Err *err) {
  if (!pgsync_connect(store->db, err)) return false;
  unsigned generation = pgsync_generation(store->db);
  for (size_t i = 0; i < store->held_count; i++) {
    Held *held = &store->held[i];
    if (held->generation == generation) continue;
    if (!store_pg_take(store, held->key, held->holder, err)) return false;
    held->generation = generation;
  }
  return true;
}

/* ---- events ------------------------------------------------------------------------------------------------------------ */

/* Lines of JSON objects → one JSON array. */
static char *store_pg_array(const char *text, size_t len) {
  Buf array = {0};
  buf_add_char(&array, '[');
  for (size_t i = 0; i < len; i++) {
    if (text[i] != '\n')
      buf_add_char(&array, text[i]);
    else if (i + 1 < len)
      buf_add_char(&array, ',');
  }
  buf_add_char(&array, ']');
  return buf_take(&array);
}

/* All of it or nothing: not when there is an event of this run that is not ours. */
static const char store_pg_insert_sql[] =
    "with mine as (select (e->>'seq')::bigint as seq, e as event from json_array_elements($2::json) as e), "
    "others as (select count(*) as n from pgsh.event v where v.run = $1 and v.seq > $3::bigint "
    "and not exists (select from mine m where m.seq = v.seq and m.event::text = v.event::text)), "
    "put as (insert into pgsh.event select $1, m.seq, m.event from mine m, others o where o.n = 0 on conflict do nothing) "
    "select o.n, (select max(seq) from mine) from others o";

static bool store_pg_insert(StorePg *store, const char *array, Err *err) {
  char last[24];
  snprintf(last, sizeof last, "%lld", store->last);
  const char *params[] = {store->run, array, last};
  PgSyncRows rows;
  if (!pgsync_exec(store->db, store_pg_insert_sql, 3, params, &rows, err)) return false;
  bool ours = strcmp(pgsync_value(&rows, 0, 0), "0") == 0;
  if (ours)
    store->last = strtoll(pgsync_value(&rows, 0, 1), NULL, 10);
  else
    err_set(err, ERR_LOCKED, "another process went on with run %s after the line was lost: pgsh show %s", store->run, store->run);
  pgsync_free_rows(&rows);
  return ours;
}

static bool store_pg_insert_lines(StorePg *store, const char *lines, size_t len, Err *err) {
  char *array = store_pg_array(lines, len);
  bool ok = false;
  /* Once more on a new connection: a row that had arrived is not doubled, its (run, seq) is the key. */
  for (int tries = 0; !ok && tries < 2; tries++) {
    if (!store_pg_ready(store, err)) break;
    ok = store_pg_insert(store, array, err);
    if (!ok && err->code != ERR_PSQL_CONNECT) break;
  }
  free(array);
  return ok;
}

/* TellerSend. */
static bool store_pg_send(void *self, const char *lines, size_t len, Err *err) {
  StorePg *store = self;
  pthread_mutex_lock(&store->line);
  bool ok = store_pg_insert_lines(store, lines, len, err);
  pthread_mutex_unlock(&store->line);
  return ok;
}

static bool store_pg_append(void *self, const char *lines, size_t len, Err *err) {
  return teller_append(((StorePg *)self)->teller, lines, len, err);
}

static void store_pg_tell(void *self, const char *lines, size_t len) { teller_tell(((StorePg *)self)->teller, lines, len); }

static Journal *store_pg_journal(StorePg *store, const char *id) {
  snprintf(store->run, sizeof store->run, "%s", id);
  static const JournalPlace place = {.append = store_pg_append, .tell = store_pg_tell};
  return journal_remote(&place, store);
}

Journal *store_pg_begin(StorePg *store, const char *id, Err *err) {
  pthread_mutex_lock(&store->line);
  bool ok = store_pg_prepare(store, err);
  pthread_mutex_unlock(&store->line);
  return ok ? store_pg_journal(store, id) : NULL;
}

Journal *store_pg_resume(StorePg *store, const char *id, json_t **events, Err *err) {
  *events = store_pg_read(store, id, err);
  if (*events == NULL) return NULL;
  const json_t *newest = json_array_get(*events, json_array_size(*events) - 1);
  store->last = json_integer_value(json_object_get(newest, "seq"));
  return store_pg_journal(store, id);
}

/* A statement that reads, on a database that has the schema. */
static bool store_pg_select(StorePg *store, const char *sql, const char *param, PgSyncRows *rows, Err *err) {
  pthread_mutex_lock(&store->line);
  bool ok = store_pg_prepare(store, err) && pgsync_exec(store->db, sql, param != NULL, &param, rows, err);
  pthread_mutex_unlock(&store->line);
  return ok;
}

json_t *store_pg_read(StorePg *store, const char *id, Err *err) {
  PgSyncRows rows;
  if (!store_pg_select(store, "select event from pgsh.event where run = $1 order by seq", id, &rows, err)) return NULL;
  json_t *events = json_array();
  for (size_t i = 0; i < rows.rows; i++) {
    json_error_t where;
    json_t *event = json_loads(pgsync_value(&rows, i, 0), 0, &where);
    if (event != NULL) json_array_append_new(events, event);
  }
  pgsync_free_rows(&rows);
  return events;
}

StoreRun *store_pg_list(StorePg *store, size_t *count, Err *err) {
  PgSyncRows rows;
  *count = 0;
  StoreRun *runs = mem_alloc(sizeof *runs);
  static const char sql[] =
      "select e.run, e.event->>'at', h.held, l.holder from (select distinct on (run) run, event from pgsh.event order by run, "
      "seq) e "
      "left join pgsh.lock l on l.key = 'run ' || e.run, lateral (select exists (select from pg_locks where locktype = "
      "'advisory' "
      "and granted and database = (select oid from pg_database where datname = current_database()) and objsubid = 1 and "
      "(classid::bigint << 32) | objid::bigint = hashtextextended('pgsh run ' || e.run, 7263)) as held) h order by 2 desc";
  if (!store_pg_select(store, sql, NULL, &rows, err)) return runs;
  runs = mem_realloc(runs, sizeof *runs * (rows.rows + 1));
  for (size_t i = 0; i < rows.rows; i++) {
    StoreRun *run = &runs[(*count)++];
    memset(run, 0, sizeof *run);
    const char *live = pgsync_value(&rows, i, 2);
    snprintf(run->id, sizeof run->id, "%s", pgsync_value(&rows, i, 0));
    run->started = mem_strdup(pgsync_value(&rows, i, 1));
    run->live = live != NULL && live[0] == 't';
    run->holder = run->live ? mem_strdup(pgsync_value(&rows, i, 3)) : NULL;
  }
  pgsync_free_rows(&rows);
  return runs;
}
