/* full: a shim for LD_PRELOAD that plays a disk: of a file whose name ends in .part only so many bytes can be written.
 *
 *   FULL_AT=N   bytes; then ENOSPC
 *   FULL_SLOW=N a pause of N ms before each write, a slow disk
 *   FULL_HOLD=CALL:PATH  CALL, fsync or rename of such a file, makes PATH and waits until somebody removes it: a disk that hangs */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ssize_t (*real_write)(int, const void *, size_t);
static size_t written;

static int full_is_part(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path);
  return len > 5 && memcmp(path + len - 5, ".part", 5) == 0;
}

ssize_t write(int fd, const void *bytes, size_t len) {
  if (real_write == NULL) *(void **)&real_write = dlsym(RTLD_NEXT, "write");
  const char *at = getenv("FULL_AT"), *slow = getenv("FULL_SLOW");
  if (!full_is_part(fd)) return real_write(fd, bytes, len);
  if (slow != NULL) usleep((useconds_t)atoi(slow) * 1000);
  if (at != NULL) {
    size_t room = (size_t)atoll(at);
    if (written >= room) {
      errno = ENOSPC;
      return -1;
    }
    if (len > room - written) len = room - written;
  }
  ssize_t n = real_write(fd, bytes, len);
  if (n > 0) written += (size_t)n;
  return n;
}

static void full_hold(const char *call) {
  const char *hold = getenv("FULL_HOLD");
  size_t len = strlen(call);
  if (hold == NULL || strncmp(hold, call, len) != 0 || hold[len] != ':') return;
  int fd = open(hold + len + 1, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd >= 0) close(fd);
  while (access(hold + len + 1, F_OK) == 0)
    usleep(5000);
}

int fsync(int fd) {
  static int (*real_fsync)(int);
  if (real_fsync == NULL) *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
  if (full_is_part(fd)) full_hold("fsync");
  return real_fsync(fd);
}

int rename(const char *from, const char *to) {
  static int (*real_rename)(const char *, const char *);
  if (real_rename == NULL) *(void **)&real_rename = dlsym(RTLD_NEXT, "rename");
  size_t len = strlen(from);
  if (len > 5 && strcmp(from + len - 5, ".part") == 0) full_hold("rename");
  return real_rename(from, to);
}
