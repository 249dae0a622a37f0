/* host, texts: scripts and their compilation, embedded files, times, digests. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/host.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "net/pg_guard.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/vm.h"

/* ---- compiling ----------------------------------------------------------------------------------------------------------- */

/* "FILE:12: message near 'x'" → the line number; 0 when it has none. */
static int host_error_line(const char *message, const char **rest) {
  for (const char *p = message; (p = strchr(p, ':')) != NULL; p++) {
    char *end;
    long line = strtol(p + 1, &end, 10);
    if (end > p + 1 && *end == ':') {
      *rest = end + 1 + (end[1] == ' ');
      return (int)line;
    }
  }
  *rest = message;
  return 0;
}

static const char *host_line_start(const char *text, int line) {
  for (int i = 1; i < line; i++) {
    const char *end = strchr(text, '\n');
    if (end == NULL) return NULL;
    text = end + 1;
  }
  return text;
}

/* The source line, and below it a caret: under the token Lua complains of when it stands in the line, else at its end. */
static void host_add_caret(const char *text, int line, const char *message, Buf *out) {
  const char *start = host_line_start(text, line);
  if (start == NULL) return;
  size_t len = strcspn(start, "\n"), column = len;
  const char *near = strstr(message, "near '");
  if (near != NULL) {
    const char *token = near + 6, *end = strrchr(token, '\'');
    size_t token_len = end != NULL ? (size_t)(end - token) : 0;
    const char *hit = token_len > 0 ? memmem(start, len, token, token_len) : NULL;
    if (hit != NULL) column = (size_t)(hit - start);
  }
  buf_add(out, start, len);
  buf_add_char(out, '\n');
  for (size_t i = 0; i < column; i++)
    buf_add_char(out, start[i] == '\t' ? '\t' : ' ');
  buf_add_char(out, '^');
}

static int host_syntax_error(lua_State *L, const char *text, const char *chunkname) {
  const char *message = lua_tostring(L, -1), *rest;
  int line = host_error_line(message, &rest);
  const char *file = chunkname[0] == '@' || chunkname[0] == '=' ? chunkname + 1 : chunkname;
  Err err = {0};
  Buf caret = {0};
  if (line > 0) {
    err_set(&err, ERR_SYNTAX, "%s:%d: %s", file, line, rest);
    host_add_caret(text, line, message, &caret);
    err_set_detail(&err, buf_str(&caret));
    buf_fini(&caret);
  } else {
    err_set(&err, ERR_SYNTAX, "%s: %s", file, message);
  }
  lua_pushnil(L);
  luaerr_push(L, &err);
  lua_pushinteger(L, line);
  lua_setfield(L, -2, "line");
  lua_pushstring(L, file);
  lua_setfield(L, -2, "file");
  return 2;
}

static int l_host_compile(lua_State *L) {
  size_t len, skip = 0;
  const char *text = luaL_checklstring(L, 1, &len);
  const char *chunkname = luaL_checkstring(L, 2);
  if (len > 0 && text[0] == '#') skip = strcspn(text, "\n"); /* a shebang line; the newline keeps the line numbers */
  if (luaL_loadbufferx(L, text + skip, len - skip, chunkname, "t") != LUA_OK) return host_syntax_error(L, text, chunkname);
  if (!lua_isnoneornil(L, 3)) {
    lua_pushvalue(L, 3);
    lua_setupvalue(L, -2, 1);
  }
  return 1;
}

static int l_host_read_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  Err err = {0};
  Buf text = {0};
  if (!file_read(path, (size_t)luaL_optinteger(L, 2, 4 << 20), &text, &err)) {
    buf_fini(&text);
    lua_pushnil(L);
    luaerr_push(L, &err);
    return 2;
  }
  lua_pushlstring(L, buf_str(&text), text.len);
  buf_fini(&text);
  return 1;
}

static int l_host_embedded(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const VmFile *file = vm_files;
  while (file->name != NULL && strcmp(file->name, name) != 0)
    file++;
  if (file->name == NULL) return 0;
  lua_pushlstring(L, (const char *)file->text, file->len);
  return 1;
}

static int l_host_embedded_names(lua_State *L) {
  lua_newtable(L);
  for (lua_Integer i = 0; vm_files[i].name != NULL; i++) {
    lua_pushstring(L, vm_files[i].name);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ---- times and digests ------------------------------------------------------------------------------------------------------
 */

static int l_host_now(lua_State *L) {
  lua_pushinteger(L, clock_wall_ms());
  return 1;
}

static int l_host_mono(lua_State *L) {
  lua_pushinteger(L, clock_mono_ms());
  return 1;
}

static int l_host_duration(lua_State *L) {
  int64_t ms;
  if (lua_type(L, 1) == LUA_TNUMBER && lua_tonumber(L, 1) >= 0 && lua_tonumber(L, 1) < 1e9) {
    lua_pushinteger(L, (lua_Integer)(lua_tonumber(L, 1) * 1000 + 0.5));
  } else if (lua_type(L, 1) == LUA_TSTRING && clock_parse_duration(lua_tostring(L, 1), &ms)) {
    lua_pushinteger(L, ms);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

static int l_host_parse_time(lua_State *L) {
  int64_t ms;
  if (clock_parse_iso(luaL_checkstring(L, 1), &ms))
    lua_pushinteger(L, ms);
  else
    lua_pushnil(L);
  return 1;
}

static int l_host_iso(lua_State *L) {
  char text[CLOCK_ISO_SIZE];
  clock_iso(luaL_checkinteger(L, 1), text);
  lua_pushstring(L, text);
  return 1;
}

static int l_host_span(lua_State *L) {
  char text[CLOCK_SPAN_SIZE];
  clock_span((int64_t)luaL_checknumber(L, 1), text);
  lua_pushstring(L, text);
  return 1;
}

static int l_host_sha256(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned digest_len = 0;
  if (EVP_Digest(text, len, digest, &digest_len, EVP_sha256(), NULL) != 1) return luaerr_throw(L, ERR_INTERNAL, "sha256 failed");
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (unsigned i = 0; i < digest_len; i++) {
    static const char hex[] = "0123456789abcdef";
    luaL_addchar(&b, hex[digest[i] >> 4]);
    luaL_addchar(&b, hex[digest[i] & 15]);
  }
  luaL_pushresult(&b);
  return 1;
}

/* What is in the way of asking this where nothing but its text can be judged: one query, in parentheses, by somebody else's psql.
 */
static int l_host_not_a_query(lua_State *L) {
  size_t len, end;
  const char *sql = luaL_checklstring(L, 1, &len);
  char name[PG_GUARD_NAME];
  PgGuard verdict = pg_guard_read(sql, len, name);
  if (verdict == PG_GUARD_READ && pg_guard_query(sql, len, &end)) {
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)end);
    return 2;
  }
  if (verdict == PG_GUARD_FUNCTION)
    lua_pushfstring(L, "the function %s acts, also in a transaction that is read only", name);
  else
    lua_pushliteral(L, "it is not one SELECT, WITH, VALUES or TABLE");
  return 1;
}

void host_add_text(lua_State *L) {
  static const luaL_Reg functions[] = {{"compile", l_host_compile},
                                       {"read_file", l_host_read_file},
                                       {"embedded", l_host_embedded},
                                       {"embedded_names", l_host_embedded_names},
                                       {"now", l_host_now},
                                       {"mono", l_host_mono},
                                       {"duration", l_host_duration},
                                       {"parse_time", l_host_parse_time},
                                       {"iso", l_host_iso},
                                       {"span", l_host_span},
                                       {"sha256", l_host_sha256},
                                       {"not_a_query", l_host_not_a_query},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
