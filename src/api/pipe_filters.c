/* pipe_filters: the filters of a pipe as Lua makes them (lua/meta/pipe.lua, gzip.lua, hash.lua document them). */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/part.h"
#include "base/clock.h"
#include "run/run.h"
#include "stream/digest.h"
#include "stream/filter.h"
#include "vm/args.h"
#include "vm/luaerr.h"

#define WATCH_BYTES 4096
#define WATCH_MOST_BYTES (1 << 20)

/* ---- what they share ---- */

/* A text of an argument; the value may be an unknown (of a plan). NULL when it is absent. */
static const char *filter_text(lua_State *L, Part *part, int index, const char *what, size_t *len) {
  if (lua_isnoneornil(L, index)) return NULL;
  if (args_is_unknown(L, index)) {
    part->unknown = true;
    *len = 1;
    return "?";
  }
  const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, len) : NULL;
  if (text == NULL) luaerr_throw(L, ERR_USAGE, "%s: a string expected, got %s", what, luaL_typename(L, index));
  return text;
}

/* `as`, else the fallback. */
static void filter_label(lua_State *L, Part *part, int options, const char *fallback) {
  part->label = mem_strdup(args_string(L, options, "as", fallback));
}

/* The options table at index: a filter takes its options last, whatever came before it may be left out. */
static int filter_options(lua_State *L, int index, const char *const keys[]) {
  lua_settop(L, index);
  return args_options(L, index, keys);
}

/* ---- gzip, gunzip ---- */

typedef struct GzipPart {
  int level;
  bool single;
} GzipPart;

static Stage *gzip_open(lua_State *L, Part *part) {
  const GzipPart *own = part->own;
  (void)L;
  return own->single ? filter_gzip_single(own->level) : filter_gzip(own->level);
}

static const PartClass gzip_class = {.role = PART_FILTER, .kind = "gzip", .size = sizeof(GzipPart), .open = gzip_open};

/* gzip([{level, single}]) */
int l_part_gzip(lua_State *L) {
  static const char *const keys[] = {"level", "single", NULL};
  int options = filter_options(L, 1, keys);
  Part *part = part_new(L, &gzip_class);
  GzipPart *own = part->own;
  own->single = args_bool(L, options, "single", false);
  int64_t level = args_integer(L, options, "level", 6), most = own->single ? 9 : 12;
  if (level < 1 || level > most)
    luaerr_throw(L, ERR_USAGE, "gzip: level: 1 (fast) to %lld (small) expected, got %lld", (long long)most, (long long)level);
  own->level = (int)level;
  buf_printf(&part->show, "gzip -%d%s", own->level, own->single ? " (one member)" : "");
  return 1;
}

static Stage *gunzip_open(lua_State *L, Part *part) {
  (void)L;
  (void)part;
  return filter_gunzip();
}

static const PartClass gunzip_class = {.role = PART_FILTER, .kind = "gunzip", .open = gunzip_open};

/* gunzip() */
int l_part_gunzip(lua_State *L) {
  static const char *const keys[] = {NULL};
  filter_options(L, 1, keys);
  Part *part = part_new(L, &gunzip_class);
  buf_add_str(&part->show, "gunzip");
  return 1;
}

/* ---- hash ---- */

typedef struct HashPart {
  const char *algorithm;
  char *expect;
} HashPart;

static void hash_fini(void *self) { free(((HashPart *)self)->expect); }

static Stage *hash_open(lua_State *L, Part *part) {
  const HashPart *own = part->own;
  (void)L;
  return filter_hash(own->algorithm, own->expect);
}

static const PartClass hash_class = {
    .role = PART_FILTER, .kind = "hash", .size = sizeof(HashPart), .fini = hash_fini, .open = hash_open};

