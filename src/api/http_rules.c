/* http_rules: is this answer what the script asked for? Decided in C, before the door records the outcome. No Lua state here. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http_call.h"
#include "vm/luajson.h"

#define HTTP_WORDS_BYTES 200
#define HTTP_BAD_JSON_BYTES 80
#define HTTP_DETAIL_BYTES 400

HttpRules *http_rules_new(void) { return mem_alloc(sizeof(HttpRules)); }

void http_rules_free(void *ctx) {
  HttpRules *rules = ctx;
  if (rules == NULL) return;
  http_words_free(rules->pick);
  free(rules->expect);
  free(rules->host);
  json_decref(rules->decoded);
  free(rules);
}

static bool http_rules_expects(const HttpRules *rules, int status) {
  if (rules->expect == NULL) return status >= 200 && status < 300;
  for (const int *one = rules->expect; *one != 0; one++)
    if (*one == status) return true;
  return false;
}

static bool http_says_json(const HttpReply *reply) {
  const char *type = http_headers_get(&reply->headers, "content-type");
  if (type == NULL) return false;
  size_t len = strcspn(type, ";");
  while (len > 0 && isspace((unsigned char)type[len - 1]))
    len--;
  if (len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0) return true;
  return len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0; /* application/vnd.heroku+json */
}

/* ---- a service's own words ---- */

/* One line: control characters become spaces, a longer text is cut at a character. */
static void http_add_line(Buf *out, const char *text, size_t len, size_t max) {
  size_t take = len < max ? len : max;
  if (take < len)
    while (take > 0 && ((unsigned char)text[take] & 0xC0) == 0x80)
      take--;
  for (size_t i = 0; i < take; i++)
    buf_add_char(out, iscntrl((unsigned char)text[i]) ? ' ' : text[i]);
  if (take < len) buf_add_str(out, "…");
}

static bool http_add_words(Buf *out, const json_t *value, int depth);

static bool http_add_list(Buf *out, const json_t *list, int depth) {
  size_t before = out->len;
  for (size_t i = 0; i < json_array_size(list) && i < 5; i++) {
    Buf one = {0};
    if (http_add_words(&one, json_array_get(list, i), depth))
      buf_printf(out, "%s%s", out->len > before ? "; " : "", buf_str(&one));
    buf_fini(&one);
  }
  return out->len > before;
}

/* The places where services put them: Heroku message, Statuspage and Slack error, Cloudflare errors[].message, Linode
 * errors[].reason, Kubernetes message, OAuth error_description. The most telling first. */
static bool http_add_words(Buf *out, const json_t *value, int depth) {
  static const char *const keys[] = {"message", "error_description", "reason", "error", "errors", "detail", NULL};
  if (json_is_string(value)) {
    http_add_line(out, json_string_value(value), json_string_length(value), 2 * HTTP_WORDS_BYTES);
    return json_string_length(value) > 0;
  }
  if (depth == 0) return false;
  if (json_is_array(value)) return http_add_list(out, value, depth - 1);
  for (size_t i = 0; json_is_object(value) && keys[i] != NULL; i++)
    if (http_add_words(out, json_object_get(value, keys[i]), depth - 1)) return true;
  if (!json_is_object(value) || json_object_size(value) == 0) return false;
  char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS); /* GitLab: {"message":{"name":["is taken"]}} */
  if (text != NULL) http_add_line(out, text, strlen(text), HTTP_WORDS_BYTES);
  free(text);
  return true;
}

/* The entities that a text in XML cannot do without. */
static void http_add_unescaped(Buf *out, const char *text, size_t len) {
  static const struct {
    const char *name;
    char c;
  } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&#39;", '\''}};
  size_t count = sizeof entities / sizeof *entities, at = 0;
  while (at < len) {
    size_t i = 0;
    while (i < count && strncmp(text + at, entities[i].name, strlen(entities[i].name)) != 0)
      i++;
    buf_add_char(out, i < count ? entities[i].c : text[at]);
    at += i < count ? strlen(entities[i].name) : 1;
  }
}

/* The text of the first element of that name, as one line; false when there is none, or it is empty. */
static bool http_add_element(Buf *out, const Buf *body, const char *name) {
  char open[32], close[32];
  snprintf(open, sizeof open, "<%s>", name);
  snprintf(close, sizeof close, "</%s>", name);
  const char *start = strstr(buf_str(body), open);
  if (start == NULL) return false;
  start += strlen(open);
  const char *end = strstr(start, close);
  if (end == NULL || end == start) return false;
  Buf plain = {0};
  http_add_unescaped(&plain, start, (size_t)(end - start));
  http_add_line(out, buf_str(&plain), plain.len, 2 * HTTP_WORDS_BYTES);
  buf_fini(&plain);
  return true;
}

/* AWS answers in XML: <Code>, by which its documentation and its tools name the error, and <Message>. */
static bool http_add_xml_words(Buf *out, const Buf *body) {
  Buf message = {0};
  bool code = http_add_element(out, body, "Code"), words = http_add_element(&message, body, "Message");
  if (words) buf_printf(out, "%s%s", code ? ": " : "", buf_str(&message));
  buf_fini(&message);
  return code || words;
}

