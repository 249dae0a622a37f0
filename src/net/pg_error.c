/* pg_error: the server's and libpq's errors as Err. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "net/pg_conn.h"
#include "net/pg_secret.h"

bool pg_error_is_fatal(const PGresult *res) {
  const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
  return severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

void pg_error_line(Buf *out, const char *message) {
  size_t start = out->len;
  for (const char *p = message; *p != '\0'; p++) {
    bool space = *p == '\n' || *p == '\t' || *p == ' ';
    if (space && (out->len == start || out->data[out->len - 1] == ' ')) continue;
    buf_add_char(out, space ? ' ' : *p);
  }
  while (out->len > start && out->data[out->len - 1] == ' ')
    out->data[--out->len] = '\0';
}

/* What the server's own hint does not say: how pgsh is told. */
static void add_hint(Err *err, const PgJob *job) {
  const char *state = err->sqlstate;
  if (job == NULL || err->hint != NULL) return;
  if (strcmp(state, "25001") == 0 && job->transaction)
    err_set_hint(err, "give psql.options{transaction=false}: the statement is then sent without BEGIN");
  else if (strcmp(state, "25006") == 0 && job->read)
    err_set_hint(err, "a read runs in a READ ONLY transaction: use :execute for a change");
  else if (strcmp(state, "25006") == 0)
    err_set_hint(err, "the server is a standby, or default_transaction_read_only is on");
  else if (strcmp(state, "55P03") == 0 && job->lock_timeout_ms > 0)
    err_set_hint(err, "another session holds the lock; psql.options{retry={times=…, every=…}} tries again");
  else if (strcmp(state, "57014") == 0 && job->statement_timeout_ms > 0)
    err_set_hint(err, "statement_timeout is %lld ms", (long long)job->statement_timeout_ms);
  else if (strcmp(state, "42601") == 0 && strstr(err->message, "multiple commands") != NULL)
    err_set_hint(err, "one statement a call; :transaction{…} takes several");
}

static void add_detail(Err *err, const PGresult *res) {
  const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
  const char *context = PQresultErrorField(res, PG_DIAG_CONTEXT);
  if (context == NULL) {
    err_set_detail(err, detail);
    return;
  }
  Buf text = {0};
  if (detail != NULL) buf_printf(&text, "%s\n", detail);
  Buf clean = {0}; /* it quotes the SQL of functions */
  buf_printf(&text, "context: %s", pg_secret_hide_text(context, &clean) ? buf_str(&clean) : context);
  buf_fini(&clean);
  err_set_detail(err, buf_str(&text));
  buf_fini(&text);
}

static void set_state(Err *err, const char *state) {
  if (state != NULL && strlen(state) == 5) memcpy(err->sqlstate, state, 6);
}

void pg_error_from_result(Err *err, const PGresult *res, const PgJob *job) {
  const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
  const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
  Buf line = {0};
  pg_error_line(&line, primary != NULL ? primary : PQresultErrorMessage(res));
  bool refused = state != NULL && strcmp(state, "25006") == 0 && job != NULL && job->read;
  err_set(err, refused ? ERR_READ_ONLY : ERR_PSQL, "%s", buf_str(&line));
  buf_fini(&line);
  set_state(err, state);
  add_detail(err, res);
  const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
  if (hint != NULL) err_set_hint(err, "%s", hint);
  const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
  if (position != NULL) err->position = (int)strtol(position, NULL, 10);
  add_hint(err, job);
}

/* libpq 15 keeps the SQLSTATE of a failed connection to itself, but writes it into a verbose message:
 * "… failed: FATAL:  28P01: password authentication failed for user …\nLOCATION:  …". Returns its place, or NULL. */
static const char *find_state(const char *message) {
  for (const char *p = strstr(message, ":  "); p != NULL; p = strstr(p + 3, ":  ")) {
    const char *state = p + 3;
    int n = 0;
    while (n < 5 && (isdigit((unsigned char)state[n]) || isupper((unsigned char)state[n])))
      n++;
    if (n == 5 && state[5] == ':' && state[6] == ' ') return state;
  }
  return NULL;
}

/* Leaves out the lines of a verbose message that are of no use to an operator. */
static void add_lines(Buf *out, const char *text) {
  while (*text != '\0') {
    size_t len = strcspn(text, "\n");
    if (strncmp(text, "LOCATION:", 9) != 0) {
      buf_add(out, text, len);
      buf_add_char(out, '\n');
    }
    text += len + (text[len] == '\n');
  }
}

void pg_error_from_connect(Err *err, const PGconn *pg) {
  const char *message = pg != NULL ? PQerrorMessage(pg) : "out of memory";
  const char *state = find_state(message);
  Buf text = {0}, line = {0};
  if (state != NULL) {
    buf_add(&text, message, (size_t)(state - message));
    add_lines(&text, state + 7);
  } else {
    add_lines(&text, message);
  }
  char *rest = text.data != NULL ? strchr(text.data, '\n') : NULL;
  if (rest != NULL) *rest++ = '\0';
  pg_error_line(&line, buf_str(&text));
  err_set(err, ERR_PSQL_CONNECT, "%s", line.len > 0 ? buf_str(&line) : "the connection failed");
  if (state != NULL) {
    memcpy(err->sqlstate, state, 5);
    err->sqlstate[5] = '\0';
  }
  if (pg != NULL && PQconnectionNeedsPassword(pg))
    err_set_hint(err, "~/.pgpass, the file that PGPASSFILE names or a service file may hold it; a command line may not");
  if (rest != NULL && *rest != '\0') {
    buf_clear(&line);
    pg_error_line(&line, rest);
    if (line.len > 0) err_set_detail(err, buf_str(&line));
  }
  buf_fini(&line);
  buf_fini(&text);
}
