/* host, grid: rows of values as aligned columns. Two passes, so that a large result can be put out piece by piece: measure all of
 * it, then make the lines of some rows. What does not fit into a column is cut, visibly. */
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/host.h"
#include "base/buf.h"
#include "run/console.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"

#define GRID_COLUMNS 1600 /* PostgreSQL's own limit is 1664 */
#define GRID_INDENT 1

typedef struct GridColumn {
  size_t width;
  bool right; /* numbers only */
} GridColumn;

/* Owned by the Lua stack. */
typedef struct Grid {
  const Console *console;
  const char *null_mark;
  size_t count, max_width;
  Buf cell, clean;
  GridColumn columns[];
} Grid;

static int l_grid_gc(lua_State *L) {
  Grid *grid = lua_touserdata(L, 1);
  buf_fini(&grid->cell);
  buf_fini(&grid->clean);
  return 0;
}

static bool grid_is_plain(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)text[i] < 0x20 || (unsigned char)text[i] >= 0x7f) return false;
  return true;
}

/* Line ends and tabs are shown as in C. */
static void grid_add_text(Grid *grid, const char *text, size_t len) {
  if (grid_is_plain(text, len)) {
    buf_add(&grid->cell, text, len);
    return;
  }
  buf_clear(&grid->clean);
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '\n')
      buf_add_str(&grid->clean, "\\n");
    else if (text[i] == '\t')
      buf_add_str(&grid->clean, "\\t");
    else if (text[i] == '\0')
      buf_add_str(&grid->clean, "\\x00");
    else
      buf_add_char(&grid->clean, text[i]);
  }
  grid->console->clean(&grid->cell, buf_str(&grid->clean));
}

/* The shortest text that reads back as the same number. */
static void grid_add_float(Buf *out, double value) {
  char text[40];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value || isnan(value)) break;
  }
  buf_add_str(out, text);
}

static void grid_add_json(lua_State *L, Grid *grid, int index) {
  Err err = {0};
  json_t *value = luajson_from(L, index, false, &err);
  char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
  grid_add_text(grid, text != NULL ? text : "{…}", text != NULL ? strlen(text) : strlen("{…}"));
  free(text);
  json_decref(value);
  err_fini(&err);
}

static bool grid_is_number(const char *text, size_t len) {
  char *end;
  if (len == 0 || len > 60 || strchr("-.0123456789", text[0]) == NULL || (len > 1 && strchr("xX", text[1]) != NULL)) return false;
  (void)strtod(text, &end);
  return (size_t)(end - text) == len;
}

/* The value on top as the cell's text. False: it is no number, nor empty. */
static bool grid_take_cell(lua_State *L, Grid *grid) {
  size_t len;
  const char *text;
  buf_clear(&grid->cell);
  switch (lua_type(L, -1)) {
  case LUA_TNIL: buf_add_str(&grid->cell, grid->null_mark); return true;
  case LUA_TBOOLEAN: buf_add_str(&grid->cell, lua_toboolean(L, -1) ? "true" : "false"); return false;
  case LUA_TNUMBER:
    if (lua_isinteger(L, -1))
      buf_printf(&grid->cell, "%lld", (long long)lua_tointeger(L, -1));
    else
      grid_add_float(&grid->cell, lua_tonumber(L, -1));
    return true;
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &len);
    grid_add_text(grid, text, len);
    return grid_is_number(text, len);
  case LUA_TTABLE:
    if (luaL_getmetafield(L, -1, "__tostring") == LUA_TNIL) {
      grid_add_json(L, grid, lua_gettop(L));
      return false;
    }
    lua_pop(L, 1);
    break;
  default: break;
  }
  text = luaL_tolstring(L, -1, &len);
  grid_add_text(grid, text, len);
  lua_pop(L, 1);
  return false;
}

static size_t grid_width(const Grid *grid) {
  const char *text = buf_str(&grid->cell);
  return grid_is_plain(text, grid->cell.len) ? grid->cell.len : grid->console->width(text);
}

