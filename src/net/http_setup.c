/* http_setup: an easy handle, with the choices this house makes. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "net/http_internal.h"

/* A curl option that cannot fail on the curl we are built with; a failure is told as a defect. */
#define SET(option, value)                                                                                                       \
  do {                                                                                                                           \
    CURLcode set_rc = curl_easy_setopt(easy, option, value);                                                                     \
    if (set_rc != CURLE_OK && rc == CURLE_OK) rc = set_rc;                                                                       \
  } while (0)

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)arg;
  (void)purpose;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol); /* no child inherits it */
}

/* The connection stands (with its proxy tunnel and TLS): the next thing curl does is to write the request. */
static int on_prereq(void *arg, char *ip, char *local_ip, int port, int local_port) {
  (void)ip;
  (void)local_ip;
  (void)port;
  (void)local_port;
  HttpTransfer *transfer = arg;
  transfer->op.sent = true;
  return CURL_PREREQFUNC_OK;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
  HttpTransfer *transfer = arg;
  size_t len = size * count;
  if (len > transfer->request->limit_bytes - transfer->reply.body.len) {
    transfer->over_limit = true;
    return 0; /* ends the transfer */
  }
  buf_add(&transfer->reply.body, bytes, len);
  return len;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg) {
  HttpTransfer *transfer = arg;
  size_t len = size * count, end = len;
  while (end > 0 && strchr("\r\n\t ", bytes[end - 1]) != NULL)
    end--;
  if (end >= 5 && strncasecmp(bytes, "HTTP/", 5) == 0) { /* a new answer: an interim one does not count */
    http_headers_fini(&transfer->reply.headers);
    return len;
  }
  const char *colon = memchr(bytes, ':', end);
  if (colon == NULL || colon == bytes) return len;
  Buf name = {0}, value = {0};
  for (const char *c = bytes; c < colon; c++)
    buf_add_char(&name, (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c));
  const char *start = colon + 1;
  while (start < bytes + end && (*start == ' ' || *start == '\t'))
    start++;
  buf_add(&value, start, (size_t)(bytes + end - start));
  http_headers_add(&transfer->reply.headers, buf_str(&name), buf_str(&value), false);
  buf_fini(&name);
  buf_fini(&value);
  return len;
}

static bool is_credential(const HttpHeader *header) {
  return header->secret || strcasecmp(header->name, "authorization") == 0 || strcasecmp(header->name, "cookie") == 0;
}

static void http_setup_lines(HttpTransfer *transfer) {
  const HttpHeaders *headers = &transfer->request->headers;
  Buf line = {0};
  for (size_t i = 0; i < headers->count; i++) {
    const HttpHeader *header = &headers->list[i];
    if (transfer->foreign && is_credential(header)) continue;
    buf_clear(&line);
    /* "Name;" is how curl is told to send a header without a value */
    buf_printf(&line, header->value[0] != '\0' ? "%s: %s" : "%s;", header->name, header->value);
    transfer->lines = curl_slist_append(transfer->lines, buf_str(&line));
  }
  if (line.data != NULL) explicit_bzero(line.data, line.cap);
  buf_fini(&line);
  /* curl 7.88 signs every line given here, also those that only take a header away: AWS would refuse the signature. */
  if (transfer->request->sigv4 != NULL) return;
  /* No waiting for "100 Continue"; and no form content type invented for a body that has none. */
  transfer->lines = curl_slist_append(transfer->lines, "Expect:");
  if (http_headers_get(headers, "content-type") == NULL) transfer->lines = curl_slist_append(transfer->lines, "Content-Type:");
}

static CURLcode http_setup_method(HttpTransfer *transfer) {
  CURL *easy = transfer->easy;
  CURLcode rc = CURLE_OK;
  HttpRequest *request = transfer->request;
  bool takes_body =
      strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0 || strcmp(request->method, "PATCH") == 0;
  if (strcmp(request->method, "HEAD") == 0) {
    SET(CURLOPT_NOBODY, 1L);
  } else if (request->has_body || takes_body) {
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    SET(CURLOPT_POSTFIELDS, buf_str(&request->body)); /* borrowed: the request outlives the transfer */
  }
  SET(CURLOPT_CUSTOMREQUEST, request->method);
  /* curl by itself repeats ANY method on a new connection when a kept one dies before the first byte of an answer
   * (Curl_retry_request in lib/transfer.c): a POST that was processed and whose answer was lost would be made twice. So a
   * change never goes over a kept connection; a handshake is cheap beside maintenance work. The other case in which curl
   * repeats is HTTP/2's REFUSED_STREAM, where the service promises that nothing was done. */
  if (!request->safe) SET(CURLOPT_FRESH_CONNECT, 1L);
  return rc;
}

