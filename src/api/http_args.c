/* http_args: the arguments of http's methods, from the Lua stack into a request.
 *
 * Everything made on the way is owned by a userdata (HttpCall, HttpHandle), since most of what is called here may raise. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http_call.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"
#include "vm/vm.h"

#define HTTP_SHOW_BYTES 300

static const char *const http_read_options[] = {"query",  "headers", "timeout", "expect", "decode",
                                                "accept", "range",   "what",    "limit",  NULL};
static const char *const http_change_options[] = {"query",  "headers", "timeout", "expect",     "decode",
                                                  "accept", "range",   "what",    "limit",      "json",
                                                  "body",   "pick",    "resolve", "idempotent", NULL};

/* ---- headers ---- */

/* A line break in a header would be a header of somebody else's making. */
static void http_check_header(lua_State *L, const char *name, const char *value, size_t len) {
  if (value == NULL)
    luaerr_throw(L, ERR_USAGE, "header '%s': a string expected", name);
  else if (strlen(value) != len || !http_header_valid(name, value))
    luaerr_throw(L, ERR_USAGE, "header '%s': not a valid header (a control character, or not a name)", name);
}

void http_args_headers(lua_State *L, int index, HttpHeaders *headers) {
  if (lua_isnil(L, index)) return;
  if (!lua_istable(L, index)) luaerr_throw(L, ERR_USAGE, "headers: a table expected, got %s", luaL_typename(L, index));
  index = lua_absindex(L, index);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING) luaerr_throw(L, ERR_USAGE, "headers: a table of name = value expected");
    size_t len = 0;
    bool secret = secret_get(L, -1, NULL) != NULL;
    const char *name = lua_tostring(L, -2), *value = args_text(L, -1, &len);
    http_check_header(L, name, value, len);
    http_headers_set(headers, name, value, secret);
    lua_pop(L, 1);
  }
}

static void http_args_one_header(lua_State *L, HttpCall *call, int options, const char *key, const char *header) {
  const char *value = args_string(L, options, key, NULL);
  if (value == NULL) return;
  http_check_header(L, header, value, strlen(value));
  http_headers_set(&call->request->headers, header, value, false);
}

/* ---- the address ---- */

/* Text into an address as it stands, with only what cannot stand in one encoded; '#' would cut the rest off. */
static void http_add_path(lua_State *L, Buf *out, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c < 0x20 || c == 0x7f) luaerr_throw(L, ERR_USAGE, "the path has a control character; use http.encode for its parts");
    if (c == ' ' || c > 0x7f || strchr("\"<>#\\^`{|}", c) != NULL)
      buf_printf(out, "%%%02X", c);
    else
      buf_add_char(out, (char)c);
  }
}

/* Following pages is given as absolute addresses by some services: those of the same origin are paths. */
static const char *http_strip_origin(lua_State *L, const HttpHandle *handle, const char *path) {
  const char *host = strstr(path, "://");
  if (host == NULL || strcspn(path, "/?#") < (size_t)(host - path)) return path; /* "://" inside a path or query */
  char *here = http_url_origin(handle->base), *there = http_url_origin(path);
  bool same = here != NULL && there != NULL && strcmp(here, there) == 0;
  free(here);
  free(there);
  if (!same)
    luaerr_throw(L, ERR_USAGE, "%s %s: an address elsewhere is another target: make a handle for it with http(…)",
                 handle->target->kind, handle->target->name);
  host += 3;
  return host + strcspn(host, "/?#");
}