/* rows at 1, columns at 2, options at 3; the Grid is left on top. */
static Grid *grid_new(lua_State *L) {
  static const char *const keys[] = {"max_width", "null", "from", "to", "widths", "rights", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  int options = args_options(L, 3, keys);
  size_t count = lua_rawlen(L, 2);
  luaL_argcheck(L, count <= GRID_COLUMNS, 2, "too many columns");
  if (run_of(L)->console == NULL) luaerr_throw(L, ERR_INTERNAL, "grid: there is no console");
  const char *null_mark = args_string(L, options, "null", "");
  Grid *grid = lua_newuserdatauv(L, sizeof *grid + count * sizeof grid->columns[0], 0);
  memset(grid, 0, sizeof *grid + count * sizeof grid->columns[0]);
  grid->console = run_of(L)->console;
  grid->null_mark = null_mark;
  grid->count = count;
  grid->max_width = (size_t)args_integer(L, options, "max_width", 0);
  if (luaL_newmetatable(L, "pgsh.Grid")) {
    lua_pushcfunction(L, l_grid_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return grid;
}

/* Push column c of the row on top: by its name, and where several have it by its number. */
static void grid_push_value(lua_State *L, size_t c) {
  lua_rawgeti(L, -1, (lua_Integer)c + 1);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_rawgeti(L, 2, (lua_Integer)c + 1);
  lua_rawget(L, -2);
}

static void grid_measure_row(lua_State *L, Grid *grid) {
  for (size_t c = 0; c < grid->count; c++) {
    GridColumn *column = &grid->columns[c];
    grid_push_value(L, c);
    if (!grid_take_cell(L, grid)) column->right = false;
    size_t width = grid_width(grid);
    if (grid->max_width > 0 && width > grid->max_width) width = grid->max_width;
    if (width > column->width) column->width = width;
    lua_pop(L, 1);
  }
}

/* grid_measure(rows, columns, options): widths and whether each is right-aligned, as two lists. */
static int l_host_grid_measure(lua_State *L) {
  Grid *grid = grid_new(L);
  lua_Integer to = args_integer(L, lua_isnoneornil(L, 3) ? 0 : 3, "to", (int64_t)lua_rawlen(L, 1));
  luaL_checkstack(L, 20, "grid");
  for (size_t c = 0; c < grid->count; c++) {
    grid->columns[c].right = true;
    lua_rawgeti(L, 2, (lua_Integer)c + 1);
    grid_take_cell(L, grid);
    grid->columns[c].width = grid_width(grid);
    lua_pop(L, 1);
  }
  for (lua_Integer r = 1; r <= to; r++) {
    lua_rawgeti(L, 1, r);
    grid_measure_row(L, grid);
    lua_pop(L, 1);
  }
  lua_createtable(L, (int)grid->count, 0);
  lua_createtable(L, (int)grid->count, 0);
  for (size_t c = 0; c < grid->count; c++) {
    lua_pushinteger(L, (lua_Integer)grid->columns[c].width);
    lua_rawseti(L, -3, (lua_Integer)c + 1);
    lua_pushboolean(L, grid->columns[c].right);
    lua_rawseti(L, -2, (lua_Integer)c + 1);
  }
  return 2;
}

/* Cut the cell's text to `width` columns, the last of them a sign that it was. */
static void grid_cut(Grid *grid, size_t width) {
  static const char sign[] = "…";
  size_t used = 0, bytes = 0;
  const char *text = buf_str(&grid->cell);
  while (text[bytes] != '\0') {
    char one[8] = "";
    size_t len = 1;
    while (((unsigned char)text[bytes + len] & 0xC0) == 0x80 && len < 6)
      len++;
    memcpy(one, text + bytes, len);
    size_t more = grid->console->width(one);
    if (used + more > width - 1) break;
    used += more;
    bytes += len;
  }
  buf_clear(&grid->clean);
  buf_add(&grid->clean, text, bytes);
  buf_add_str(&grid->clean, sign);
  Buf swap = grid->cell;
  grid->cell = grid->clean;
  grid->clean = swap;
}

static void grid_pad(luaL_Buffer *out, size_t count) {
  char *at = luaL_prepbuffsize(out, count + 1);
  memset(at, ' ', count);
  luaL_addsize(out, count);
}

static void grid_add_row(lua_State *L, Grid *grid, luaL_Buffer *out, int row) {
  for (size_t c = 0; c < grid->count; c++) {
    const GridColumn *column = &grid->columns[c];
    lua_pushvalue(L, row);
    grid_push_value(L, c);
    grid_take_cell(L, grid);
    lua_pop(L, 2);
    size_t width = grid_width(grid);
    if (width > column->width && column->width > 0) {
      grid_cut(grid, column->width);
      width = grid_width(grid);
    }
    size_t gap = column->width > width ? column->width - width : 0;
    bool last = c + 1 == grid->count;
    luaL_addlstring(out, c == 0 ? " " : " | ", c == 0 ? 1 : 3);
    if (column->right) grid_pad(out, gap);
    luaL_addlstring(out, buf_str(&grid->cell), grid->cell.len);
    if (!column->right && !last) grid_pad(out, gap);
  }
  luaL_addchar(out, '\n');
}

/* grid_lines(rows, columns, { from, to, widths, rights, null }): the lines of these rows. */
static int l_host_grid_lines(lua_State *L) {
  Grid *grid = grid_new(L);
  int64_t from = args_integer(L, 3, "from", 1), to = args_integer(L, 3, "to", (int64_t)lua_rawlen(L, 1));
  luaL_checkstack(L, 20, "grid");
  args_push(L, 3, "widths");
  args_push(L, 3, "rights");
  for (size_t c = 0; c < grid->count; c++) {
    lua_rawgeti(L, -2, (lua_Integer)c + 1);
    lua_rawgeti(L, -2, (lua_Integer)c + 1);
    grid->columns[c].width = (size_t)lua_tointeger(L, -2);
    grid->columns[c].right = lua_toboolean(L, -1);
    lua_pop(L, 2);
  }
  lua_pushnil(L); /* the row */
  int row = lua_gettop(L);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  for (int64_t r = from; r <= to; r++) {
    lua_rawgeti(L, 1, (lua_Integer)r);
    lua_replace(L, row);
    grid_add_row(L, grid, &out, row);
  }
  luaL_pushresult(&out);
  return 1;
}

/* width(text): columns of a text on a terminal. */
static int l_host_width(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  const Console *console = run_of(L)->console;
  lua_pushinteger(L, (lua_Integer)(console == NULL || grid_is_plain(text, len) ? len : console->width(text)));
  return 1;
}

void host_add_grid(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"grid_measure", l_host_grid_measure}, {"grid_lines", l_host_grid_lines}, {"width", l_host_width}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
