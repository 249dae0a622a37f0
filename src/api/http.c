/* http: the Lua module pgsh.http: handles on HTTP services. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/http_call.h"
#include "base/redact.h"
#include "run/effect.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"
#include "vm/vm.h"

#define HTTP_TIMEOUT_MS 30000

/* ---- the client: one a Lua state ---- */

static char http_client_key;

static int l_client_gc(lua_State *L) {
  HttpClient **client = lua_touserdata(L, 1);
  http_client_free(*client);
  *client = NULL;
  return 0;
}

static HttpClient *http_client_of(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &http_client_key) == LUA_TNIL) {
    HttpClient **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_client_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    *box = http_client_new(vm_loop(vm_of(L)));
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &http_client_key);
    lua_remove(L, -2);
  }
  HttpClient *client = *(HttpClient **)lua_touserdata(L, -1);
  lua_pop(L, 1);
  return client;
}

/* ---- handles ---- */

static int l_handle_gc(lua_State *L) {
  HttpHandle *handle = lua_touserdata(L, 1);
  if (handle->secret != NULL) explicit_bzero(handle->secret, strlen(handle->secret));
  free(handle->base);
  free(handle->user);
  free(handle->secret);
  free(handle->sigv4);
  http_words_free(handle->busy);
  http_headers_fini(&handle->headers);
  memset(handle, 0, sizeof *handle);
  return 0;
}

static int l_handle_tostring(lua_State *L) {
  const HttpHandle *handle = luaL_checkudata(L, 1, HTTP_HANDLE_NAME);
  lua_pushfstring(L, "%s %s", handle->target->kind, handle->target->name);
  return 1;
}

/* A required text of the table at index. */
static char *http_need(lua_State *L, int table, const char *key) {
  const char *text = args_string(L, table, key, NULL);
  if (text == NULL || text[0] == '\0') luaerr_throw(L, ERR_USAGE, "sigv4: '%s' is needed", key);
  return mem_strdup(text);
}

static void http_handle_sigv4(lua_State *L, HttpHandle *handle, int options) {
  static const char *const keys[] = {"provider", "region", "service", "key", "secret", "token", NULL};
  if (args_push(L, options, "sigv4") != LUA_TNIL) {
    int table = args_options(L, lua_gettop(L), keys);
    free(handle->user);
    free(handle->secret);
    handle->secret = NULL;
    handle->user = http_need(L, table, "key");
    handle->secret = http_need(L, table, "secret");
    redact_add(vm_redact(vm_of(L)), handle->secret, strlen(handle->secret));
    const char *provider = args_string(L, table, "provider", "aws:amz");
    const char *region = args_string(L, table, "region", ""), *service = args_string(L, table, "service", "");
    const char *token = args_string(L, table, "token", NULL);
    Buf text = {0};
    buf_printf(&text, "%s:%s:%s", provider, region, service);
    handle->sigv4 = buf_take(&text);
    if (token != NULL) {
      redact_add(vm_redact(vm_of(L)), token, strlen(token));
      if (!http_header_valid("X-Amz-Security-Token", token))
        luaerr_throw(L, ERR_USAGE, "sigv4: a control character in the token");
      http_headers_set(&handle->headers, "X-Amz-Security-Token", token, true);
    }
  }
  lua_pop(L, 1);
}

/* The value of Authorization, and what is secret of it, are never to be seen. */
static void http_handle_auth(lua_State *L, HttpHandle *handle, int options) {
  const char *auth = args_string(L, options, "auth", NULL);
  if (auth == NULL) return;
  if (!http_header_valid("Authorization", auth)) luaerr_throw(L, ERR_USAGE, "auth: a control character in it");
  Redact *redact = vm_redact(vm_of(L));
  const char *space = strchr(auth, ' ');
  redact_add(redact, auth, strlen(auth));
  if (space != NULL) redact_add(redact, space + 1, strlen(space + 1));
  http_headers_set(&handle->headers, "Authorization", auth, true);
}

static void http_handle_base(lua_State *L, HttpHandle *handle, int index) {
  Err err = {0};
  const char *base = args_check_text(L, index, NULL);
  redact_add_credentials(vm_redact(vm_of(L)), base);
  if (!http_url_check(base, &err)) luaerr_raise(L, &err);
  if (strpbrk(base, "?#") != NULL) luaerr_throw(L, ERR_USAGE, "http: the base address has no query: give query= with each call");
  http_url_credentials(base, &handle->user, &handle->secret);
  handle->base = http_url_plain(base);
  for (size_t len = strlen(handle->base); len > 0 && handle->base[len - 1] == '/'; len--)
    handle->base[len - 1] = '\0';
}