static void http_args_path(lua_State *L, HttpCall *call, int index) {
  size_t len = 0;
  const HttpHandle *handle = call->handle;
  bool secret = secret_get(L, index, NULL) != NULL;
  if (args_is_unknown(L, index)) {
    const char *shown = luaL_tolstring(L, index, NULL);
    call->unknown = true;
    buf_add_str(&call->shown, shown);
    buf_add_str(&call->url, handle->base);
    lua_pop(L, 1);
    return;
  }
  const char *path = lua_isnoneornil(L, index) ? "" : args_check_text(L, index, &len);
  bool absolute = path[0] != '/' && http_strip_origin(L, handle, path) != path;
  if (absolute) {
    const char *rest = http_strip_origin(L, handle, path);
    char *base_path = strchr(strstr(handle->base, "://") + 3, '/');
    len -= (size_t)(rest - path);
    path = rest;
    buf_add(&call->url, handle->base, base_path != NULL ? (size_t)(base_path - handle->base) : strlen(handle->base));
  } else {
    buf_add_str(&call->url, handle->base);
  }
  size_t start = call->url.len;
  if (path[0] != '/' && path[0] != '?' && (len > 0 || strchr(strstr(handle->base, "://") + 3, '/') == NULL))
    buf_add_char(&call->url, '/');
  http_add_path(L, &call->url, path, len);
  buf_add_str(&call->shown, secret ? REDACT_MARK : call->url.len > start ? call->url.data + start : "/");
}

/* ---- the query ---- */

static void http_add_pair(lua_State *L, const char *key, int value, Buf *real, Buf *shown) {
  size_t len;
  bool secret = secret_get(L, value, NULL) != NULL;
  const char *text = args_text(L, value, &len);
  if (text == NULL) text = luaL_tolstring(L, value, &len); /* a boolean, an unknown: pops with the caller */
  Buf *both[2] = {real, shown};
  for (int i = 0; i < 2; i++) {
    if (both[i]->len > 0) buf_add_char(both[i], '&');
    http_url_encode(both[i], key, strlen(key));
    buf_add_char(both[i], '=');
  }
  http_url_encode(real, text, len);
  if (secret)
    buf_add_str(shown, REDACT_MARK);
  else
    http_url_encode(shown, text, len);
}

static void http_add_value(lua_State *L, const char *key, int value, Buf *real, Buf *shown) {
  int top = lua_gettop(L);
  if (lua_istable(L, value) && !args_is_unknown(L, value)) { /* a list: the key again for each */
    lua_Integer count = luaL_len(L, value);
    for (lua_Integer i = 1; i <= count; i++) {
      lua_geti(L, value, i);
      http_add_pair(L, key, lua_gettop(L), real, shown);
      lua_settop(L, top);
    }
  } else {
    http_add_pair(L, key, value, real, shown);
  }
  lua_settop(L, top);
}

/* Sorted, since a rendering must be the same when a resumed run makes the call again. */
void http_args_query(lua_State *L, int index, Buf *real, Buf *shown) {
  if (!lua_istable(L, index)) luaerr_throw(L, ERR_USAGE, "query: a table expected, got %s", luaL_typename(L, index));
  index = lua_absindex(L, index);
  luaL_checkstack(L, 10, "query");
  lua_newtable(L);
  int keys = lua_gettop(L);
  lua_Integer count = 0;
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) luaerr_throw(L, ERR_USAGE, "query: a table of name = value expected");
    lua_pushvalue(L, -1);
    lua_rawseti(L, keys, ++count);
  }
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_pushvalue(L, keys);
  lua_call(L, 1, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_settop(L, keys);
    lua_rawgeti(L, keys, i);
    lua_pushvalue(L, -1);
    lua_gettable(L, index);
    http_add_value(L, lua_tostring(L, keys + 1), keys + 2, real, shown);
  }
  lua_settop(L, keys - 1);
}

/* Two renderings of a query, freed also when building them raises. */
typedef struct HttpQuery {
  Buf real, shown;
} HttpQuery;

static int l_query_gc(lua_State *L) {
  HttpQuery *query = lua_touserdata(L, 1);
  buf_fini(&query->real);
  buf_fini(&query->shown);
  return 0;
}

