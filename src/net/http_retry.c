/* http_retry: a request repeated as long as that is safe.
 *
 *   what happened                               GET, HEAD   changes
 *   nothing was sent (ERR_HTTP_CONNECT)         again       again
 *   sent, no whole answer                       again       ERR_UNKNOWN, at once
 *   429 (and 420), 503 with Retry-After,        again       again: the service says that it refused
 *     an error with one of HttpRequest.busy
 *   502, 503, 504                               again       judged at once
 *
 * The pause is what Retry-After says, else 0.2, 0.4, 0.8 … seconds and a little jitter. A pause that is longer than the time
 * left ends the request at once: waiting for a deadline that is known to pass helps nobody. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "loop/timer.h"
#include "net/http_internal.h"

#define HTTP_BACKOFF_MS 200
#define HTTP_JITTER_MS 100

typedef struct HttpFetch {
  Op op;
  HttpClient *client;
  HttpRequest *request;
  Op *current; /* the transfer, or the pause before the next one */
  int attempt;
  int64_t deadline_ms; /* 0: none */
  HttpReply reply;     /* of the last attempt */
  char last[96];       /* why the last attempt was repeated */
  char gave_up[160];   /* why it was not repeated, when the clock forbade it */
} HttpFetch;

static void on_attempt(Op *op, void *arg);

/* ---- the end ---- */

/* The error's detail, and what the operator should know of the attempts. */
static void http_fetch_tell(const HttpFetch *fetch, const Err *err, Buf *text) {
  if (err->detail != NULL) buf_add_str(text, err->detail);
  if (fetch->attempt == 1 && fetch->last[0] == '\0') return;
  buf_printf(text, "%s%d attempt%s", text->len > 0 ? "\n" : "", fetch->attempt, fetch->attempt == 1 ? "" : "s");
  if (fetch->last[0] != '\0') buf_printf(text, "; %s", fetch->last);
}

static void http_fetch_fail(HttpFetch *fetch, Err *err) {
  Buf text = {0};
  http_fetch_tell(fetch, err, &text);
  if (text.len > 0) err_set_detail(err, buf_str(&text));
  buf_fini(&text);
  if (fetch->gave_up[0] != '\0') err_set_hint(err, "%s", fetch->gave_up);
  err_set_target(err, fetch->request->target);
  op_fail(&fetch->op, err);
}

/* It was asked to stop while a change was out: the reason and the deadline are those of the fetch, not of the transfer. */
static void http_fetch_abandoned(HttpFetch *fetch, Err *err) {
  char span[CLOCK_SPAN_SIZE];
  clock_span(clock_mono_ms() - fetch->op.started_ms, span);
  const char *name = fetch->op.deadline_name;
  if (fetch->op.reason == ERR_TIMEOUT)
    err_set(err, ERR_UNKNOWN, "%s was sent, and no answer came within %s%s%s%s", fetch->request->method, span,
            name != NULL ? " (" : "", name != NULL ? name : "", name != NULL ? ")" : "");
  else
    err_set(err, ERR_UNKNOWN, "%s was sent, and interrupted before its answer came", fetch->request->method);
  http_fetch_fail(fetch, err);
}

/* It was asked to stop, and nothing is in doubt. op_fail makes the reason the error's code and our message its detail, as long
 * as the code differs from the reason's. */
static void http_fetch_stopped(HttpFetch *fetch, Err *err) {
  Buf text = {0};
  http_fetch_tell(fetch, err, &text);
  err_set(err, ERR_HTTP_CONNECT, "%s", buf_str(&text));
  buf_fini(&text);
  op_fail(&fetch->op, err);
}

static void http_fetch_judge(HttpFetch *fetch) {
  Err err = {0};
  HttpRequest *request = fetch->request;
  if (request->judge == NULL || request->judge(request->ctx, &fetch->reply, &err))
    op_succeed(&fetch->op);
  else
    http_fetch_fail(fetch, &err);
}

/* ---- again? ---- */

static void http_fetch_attempt(HttpFetch *fetch) {
  fetch->attempt++;
  fetch->current = http_transfer_start(fetch->client, fetch->request);
  op_ref(&fetch->op); /* until on_attempt */
  op_on_settled(fetch->current, on_attempt, fetch);
}

static void on_pause(Op *op, void *arg) {
  HttpFetch *fetch = arg;
  Err err = {0};
  fetch->current = NULL;
  if (!op_settled(&fetch->op)) {
    if (fetch->op.reason != ERR_NONE)
      http_fetch_stopped(fetch, &err);
    else
      http_fetch_attempt(fetch);
  }
  op_unref(op);
  op_unref(&fetch->op);
}

static int64_t http_backoff_ms(int attempt) {
  int64_t pause = (int64_t)HTTP_BACKOFF_MS << (attempt < 8 ? attempt - 1 : 7);
  return pause + clock_mono_ns() / 1000 % HTTP_JITTER_MS;
}

/* Seconds or an HTTP date, in ms from now; -1 when there is none that can be read. */
static int64_t http_retry_after_ms(const HttpReply *reply) {
  const char *text = http_headers_get(&reply->headers, "retry-after");
  if (text == NULL) return -1;
  char *end;
  long seconds = strtol(text, &end, 10);
  if (end != text && (*end == '\0' || *end == '.') && seconds >= 0) {
    if (seconds > 10L * 365 * 86400) seconds = 10L * 365 * 86400;
    return (int64_t)seconds * 1000 + (*end == '.' ? 1000 : 0); /* a fraction is rounded up */
  }
  time_t at = curl_getdate(text, NULL);
  if (at == (time_t)-1) return -1;
  int64_t wait = (int64_t)at * 1000 - clock_wall_ms();
  return wait > 0 ? wait : 0;
}

