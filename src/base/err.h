/* err: errors as values.
 *
 * An Err is filled by the function that fails and handed upwards; nobody below the command line prints one. Its strings are
 * owned by it and freed by err_fini. A zeroed Err is "no error".
 */
#ifndef PGSH_BASE_ERR_H
#define PGSH_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

typedef enum ErrCode {
  ERR_NONE = 0,
#define ERR(id, kind, exit, retryable, text) ERR_##id,
#include "base/err.def"
#undef ERR
  ERR_COUNT
} ErrCode;

typedef struct Err {
  ErrCode code;
  char *message;    /* one line, without the target; NULL when code is ERR_NONE */
  char *target;     /* what it happened to ("psql crates-io DATABASE"), or NULL */
  char *hint;       /* what to do about it, or NULL */
  char *detail;     /* more lines (server detail, end of a child's stderr), or NULL */
  char sqlstate[6]; /* PostgreSQL Appendix A; "" when not from a server */
  int status;       /* HTTP status; 0 when none */
  int exit_code;    /* a child's exit status; -1 when none */
  int signal;       /* the signal that ended a child; 0 when none */
  int errnum;       /* errno; 0 when none */
  int position;     /* 1-based character in the SQL statement; 0 when none */
} Err;

/* Fill `err` (any former content is freed). `format` as printf. Returns false, so that `return err_set(…)` reads well.
 * err may be NULL: then nothing is kept. */
bool err_set(Err *err, ErrCode code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* As err_set, and appends ": strerror(errnum)" and keeps errnum. */
bool err_set_errno(Err *err, ErrCode code, int errnum, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Replace a string field; a copy is made; NULL clears. */
void err_set_target(Err *err, const char *target);
void err_set_hint(Err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void err_set_detail(Err *err, const char *detail);
/* Put text in front of the message. */
void err_prefix(Err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Move: `to` owns the strings afterwards, `from` is empty. */
void err_move(Err *to, Err *from);
void err_copy(Err *to, const Err *from);
/* Free the strings and zero. Idempotent. */
void err_fini(Err *err);

/* The catalogue. */
const char *err_kind(ErrCode code);      /* "psql", "timeout", … */
const char *err_code_name(ErrCode code); /* "psql_connect", … */
int err_exit(ErrCode code);              /* exit status */
bool err_retryable(ErrCode code);
const char *err_text(ErrCode code);

#endif