static HttpQuery *http_push_query(lua_State *L) {
  HttpQuery *query = lua_newuserdatauv(L, sizeof *query, 0);
  memset(query, 0, sizeof *query);
  if (luaL_newmetatable(L, "pgsh.HttpQuery")) {
    lua_pushcfunction(L, l_query_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return query;
}

static void http_args_add_query(lua_State *L, HttpCall *call, int options) {
  if (args_push(L, options, "query") != LUA_TNIL) {
    HttpQuery *query = http_push_query(L);
    if (args_has_unknown(L, -2)) call->unknown = true;
    http_args_query(L, lua_gettop(L) - 1, &query->real, &query->shown);
    if (query->real.len > 0) {
      const char *join = strchr(buf_str(&call->url), '?') != NULL ? "&" : "?";
      buf_printf(&call->url, "%s%s", join, query->real.data);
      buf_printf(&call->shown, "%s%s", join, query->shown.data);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* ---- the body ---- */

/* Cut at a character; say how much there is. */
static void http_add_shown_body(Buf *show, const char *text, size_t len) {
  size_t take = len < HTTP_SHOW_BYTES ? len : HTTP_SHOW_BYTES;
  if (take < len)
    while (take > 0 && ((unsigned char)text[take] & 0xC0) == 0x80)
      take--;
  buf_add_char(show, ' ');
  for (size_t i = 0; i < take; i++)
    buf_add_char(show, (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i]);
  if (take < len) buf_printf(show, "… (%zu bytes)", len);
}

/* Append the JSON of the value on top. */
static void http_add_json(lua_State *L, Buf *out, bool reveal) {
  Err err = {0};
  json_t *value = luajson_from(L, -1, reveal, &err);
  if (value == NULL) luaerr_raise(L, &err);
  char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
  json_decref(value);
  if (text == NULL) luaerr_throw(L, ERR_JSON, "json: this value has no JSON form");
  buf_add_str(out, text);
  free(text);
}

/* The value on top as the body. */
static void http_args_json(lua_State *L, HttpCall *call) {
  HttpRequest *request = call->request;
  if (args_has_unknown(L, -1)) call->unknown = true;
  http_add_json(L, &request->body, true);
  Buf *shown = &http_push_query(L)->shown; /* a buffer that is freed if the next line raises */
  lua_insert(L, -2);
  http_add_json(L, shown, false);
  http_add_shown_body(&call->show, buf_str(shown), shown->len);
  request->has_body = true;
  if (http_headers_get(&request->headers, "content-type") == NULL)
    http_headers_set(&request->headers, "Content-Type", "application/json", false);
}

/* The text on top as the body. */
static void http_args_text(lua_State *L, HttpCall *call) {
  size_t len = 0;
  bool unknown = args_is_unknown(L, -1), secret = secret_get(L, -1, NULL) != NULL;
  const char *text = unknown ? luaL_tolstring(L, -1, &len) : args_text(L, -1, &len);
  if (text == NULL) {
    luaerr_throw(L, ERR_USAGE, "body: a string expected, got %s", luaL_typename(L, -1));
    return;
  }
  call->unknown = call->unknown || unknown;
  buf_add(&call->request->body, text, len);
  call->request->has_body = true;
  http_add_shown_body(&call->show, secret ? REDACT_MARK : text, secret ? strlen(REDACT_MARK) : len);
}

static void http_args_body(lua_State *L, HttpCall *call, int options) {
  int top = lua_gettop(L);
  bool json = args_push(L, options, "json") != LUA_TNIL;
  if (json) http_args_json(L, call);
  lua_settop(L, top);
  if (args_push(L, options, "body") != LUA_TNIL) {
    if (json) luaerr_throw(L, ERR_USAGE, "json and body exclude each other");
    http_args_text(L, call);
  }
  lua_settop(L, top);
}

/* ---- what is expected ---- */

static void http_args_expect(lua_State *L, HttpRules *rules, HttpRequest *request, int options) {
  int type = args_push(L, options, "expect");
  lua_Integer count = type == LUA_TTABLE ? luaL_len(L, -1) : type == LUA_TNIL ? 0 : 1;
  if (type != LUA_TNIL) rules->expect = mem_alloc(((size_t)count + 1) * sizeof *rules->expect);
  for (lua_Integer i = 1; i <= count; i++) {
    if (type == LUA_TTABLE)
      lua_geti(L, -1, i);
    else
      lua_pushvalue(L, -1);
    lua_Integer status = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    if (status < 200 || status > 599) luaerr_throw(L, ERR_USAGE, "expect: a list of HTTP statuses expected");
    rules->expect[i - 1] = (int)status;
    if (status / 100 == 3) request->follow = false;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void http_args_words(lua_State *L, int options, const char *key, const char *what, char ***words) {
  int type = args_push(L, options, key);
  if (type != LUA_TNIL) {
    if (type != LUA_TTABLE) luaerr_throw(L, ERR_USAGE, "%s: a list of %s expected, got %s", key, what, luaL_typename(L, -1));
    lua_Integer count = luaL_len(L, -1);
    *words = mem_alloc(((size_t)count + 1) * sizeof **words);
    for (lua_Integer i = 1; i <= count; i++) {
      if (lua_geti(L, -1, i) != LUA_TSTRING) luaerr_throw(L, ERR_USAGE, "%s: a list of %s expected", key, what);
      (*words)[i - 1] = mem_strdup(lua_tostring(L, -1));
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

static HttpDecode http_args_decode(lua_State *L, int options) {
  const char *text = args_string(L, options, "decode", NULL);
  if (text == NULL) return HTTP_DECODE_AUTO;
  if (strcmp(text, "json") == 0) return HTTP_DECODE_JSON;
  if (strcmp(text, "text") != 0) luaerr_throw(L, ERR_USAGE, "decode: \"json\" or \"text\" expected, got \"%s\"", text);
  return HTTP_DECODE_TEXT;
}

static void http_args_rules(lua_State *L, HttpCall *call, const HttpMethod *method, int options) {
  HttpRequest *request = call->request;
  HttpRules *rules = http_rules_new();
  request->ctx = rules;
  request->free_ctx = http_rules_free;
  request->judge = http_rules_judge;
  rules->change = method->change;
  rules->repeatable = args_bool(L, options, "idempotent", method->idempotent);
  rules->pair = method->pair;
  rules->host = http_url_host(call->handle->base);
  rules->decode = http_args_decode(L, options);
  if (method->pair) rules->decode = HTTP_DECODE_JSON;
  if (strcmp(method->verb, "HEAD") == 0) rules->decode = HTTP_DECODE_TEXT; /* it has no body to decode */
  http_args_expect(L, rules, request, options);
  if (method->change) http_args_words(L, options, "pick", "field names", &rules->pick);
}

/* ---- all of it ---- */

static void http_args_request(HttpCall *call, const HttpMethod *method) {
  const HttpHandle *handle = call->handle;
  HttpRequest *request = call->request = http_request_new(method->verb, buf_str(&call->url));
  Buf target = {0};
  buf_printf(&target, "%s %s", handle->target->kind, handle->target->name);
  request->target = buf_take(&target);
  request->netrc = handle->netrc;
  request->attempts = handle->attempts;
  request->user = mem_strdup(handle->user);
  request->secret = mem_strdup(handle->secret);
  request->sigv4 = mem_strdup(handle->sigv4);
  request->busy = http_words_copy(handle->busy);
  for (size_t i = 0; i < handle->headers.count; i++) {
    const HttpHeader *header = &handle->headers.list[i];
    http_headers_set(&request->headers, header->name, header->value, header->secret);
  }
}

void http_args_fill(lua_State *L, HttpCall *call, const HttpMethod *method, int path, int options) {
  luaL_checkstack(L, 20, "http");
  options = args_options(L, options, method->change ? http_change_options : http_read_options);
  http_args_path(L, call, path);
  http_args_add_query(L, call, options);
  http_args_request(call, method);
  if (args_push(L, options, "headers") != LUA_TNIL && args_has_unknown(L, -1)) call->unknown = true;
  if (!call->unknown) http_args_headers(L, -1, &call->request->headers);
  lua_pop(L, 1);
  http_args_one_header(L, call, options, "accept", "Accept");
  http_args_one_header(L, call, options, "range", "Range");
  http_args_rules(L, call, method, options);
  call->timeout_ms = args_duration(L, options, "timeout", call->handle->timeout_ms);
  int64_t limit = args_size(L, options, "limit", (int64_t)HTTP_LIMIT_BYTES);
  call->request->limit_bytes = limit > 0 ? (size_t)limit : HTTP_LIMIT_BYTES;
  buf_printf(&call->show, "%s %s", method->verb, buf_str(&call->shown));
  if (method->change) http_args_body(L, call, options);
}
