/* http_call: what the files of api/http share: a handle, a call in the making, and the judgement of its answer. */
#ifndef PGSH_API_HTTP_CALL_H
#define PGSH_API_HTTP_CALL_H

#include <jansson.h>
#include <lua.h>

#include "net/http.h"
#include "run/guard.h"

#define HTTP_HANDLE_NAME "pgsh.Http"
#define HTTP_CALL_NAME "pgsh.HttpCall"

/* What http(base, options) returns. */
typedef struct HttpHandle {
  HttpClient *client; /* borrowed: lives as long as the Lua state */
  Target *target;     /* borrowed from the guard */
  char *base;         /* without credentials and trailing '/' */
  char *user, *secret, *sigv4;
  HttpHeaders headers;
  char **busy; /* HttpRequest.busy */
  int64_t timeout_ms;
  int attempts;
  bool netrc;
} HttpHandle;

typedef enum HttpDecode { HTTP_DECODE_AUTO, HTTP_DECODE_JSON, HTTP_DECODE_TEXT } HttpDecode;

/* How an answer is judged: the ctx of the HttpRequest, which frees it. */
typedef struct HttpRules {
  int *expect; /* accepted statuses, ended by 0; NULL: every 2xx */
  HttpDecode decode;
  bool change;
  bool repeatable; /* a change that may be sent again without harm */
  bool pair;       /* get_json: value and response */
  char **pick;     /* of a change: fields to keep, NULL-ended; NULL: none */
  char *host;      /* for messages */
  json_t *decoded; /* of the last answer; NULL when it was not JSON */
} HttpRules;

/* One call: the door's argument userdata (HTTP_CALL_NAME). Its __gc frees what it holds. */
typedef struct HttpCall {
  HttpHandle *handle; /* anchored: the handle is on the stack below */
  HttpRequest *request;
  int64_t timeout_ms;
  Buf show;     /* what people read; never a secret */
  Buf url;      /* in the making */
  Buf shown;    /* the same with secrets masked */
  bool unknown; /* an argument is not known in a plan */
} HttpCall;

/* A row of the method table. */
typedef struct HttpMethod {
  const char *verb;
  bool change;
  bool idempotent; /* by HTTP's own rules; POST and PATCH only when told */
  bool pair;
} HttpMethod;

/* http_rules.c */
HttpRules *http_rules_new(void);
void http_rules_free(void *rules);
/* HttpRequest.judge */
bool http_rules_judge(void *rules, const HttpReply *reply, Err *err);
/* The fields a change keeps, as an object; NULL when there are none. New reference. */
json_t *http_rules_picked(const HttpRules *rules);

/* http_args.c: from the Lua stack into a call. All may raise; what they make is owned by the call's or handle's userdata. */
void http_args_headers(lua_State *L, int index, HttpHeaders *headers);
/* A list of texts; `what` names them in the error. *words is freed with what holds it, also when this raises. */
void http_args_words(lua_State *L, int options, const char *key, const char *what, char ***words);
/* Fill call->request and the rest from path (index) and options (absolute index or 0). */
void http_args_fill(lua_State *L, HttpCall *call, const HttpMethod *method, int path, int options);
/* Append a table of query fields, sorted, to both renderings. */
void http_args_query(lua_State *L, int index, Buf *real, Buf *shown);

#endif
