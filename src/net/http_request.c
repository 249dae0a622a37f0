/* http_request: headers, requests and replies as values; addresses. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/http_internal.h"

/* ---- headers ---- */

static void http_header_clear(HttpHeader *header) {
  free(header->name);
  free(header->value);
}

void http_headers_fini(HttpHeaders *headers) {
  for (size_t i = 0; i < headers->count; i++)
    http_header_clear(&headers->list[i]);
  free(headers->list);
  memset(headers, 0, sizeof *headers);
}

void http_headers_add(HttpHeaders *headers, const char *name, const char *value, bool secret) {
  headers->list = mem_realloc(headers->list, (headers->count + 1) * sizeof *headers->list);
  HttpHeader *header = &headers->list[headers->count++];
  header->name = mem_strdup(name);
  header->value = mem_strdup(value);
  header->secret = secret;
}

void http_headers_set(HttpHeaders *headers, const char *name, const char *value, bool secret) {
  size_t kept = 0;
  for (size_t i = 0; i < headers->count; i++) {
    if (strcasecmp(headers->list[i].name, name) == 0)
      http_header_clear(&headers->list[i]);
    else
      headers->list[kept++] = headers->list[i];
  }
  headers->count = kept;
  http_headers_add(headers, name, value, secret);
}

const char *http_headers_get(const HttpHeaders *headers, const char *name) {
  for (size_t i = 0; i < headers->count; i++)
    if (strcasecmp(headers->list[i].name, name) == 0) return headers->list[i].value;
  return NULL;
}

bool http_header_valid(const char *name, const char *value) {
  if (name[0] == '\0') return false;
  for (const char *c = name; *c != '\0'; c++)
    if (!isalnum((unsigned char)*c) && strchr("!#$%&'*+-.^_`|~", *c) == NULL) return false;
  for (const char *c = value; *c != '\0'; c++)
    if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f) return false;
  return true;
}

/* ---- requests and replies ---- */

HttpRequest *http_request_new(const char *method, const char *url) {
  HttpRequest *request = mem_alloc(sizeof *request);
  request->refs = 1;
  request->method = mem_strdup(method);
  request->url = mem_strdup(url);
  request->safe = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
  request->follow = true;
  request->netrc = true;
  request->attempts = 5;
  request->limit_bytes = HTTP_LIMIT_BYTES;
  return request;
}

HttpRequest *http_request_ref(HttpRequest *request) {
  request->refs++;
  return request;
}

static void wipe(char *secret) {
  if (secret != NULL) explicit_bzero(secret, strlen(secret));
}

void http_request_unref(HttpRequest *request) {
  if (request == NULL || --request->refs > 0) return;
  if (request->free_ctx != NULL) request->free_ctx(request->ctx);
  wipe(request->secret);
  free(request->secret);
  free(request->method);
  free(request->url);
  free(request->target);
  free(request->sigv4);
  free(request->user);
  http_words_free(request->busy);
  http_headers_fini(&request->headers);
  buf_fini(&request->body);
  free(request);
}

/* ---- words ---- */

char **http_words_copy(char *const *words) {
  if (words == NULL) return NULL;
  size_t count = 0;
  while (words[count] != NULL)
    count++;
  char **copy = mem_alloc((count + 1) * sizeof *copy);
  for (size_t i = 0; i < count; i++)
    copy[i] = mem_strdup(words[i]);
  return copy;
}

void http_words_free(char **words) {
  for (char **word = words; word != NULL && *word != NULL; word++)
    free(*word);
  free(words);
}

void http_reply_fini(HttpReply *reply) {
  http_headers_fini(&reply->headers);
  buf_fini(&reply->body);
  free(reply->url);
  memset(reply, 0, sizeof *reply);
}

/* ---- addresses ---- */

/* One part of an address, to be freed with curl_free; NULL when it has none. */
static char *http_url_part(CURLU *parsed, CURLUPart part, unsigned flags) {
  char *text = NULL;
  return curl_url_get(parsed, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static CURLU *http_url_parse(const char *url) {
  CURLU *parsed = curl_url();
  if (parsed == NULL) abort();
  if (curl_url_set(parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK) return parsed;
  curl_url_cleanup(parsed);
  return NULL;
}

bool http_url_check(const char *url, Err *err) {
  CURLU *parsed = http_url_parse(url);
  char *scheme = parsed != NULL ? http_url_part(parsed, CURLUPART_SCHEME, 0) : NULL;
  char *host = parsed != NULL ? http_url_part(parsed, CURLUPART_HOST, 0) : NULL;
  bool good =
      scheme != NULL && host != NULL && host[0] != '\0' && (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);
  curl_free(scheme);
  curl_free(host);
  curl_url_cleanup(parsed);
  if (good) return true;
  char *plain = http_url_plain(url);
  err_set(err, ERR_USAGE, "not an http or https address: %s", plain);
  free(plain);
  return false;
}

static void lower(char *text) {
  for (; *text != '\0'; text++)
    *text = (char)tolower((unsigned char)*text);
}

static char *http_url_join(const char *url, bool with_scheme, unsigned port_flags) {
  CURLU *parsed = http_url_parse(url);
  if (parsed == NULL) return NULL;
  char *scheme = http_url_part(parsed, CURLUPART_SCHEME, 0);
  char *host = http_url_part(parsed, CURLUPART_HOST, 0);
  char *port = http_url_part(parsed, CURLUPART_PORT, port_flags);
  Buf out = {0};
  if (with_scheme) buf_printf(&out, "%s://", scheme != NULL ? scheme : "");
  buf_add_str(&out, host != NULL ? host : "");
  if (port != NULL) buf_printf(&out, ":%s", port);
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_url_cleanup(parsed);
  char *text = buf_take(&out);
  lower(text);
  return text;
}

char *http_url_origin(const char *url) { return http_url_join(url, true, CURLU_DEFAULT_PORT); }
char *http_url_host(const char *url) { return http_url_join(url, false, CURLU_NO_DEFAULT_PORT); }

char *http_url_plain(const char *url) {
  /* Done by hand, so that it also works on an address that does not parse: this one goes into error texts. */
  const char *host = strstr(url, "://");
  host = host != NULL ? host + 3 : url;
  size_t authority = strcspn(host, "/?#");
  const char *at = memrchr(host, '@', authority);
  Buf out = {0};
  buf_add(&out, url, (size_t)(host - url));
  buf_add_str(&out, at != NULL ? at + 1 : host);
  return buf_take(&out);
}

bool http_url_credentials(const char *url, char **user, char **secret) {
  CURLU *parsed = http_url_parse(url);
  *user = *secret = NULL;
  if (parsed == NULL) return false;
  char *name = http_url_part(parsed, CURLUPART_USER, CURLU_URLDECODE);
  char *password = http_url_part(parsed, CURLUPART_PASSWORD, CURLU_URLDECODE);
  if (name != NULL) {
    *user = mem_strdup(name);
    *secret = mem_strdup(password);
  }
  curl_free(name);
  curl_free(password);
  curl_url_cleanup(parsed);
  return *user != NULL;
}

void http_url_encode(Buf *out, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (isalnum(c) || (c != '\0' && strchr("-._~", c) != NULL))
      buf_add_char(out, (char)c);
    else
      buf_printf(out, "%%%02X", c);
  }
}