/* hash(algorithm [, {as, expect}]) */
int l_part_hash(lua_State *L) {
  static const char *const keys[] = {"as", "expect", NULL};
  const char *algorithm = luaL_checkstring(L, 1);
  int options = filter_options(L, 2, keys);
  Part *part = part_new(L, &hash_class);
  HashPart *own = part->own;
  for (size_t i = 0; digest_names[i] != NULL; i++)
    if (strcmp(digest_names[i], algorithm) == 0) own->algorithm = digest_names[i];
  if (own->algorithm == NULL) luaerr_throw(L, ERR_USAGE, "hash: no digest \"%s\"; hash.names() lists them", algorithm);
  Digest *digest = digest_new(own->algorithm);
  if (digest == NULL) luaerr_throw(L, ERR_USAGE, "hash: this system's policy forbids \"%s\"", own->algorithm);
  digest_free(digest);
  size_t len = 0;
  args_push(L, options, "expect");
  const char *expect = filter_text(L, part, lua_gettop(L), "hash: expect", &len);
  if (expect != NULL && !part->unknown &&
      (len != digest_digits(own->algorithm) || strspn(expect, "0123456789abcdefABCDEF") != len))
    luaerr_throw(L, ERR_USAGE, "hash: expect: the %zu hexadecimal digits of a %s expected", digest_digits(own->algorithm),
                 own->algorithm);
  own->expect = mem_strdup(expect);
  lua_pop(L, 1);
  filter_label(L, part, options, own->algorithm);
  buf_add_str(&part->show, own->algorithm);
  return 1;
}

/* ---- replace ---- */

typedef struct ReplacePart {
  Buf from, to;
} ReplacePart;

static void replace_fini(void *self) {
  ReplacePart *own = self;
  buf_fini(&own->from);
  buf_fini(&own->to);
}

static Stage *replace_open(lua_State *L, Part *part) {
  const ReplacePart *own = part->own;
  (void)L;
  return filter_replace(buf_str(&own->from), own->from.len, buf_str(&own->to), own->to.len);
}

static const PartClass replace_class = {
    .role = PART_FILTER, .kind = "replace", .size = sizeof(ReplacePart), .fini = replace_fini, .open = replace_open};

/* pipe.replace(from, to [, {as}]) */
int l_part_replace(lua_State *L) {
  static const char *const keys[] = {"as", NULL};
  int options = filter_options(L, 3, keys);
  Part *part = part_new(L, &replace_class);
  ReplacePart *own = part->own;
  size_t from_len = 0, to_len = 0;
  const char *from = filter_text(L, part, 1, "replace: from", &from_len);
  const char *to = filter_text(L, part, 2, "replace: to", &to_len);
  if (from == NULL || from_len == 0 || to == NULL)
    luaerr_throw(L, ERR_USAGE, "replace: what to look for (not empty) and what to put in its place expected");
  buf_add(&own->from, from, from_len);
  buf_add(&own->to, to, to_len);
  filter_label(L, part, options, "replace");
  buf_printf(&part->show, "replace '%s' by '%s'", buf_str(&own->from), buf_str(&own->to));
  return 1;
}

/* ---- head, tail ---- */

typedef struct WatchPart {
  size_t bytes;
  Buf match;
  bool has_match;
} WatchPart;

static void watch_fini(void *self) { buf_fini(&((WatchPart *)self)->match); }

static Stage *watch_open(const Part *part, Stage *(*make)(size_t, const char *, size_t)) {
  const WatchPart *own = part->own;
  return make(own->bytes, own->has_match ? buf_str(&own->match) : NULL, own->match.len);
}

static Stage *head_open(lua_State *L, Part *part) {
  (void)L;
  return watch_open(part, filter_head);
}

static Stage *tail_open(lua_State *L, Part *part) {
  (void)L;
  return watch_open(part, filter_tail);
}

static const PartClass head_class = {
    .role = PART_FILTER, .kind = "head", .size = sizeof(WatchPart), .fini = watch_fini, .open = head_open};
static const PartClass tail_class = {
    .role = PART_FILTER, .kind = "tail", .size = sizeof(WatchPart), .fini = watch_fini, .open = tail_open};

