/* pipe: module pgsh.pipe (lua/meta/pipe.lua documents it). A stream from a source through filters to a sink, as one effect: a
 * change when its sink changes something, else a read. */
#include "stream/pipe.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/part.h"
#include "api/sh.h"
#include "run/effect.h"
#include "run/run.h"
#include "stream/end.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define PIPE_MOST_PARTS 64
#define PIPE_SHOW_BYTES 400
#define PIPE_CAPTURE_BYTES ((int64_t)16 << 20)

/* One call: the door's argument userdata. Its user value is the list of parts, which keeps them. */
typedef struct PipeArgs {
  Part *parts[PIPE_MOST_PARTS];
  int n;
  int64_t timeout_ms, stall_ms;
  Buf show;
  bool unknown;
} PipeArgs;

static int l_args_gc(lua_State *L) {
  PipeArgs *args = lua_touserdata(L, 1);
  buf_fini(&args->show);
  return 0;
}

static PipeArgs *pipe_new_args(lua_State *L) {
  PipeArgs *args = lua_newuserdatauv(L, sizeof *args, 1);
  memset(args, 0, sizeof *args);
  if (luaL_newmetatable(L, "pgsh.PipeArgs")) {
    lua_pushcfunction(L, l_args_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return args;
}

static const Part *pipe_sink(const PipeArgs *args) { return args->parts[args->n - 1]; }

/* ---- ends that are no other module's ---- */

typedef struct TextPart {
  Buf text;
  size_t limit;
} TextPart;

static void text_fini(void *self) {
  TextPart *own = self;
  if (own->text.data != NULL) explicit_bzero(own->text.data, own->text.len);
  buf_fini(&own->text);
}

static Stage *text_open(lua_State *L, Part *part) {
  const TextPart *own = part->own;
  (void)L;
  return end_text(buf_str(&own->text), own->text.len);
}

static Stage *capture_open(lua_State *L, Part *part) {
  (void)L;
  return end_capture(((TextPart *)part->own)->limit);
}

static Stage *discard_open(lua_State *L, Part *part) {
  (void)L;
  (void)part;
  return end_discard();
}

static const PartClass text_class = {
    .role = PART_SOURCE, .kind = "text", .size = sizeof(TextPart), .fini = text_fini, .open = text_open};
static const PartClass capture_class = {
    .role = PART_SINK, .kind = "text", .size = sizeof(TextPart), .fini = text_fini, .open = capture_open};
static const PartClass discard_class = {.role = PART_SINK, .kind = "nothing", .open = discard_open};

/* pipe.text([{limit, as}]): the sink that keeps what comes. */
static int l_pipe_text(lua_State *L) {
  static const char *const keys[] = {"limit", "as", NULL};
  if (lua_type(L, 1) == LUA_TSTRING)
    return luaerr_throw(L, ERR_USAGE,
                        "pipe.text is the sink that keeps what comes; as a source a string stands for itself: pipe { \"…\", … }");
  lua_settop(L, 1);
  int options = args_options(L, 1, keys);
  Part *part = part_new(L, &capture_class);
  int64_t limit = args_size(L, options, "limit", PIPE_CAPTURE_BYTES);
  ((TextPart *)part->own)->limit = limit > 0 ? (size_t)limit : 0;
  part->label = mem_strdup(args_string(L, options, "as", "text"));
  buf_add_str(&part->show, "a text");
  return 1;
}

/* ---- the parts ---- */

static const char *role_name(PartRole role) { return role == PART_SOURCE ? "source" : role == PART_FILTER ? "filter" : "sink"; }

static Part *pipe_text_source(lua_State *L) {
  size_t len = 0;
  const char *text = args_text(L, -1, &len);
  Part *part = part_new(L, &text_class);
  buf_add(&((TextPart *)part->own)->text, text, len);
  buf_printf(&part->show, "a text of %zu bytes", len);
  lua_remove(L, -2);
  return part;
}

/* The value on top as a part: replaced by it when it stands for one. */
static Part *pipe_part(lua_State *L, lua_Integer i) {
  Part *part = part_get(L, -1);
  bool text = lua_type(L, -1) == LUA_TSTRING || secret_get(L, -1, NULL) != NULL;
  if (part == NULL && i == 1 && text) part = pipe_text_source(L);
  if (part == NULL && text)
    luaerr_throw(L, ERR_USAGE, "pipe: part %lld is a text, and a text is only a source; to write a file: file.writer(\"…\")",
                 (long long)i);
  if (part == NULL)
    luaerr_throw(L, ERR_USAGE, "pipe: part %lld: a source, filter or sink expected, got %s", (long long)i, luaL_typename(L, -1));
  return part;
}

/* A source, filters, a sink, in that order; without a sink, the one that keeps nothing. */
static void pipe_check_order(lua_State *L, const PipeArgs *args) {
  for (int i = 0; i < args->n; i++) {
    PartRole role = args->parts[i]->cls->role;
    PartRole want = i == 0 ? PART_SOURCE : i == args->n - 1 ? PART_SINK : PART_FILTER;
    if (role != want)
      luaerr_throw(L, ERR_USAGE, "pipe: part %d (%s) is a %s, and a %s belongs there", i + 1, args->parts[i]->cls->kind,
                   role_name(role), role_name(want));
    for (int k = 0; k < i; k++)
      if (args->parts[k]->label != NULL && args->parts[i]->label != NULL &&
          strcmp(args->parts[k]->label, args->parts[i]->label) == 0 && args->parts[k]->cls == args->parts[i]->cls)
        luaerr_throw(L, ERR_USAGE, "pipe: two parts are called '%s': name them with as = \"…\"", args->parts[i]->label);
  }
}

/* The parts of the table at 1; the list that keeps them is left on the stack. */
static void pipe_args_parts(lua_State *L, PipeArgs *args) {
  lua_Integer n = luaL_len(L, 1);
  if (n < 1)
    luaerr_throw(L, ERR_USAGE, "pipe: a source, filters and a sink expected: pipe { sh.output {…}, gzip(), file.writer(…) }");
  if (n >= PIPE_MOST_PARTS) luaerr_throw(L, ERR_USAGE, "pipe: more than %d parts", PIPE_MOST_PARTS - 1);
  lua_newtable(L);
  int list = lua_gettop(L);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 1, i);
    args->parts[args->n++] = pipe_part(L, i);
    lua_rawseti(L, list, i);
  }
  if (pipe_sink(args)->cls->role != PART_SINK || args->n == 1) {
    args->parts[args->n++] = part_new(L, &discard_class);
    lua_rawseti(L, list, n + 1);
  }
  pipe_check_order(L, args);
}