static CURLcode http_setup_credentials(HttpTransfer *transfer) {
  CURL *easy = transfer->easy;
  CURLcode rc = CURLE_OK;
  HttpRequest *request = transfer->request;
  if (transfer->foreign) return rc;
  SET(CURLOPT_HTTPAUTH, CURLAUTH_BASIC); /* sent with the first request: a change is never made as a probe */
  if (request->user != NULL) {
    if (request->sigv4 != NULL) SET(CURLOPT_AWS_SIGV4, request->sigv4);
    SET(CURLOPT_USERNAME, request->user);
    SET(CURLOPT_PASSWORD, request->secret);
  } else if (request->netrc && http_headers_get(&request->headers, "authorization") == NULL) {
    SET(CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    const char *file = getenv("NETRC");
    if (file != NULL && file[0] != '\0') SET(CURLOPT_NETRC_FILE, file);
  }
  return rc;
}

/* The certificates to trust, where people expect to be able to say so (as the curl tool and OpenSSL do). */
static CURLcode http_setup_tls(CURL *easy) {
  CURLcode rc = CURLE_OK;
  const char *file = getenv("CURL_CA_BUNDLE"), *dir = getenv("SSL_CERT_DIR");
  if (file == NULL || file[0] == '\0') file = getenv("SSL_CERT_FILE");
  if (file != NULL && file[0] != '\0') SET(CURLOPT_CAINFO, file);
  if (dir != NULL && dir[0] != '\0') SET(CURLOPT_CAPATH, dir);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  return rc;
}

static CURLcode http_setup_transport(HttpTransfer *transfer) {
  CURL *easy = transfer->easy;
  CURLcode rc = CURLE_OK;
  SET(CURLOPT_PRIVATE, transfer);
  SET(CURLOPT_ERRORBUFFER, transfer->reason);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_QUICK_EXIT, 1L); /* a cancel during a slow name lookup leaves the lookup's thread behind, it does not wait for it */
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  SET(CURLOPT_FOLLOWLOCATION, 0L); /* http_transfer.c does it: curl would pass custom secret headers on to another host */
  SET(CURLOPT_UNRESTRICTED_AUTH, 0L);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_PATH_AS_IS, 1L); /* what was shown is what is sent */
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
  SET(CURLOPT_USERAGENT, "pgsh");
  SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  SET(CURLOPT_PREREQFUNCTION, on_prereq);
  SET(CURLOPT_PREREQDATA, transfer);
  SET(CURLOPT_WRITEFUNCTION, on_body);
  SET(CURLOPT_WRITEDATA, transfer);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_HEADERDATA, transfer);
  SET(CURLOPT_URL, transfer->url);
  return rc;
}

bool http_setup_easy(HttpTransfer *transfer, Err *err) {
  http_setup_clear(transfer);
  transfer->easy = curl_easy_init();
  if (transfer->easy == NULL) return err_set(err, ERR_MEMORY, "curl: out of memory");
  http_setup_lines(transfer);
  CURLcode rc = http_setup_transport(transfer);
  if (rc == CURLE_OK) rc = http_setup_tls(transfer->easy);
  if (rc == CURLE_OK) rc = http_setup_method(transfer);
  if (rc == CURLE_OK) rc = http_setup_credentials(transfer);
  if (rc == CURLE_OK) rc = curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines);
  if (rc == CURLE_OK) return true;
  return err_set(err, ERR_INTERNAL, "curl: %s", curl_easy_strerror(rc));
}

void http_setup_clear(HttpTransfer *transfer) {
  curl_easy_cleanup(transfer->easy);
  transfer->easy = NULL;
  for (struct curl_slist *line = transfer->lines; line != NULL; line = line->next)
    explicit_bzero(line->data, strlen(line->data));
  curl_slist_free_all(transfer->lines);
  transfer->lines = NULL;
}
