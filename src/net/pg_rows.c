/* pg_rows: result sets and jobs as plain memory. */
#include <stdlib.h>
#include <string.h>

#include "net/pg_conn.h"

const char *pg_rows_cell(const PgRows *rows, size_t row, int column, size_t *len) {
  const PgCell *cell = &rows->cells[row * (size_t)rows->ncolumns + (size_t)column];
  if (cell->len < 0) return NULL;
  if (len != NULL) *len = (size_t)cell->len;
  return rows->data.data + cell->at;
}

size_t pg_rows_bytes(const PgRows *rows) { return rows->data.len + rows->nrows * (size_t)rows->ncolumns * sizeof(PgCell); }

void pg_rows_clear(PgRows *rows) {
  rows->nrows = 0;
  buf_clear(&rows->data);
}

void pg_rows_fini(PgRows *rows) {
  for (int i = 0; i < rows->ncolumns; i++)
    free(rows->columns[i].name);
  free(rows->columns);
  free(rows->cells);
  buf_fini(&rows->data);
  memset(rows, 0, sizeof *rows);
}

void pg_rows_describe(PgRows *rows, const PGresult *res) {
  int n = PQnfields(res);
  if (rows->columns != NULL || n == 0) return;
  rows->columns = mem_alloc((size_t)n * sizeof *rows->columns);
  rows->ncolumns = n;
  for (int i = 0; i < n; i++) {
    rows->columns[i].name = mem_strdup(PQfname(res, i));
    rows->columns[i].type = PQftype(res, i);
  }
  for (int i = 0; i < n; i++)
    for (int k = i + 1; k < n && !rows->columns[i].repeated; k++)
      rows->columns[i].repeated = strcmp(rows->columns[i].name, rows->columns[k].name) == 0;
}

static void rows_append_cell(PgRows *rows, PgCell *cell, const PGresult *res, int row, int column) {
  if (PQgetisnull(res, row, column)) {
    cell->len = -1;
    return;
  }
  cell->at = rows->data.len;
  cell->len = PQgetlength(res, row, column);
  buf_add(&rows->data, PQgetvalue(res, row, column), (size_t)cell->len);
  buf_add_char(&rows->data, '\0'); /* numbers are parsed in place */
}

/* Where the cells of one more row go. */
static PgCell *rows_reserve(PgRows *rows) {
  size_t used = rows->nrows * (size_t)rows->ncolumns, need = used + (size_t)rows->ncolumns;
  if (need > rows->cells_cap) {
    rows->cells_cap = need * 2;
    rows->cells = mem_realloc(rows->cells, rows->cells_cap * sizeof *rows->cells);
  }
  return rows->cells + used;
}

void pg_rows_append(PgRows *rows, const PGresult *res) {
  int n = PQntuples(res);
  for (int r = 0; r < n; r++) {
    PgCell *cells = rows_reserve(rows);
    for (int c = 0; c < rows->ncolumns; c++)
      rows_append_cell(rows, &cells[c], res, r, c);
    rows->nrows++;
  }
}

/* ---- rows of COPY … TO STDOUT in text format: fields end with a tab, the row with a newline; \N is NULL ---- */

/* What stands behind the backslash. COPY TO writes only these. */
static char copy_unescape(char c) {
  switch (c) {
  case 'b': return '\b';
  case 'f': return '\f';
  case 'n': return '\n';
  case 'r': return '\r';
  case 't': return '\t';
  case 'v': return '\v';
  default: return c;
  }
}

bool pg_rows_append_line(PgRows *rows, const char *line, size_t len) {
  PgCell *cell = rows_reserve(rows), *last = cell + rows->ncolumns;
  const char *p = line, *end = line + len;
  /* A row becomes no longer: each field ends with a NUL where its tab was. */
  char *out = buf_reserve(&rows->data, len + 1), *to = out;
  while (p < end && cell < last) {
    char *start = to;
    bool null = false;
    for (; p < end && *p != '\t' && *p != '\n'; p++) {
      if (*p != '\\' || p + 1 >= end)
        *to++ = *p;
      else if (*++p == 'N')
        null = true;
      else
        *to++ = copy_unescape(*p);
    }
    cell->at = rows->data.len + (size_t)(start - out);
    cell->len = null ? -1 : (int)(to - start);
    cell++;
    *to++ = '\0';
    if (p < end && *p++ == '\n') break;
  }
  if (cell != last || p != end) return false;
  rows->data.len += (size_t)(to - out);
  *to = '\0';
  rows->nrows++;
  return true;
}

void pg_result_fini(PgResult *result) {
  pg_rows_fini(&result->rows);
  free(result->command);
  result->command = NULL;
}

PgJob *pg_job_new(void) {
  PgJob *job = mem_alloc(sizeof *job);
  job->refs = 1;
  job->read = true;
  job->transaction = true;
  return job;
}

PgStatement *pg_job_add(PgJob *job, const char *sql, int nparams) {
  job->statements = mem_realloc(job->statements, (size_t)(job->nstatements + 1) * sizeof *job->statements);
  PgStatement *statement = &job->statements[job->nstatements++];
  memset(statement, 0, sizeof *statement);
  statement->expect = -1;
  statement->sql = mem_strdup(sql);
  if (nparams > 0) statement->params = mem_alloc((size_t)nparams * sizeof *statement->params);
  statement->nparams = nparams;
  return statement;
}

void pg_statement_set(PgStatement *statement, int i, const char *value) {
  free(statement->params[i]);
  statement->params[i] = mem_strdup(value);
}

PgJob *pg_job_ref(PgJob *job) {
  job->refs++;
  return job;
}

static void statement_fini(PgStatement *statement) {
  for (int i = 0; i < statement->nparams; i++) {
    /* A parameter may be a secret. */
    if (statement->params[i] != NULL) explicit_bzero(statement->params[i], strlen(statement->params[i]));
    free(statement->params[i]);
  }
  free(statement->params);
  free(statement->sql);
}

void pg_job_unref(PgJob *job) {
  if (job == NULL || --job->refs > 0) return;
  for (int i = 0; i < job->nstatements; i++)
    statement_fini(&job->statements[i]);
  free(job->statements);
  if (job->taker.free != NULL) job->taker.free(job->taker.self);
  free(job);
}
