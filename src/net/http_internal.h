/* http_internal: what the files of net/http share. */
#ifndef PGSH_NET_HTTP_INTERNAL_H
#define PGSH_NET_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "net/http.h"

typedef struct HttpTransfer {
  Op op;
  HttpClient *client; /* NULL once it is out of the multi handle */
  HttpRequest *request;
  HttpReply reply;
  CURL *easy;
  struct curl_slist *lines; /* request headers as curl wants them */
  char *url;                /* where it goes now; changes with a redirect */
  int redirects;
  bool foreign;    /* redirected to another origin: credentials stay behind */
  bool permanent;  /* the failure would be the same again (a certificate, a malformed address) */
  bool over_limit; /* the body was larger than allowed */
  char reason[CURL_ERROR_SIZE];
  struct HttpTransfer *prev, *next; /* in the client's list */
} HttpTransfer;

/* http_setup.c: an easy handle for the transfer as it stands. False and err when curl refuses something. */
bool http_setup_easy(HttpTransfer *transfer, Err *err);
void http_setup_clear(HttpTransfer *transfer);

/* http.c: put the transfer's easy handle into the multi handle, and take it out. */
bool http_client_add(HttpClient *client, HttpTransfer *transfer);
void http_client_remove(HttpTransfer *transfer);
Loop *http_client_loop(const HttpClient *client);

/* http_transfer.c: curl has finished with it; it is out of the multi handle. A redirect goes back into `client`. */
void http_transfer_done(HttpTransfer *transfer, HttpClient *client, CURLcode code);

#endif
