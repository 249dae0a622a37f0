/* host, grid: rows of values as aligned columns. Each value is made into text once; a large result can then be put out piece by
 * piece. Where there is less room than that takes, the widest columns are narrowed, and what does not fit into one is cut,
 * visibly. */
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/host.h"
#include "base/buf.h"
#include "base/decimal.h"
#include "run/console.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"

#define GRID_COLUMNS 1600 /* PostgreSQL's own limit is 1664 */
#define GRID_NAME "pgsh.Grid"

typedef struct GridCell {
  size_t at; /* of its text */
  uint32_t len, width;
} GridCell;

typedef struct GridColumn {
  size_t width, name;
  bool right;    /* numbers only */
  bool repeated; /* a later column has the same name */
} GridColumn;

/* What host.grid returns. */
typedef struct Grid {
  const Console *console;
  char *null_mark;
  size_t count, rows;
  GridColumn *columns;
  GridCell *cells; /* rows × count */
  int names;       /* while it is made: where the first column's name is on the stack, the others behind it */
  int texts;       /* while it is made: a table of functions that make a column's values into text, by number; 0: none */
  Buf text, cell, clean;
} Grid;

static int l_grid_gc(lua_State *L) {
  Grid *grid = lua_touserdata(L, 1);
  free(grid->null_mark);
  free(grid->columns);
  free(grid->cells);
  buf_fini(&grid->text);
  buf_fini(&grid->cell);
  buf_fini(&grid->clean);
  memset(grid, 0, sizeof *grid);
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

/* The shortest text that reads back as the same number: mostly of 16 or 17 digits, which are tried first. */
static void grid_add_float(Buf *out, double value) {
  char text[40], shorter[40];
  if (isnan(value) || isinf(value)) { /* as the server writes them */
    buf_add_str(out, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    return;
  }
  int len = snprintf(text, sizeof text, "%.16g", value);
  if (decimal_read(text, (size_t)len) != value) {
    len = snprintf(text, sizeof text, "%.17g", value);
  } else if (len > 15) {
    int n = snprintf(shorter, sizeof shorter, "%.15g", value);
    if (decimal_read(shorter, (size_t)n) == value) {
      memcpy(text, shorter, sizeof text);
      len = n;
    }
  }
  buf_add(out, text, (size_t)len);
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

/* The value on top as the text that the column's own function makes of it, where it has one. */
static void grid_call_text(lua_State *L, const Grid *grid, size_t c) {
  if (grid->texts == 0 || lua_isnil(L, -1)) return;
  if (lua_rawgeti(L, grid->texts, (lua_Integer)c + 1) != LUA_TFUNCTION) {
    lua_pop(L, 1);
    return;
  }
  lua_insert(L, -2);
  lua_call(L, 1, 1);
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

/* Push column c of the row on top: by its name, and where a later one has the same by its number. */
static void grid_push_value(lua_State *L, const Grid *grid, size_t c) {
  if (grid->columns[c].repeated) {
    lua_rawgeti(L, -1, (lua_Integer)c + 1);
    return;
  }
  lua_pushvalue(L, grid->names + (int)c);
  lua_rawget(L, -2);
}

static void grid_pad(Buf *out, size_t count) {
  memset(buf_reserve(out, count), ' ', count);
  out->len += count;
  out->data[out->len] = '\0';
}

/* As much of a text as `width` columns hold, the last of them a sign that it was cut. */
static void grid_add_cut(const Grid *grid, Buf *out, const char *text, size_t len, size_t width) {
  size_t used = 0, bytes = 0;
  while (bytes < len) {
    char one[8] = "";
    size_t more = 1;
    while (bytes + more < len && ((unsigned char)text[bytes + more] & 0xC0) == 0x80 && more < 6)
      more++;
    memcpy(one, text + bytes, more);
    size_t columns = grid->console->width(one);
    if (used + columns + 1 > width) break;
    used += columns;
    bytes += more;
  }
  buf_add(out, text, bytes);
  buf_add_str(out, "…");
  if (used + 1 < width) grid_pad(out, width - used - 1);
}

static void grid_keep_cell(Grid *grid, size_t r, size_t c) {
  GridColumn *column = &grid->columns[c];
  size_t width = grid_width(grid);
  if (width > column->width) column->width = width;
  grid->cells[r * grid->count + c] = (GridCell){.at = grid->text.len, .len = (uint32_t)grid->cell.len, .width = (uint32_t)width};
  buf_add(&grid->text, buf_str(&grid->cell), grid->cell.len);
}

static size_t grid_narrowed(const GridColumn *column, size_t most) {
  size_t width = column->width < most ? column->width : most;
  return width > column->name ? width : column->name;
}

/* Columns of the longest line, the rule, when no column is wider than `most`, unless its name is. */
static size_t grid_line(const Grid *grid, size_t most) {
  size_t sum = 0;
  for (size_t c = 0; c < grid->count; c++)
    sum += grid_narrowed(&grid->columns[c], most) + strlen(" | ");
  return sum - strlen(" | ") + 2;
}

/* Narrow the widest columns until a line fits into `room`, but none below `least`: the largest bound that does. */
static void grid_fit(Grid *grid, size_t room, size_t least) {
  size_t low = least, high = least;
  for (size_t c = 0; c < grid->count; c++)
    if (grid->columns[c].width > high) high = grid->columns[c].width;
  if (grid->count < 2 || grid_line(grid, high) <= room) return;
  while (low + 1 < high) {
    size_t middle = low + (high - low) / 2;
    if (grid_line(grid, middle) <= room)
      low = middle;
    else
      high = middle;
  }
  for (size_t c = 0; c < grid->count; c++)
    grid->columns[c].width = grid_narrowed(&grid->columns[c], low);
}

/* A column is at least as wide as its name. */
static void grid_take_names(lua_State *L, Grid *grid) {
  grid->names = lua_gettop(L) + 1;
  luaL_checkstack(L, (int)grid->count + 20, "grid");
  for (size_t c = 0; c < grid->count; c++) {
    grid->columns[c].right = true;
    lua_rawgeti(L, 2, (lua_Integer)c + 1);
    grid_take_cell(L, grid);
    grid->columns[c].width = grid->columns[c].name = grid_width(grid);
    for (size_t i = 0; i < c; i++)
      if (lua_rawequal(L, grid->names + (int)i, -1)) grid->columns[i].repeated = true;
  }
}

/* grid(rows, columns, { to, room, least, null, texts }) */
static int l_host_grid(lua_State *L) {
  static const char *const keys[] = {"least", "null", "room", "texts", "to", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  int options = args_options(L, 3, keys);
  size_t count = lua_rawlen(L, 2);
  luaL_argcheck(L, count <= GRID_COLUMNS, 2, "too many columns");
  if (run_of(L)->console == NULL) luaerr_throw(L, ERR_INTERNAL, "grid: there is no console");
  int64_t rows = args_integer(L, options, "to", (int64_t)lua_rawlen(L, 1)), least = args_integer(L, options, "least", 1);
  int64_t room = args_integer(L, options, "room", 0);
  const char *null_mark = args_string(L, options, "null", "");
  Grid *grid = lua_newuserdatauv(L, sizeof *grid, 0);
  *grid = (Grid){.console = run_of(L)->console, .count = count, .rows = rows > 0 ? (size_t)rows : 0};
  luaL_setmetatable(L, GRID_NAME);
  int at = lua_gettop(L);
  grid->null_mark = mem_strdup(null_mark);
  grid->columns = mem_alloc((count + 1) * sizeof *grid->columns);
  grid->cells = mem_alloc((grid->rows * count + 1) * sizeof *grid->cells);
  if (options != 0 && lua_getfield(L, options, "texts") == LUA_TTABLE) grid->texts = lua_gettop(L);
  grid_take_names(L, grid);
  for (size_t r = 0; r < grid->rows; r++) {
    lua_rawgeti(L, 1, (lua_Integer)r + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    for (size_t c = 0; c < count; c++) {
      grid_push_value(L, grid, c);
      grid_call_text(L, grid, c);
      if (!grid_take_cell(L, grid)) grid->columns[c].right = false;
      grid_keep_cell(grid, r, c);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  if (room > 0) grid_fit(grid, (size_t)room, least > 0 ? (size_t)least : 1);
  lua_settop(L, at);
  return 1;
}

/* grid:widths(): a list. */
static int l_grid_widths(lua_State *L) {
  const Grid *grid = luaL_checkudata(L, 1, GRID_NAME);
  lua_createtable(L, (int)grid->count, 0);
  for (size_t c = 0; c < grid->count; c++) {
    lua_pushinteger(L, (lua_Integer)grid->columns[c].width);
    lua_rawseti(L, -2, (lua_Integer)c + 1);
  }
  return 1;
}

static void grid_add_row(const Grid *grid, Buf *out, size_t r) {
  for (size_t c = 0; c < grid->count; c++) {
    const GridColumn *column = &grid->columns[c];
    const GridCell *cell = &grid->cells[r * grid->count + c];
    size_t gap = column->width > cell->width ? column->width - cell->width : 0;
    buf_add(out, " | ", 3);
    if (c == 0) out->len -= 2;
    if (column->right) grid_pad(out, gap);
    if (cell->width > column->width)
      grid_add_cut(grid, out, buf_str(&grid->text) + cell->at, cell->len, column->width);
    else
      buf_add(out, buf_str(&grid->text) + cell->at, cell->len);
    if (!column->right && c + 1 < grid->count) grid_pad(out, gap);
  }
  buf_add_char(out, '\n');
}

/* grid:lines(from, to) */
static int l_grid_lines(lua_State *L) {
  Grid *grid = luaL_checkudata(L, 1, GRID_NAME);
  lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
  buf_clear(&grid->cell);
  for (lua_Integer r = from < 1 ? 1 : from; r <= to && (size_t)r <= grid->rows; r++)
    grid_add_row(grid, &grid->cell, (size_t)r - 1);
  lua_pushlstring(L, buf_str(&grid->cell), grid->cell.len);
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
  static const luaL_Reg functions[] = {{"grid", l_host_grid}, {"width", l_host_width}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"widths", l_grid_widths}, {"lines", l_grid_lines}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, GRID_NAME);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, l_grid_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
