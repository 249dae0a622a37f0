/* http: HTTP requests as Ops, on curl's multi interface. No Lua here.
 *
 * Whether a request may have reached the service is decided exactly: op.sent is false until curl is about to write the first
 * byte of the request itself (name resolution, connection, proxy tunnel and TLS handshake are over by then). So
 *   nothing sent                      → ERR_HTTP_CONNECT, for every method
 *   sent, answer missing or cut short → GET, HEAD: ERR_HTTP_CONNECT (asking again is harmless)
 *                                       other methods: ERR_UNKNOWN
 *   answered                          → success of the Op, whatever the status; HttpRequest.judge may turn it into a failure
 * No error text holds a request header. */
#ifndef PGSH_NET_HTTP_H
#define PGSH_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop/op.h"

#define HTTP_LIMIT_BYTES ((size_t)16 << 20)
#define HTTP_MAX_REDIRECTS 10

/* ---- headers ---- */

typedef struct HttpHeader {
  char *name, *value;
  bool secret; /* not sent on to another origin by a redirect */
} HttpHeader;

typedef struct HttpHeaders {
  HttpHeader *list;
  size_t count;
} HttpHeaders;

void http_headers_fini(HttpHeaders *headers);
void http_headers_add(HttpHeaders *headers, const char *name, const char *value, bool secret); /* copies */
/* As add, but takes the place of those with the same name (case does not matter). */
void http_headers_set(HttpHeaders *headers, const char *name, const char *value, bool secret);
const char *http_headers_get(const HttpHeaders *headers, const char *name); /* the first; NULL; borrowed */
/* May these be sent? A name is a token, a value has no control characters. */
bool http_header_valid(const char *name, const char *value);

/* ---- lists of words, NULL-ended ---- */

char **http_words_copy(char *const *words); /* NULL gives NULL */
void http_words_free(char **words);         /* NULL is fine */

/* ---- replies ---- */

typedef struct HttpReply {
  int status;
  HttpHeaders headers; /* names in lower case; of the final answer only */
  Buf body;
  char *url; /* the effective address, after redirects, without credentials */
  int64_t connect_ms, first_byte_ms, total_ms;
} HttpReply;

void http_reply_fini(HttpReply *reply);

/* ---- requests ---- */

typedef struct HttpRequest {
  char *method;
  char *url;
  char *target; /* named in errors; may be NULL */
  HttpHeaders headers;
  Buf body;
  bool has_body;
  size_t limit_bytes;  /* of the reply's body; 0: HTTP_LIMIT_BYTES */
  bool safe;           /* GET, HEAD: set by http_request_new */
  bool follow;         /* redirects; only ever those of a safe request. Default true */
  bool netrc;          /* look the host up in netrc when there is no Authorization header. Default true */
  char *user, *secret; /* for basic authentication, or the key pair of sigv4; or NULL */
  char *sigv4;         /* "aws:amz:REGION:SERVICE"; or NULL */
  int attempts;        /* of http_fetch_start; default 5 */
  char **busy;         /* NULL-ended, or NULL: an error with one of these in its body means "not done, try later" */
  /* Called when an answer has arrived whole: may refuse it (false and err). With ctx freed by free_ctx. May be NULL. */
  bool (*judge)(void *ctx, const HttpReply *reply, Err *err);
  void *ctx;
  void (*free_ctx)(void *ctx);
  int refs; /* private */
} HttpRequest;

/* Caller holds one reference; an Op in flight holds another. Not to be changed once it is started. */
HttpRequest *http_request_new(const char *method, const char *url);
HttpRequest *http_request_ref(HttpRequest *request);
void http_request_unref(HttpRequest *request); /* NULL is fine */

/* ---- the client ---- */

typedef struct HttpClient HttpClient;

/* One per loop: connections are kept and used again. Initialises curl at the first call. */
HttpClient *http_client_new(Loop *loop);
/* Requests in flight are settled (cancelled). The memory goes with the loop's next turns. NULL is fine. */
void http_client_free(HttpClient *client);

/* One request, once. Armed; no deadline of its own: whoever starts it cancels it. Caller holds one reference. */
Op *http_transfer_start(HttpClient *client, HttpRequest *request);

/* One request, repeated as long as that is safe (http_retry.c says when), within the deadline; then judged. Armed; caller
 * holds one reference. timeout_ms <= 0: none. */
Op *http_fetch_start(HttpClient *client, HttpRequest *request, int64_t timeout_ms, const char *deadline_name);
/* The last answer of a settled fetch; borrowed; status 0 when there was none. */
const HttpReply *http_fetch_reply(const Op *op);

/* ---- addresses ---- */

/* Is it an absolute http or https address? False and err (ERR_USAGE). */
bool http_url_check(const char *url, Err *err);
/* "https://host:port", lower case, port always there. NULL when it does not parse. To be freed. */
char *http_url_origin(const char *url);
/* "host" or "host:port" when the port is not the scheme's own. To be freed; NULL when it does not parse. */
char *http_url_host(const char *url);
/* The address without user name and password. To be freed; never NULL. */
char *http_url_plain(const char *url);
/* Its user name and password, percent-decoded; false when it has none. To be freed; the password may be NULL. */
bool http_url_credentials(const char *url, char **user, char **secret);
/* Append text percent-encoded (all but A-Z a-z 0-9 - . _ ~). */
void http_url_encode(Buf *out, const char *text, size_t len);

#endif