/* Pause, then try again; false when that may not be (attempts used up, or no time). */
static bool http_fetch_again(HttpFetch *fetch, int64_t pause_ms, bool asked_to_wait) {
  if (pause_ms < 0) pause_ms = http_backoff_ms(fetch->attempt);
  if (fetch->attempt >= fetch->request->attempts || fetch->op.reason != ERR_NONE) return false;
  int64_t left = fetch->deadline_ms - clock_mono_ms();
  if (fetch->deadline_ms != 0 && pause_ms >= left) {
    char pause[CLOCK_SPAN_SIZE], time[CLOCK_SPAN_SIZE];
    clock_span(pause_ms, pause);
    clock_span(left > 0 ? left : 0, time);
    if (asked_to_wait)
      snprintf(fetch->gave_up, sizeof fetch->gave_up,
               "the service asks to wait %s, longer than the time left (%s): raise timeout=, or try later", pause, time);
    return false;
  }
  fetch->op.sent = false; /* whatever was sent before was a read, or refused */
  fetch->current = timer_start(fetch->op.loop, pause_ms, 0, NULL);
  op_ref(&fetch->op); /* until on_pause */
  op_on_settled(fetch->current, on_pause, fetch);
  return true;
}

/* AWS says "too many requests" with status 400 (or 500) and a word in the body. */
static bool http_says_busy(const HttpFetch *fetch) {
  const HttpReply *reply = &fetch->reply;
  if (reply->status < 400) return false;
  for (char **word = fetch->request->busy; word != NULL && *word != NULL; word++)
    if (strstr(buf_str(&reply->body), *word) != NULL) return true;
  return false;
}

static void http_fetch_answered(HttpFetch *fetch) {
  const HttpReply *reply = &fetch->reply;
  int64_t after = http_retry_after_ms(reply);
  bool refused = reply->status == 429 || reply->status == 420 || (reply->status == 503 && after >= 0) || http_says_busy(fetch);
  bool gateway = reply->status == 502 || reply->status == 503 || reply->status == 504;
  bool again = refused || (gateway && fetch->request->safe);
  if (!again) {
    http_fetch_judge(fetch);
    return;
  }
  const char *text = after >= 0 ? http_headers_get(&reply->headers, "retry-after") : NULL;
  snprintf(fetch->last, sizeof fetch->last, "%d%s%.40s", reply->status, text != NULL ? ", Retry-After " : "",
           text != NULL ? text : "");
  if (!refused) after = -1;
  if (!http_fetch_again(fetch, after, after >= 0)) http_fetch_judge(fetch);
}

static void on_attempt(Op *op, void *arg) {
  HttpFetch *fetch = arg;
  HttpTransfer *transfer = (HttpTransfer *)op;
  fetch->current = NULL;
  if (!op_settled(&fetch->op)) {
    fetch->op.sent = op->sent;
    http_reply_fini(&fetch->reply);
    fetch->reply = transfer->reply;
    memset(&transfer->reply, 0, sizeof transfer->reply);
    Err err = {0};
    err_move(&err, &op->err);
    if (fetch->op.reason != ERR_NONE && err.code == ERR_UNKNOWN) {
      http_fetch_abandoned(fetch, &err);
    } else if (fetch->op.reason != ERR_NONE && err.code != ERR_NONE) {
      http_fetch_stopped(fetch, &err);
    } else if (err.code == ERR_HTTP_CONNECT && !transfer->permanent) {
      snprintf(fetch->last, sizeof fetch->last, "%.90s", err.message != NULL ? err.message : "");
      if (http_fetch_again(fetch, -1, false)) {
        err_fini(&err);
      } else {
        fetch->last[0] = '\0'; /* it is the message itself */
        http_fetch_fail(fetch, &err);
      }
    } else if (err.code != ERR_NONE) {
      http_fetch_fail(fetch, &err);
    } else {
      http_fetch_answered(fetch);
    }
  }
  op_unref(op);
  op_unref(&fetch->op);
}

/* ---- the Op ---- */

static void http_fetch_cancel(Op *op) {
  HttpFetch *fetch = (HttpFetch *)op;
  if (fetch->current != NULL) op_cancel(fetch->current, op->reason);
}

static void http_fetch_destroy(Op *op) {
  HttpFetch *fetch = (HttpFetch *)op;
  http_reply_fini(&fetch->reply);
  http_request_unref(fetch->request);
  free(fetch);
}

static const OpClass http_fetch_class = {"http", http_fetch_cancel, http_fetch_destroy};

Op *http_fetch_start(HttpClient *client, HttpRequest *request, int64_t timeout_ms, const char *deadline_name) {
  HttpFetch *fetch = mem_alloc(sizeof *fetch);
  op_init(&fetch->op, http_client_loop(client), &http_fetch_class);
  fetch->client = client;
  fetch->request = http_request_ref(request);
  fetch->deadline_ms = timeout_ms > 0 ? clock_mono_ms() + timeout_ms : 0;
  op_arm(&fetch->op, timeout_ms, deadline_name);
  http_fetch_attempt(fetch);
  return &fetch->op;
}

const HttpReply *http_fetch_reply(const Op *op) { return &((const HttpFetch *)op)->reply; }