/* The named options of the table at 1, as a table of their own on the stack. */
static int pipe_args_options(lua_State *L, PipeArgs *args) {
  static const char *const keys[] = {"timeout", "stall", "what", "resolve", NULL};
  lua_newtable(L);
  int table = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    if (lua_isinteger(L, -2)) continue;
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, table);
  }
  int options = args_options(L, table, keys);
  args->timeout_ms = args_duration(L, options, "timeout", 0);
  args->stall_ms = args_duration(L, options, "stall", 0);
  return options;
}

/* "pg_dumpall | sha512 | gzip -6 > dump.sql.gz" */
static void pipe_show(PipeArgs *args) {
  for (int i = 0; i < args->n; i++) {
    const Part *part = args->parts[i];
    args->unknown = args->unknown || part->unknown;
    if (part->cls == &discard_class) continue;
    if (i > 0) buf_add_str(&args->show, part->cls->role == PART_SINK && part->cls->repeatable ? " > " : " | ");
    buf_add_str(&args->show, buf_str(&part->show));
  }
  sh_finish_show(&args->show, PIPE_SHOW_BYTES);
}

/* ---- the operation ---- */

static Op *pipe_begin(lua_State *L, int index) {
  const PipeArgs *args = lua_touserdata(L, index);
  Stage *stages[PIPE_MOST_PARTS];
  for (int i = 0; i < args->n; i++) {
    stages[i] = args->parts[i]->cls->open(L, args->parts[i]);
    if (stages[i]->label == NULL) stages[i]->label = mem_strdup(args->parts[i]->label);
  }
  const char *deadline = NULL;
  int64_t left = await_time_left(L, args->timeout_ms, &deadline);
  return &pipe_start(vm_loop(vm_of(L)), stages, args->n, left, deadline, args->stall_ms)->op;
}

static Op *pipe_settle_begin(lua_State *L, int index, const char *note) {
  const PipeArgs *args = lua_touserdata(L, index);
  Part *sink = args->parts[args->n - 1];
  return &sink->cls->settle(L, sink, note)->op;
}

/* How it was found out that the sink is done; NULL: it said so. Another Op than a pipe's is that of its settling. */
static const char *pipe_settled_by(const Op *op) {
  if (!pipe_is(op)) return ((const PgOp *)op)->settled_by;
  const PipeOp *pipe = (const PipeOp *)op;
  return pipe->stages[pipe->nstages - 1]->settled_by;
}

static const char *pipe_how(const Op *op) { return pipe_settled_by(op) != NULL ? "record" : NULL; }

/* ---- the result ---- */

/* Found texts of a read are given as they are; a change's go into the journal, which holds text. */
static void push_found(lua_State *L, const Part *sink, const char *bytes, size_t len) {
  if (sink->cls->changes)
    sh_push_text(L, bytes, len, false);
  else
    lua_pushlstring(L, bytes, len);
}

static void push_stage(lua_State *L, const Part *sink, const Stage *stage) {
  lua_createtable(L, 0, 5);
  lua_pushstring(L, stage_name(stage));
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, (lua_Integer)stage->in_bytes);
  lua_setfield(L, -2, "in_bytes");
  lua_pushinteger(L, (lua_Integer)stage->out_bytes);
  lua_setfield(L, -2, "out_bytes");
  if (stage->said == NULL) return;
  push_found(L, sink, stage->said, strlen(stage->said));
  lua_setfield(L, -2, "stderr");
}

