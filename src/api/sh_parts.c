/* sh_parts: commands as the ends of a pipe (lua/meta/sh.lua documents them). */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/part.h"
#include "api/sh.h"
#include "api/sh_lines.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/luaerr.h"

static Stage *proc_open(lua_State *L, const Part *part, Stage *(*make)(ProcSpec, EndLines)) {
  const ShArgs *args = part->own;
  ProcSpec spec = proc_spec_copy(&args->spec);
  if (part_push(L, part) == LUA_TUSERDATA) lua_getiuservalue(L, -1, 1);
  bool listens = lua_isfunction(L, -1);
  lua_settop(L, lua_gettop(L) - 2);
  if (!listens) return make(spec, (EndLines){0});
  ShLines *lines = sh_lines_new(L, part);
  Stage *stage = make(spec, sh_lines_reader(lines));
  sh_lines_set_stage(lines, stage);
  return stage;
}

static Stage *output_open(lua_State *L, Part *part) { return proc_open(L, part, end_proc_output); }
static Stage *input_open(lua_State *L, Part *part) { return proc_open(L, part, end_proc_input); }

static const PartClass output_class = {
    .role = PART_SOURCE, .kind = "sh.output", .size = sizeof(ShArgs), .fini = sh_args_fini, .open = output_open};
static const PartClass input_class = {
    .role = PART_SINK, .kind = "sh.input", .changes = true, .size = sizeof(ShArgs), .fini = sh_args_fini, .open = input_open};

static Part *proc_part(lua_State *L, const PartClass *cls, const ShTool *tool, int index, const char *const keys[]) {
  lua_settop(L, index + 1);
  int options = args_options(L, index + 1, keys);
  luaL_checkstack(L, 20, "sh");
  Part *part = part_new(L, cls);
  ShArgs *own = part->own;
  if (tool != NULL)
    sh_args_words(L, own, tool, index);
  else
    sh_args_command(L, own, index);
  sh_args_options(L, own, options, true);
  own->spec.changes = cls->changes;
  sh_finish_show(&own->show, SH_SHOW_BYTES);
  part->unknown = own->unknown;
  part->target = tool != NULL ? tool->target : guard_target(run_of(L)->guard, "sh", "localhost", NULL);
  buf_add_str(&part->show, args_string(L, options, "what", buf_str(&own->show)));
  if (args_push(L, options, "stderr") != LUA_TNIL && !lua_isfunction(L, -1))
    luaerr_throw(L, ERR_USAGE, "option 'stderr': a function expected, got %s", luaL_typename(L, -1));
  lua_setiuservalue(L, index + 2, 1);
  return part;
}

int sh_output_part(lua_State *L, const ShTool *tool, int index) {
  static const char *const keys[] = {"input", "env", "cwd", "ok", "what", "proof", "stderr", NULL};
  proc_part(L, &output_class, tool, index, keys);
  return 1;
}

int sh_input_part(lua_State *L, const ShTool *tool, int index) {
  static const char *const keys[] = {"input", "env", "cwd", "ok", "what", "proof", "refused", "stderr", "as", NULL};
  Part *part = proc_part(L, &input_class, tool, index, keys);
  part->label = mem_strdup(args_string(L, lua_istable(L, index + 1) ? index + 1 : 0, "as", "stdout"));
  return 1;
}

/* sh.output(command [, options]) */
int l_part_output(lua_State *L) { return sh_output_part(L, NULL, 1); }

/* sh.input(command [, options]) */
int l_part_input(lua_State *L) { return sh_input_part(L, NULL, 1); }
