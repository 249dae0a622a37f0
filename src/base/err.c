/* err: see err.h. */
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ErrRow {
  const char *name, *kind, *text;
  int exit;
  bool retryable;
} ErrRow;

static const ErrRow err_rows[ERR_COUNT] = {
    [ERR_NONE] = {"none", "none", "no error", 0, false},
#define ERR(id, k, e, r, t) [ERR_##id] = {#id, k, t, e, (r) != 0},
#include "base/err.def"
#undef ERR
};

static char err_names[ERR_COUNT][16];

static const ErrRow *err_row(ErrCode code) { return &err_rows[(unsigned)code < ERR_COUNT ? code : ERR_INTERNAL]; }

const char *err_kind(ErrCode code) { return err_row(code)->kind; }
int err_exit(ErrCode code) { return err_row(code)->exit; }
bool err_retryable(ErrCode code) { return err_row(code)->retryable; }
const char *err_text(ErrCode code) { return err_row(code)->text; }

const char *err_code_name(ErrCode code) {
  const ErrRow *row = err_row(code);
  char *name = err_names[row - err_rows];
  if (name[0] == '\0') {
    for (size_t i = 0; row->name[i] != '\0' && i + 1 < sizeof err_names[0]; i++) {
      char c = row->name[i];
      name[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
  }
  return name;
}

static char *err_vformat(const char *format, va_list args) {
  char *text = NULL;
  if (vasprintf(&text, format, args) < 0) return NULL;
  return text;
}

static void err_begin(Err *err, ErrCode code) {
  err_fini(err);
  err->code = code;
  err->exit_code = -1;
}

bool err_set(Err *err, ErrCode code, const char *format, ...) {
  if (err == NULL) return false;
  /* The arguments may point into the old content: format before it is freed. */
  va_list args;
  va_start(args, format);
  char *message = err_vformat(format, args);
  va_end(args);
  err_begin(err, code);
  err->message = message;
  return false;
}

bool err_set_errno(Err *err, ErrCode code, int errnum, const char *format, ...) {
  if (err == NULL) return false;
  va_list args;
  va_start(args, format);
  char *what = err_vformat(format, args);
  va_end(args);
  err_begin(err, code);
  if (asprintf(&err->message, "%s: %s", what != NULL ? what : "", strerror(errnum)) < 0) err->message = NULL;
  err->errnum = errnum;
  free(what);
  return false;
}

static void err_replace(char **field, char *value) {
  free(*field);
  *field = value;
}

void err_set_target(Err *err, const char *target) {
  if (err != NULL) err_replace(&err->target, target != NULL ? strdup(target) : NULL);
}

void err_set_hint(Err *err, const char *format, ...) {
  if (err == NULL) return;
  va_list args;
  va_start(args, format);
  char *hint = err_vformat(format, args);
  va_end(args);
  err_replace(&err->hint, hint);
}

void err_set_detail(Err *err, const char *detail) {
  if (err != NULL) err_replace(&err->detail, detail != NULL ? strdup(detail) : NULL);
}

void err_prefix(Err *err, const char *format, ...) {
  if (err == NULL || err->message == NULL) return;
  va_list args;
  va_start(args, format);
  char *front = err_vformat(format, args);
  va_end(args);
  char *whole = NULL;
  if (front != NULL && asprintf(&whole, "%s%s", front, err->message) >= 0) err_replace(&err->message, whole);
  free(front);
}

void err_move(Err *to, Err *from) {
  if (to == from) return;
  err_fini(to);
  *to = *from;
  memset(from, 0, sizeof *from);
}

static char *err_dup(const char *text) { return text != NULL ? strdup(text) : NULL; }

void err_copy(Err *to, const Err *from) {
  if (to == from) return;
  Err copy = *from;
  copy.message = err_dup(from->message);
  copy.target = err_dup(from->target);
  copy.hint = err_dup(from->hint);
  copy.detail = err_dup(from->detail);
  err_fini(to);
  *to = copy;
}

void err_fini(Err *err) {
  if (err == NULL) return;
  free(err->message);
  free(err->target);
  free(err->hint);
  free(err->detail);
  memset(err, 0, sizeof *err);
}