static void http_add_reply_words(Buf *out, const HttpReply *reply) {
  Err ignored = {0};
  const char *first = buf_str(&reply->body);
  size_t len = reply->body.len;
  while (len > 0 && isspace((unsigned char)*first))
    first++, len--;
  json_t *value = len > 0 && strchr("{[\"", *first) != NULL ? luajson_decode(first, len, &ignored) : NULL;
  bool found = value != NULL ? http_add_words(out, value, 4) : http_add_xml_words(out, &reply->body);
  if (!found && value == NULL) http_add_line(out, first, len, HTTP_WORDS_BYTES);
  json_decref(value);
  err_fini(&ignored);
}

/* What a status says when the service says nothing. */
static const char *http_status_text(int status) {
  switch (status) {
  case 301:
  case 302:
  case 303:
  case 307:
  case 308: return "redirected";
  case 400: return "bad request";
  case 401: return "not authorised: the credential is missing or refused";
  case 403: return "forbidden";
  case 404: return "not found";
  case 405: return "this method is not allowed here";
  case 409: return "conflict";
  case 410: return "gone";
  case 412: return "a precondition failed";
  case 413: return "the request is too large";
  case 415: return "the content type is not supported";
  case 422: return "the request cannot be processed";
  case 429: return "too many requests";
  case 500: return "the service failed";
  case 502: return "bad gateway";
  case 503: return "the service is not available";
  case 504: return "gateway timeout";
  default: return "an unexpected status";
  }
}

static bool http_rules_refuse(const HttpRules *rules, const HttpReply *reply, Err *err) {
  Buf words = {0};
  http_add_reply_words(&words, reply);
  if (words.len == 0) buf_add_str(&words, http_status_text(reply->status));
  /* A service that fails, or a gateway that gives up on it, may have done it all the same. */
  bool gateway = reply->status == 502 || reply->status == 504;
  bool broken = reply->status == 500 || reply->status == 503;
  bool doubtful = rules->change && (gateway || (broken && !rules->repeatable));
  err_set(err, doubtful ? ERR_UNKNOWN : ERR_HTTP, "%s (status %d)", buf_str(&words), reply->status);
  buf_fini(&words);
  err->status = reply->status;
  if (reply->body.len > 0) { /* the service's codes, and what else it says */
    http_add_line(&words, buf_str(&reply->body), reply->body.len, HTTP_DETAIL_BYTES);
    err_set_detail(err, buf_str(&words));
    buf_fini(&words);
  }
  const char *location = http_headers_get(&reply->headers, "location");
  if (reply->status >= 300 && reply->status < 400 && location != NULL) {
    char *plain = http_url_plain(location);
    err_set_hint(err, "redirected to %s%s", plain, rules->change ? "; a change is not redirected: use that address" : "");
    free(plain);
  }
  return false;
}

/* ---- JSON ---- */

static bool http_rules_bad_json(const HttpRules *rules, const HttpReply *reply, Err *why, Err *err) {
  Buf start = {0};
  http_add_line(&start, buf_str(&reply->body), reply->body.len, HTTP_BAD_JSON_BYTES);
  err_set(err, ERR_JSON, "%s sent invalid JSON: %s", rules->host, reply->body.len == 0 ? "nothing at all" : why->message);
  err_set_detail(err, start.len > 0 ? buf_str(&start) : NULL);
  err->status = reply->status;
  buf_fini(&start);
  err_fini(why);
  return false;
}

static bool http_rules_decode(HttpRules *rules, const HttpReply *reply, Err *err) {
  bool success = reply->status >= 200 && reply->status < 300;
  bool promised = rules->decode == HTTP_DECODE_JSON || (rules->decode == HTTP_DECODE_AUTO && http_says_json(reply));
  bool wanted = promised && (!rules->change || rules->pick != NULL);
  if (!wanted || (reply->body.len == 0 && rules->decode != HTTP_DECODE_JSON)) return true;
  Err why = {0};
  rules->decoded = luajson_decode(buf_str(&reply->body), reply->body.len, &why);
  /* The answer to a change: its status came whole, so it is done, whatever its body is worth. */
  if (rules->decoded != NULL || rules->change || !success) {
    err_fini(&why);
    return true;
  }
  return http_rules_bad_json(rules, reply, &why, err);
}

bool http_rules_judge(void *ctx, const HttpReply *reply, Err *err) {
  HttpRules *rules = ctx;
  json_decref(rules->decoded);
  rules->decoded = NULL;
  if (!http_rules_expects(rules, reply->status)) return http_rules_refuse(rules, reply, err);
  return http_rules_decode(rules, reply, err);
}

/* ---- what a change keeps ---- */

/* Copy the field "a.b.c" of `from` into `to`, making the objects on the way. */
static void http_pick_field(json_t *to, const json_t *from, const char *field) {
  char *path = mem_strdup(field), *rest = path;
  for (;;) {
    char *dot = strchr(rest, '.');
    if (dot != NULL) *dot = '\0';
    json_t *value = json_object_get(from, rest);
    if (value == NULL) break;
    if (dot == NULL) {
      json_object_set(to, rest, value);
      break;
    }
    if (!json_is_object(value)) break;
    json_t *next = json_object_get(to, rest);
    if (!json_is_object(next)) {
      next = json_object();
      json_object_set_new(to, rest, next);
    }
    from = value;
    to = next;
    rest = dot + 1;
  }
  free(path);
}

json_t *http_rules_picked(const HttpRules *rules) {
  if (rules->pick == NULL || rules->decoded == NULL) return NULL;
  json_t *picked = json_object();
  for (char **field = rules->pick; *field != NULL; field++)
    http_pick_field(picked, rules->decoded, *field);
  return picked;
}