static void http_handle_target(lua_State *L, HttpHandle *handle, int options) {
  const char *kind = args_string(L, options, "kind", "http"), *name = args_string(L, options, "name", NULL);
  const char *detail = args_string(L, options, "detail", NULL);
  char *host = name == NULL ? http_url_host(handle->base) : NULL;
  if (name == NULL) {
    lua_pushstring(L, host != NULL ? host : "");
    free(host);
    name = lua_tostring(L, -1);
  }
  handle->target = guard_target(run_of(L)->guard, kind, name, detail);
}

/* http(base [, options]) */
static int l_http_new(lua_State *L) {
  static const char *const keys[] = {"headers", "auth",  "timeout", "name", "kind", "detail",
                                     "netrc",   "retry", "sigv4",   "busy", NULL};
  lua_settop(L, 3); /* the module, base, options */
  int options = args_options(L, 3, keys);
  HttpHandle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  memset(handle, 0, sizeof *handle);
  luaL_setmetatable(L, HTTP_HANDLE_NAME);
  handle->client = http_client_of(L);
  http_handle_base(L, handle, 2);
  http_handle_auth(L, handle, options);
  http_handle_sigv4(L, handle, options);
  args_push(L, options, "headers");
  http_args_headers(L, -1, &handle->headers);
  http_args_words(L, options, "busy", "texts", &handle->busy);
  handle->timeout_ms = args_duration(L, options, "timeout", HTTP_TIMEOUT_MS);
  handle->netrc = args_bool(L, options, "netrc", true);
  int64_t attempts = args_integer(L, options, "retry", 5);
  if (attempts < 1 || attempts > 100) luaerr_throw(L, ERR_USAGE, "retry: how often to try in all, 1 to 100");
  handle->attempts = (int)attempts;
  http_handle_target(L, handle, options);
  lua_settop(L, 4);
  return 1;
}

/* ---- calls ---- */

static int l_call_gc(lua_State *L) {
  HttpCall *call = lua_touserdata(L, 1);
  http_request_unref(call->request);
  if (call->url.data != NULL) explicit_bzero(call->url.data, call->url.len);
  buf_fini(&call->url);
  buf_fini(&call->shown);
  buf_fini(&call->show);
  memset(call, 0, sizeof *call);
  return 0;
}

static HttpCall *http_push_call(lua_State *L, HttpHandle *handle) {
  HttpCall *call = lua_newuserdatauv(L, sizeof *call, 0);
  memset(call, 0, sizeof *call);
  if (luaL_newmetatable(L, HTTP_CALL_NAME)) {
    lua_pushcfunction(L, l_call_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  call->handle = handle;
  return call;
}

static Op *http_call_start(lua_State *L, int args) {
  HttpCall *call = lua_touserdata(L, args);
  const char *deadline = NULL;
  int64_t left = await_time_left(L, call->timeout_ms, &deadline);
  return http_fetch_start(call->handle->client, call->request, left, deadline);
}

/* Header fields that came several times are joined, as HTTP allows. */
static void http_push_headers(lua_State *L, const HttpHeaders *headers) {
  lua_newtable(L);
  for (size_t i = 0; i < headers->count; i++) {
    const HttpHeader *header = &headers->list[i];
    if (lua_getfield(L, -1, header->name) == LUA_TSTRING) {
      lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), header->value);
      lua_replace(L, -2);
    } else {
      lua_pop(L, 1);
      lua_pushstring(L, header->value);
    }
    lua_setfield(L, -2, header->name);
  }
}

static void http_push_response(lua_State *L, const HttpReply *reply, const HttpRules *rules) {
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, reply->status);
  lua_setfield(L, -2, "status");
  lua_pushstring(L, reply->url);
  lua_setfield(L, -2, "url");
  http_push_headers(L, &reply->headers);
  lua_setfield(L, -2, "headers");
  if (rules->decoded != NULL)
    luajson_push(L, rules->decoded);
  else
    lua_pushlstring(L, buf_str(&reply->body), reply->body.len);
  lua_setfield(L, -2, rules->decoded != NULL ? "json" : "body");
}

static int http_push_read(lua_State *L, Op *op, int args) {
  const HttpCall *call = lua_touserdata(L, args);
  const HttpRules *rules = call->request->ctx;
  luaL_checkstack(L, 20, "http");
  http_push_response(L, http_fetch_reply(op), rules);
  if (!rules->pair) return 1;
  lua_getfield(L, -1, "json");
  lua_insert(L, -2);
  return 2;
}

static int http_push_change(lua_State *L, Op *op, int args) {
  const HttpCall *call = lua_touserdata(L, args);
  luaL_checkstack(L, 20, "http");
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, http_fetch_reply(op)->status);
  lua_setfield(L, -2, "status");
  json_t *picked = http_rules_picked(call->request->ctx);
  if (picked != NULL) {
    luajson_push(L, picked);
    json_decref(picked);
    lua_setfield(L, -2, "json");
  }
  return 1;
}

