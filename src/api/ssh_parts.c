/* ssh_parts: far commands as the ends of a pipe. */
#include <lauxlib.h>

#include "api/part.h"
#include "api/sh_lines.h"
#include "api/ssh.h"
#include "vm/args.h"
#include "vm/luaerr.h"

static Stage *part_open(lua_State *L, const Part *part, Stage *(*make)(Ssh *, SshSpec, EndLines)) {
  const SshArgs *args = part->own;
  SshSpec spec = ssh_args_spec(args);
  if (part_push(L, part) == LUA_TUSERDATA) lua_getiuservalue(L, -1, 1);
  bool listens = lua_isfunction(L, -1);
  lua_settop(L, lua_gettop(L) - 2);
  if (!listens) return make(args->handle->ssh, spec, (EndLines){0});
  ShLines *lines = sh_lines_new(L, part);
  Stage *stage = make(args->handle->ssh, spec, sh_lines_reader(lines));
  sh_lines_set_stage(lines, stage);
  return stage;
}

static Stage *output_open(lua_State *L, Part *part) { return part_open(L, part, end_ssh_output); }
static Stage *input_open(lua_State *L, Part *part) { return part_open(L, part, end_ssh_input); }
static Stage *sink_open(lua_State *L, Part *part) { return part_open(L, part, end_ssh_whole_input); }

static const PartClass output_class = {
    .role = PART_SOURCE, .kind = "ssh.output", .size = sizeof(SshArgs), .fini = ssh_args_fini, .open = output_open};
static const PartClass input_class = {
    .role = PART_SINK, .kind = "ssh.input", .changes = true, .size = sizeof(SshArgs), .fini = ssh_args_fini, .open = input_open};
/* One that acts on the whole stream only, and may be fed again without harm: an upload. */
static const PartClass sink_class = {.role = PART_SINK,
                                     .kind = "ssh.upload",
                                     .changes = true,
                                     .repeatable = true,
                                     .size = sizeof(SshArgs),
                                     .fini = ssh_args_fini,
                                     .open = sink_open};

static int ssh_part(lua_State *L, const PartClass *cls, const char *const keys[]) {
  lua_settop(L, 3);
  SshHandle *handle = ssh_check(L, 1);
  int options = args_options(L, 3, keys);
  luaL_checkstack(L, 20, "ssh");
  Part *part = part_new(L, cls);
  SshArgs *own = part->own;
  own->handle = handle;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 4, 2); /* the part keeps its handle */
  ssh_args_fill(L, own, options, true);
  own->read = cls->role == PART_SOURCE;
  part->unknown = own->sh.unknown;
  part->target = handle->target;
  buf_add_str(&part->show, args_string(L, options, "what", buf_str(&own->sh.show)));
  if (args_push(L, options, "stderr") != LUA_TNIL && !lua_isfunction(L, -1))
    return luaerr_throw(L, ERR_USAGE, "option 'stderr': a function expected, got %s", luaL_typename(L, -1));
  lua_setiuservalue(L, 4, 1);
  if (cls->role == PART_SINK) part->label = mem_strdup(args_string(L, options, "as", "stdout"));
  return 1;
}

/* handle:output(command [, options]) */
int l_ssh_output(lua_State *L) {
  static const char *const keys[] = {"input", "env", "cwd", "ok", "what", "stderr", "become", NULL};
  return ssh_part(L, &output_class, keys);
}

static const char *const input_keys[] = {"env", "cwd", "ok", "what", "stderr", "as", "become", NULL};

/* handle:input(command [, options]) */
int l_ssh_input(lua_State *L) { return ssh_part(L, &input_class, input_keys); }
int l_ssh_sink(lua_State *L) { return ssh_part(L, &sink_class, input_keys); }