/* result.KIND[label], made when first needed. */
static void set_in(lua_State *L, int result, const char *kind, const char *label) {
  if (lua_getfield(L, result, kind) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, result, kind);
  }
  lua_insert(L, -2);
  lua_setfield(L, -2, label);
  lua_pop(L, 1);
}

static void push_findings(lua_State *L, const PipeArgs *args, const Part *part, const Stage *stage, int result) {
  const char *label = part->label;
  if (label == NULL) return;
  if (strcmp(part->cls->kind, "replace") == 0) {
    lua_pushinteger(L, (lua_Integer)stage->count);
    set_in(L, result, "count", label);
  } else if (stage->found != NULL) {
    push_found(L, pipe_sink(args), stage->found, stage->found_len);
    set_in(L, result, strcmp(part->cls->kind, "hash") == 0 ? "digest" : "text", label);
  }
}

static int pipe_push(lua_State *L, Op *op, int index) {
  const PipeArgs *args = lua_touserdata(L, index);
  luaL_checkstack(L, 16, "pipe");
  lua_createtable(L, 0, 6);
  int result = lua_gettop(L);
  const char *settled_by = pipe_settled_by(op);
  if (settled_by != NULL) {
    lua_pushstring(L, settled_by);
    lua_setfield(L, result, "settled_by");
  }
  if (pipe_sink(args)->path != NULL) {
    lua_pushstring(L, pipe_sink(args)->path);
    lua_setfield(L, result, "path");
  }
  if (!pipe_is(op)) return 1; /* settled long after: the rest was lost with the process that knew it */
  const PipeOp *pipe = (const PipeOp *)op;
  lua_createtable(L, pipe->nstages, 0);
  for (int i = 0; i < pipe->nstages; i++) {
    push_stage(L, pipe_sink(args), pipe->stages[i]);
    lua_rawseti(L, -2, i + 1);
    push_findings(L, args, args->parts[i], pipe->stages[i], result);
  }
  lua_setfield(L, result, "stages");
  lua_pushinteger(L, (lua_Integer)pipe->stages[0]->out_bytes);
  lua_setfield(L, result, "bytes");
  lua_pushinteger(L, (lua_Integer)pipe->stages[pipe->nstages - 1]->in_bytes);
  lua_setfield(L, result, "out_bytes");
  if (pipe->stages[pipe->nstages - 1]->count > 0) {
    lua_pushinteger(L, (lua_Integer)pipe->stages[pipe->nstages - 1]->count);
    lua_setfield(L, result, "rows");
  }
  lua_pushinteger(L, op->settled_ms - op->started_ms);
  lua_setfield(L, result, "ms");
  return 1;
}

/* pipe{ source, filters…, sink, options } */
static int l_pipe(lua_State *L) {
  lua_remove(L, 1); /* the module */
  lua_settop(L, 1);
  if (!lua_istable(L, 1) || args_is_unknown(L, 1))
    return luaerr_throw(L, ERR_USAGE, "pipe: a table of parts expected: pipe { …, …, … }");
  luaL_checkstack(L, 24, "pipe");
  PipeArgs *args = pipe_new_args(L);
  pipe_args_parts(L, args);
  lua_setiuservalue(L, 2, 1);
  int options = pipe_args_options(L, args);
  pipe_show(args);
  const Part *source = args->parts[0], *sink = pipe_sink(args);
  const Target *target = sink->target != NULL ? sink->target : source->target;
  if (target == NULL) target = guard_target(run_of(L)->guard, "file", "localhost", NULL); /* a text: this machine's */
  EffectSpec spec = {
      .kind = sink->cls->changes ? EFFECT_CHANGE : EFFECT_READ,
      .target = (Target *)(uintptr_t)target,
      .verb = "pipe",
      .show = buf_str(&args->show),
      .options = options,
      .args = 2,
      .unknown = args->unknown,
      .repeatable = sink->cls->repeatable,
      .lengthy = sink->cls->repeatable,
      .start = pipe_begin,
      .push = pipe_push,
      .notes = sink->cls->notes,
  };
  if (sink->cls->settle != NULL) {
    spec.settle = pipe_settle_begin;
    spec.how = pipe_how;
  }
  return effect_call(L, &spec);
}

int luaopen_pgsh_pipe(lua_State *L) {
  static const luaL_Reg functions[] = {{"gzip", l_part_gzip}, {"gunzip", l_part_gunzip},   {"hash", l_part_hash},
                                       {"head", l_part_head}, {"tail", l_part_tail},       {"meter", l_part_meter},
                                       {"text", l_pipe_text}, {"replace", l_part_replace}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_pipe);
  lua_setfield(L, -2, "__call");
  lua_setmetatable(L, -2);
  return 1;
}