static int http_method(lua_State *L, const HttpMethod *method) {
  lua_settop(L, 3); /* handle, path, options */
  HttpHandle *handle = luaL_checkudata(L, 1, HTTP_HANDLE_NAME);
  HttpCall *call = http_push_call(L, handle);
  http_args_fill(L, call, method, 2, 3);
  int options = lua_isnil(L, 3) ? 0 : 3;
  EffectSpec spec = {
      .kind = method->change ? EFFECT_CHANGE : EFFECT_READ,
      .target = handle->target,
      .verb = method->verb,
      .show = buf_str(&call->show),
      .args = 4,
      .options = options,
      .unknown = call->unknown,
      .repeatable = method->change && args_bool(L, options, "idempotent", method->idempotent),
      .start = http_call_start,
      .push = method->change ? http_push_change : http_push_read,
  };
  return effect_call(L, &spec);
}

static int l_http_get(lua_State *L) { return http_method(L, &(HttpMethod){"GET", false, true, false}); }
static int l_http_get_json(lua_State *L) { return http_method(L, &(HttpMethod){"GET", false, true, true}); }
static int l_http_head(lua_State *L) { return http_method(L, &(HttpMethod){"HEAD", false, true, false}); }
static int l_http_post(lua_State *L) { return http_method(L, &(HttpMethod){"POST", true, false, false}); }
static int l_http_put(lua_State *L) { return http_method(L, &(HttpMethod){"PUT", true, true, false}); }
static int l_http_patch(lua_State *L) { return http_method(L, &(HttpMethod){"PATCH", true, false, false}); }
static int l_http_delete(lua_State *L) { return http_method(L, &(HttpMethod){"DELETE", true, true, false}); }

/* ---- helpers ---- */

/* http.encode(text) → percent-encoded; http.encode(table) → "a=1&b=2" */
static int l_http_encode(lua_State *L) {
  HttpCall *scratch = http_push_call(L, NULL); /* its buffers are freed whether this raises or not */
  if (lua_istable(L, 1)) {
    http_args_query(L, 1, &scratch->url, &scratch->shown);
  } else {
    size_t len;
    const char *text = args_check_text(L, 1, &len);
    http_url_encode(&scratch->url, text, len);
  }
  lua_pushlstring(L, buf_str(&scratch->url), scratch->url.len);
  return 1;
}

static int http_hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void http_push_decoded(lua_State *L, const char *text, size_t len) {
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  for (size_t i = 0; i < len; i++) {
    bool escape = text[i] == '%' && i + 2 < len && http_hex(text[i + 1]) >= 0 && http_hex(text[i + 2]) >= 0;
    if (escape) {
      luaL_addchar(&out, (char)(http_hex(text[i + 1]) * 16 + http_hex(text[i + 2])));
      i += 2;
    } else {
      luaL_addchar(&out, text[i] == '+' ? ' ' : text[i]);
    }
  }
  luaL_pushresult(&out);
}

/* The pair's value is on top, its key below: into the table at index; a key that comes again makes a list. */
static void http_set_pair(lua_State *L, int table) {
  lua_pushvalue(L, -2);
  int former = lua_gettable(L, table);
  if (former == LUA_TNIL) {
    lua_pop(L, 1);
    lua_settable(L, table);
    return;
  }
  if (former != LUA_TTABLE) {
    lua_createtable(L, 2, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
  }
  lua_insert(L, -2); /* key, list, value */
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_settable(L, table);
}

/* http.decode("a=1&b=2") → table */
static int l_http_decode(lua_State *L) {
  size_t len;
  const char *text = args_check_text(L, 1, &len), *end = text + len;
  if (len > 0 && *text == '?') text++;
  lua_newtable(L);
  int table = lua_gettop(L);
  while (text < end) {
    const char *stop = memchr(text, '&', (size_t)(end - text));
    if (stop == NULL) stop = end;
    const char *equals = memchr(text, '=', (size_t)(stop - text));
    const char *key_end = equals != NULL ? equals : stop, *value = equals != NULL ? equals + 1 : stop;
    if (key_end > text) {
      http_push_decoded(L, text, (size_t)(key_end - text));
      http_push_decoded(L, value, (size_t)(stop - value));
      http_set_pair(L, table);
    }
    text = stop + 1;
  }
  return 1;
}

/* ---- the module ---- */

static void http_open_handles(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", l_handle_gc}, {"__tostring", l_handle_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"get", l_http_get}, {"get_json", l_http_get_json}, {"head", l_http_head},     {"post", l_http_post},
      {"put", l_http_put}, {"patch", l_http_patch},       {"delete", l_http_delete}, {NULL, NULL},
  };
  luaL_newmetatable(L, HTTP_HANDLE_NAME);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

int luaopen_pgsh_http(lua_State *L) {
  static const luaL_Reg functions[] = {{"encode", l_http_encode}, {"decode", l_http_decode}, {NULL, NULL}};
  http_open_handles(L);
  luaL_newlib(L, functions);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_http_new);
  lua_setfield(L, -2, "__call");
  lua_setmetatable(L, -2);
  return 1;
}
