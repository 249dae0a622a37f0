/* psql_value: PostgreSQL's values as Lua's. Results come in text format. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/psql.h"
#include "base/decimal.h"
#include "vm/luajson.h"

/* Fixed by the server's catalogue (pg_type.dat). */
enum {
  TYPE_BOOL = 16,
  TYPE_BYTEA = 17,
  TYPE_INT8 = 20,
  TYPE_INT2 = 21,
  TYPE_INT4 = 23,
  TYPE_TEXT = 25,
  TYPE_OID = 26,
  TYPE_JSON = 114,
  TYPE_FLOAT4 = 700,
  TYPE_FLOAT8 = 701,
  TYPE_NUMERIC = 1700,
  TYPE_JSONB = 3802,
  /* Nothing but text to us. */
  TYPE_NAME = 19,
  TYPE_BPCHAR = 1042,
  TYPE_VARCHAR = 1043,
  TYPE_DATE = 1082,
  TYPE_TIMESTAMP = 1114,
  TYPE_TIMESTAMPTZ = 1184,
  TYPE_UUID = 2950,
};

/* Array types whose elements are simple, and how an element is read. */
static unsigned array_element(unsigned type) {
  static const unsigned pairs[][2] = {
      {1000, TYPE_BOOL},   {1005, TYPE_INT2},   {1007, TYPE_INT4},    {1016, TYPE_INT8}, {1028, TYPE_OID},
      {1021, TYPE_FLOAT4}, {1022, TYPE_FLOAT8}, {1231, TYPE_NUMERIC}, {199, TYPE_JSON},  {3807, TYPE_JSONB},
      {1009, TYPE_TEXT},   {1015, TYPE_TEXT},   {1014, TYPE_TEXT},    {1003, TYPE_TEXT}, {1002, TYPE_TEXT},
      {2951, TYPE_TEXT},   {1115, TYPE_TEXT},   {1185, TYPE_TEXT},    {1182, TYPE_TEXT}, {1183, TYPE_TEXT},
      {1187, TYPE_TEXT},   {1041, TYPE_TEXT},   {651, TYPE_TEXT},     {2210, TYPE_TEXT}, {3221, TYPE_TEXT},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
    if (pairs[i][0] == type) return pairs[i][1];
  return 0;
}

/* Digits of a number that fits surely. */
static bool read_digits(const char *text, size_t len, uint64_t *value) {
  uint64_t n = 0;
  if (len == 0 || len > 18) return false;
  for (size_t i = 0; i < len; i++) {
    unsigned digit = (unsigned)(text[i] - '0');
    if (digit > 9) return false;
    n = n * 10 + digit;
  }
  *value = n;
  return true;
}

static void push_integer(lua_State *L, const char *text, size_t len) {
  uint64_t n;
  size_t sign = text[0] == '-';
  if (read_digits(text + sign, len - sign, &n))
    lua_pushinteger(L, sign ? -(lua_Integer)n : (lua_Integer)n);
  else if (lua_stringtonumber(L, text) == 0)
    lua_pushlstring(L, text, len);
}

/* Exact, always: as an integer when it is one that fits, else as the text the server sent. */
static void push_numeric(lua_State *L, const char *text, size_t len) {
  if (len <= 18 && strspn(text, "-0123456789") == len)
    push_integer(L, text, len);
  else
    lua_pushlstring(L, text, len);
}

static void push_float(lua_State *L, const char *text, size_t len, bool plain) {
  char first = text[0] == '-' ? text[1] : text[0];
  bool finite = first != 'N' && first != 'I';
  if (!finite && plain) { /* JSON has no such numbers */
    lua_pushlstring(L, text, len);
    return;
  }
  lua_pushnumber(L, (lua_Number)decimal_read(text, len));
}

static void push_json(lua_State *L, const char *text, size_t len) {
  Err err = {0};
  json_t *value = luajson_decode(text, len, &err);
  err_fini(&err);
  if (value == NULL) { /* \u0000, an integer beyond 64 bits: the text says it all the same */
    lua_pushlstring(L, text, len);
    return;
  }
  luajson_push(L, value);
  json_decref(value);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As bytea_output = escape has it: a backslash is written twice, what does not print as \ooo. */
static void push_escaped(lua_State *L, const char *text, size_t len) {
  luaL_Buffer out;
  char *bytes = luaL_buffinitsize(L, &out, len);
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    bool octal = text[i] == '\\' && i + 3 < len && text[i + 1] != '\\';
    bytes[n++] = octal ? (char)((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')) : text[i];
    if (text[i] == '\\') i += octal ? 3 : 1;
  }
  luaL_pushresultsize(&out, n);
}

/* "\x6869" → "hi" */
static void push_bytea(lua_State *L, const char *text, size_t len, bool plain) {
  if (plain) {
    lua_pushlstring(L, text, len);
    return;
  }
  if (len < 2 || text[0] != '\\' || text[1] != 'x') {
    push_escaped(L, text, len);
    return;
  }
  luaL_Buffer out;
  char *bytes = luaL_buffinitsize(L, &out, len / 2);
  size_t n = 0;
  for (size_t i = 2; i + 1 < len; i += 2)
    bytes[n++] = (char)(hex_digit(text[i]) * 16 + hex_digit(text[i + 1]));
  luaL_pushresultsize(&out, n);
}

/* ---- arrays: {1,NULL,"a \"b\""}, nested, perhaps with bounds in front ---- */

typedef struct ArrayText {
  const char *at, *end;
  unsigned element;
  bool plain;
} ArrayText;

static void push_array(lua_State *L, ArrayText *array);

static void push_quoted_element(lua_State *L, ArrayText *array) {
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  for (array->at++; array->at < array->end && *array->at != '"'; array->at++) {
    if (*array->at == '\\' && array->at + 1 < array->end) array->at++;
    luaL_addchar(&out, *array->at);
  }
  array->at++;
  luaL_pushresult(&out);
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  psql_push_value(L, array->element, text, len, array->plain);
  lua_remove(L, -2);
}

static void push_bare_element(lua_State *L, ArrayText *array) {
  size_t len = 0;
  while (array->at + len < array->end && array->at[len] != ',' && array->at[len] != '}')
    len++;
  if (len == 4 && memcmp(array->at, "NULL", 4) == 0) {
    luajson_push_null(L); /* a hole would change the array's length */
  } else {
    const char *text = lua_pushlstring(L, array->at, len); /* ended by a NUL, which numbers need */
    psql_push_value(L, array->element, text, len, array->plain);
    lua_remove(L, -2);
  }
  array->at += len;
}

static void push_array(lua_State *L, ArrayText *array) {
  luaL_checkstack(L, 8, "array");
  lua_newtable(L);
  array->at++; /* { */
  for (lua_Integer i = 1; array->at < array->end && *array->at != '}'; i++) {
    if (*array->at == '{')
      push_array(L, array);
    else if (*array->at == '"')
      push_quoted_element(L, array);
    else
      push_bare_element(L, array);
    lua_rawseti(L, -2, i);
    if (array->at < array->end && *array->at == ',') array->at++;
  }
  array->at++; /* } */
}

static void push_array_text(lua_State *L, unsigned element, const char *text, size_t len, bool plain) {
  ArrayText array = {.at = text, .end = text + len, .element = element, .plain = plain};
  if (*text == '[') array.at = memchr(text, '{', len); /* [0:2]={…} */
  if (array.at == NULL || *array.at != '{')
    lua_pushlstring(L, text, len);
  else
    push_array(L, &array);
}

/* ---- values and rows ---- */

void psql_push_value(lua_State *L, unsigned type, const char *text, size_t len, bool plain) {
  unsigned element;
  switch (type) {
  case TYPE_BOOL: lua_pushboolean(L, text[0] == 't'); break;
  case TYPE_INT2:
  case TYPE_INT4:
  case TYPE_INT8:
  case TYPE_OID: push_integer(L, text, len); break;
  case TYPE_NUMERIC: push_numeric(L, text, len); break;
  case TYPE_FLOAT4:
  case TYPE_FLOAT8: push_float(L, text, len, plain); break;
  case TYPE_JSON:
  case TYPE_JSONB: push_json(L, text, len); break;
  case TYPE_BYTEA: push_bytea(L, text, len, plain); break;
  case TYPE_TEXT:
  case TYPE_NAME:
  case TYPE_BPCHAR:
  case TYPE_VARCHAR:
  case TYPE_DATE:
  case TYPE_TIMESTAMP:
  case TYPE_TIMESTAMPTZ:
  case TYPE_UUID: lua_pushlstring(L, text, len); break;
  default:
    element = array_element(type);
    if (element != 0)
      push_array_text(L, element, text, len, plain);
    else
      lua_pushlstring(L, text, len);
  }
}

void psql_push_columns(lua_State *L, const PgRows *rows) {
  lua_createtable(L, rows->ncolumns, 0);
  for (int i = 0; i < rows->ncolumns; i++) {
    lua_pushstring(L, rows->columns[i].name);
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_kinds(lua_State *L, const PgRows *rows, bool plain) {
  lua_createtable(L, rows->ncolumns, 0);
  for (int i = 0; i < rows->ncolumns; i++) {
    unsigned type = rows->columns[i].type;
    if (type == TYPE_BYTEA && !plain)
      lua_pushliteral(L, "bytea");
    else if (array_element(type) != 0)
      lua_pushliteral(L, "array");
    else
      lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i + 1);
  }
}

/* Two columns of one name: the name has the last, the numbers have each.
 * row[2] is row[name of column 2]; names stay the only keys that pairs and JSON see. Upvalue: number → name, or false when the
 * column is kept under its number. */
static int l_row_index(lua_State *L) {
  if (!lua_isinteger(L, 2)) return 0;
  if (lua_geti(L, lua_upvalueindex(1), lua_tointeger(L, 2)) != LUA_TSTRING) return 0;
  lua_rawget(L, 1);
  return 1;
}

void psql_push_row_meta(lua_State *L, const PgRows *rows) {
  lua_createtable(L, 0, 2);
  push_kinds(L, rows, false);
  lua_setfield(L, -2, "kinds");
  lua_createtable(L, rows->ncolumns, 0);
  for (int i = 0; i < rows->ncolumns; i++) {
    if (rows->columns[i].repeated)
      lua_pushboolean(L, 0);
    else
      lua_pushstring(L, rows->columns[i].name);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcclosure(L, l_row_index, 1);
  lua_setfield(L, -2, "__index");
}

void psql_push_rows_meta(lua_State *L, const PgRows *rows, bool plain) {
  lua_createtable(L, 0, 2);
  push_kinds(L, rows, plain);
  lua_setfield(L, -2, "kinds");
  lua_createtable(L, 0, 1);
  psql_push_columns(L, rows);
  lua_setfield(L, -2, "columns");
  lua_setfield(L, -2, "__index");
}

void psql_push_row(lua_State *L, const PgRows *rows, size_t row, int columns, int meta) {
  luaL_checkstack(L, 10, "row");
  lua_createtable(L, 0, rows->ncolumns);
  for (int i = 0; i < rows->ncolumns; i++) {
    size_t len = 0;
    const char *text = pg_rows_cell(rows, row, i, &len);
    if (text == NULL) continue;
    const PgColumn *column = &rows->columns[i];
    if (meta != 0 && column->repeated)
      lua_pushinteger(L, i + 1);
    else
      lua_rawgeti(L, columns, i + 1);
    psql_push_value(L, column->type, text, len, meta == 0);
    lua_rawset(L, -3);
  }
  if (meta != 0) {
    lua_pushvalue(L, meta);
    lua_setmetatable(L, -2);
  }
}
