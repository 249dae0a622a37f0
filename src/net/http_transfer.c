/* http_transfer: one request, once: its verdict, its redirects. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/http_internal.h"

static void http_transfer_fail(HttpTransfer *transfer, Err *err) {
  err_set_target(err, transfer->request->target);
  op_fail(&transfer->op, err);
}

static const char *http_transfer_reason(const HttpTransfer *transfer, CURLcode code) {
  return transfer->reason[0] != '\0' ? transfer->reason : curl_easy_strerror(code);
}

/* The same again would fail the same way. */
static bool http_is_permanent(CURLcode code) {
  switch (code) {
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_URL_MALFORMAT:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_READ_ERROR: /* netrc does not parse */
  case CURLE_OUT_OF_MEMORY: return true;
  default: return false;
  }
}

/* ---- the outcome ---- */

static void http_transfer_over_limit(HttpTransfer *transfer) {
  Err err = {0};
  double mib = (double)transfer->request->limit_bytes / 1048576.0;
  if (transfer->request->safe)
    err_set(&err, ERR_LIMIT, "the answer is larger than %.3g MiB", mib);
  else /* it was processed, and what came of it was not read */
    err_set(&err, ERR_UNKNOWN, "%s was answered with status %d, and more than %.3g MiB", transfer->request->method,
            transfer->reply.status, mib);
  err_set_hint(&err, "raise limit=");
  err.status = transfer->reply.status;
  http_transfer_fail(transfer, &err);
}

static void http_transfer_cut(HttpTransfer *transfer, CURLcode code) {
  Err err = {0};
  const char *reason = http_transfer_reason(transfer, code);
  int status = transfer->reply.status;
  if (!transfer->op.sent) {
    err_set(&err, ERR_HTTP_CONNECT, "cannot connect: %s", reason);
    if (code == CURLE_PEER_FAILED_VERIFICATION) err_set_hint(&err, "SSL_CERT_FILE names a file of certificates to trust");
  } else if (status >= 400 && status < 500) { /* a refusal is one, however its explanation ends */
    op_succeed(&transfer->op);
    return;
  } else {
    err_set(&err, transfer->request->safe ? ERR_HTTP_CONNECT : ERR_UNKNOWN, "%s was sent, and its answer %s: %s",
            transfer->request->method, status >= 200 ? "was cut short" : "did not come", reason);
  }
  err.status = status >= 200 ? status : 0;
  transfer->permanent = http_is_permanent(code) && !transfer->op.sent;
  http_transfer_fail(transfer, &err);
}

static int64_t http_time_ms(CURL *easy, CURLINFO info) {
  curl_off_t us = 0;
  curl_easy_getinfo(easy, info, &us);
  return (int64_t)us / 1000;
}

static void http_transfer_measure(HttpTransfer *transfer) {
  long status = 0;
  HttpReply *reply = &transfer->reply;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  reply->status = (int)status;
  reply->connect_ms = http_time_ms(transfer->easy, CURLINFO_PRETRANSFER_TIME_T);
  reply->first_byte_ms = http_time_ms(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T);
  reply->total_ms = http_time_ms(transfer->easy, CURLINFO_TOTAL_TIME_T);
  free(reply->url);
  reply->url = http_url_plain(transfer->url);
}

/* ---- redirects ---- */

static bool http_is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Go on at `url` (copied). False when it has settled instead. */
static bool http_transfer_go(HttpTransfer *transfer, const char *url, HttpClient *client) {
  Err err = {0};
  char *here = http_url_origin(transfer->url), *there = http_url_origin(url);
  bool leaves = here == NULL || there == NULL || strcmp(here, there) != 0;
  bool downgrade = strncasecmp(transfer->url, "https:", 6) == 0 && strncasecmp(url, "https:", 6) != 0;
  free(here);
  free(there);
  char *plain = http_url_plain(url);
  if (transfer->redirects++ >= HTTP_MAX_REDIRECTS)
    err_set(&err, ERR_HTTP, "more than %d redirects, the last to %s", HTTP_MAX_REDIRECTS, plain);
  else if (downgrade)
    err_set(&err, ERR_HTTP, "redirected from https to %s, which is not followed", plain);
  free(plain);
  if (err.code == ERR_NONE) {
    transfer->foreign = transfer->foreign || leaves; /* coming back does not bring the credentials back */
    char *copy = mem_strdup(url);                    /* `url` may belong to the easy handle */
    free(transfer->url);
    transfer->url = copy;
    http_reply_fini(&transfer->reply);
    transfer->op.sent = false;
    if (http_setup_easy(transfer, &err) && http_client_add(client, transfer)) return true;
    if (err.code == ERR_NONE) err_set(&err, ERR_INTERNAL, "curl refused the redirected request");
  } else {
    err.status = transfer->reply.status;
  }
  http_transfer_fail(transfer, &err);
  return false;
}

static void http_transfer_answered(HttpTransfer *transfer, HttpClient *client) {
  char *next = NULL;
  if (transfer->request->safe && transfer->request->follow && http_is_redirect(transfer->reply.status))
    curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &next);
  if (next != NULL)
    http_transfer_go(transfer, next, client);
  else
    op_succeed(&transfer->op);
}

void http_transfer_done(HttpTransfer *transfer, HttpClient *client, CURLcode code) {
  if (op_settled(&transfer->op)) return;
  http_transfer_measure(transfer);
  if (transfer->over_limit)
    http_transfer_over_limit(transfer);
  else if (code != CURLE_OK)
    http_transfer_cut(transfer, code);
  else
    http_transfer_answered(transfer, client);
}

/* ---- the Op ---- */

static void http_transfer_cancel(Op *op) {
  HttpTransfer *transfer = (HttpTransfer *)op;
  Err err = {0};
  if (op->sent && !transfer->request->safe)
    err_set(&err, ERR_UNKNOWN, "%s was sent, and its answer was not awaited", transfer->request->method);
  else
    err_set(&err, ERR_HTTP_CONNECT, op->sent ? "the request was sent and not answered" : "not connected yet");
  http_client_remove(transfer);
  http_transfer_fail(transfer, &err);
}

static void http_transfer_destroy(Op *op) {
  HttpTransfer *transfer = (HttpTransfer *)op;
  http_setup_clear(transfer);
  http_reply_fini(&transfer->reply);
  http_request_unref(transfer->request);
  free(transfer->url);
  free(transfer);
}

static const OpClass http_transfer_class = {"http.transfer", http_transfer_cancel, http_transfer_destroy};

Op *http_transfer_start(HttpClient *client, HttpRequest *request) {
  HttpTransfer *transfer = mem_alloc(sizeof *transfer);
  op_init(&transfer->op, http_client_loop(client), &http_transfer_class);
  transfer->request = http_request_ref(request);
  transfer->url = mem_strdup(request->url);
  op_arm(&transfer->op, 0, NULL);
  Err err = {0};
  if (!http_setup_easy(transfer, &err) || !http_client_add(client, transfer)) {
    if (err.code == ERR_NONE) err_set(&err, ERR_INTERNAL, "curl refused the request");
    http_transfer_fail(transfer, &err);
  }
  return &transfer->op;
}
