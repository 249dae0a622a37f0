/* full: a shim for LD_PRELOAD that plays a disk: of a file whose name ends in .part only so many bytes can be written.
 *
 *   FULL_AT=N   bytes; then ENOSPC
 *   FULL_SLOW=N a pause of N ms before each write, a slow disk */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
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
