/* http: the client: curl's multi handle on our loop (curl's multi-uv pattern).
 *
 * curl's two callbacks only arm watchers. Everything else (adding, removing, settling) happens outside of them: completions are
 * read after curl_multi_socket_action has returned. */
#include "net/http.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "loop/fdwatch.h"
#include "net/http_internal.h"

struct HttpClient {
  Loop *loop;
  CURLM *multi;
  uv_timer_t timer;
  HttpTransfer *active;
};

/* A socket curl wants watched. */
typedef struct HttpSocket {
  HttpClient *client;
  curl_socket_t fd;
  FdWatch *watch;
} HttpSocket;

static void http_init_once(void) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  /* OpenSSL writes with write(2): a peer that is gone must be an error, not the end of the process. */
  struct sigaction old;
  if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

/* Read what has finished. Settling only queues the waiter, so nothing here runs foreign code. */
static void http_client_reap(HttpClient *client) {
  CURLMsg *msg;
  int left;
  while ((msg = curl_multi_info_read(client->multi, &left)) != NULL) {
    if (msg->msg != CURLMSG_DONE) continue;
    CURLcode code = msg->data.result; /* msg dies with the removal */
    HttpTransfer *transfer = NULL;
    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
    op_ref(&transfer->op);
    http_client_remove(transfer);
    http_transfer_done(transfer, client, code);
    op_unref(&transfer->op);
  }
}

static void http_client_act(HttpClient *client, curl_socket_t fd, int events) {
  int running;
  curl_multi_socket_action(client->multi, fd, events, &running);
  http_client_reap(client);
}

static void on_timeout(uv_timer_t *timer) { http_client_act(timer->data, CURL_SOCKET_TIMEOUT, 0); }

static void on_ready(void *arg, int events) {
  HttpSocket *sock = arg; /* may be freed by the call */
  int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
  http_client_act(sock->client, sock->fd, flags);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg) {
  (void)multi;
  HttpClient *client = arg;
  if (uv_is_closing((uv_handle_t *)&client->timer)) return 0;
  if (timeout_ms < 0)
    uv_timer_stop(&client->timer);
  else /* 0 means soon, never now: curl must not be entered from its own callback */
    uv_timer_start(&client->timer, on_timeout, (uint64_t)timeout_ms, 0);
  return 0;
}

static void http_socket_forget(HttpClient *client, HttpSocket *sock) {
  fdwatch_close(sock->watch);
  curl_multi_assign(client->multi, sock->fd, NULL);
  free(sock);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg) {
  (void)easy;
  HttpClient *client = arg;
  HttpSocket *sock = socket_arg;
  if (what == CURL_POLL_REMOVE) {
    if (sock != NULL) http_socket_forget(client, sock);
    return 0;
  }
  if (sock == NULL) {
    sock = mem_alloc(sizeof *sock);
    sock->client = client;
    sock->fd = fd;
    sock->watch = fdwatch_open(client->loop, fd, on_ready, sock);
    if (sock->watch == NULL) {
      free(sock);
      return -1; /* curl fails the transfer */
    }
    curl_multi_assign(client->multi, fd, sock);
  }
  fdwatch_set(sock->watch, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0));
  return 0;
}

HttpClient *http_client_new(Loop *loop) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, http_init_once);
  HttpClient *client = mem_alloc(sizeof *client);
  client->loop = loop;
  client->multi = curl_multi_init();
  if (client->multi == NULL) abort();
  uv_timer_init(loop_uv(loop), &client->timer);
  client->timer.data = client;
  curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
  curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
  curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
  curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
  return client;
}

static void on_client_closed(uv_handle_t *handle) { free(handle->data); }

void http_client_free(HttpClient *client) {
  if (client == NULL) return;
  while (client->active != NULL) {
    HttpTransfer *transfer = client->active;
    op_ref(&transfer->op);
    op_cancel(&transfer->op, ERR_CANCELLED);
    http_client_remove(transfer);
    op_unref(&transfer->op);
  }
  uv_close((uv_handle_t *)&client->timer, on_client_closed);
  curl_multi_cleanup(client->multi); /* closes idle connections: calls on_curl_socket */
  client->multi = NULL;
}

Loop *http_client_loop(const HttpClient *client) { return client->loop; }

bool http_client_add(HttpClient *client, HttpTransfer *transfer) {
  if (curl_multi_add_handle(client->multi, transfer->easy) != CURLM_OK) return false;
  op_ref(&transfer->op); /* the multi handle's */
  transfer->client = client;
  transfer->next = client->active;
  transfer->prev = NULL;
  if (client->active != NULL) client->active->prev = transfer;
  client->active = transfer;
  return true;
}

void http_client_remove(HttpTransfer *transfer) {
  HttpClient *client = transfer->client;
  if (client == NULL) return;
  transfer->client = NULL;
  if (transfer->next != NULL) transfer->next->prev = transfer->prev;
  if (transfer->prev != NULL)
    transfer->prev->next = transfer->next;
  else
    client->active = transfer->next;
  curl_multi_remove_handle(client->multi, transfer->easy);
  op_unref(&transfer->op);
}