static int filter_watch(lua_State *L, const PartClass *cls) {
  static const char *const keys[] = {"as", "match", NULL};
  if (lua_istable(L, 1)) lua_pushnil(L), lua_insert(L, 1); /* without a number */
  int options = filter_options(L, 2, keys);
  lua_Integer bytes = luaL_optinteger(L, 1, WATCH_BYTES);
  if (bytes < 1 || bytes > WATCH_MOST_BYTES)
    luaerr_throw(L, ERR_USAGE, "%s: 1 to %d bytes expected, got %lld", cls->kind, WATCH_MOST_BYTES, (long long)bytes);
  Part *part = part_new(L, cls);
  WatchPart *own = part->own;
  own->bytes = (size_t)bytes;
  size_t len = 0;
  args_push(L, options, "match");
  const char *match = filter_text(L, part, lua_gettop(L), "match", &len);
  if (match != NULL && len > own->bytes)
    luaerr_throw(L, ERR_USAGE, "%s: match is longer than the %lld bytes looked at", cls->kind, (long long)bytes);
  own->has_match = match != NULL;
  buf_add(&own->match, match != NULL ? match : "", len);
  lua_pop(L, 1);
  filter_label(L, part, options, cls->kind);
  buf_add_str(&part->show, cls->kind);
  if (own->has_match) buf_printf(&part->show, " '%s'", buf_str(&own->match));
  return 1;
}

int l_part_head(lua_State *L) { return filter_watch(L, &head_class); }
int l_part_tail(lua_State *L) { return filter_watch(L, &tail_class); }

/* ---- meter ---- */

typedef struct MeterPart {
  int64_t size;
} MeterPart;

static void meter_bytes(Buf *out, double bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
    bytes /= 1024;
  buf_printf(out, bytes < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

/* "dump: 512 MiB of 1.5 GiB · 180 MiB/s · 6 s left". The Run outlives every pipe. */
static void on_meter(void *arg, const Stage *stage, const MeterSeen *seen) {
  Run *run = arg;
  Buf text = {0};
  Err err = {0};
  char span[CLOCK_SPAN_SIZE];
  buf_printf(&text, "%s: ", stage->label != NULL ? stage->label : "pipe");
  meter_bytes(&text, (double)seen->bytes);
  if (seen->total > 0 && !seen->end) {
    buf_add_str(&text, " of ");
    meter_bytes(&text, (double)seen->total);
  }
  if (seen->rate > 0) {
    buf_add_str(&text, " · ");
    meter_bytes(&text, seen->rate);
    buf_add_str(&text, "/s");
  }
  if (seen->eta_ms >= 0 && !seen->end) {
    clock_span(seen->eta_ms, span);
    buf_printf(&text, " · %s left", span);
  }
  json_t *body =
      json_pack("{s:s, s:I, s:I}", "text", buf_str(&text), "bytes", (json_int_t)seen->bytes, "ms", (json_int_t)seen->ms);
  if (seen->total >= 0) json_object_set_new(body, "size", json_integer(seen->total));
  if (seen->eta_ms >= 0) json_object_set_new(body, "eta_ms", json_integer(seen->eta_ms));
  json_object_set_new(body, "rate", json_integer((json_int_t)seen->rate));
  buf_fini(&text);
  stream_emit(run->stream, EVENT_PROGRESS, body, &err);
  err_fini(&err); /* it is only shown */
}

static Stage *meter_open(lua_State *L, Part *part) { return filter_meter(((MeterPart *)part->own)->size, on_meter, run_of(L)); }

static const PartClass meter_class = {.role = PART_FILTER, .kind = "meter", .size = sizeof(MeterPart), .open = meter_open};

/* pipe.meter([what [, {size}]]) */
int l_part_meter(lua_State *L) {
  static const char *const keys[] = {"size", NULL};
  const char *what = luaL_optstring(L, 1, "pipe");
  int options = filter_options(L, 2, keys);
  Part *part = part_new(L, &meter_class);
  ((MeterPart *)part->own)->size = args_size(L, options, "size", -1);
  part->label = mem_strdup(what);
  buf_add_str(&part->show, "meter");
  return 1;
}
