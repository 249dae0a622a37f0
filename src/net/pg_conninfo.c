/* pg_conninfo: what can be told from a connection string without connecting. */
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "net/pg_conn.h"

/* As libpq tells them apart for dbname: a bare word is a database's name. */
static bool conninfo_is_string(const char *text) {
  return strchr(text, '=') != NULL || strncmp(text, "postgres://", 11) == 0 || strncmp(text, "postgresql://", 13) == 0;
}

bool pg_conninfo_check(const char *conninfo, Err *err) {
  if (!conninfo_is_string(conninfo)) return true;
  char *why = NULL;
  PQconninfoOption *options = PQconninfoParse(conninfo, &why);
  bool ok = options != NULL;
  if (ok)
    PQconninfoFree(options);
  else {
    /* libpq's message quotes the part it could not read, which may be a piece of the password. */
    err_set(err, ERR_USAGE, "the connection string cannot be parsed");
    err_set_hint(err, "postgresql://user:password@host:port/dbname with everything special percent-encoded, "
                      "or key=value pairs with values in single quotes");
  }
  PQfreemem(why);
  return ok;
}

static const char *option_value(const PQconninfoOption *options, const char *keyword) {
  for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
    if (strcmp(o->keyword, keyword) == 0) return o->val;
  return NULL;
}

static void conninfo_add(Buf *out, const char *keyword, const char *value) {
  buf_printf(out, "%s%s='", out->len > 0 ? " " : "", keyword);
  for (const char *p = value; *p != '\0'; p++) {
    if (*p == '\'' || *p == '\\') buf_add_char(out, '\\');
    buf_add_char(out, *p);
  }
  buf_add_char(out, '\'');
}

char *pg_conninfo_with_password(const char *conninfo, const char *password) {
  Buf out = {0};
  PQconninfoOption *options = conninfo_is_string(conninfo) ? PQconninfoParse(conninfo, NULL) : NULL;
  if (options == NULL && *conninfo != '\0') conninfo_add(&out, "dbname", conninfo);
  for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
    if (o->val != NULL && strcmp(o->keyword, "password") != 0) conninfo_add(&out, o->keyword, o->val);
  PQconninfoFree(options);
  conninfo_add(&out, "password", password);
  return buf_take(&out);
}

static const char *first_of(const char *a, const char *b, const char *c) {
  if (a != NULL && *a != '\0') return a;
  return b != NULL && *b != '\0' ? b : c;
}

static char *options_name(const PQconninfoOption *options) {
  Buf name = {0};
  const char *service = first_of(option_value(options, "service"), getenv("PGSERVICE"), NULL);
  const char *host = first_of(option_value(options, "host"), option_value(options, "hostaddr"), NULL);
  const char *dbname = first_of(option_value(options, "dbname"), service != NULL ? NULL : getenv("PGDATABASE"), NULL);
  if (service != NULL && host == NULL) {
    buf_printf(&name, "service %s", service);
    if (dbname != NULL) buf_printf(&name, "/%s", dbname);
    return buf_take(&name);
  }
  host = first_of(host, first_of(getenv("PGHOST"), getenv("PGHOSTADDR"), NULL), "local");
  /* An '@' that was not percent-encoded puts the end of a password in front of the host. */
  const char *at = strrchr(host, '@');
  if (at != NULL) host = at + 1;
  const char *port = first_of(option_value(options, "port"), getenv("PGPORT"), "5432");
  buf_printf(&name, "%s:%s/%s", host, port, dbname != NULL ? dbname : "");
  return buf_take(&name);
}

char *pg_conninfo_name(const char *conninfo) {
  PQconninfoOption *options = NULL;
  if (conninfo_is_string(conninfo)) options = PQconninfoParse(conninfo, NULL);
  char *name;
  if (options == NULL && *conninfo != '\0') {
    PQconninfoOption bare[] = {{.keyword = (char *)"dbname", .val = (char *)conninfo}, {.keyword = NULL}};
    name = options_name(bare);
  } else {
    name = options_name(options);
  }
  PQconninfoFree(options);
  return name;
}

static bool same_text(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) == 0; }

/* The value of a keyword in the other conninfo. */
static const char *other_value(const PQconninfoOption *option, const PgConninfoOther *other, bool same_user) {
  if (strcmp(option->keyword, "dbname") == 0) {
    if (other->dbname != NULL) return other->dbname;
    return option->val == NULL && !same_user ? other->dbname_now : option->val;
  }
  if (strcmp(option->keyword, "user") == 0 && other->user != NULL) return other->user;
  return strcmp(option->keyword, "password") == 0 && !same_user ? NULL : option->val;
}

char *pg_conninfo_other(const char *conninfo, const PgConninfoOther *other) {
  bool bare = !conninfo_is_string(conninfo) && *conninfo != '\0';
  PgConninfoOther as_is = *other;
  if (bare && as_is.dbname == NULL) as_is.dbname = conninfo;
  PQconninfoOption *options = PQconninfoParse(bare ? "" : conninfo, NULL);
  const char *user = option_value(options, "user");
  bool same_user = other->user == NULL || same_text(other->user, user != NULL ? user : other->user_now);
  Buf out = {0};
  buf_reserve(&out, 4 * strlen(conninfo) + 4096); /* as a rule it does not move then, and leaves no password behind */
  for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
    const char *value = other_value(o, &as_is, same_user);
    if (value != NULL) conninfo_add(&out, o->keyword, value);
  }
  PQconninfoFree(options);
  return buf_take(&out);
}

int64_t pg_conninfo_timeout_ms(const char *conninfo) {
  PQconninfoOption *options = conninfo_is_string(conninfo) ? PQconninfoParse(conninfo, NULL) : NULL;
  const char *value = first_of(option_value(options, "connect_timeout"), getenv("PGCONNECT_TIMEOUT"), "0");
  int64_t seconds = strtoll(value, NULL, 10);
  PQconninfoFree(options);
  return seconds > 0 ? seconds * 1000 : 0;
}
