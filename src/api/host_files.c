/* host, files: the operator's own files: history, start-up file, saved procedures. Not for what a run changes: that goes through
 * the door. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/host.h"
#include "base/buf.h"
#include "base/file.h"

#define FILES_MOST 2000 /* a completion must be quick */

/* Every directory above path that is not there yet, for its owner only. */
static void file_make_parents(const char *path) {
  char *copy = mem_strdup(path);
  for (char *p = copy + 1; *p != '\0'; p++) {
    if (*p != '/') continue;
    *p = '\0';
    mkdir(copy, 0700); /* what fails here fails to open, with a better message */
    *p = '/';
  }
  free(copy);
}

static int file_fail(lua_State *L, const char *path, int error) {
  lua_pushnil(L);
  if (error == EEXIST)
    lua_pushfstring(L, "%s exists: it is not overwritten", path);
  else
    lua_pushfstring(L, "%s: %s", path, error == ENOENT || error == ENOTDIR ? "there is no such directory" : strerror(error));
  return 2;
}

/* keep(path, text, how): "append" under a lock, or "replace", both with the directories above it; or "new": fails when it exists,
 * or its directory does not: the operator named it, perhaps not as he meant. Mode 0600. */
static int l_host_keep(lua_State *L) {
  static const char *const hows[] = {"append", "new", "replace", NULL};
  static const int flags[] = {O_APPEND | O_CREAT, O_CREAT | O_EXCL, O_CREAT | O_TRUNC};
  size_t len;
  const char *path = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);
  int how = luaL_checkoption(L, 3, "append", hows);
  if (how != 1) file_make_parents(path);
  int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags[how], 0600);
  if (fd < 0) return file_fail(L, path, errno);
  bool kept = flock(fd, LOCK_EX) == 0 && file_write_all(fd, text, len);
  int error = errno;
  close(fd);
  if (!kept) return file_fail(L, path, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* tail(path, bytes): the end of a file, from the beginning of a line; nil when it cannot be read. */
static int l_host_tail(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  off_t most = (off_t)luaL_checkinteger(L, 2);
  struct stat info;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    if (fd >= 0) close(fd);
    return 0;
  }
  bool cut = info.st_size > most;
  size_t want = (size_t)(cut ? most : info.st_size);
  char *bytes = mem_alloc(want + 1);
  ssize_t got = pread(fd, bytes, want, cut ? info.st_size - most : 0);
  close(fd);
  const char *from = bytes, *newline = cut && got > 0 ? memchr(bytes, '\n', (size_t)got) : NULL;
  if (newline != NULL) from = newline + 1;
  lua_pushlstring(L, from, got > 0 ? (size_t)(bytes + got - from) : 0); /* out of memory leaks it: then so does everything */
  free(bytes);
  return 1;
}

static void files_add(lua_State *L, const char *dir, const struct dirent *entry) {
  bool folder = entry->d_type == DT_DIR;
  if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) return;
  if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) {
    struct stat info;
    const char *path = lua_pushfstring(L, "%s/%s", dir, entry->d_name);
    folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    lua_pop(L, 1);
  }
  lua_pushfstring(L, "%s%s", entry->d_name, folder ? "/" : "");
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* files(dir): the names in it, a slash behind those of directories; empty when it cannot be read. */
static int l_host_files(lua_State *L) {
  const char *dir = luaL_checkstring(L, 1);
  lua_newtable(L);
  DIR *opened = opendir(dir);
  if (opened == NULL) return 1;
  struct dirent *entry;
  for (int i = 0; i < FILES_MOST && (entry = readdir(opened)) != NULL; i++)
    files_add(L, dir, entry);
  closedir(opened);
  return 1;
}

void host_add_files(lua_State *L) {
  static const luaL_Reg functions[] = {{"files", l_host_files}, {"keep", l_host_keep}, {"tail", l_host_tail}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
