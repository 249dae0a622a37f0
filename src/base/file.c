/* file: see file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_read(const char *path, size_t limit, Buf *text, Err *err) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return err_set_errno(err, ERR_IO, errno, "cannot read %s", path);
  bool ok = true;
  size_t start = text->len;
  if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) ok = err_set_errno(err, ERR_IO, EISDIR, "cannot read %s", path);
  while (ok) {
    ssize_t n = read(fd, buf_reserve(text, 65536), 65536);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) ok = err_set_errno(err, ERR_IO, errno, "cannot read %s", path);
    if (n <= 0) break;
    text->len += (size_t)n;
    text->data[text->len] = '\0';
    if (text->len - start > limit) ok = err_set(err, ERR_LIMIT, "%s is larger than %zu bytes", path, limit);
  }
  close(fd);
  return ok;
}

static bool file_write_all(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, bytes, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes += n;
    len -= (size_t)n;
  }
  return true;
}

void file_sync_parent(const char *path) {
  char *dir = mem_strdup(path), *slash = strrchr(dir, '/');
  if (slash == dir)
    slash[1] = '\0';
  else if (slash != NULL)
    *slash = '\0';
  int fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    fsync(fd);
    close(fd);
  }
  free(dir);
}

bool file_write(const char *path, const void *bytes, size_t len, unsigned mode, Err *err) {
  struct stat st;
  Buf temporary = {0};
  buf_printf(&temporary, "%s.XXXXXX", path);
  bool replaces = stat(path, &st) == 0;
  if (replaces) mode = st.st_mode & 07777;
  int fd = mkostemp(temporary.data, O_CLOEXEC);
  bool ok = fd >= 0;
  if (ok) {
    if (replaces && fchown(fd, st.st_uid, st.st_gid) != 0) errno = 0; /* who may not give it away owns it now */
    ok = file_write_all(fd, bytes, len) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int saved = errno;
    if (close(fd) != 0)
      ok = false;
    else
      errno = saved;
    ok = ok && rename(temporary.data, path) == 0;
  }
  if (!ok) {
    err_set_errno(err, ERR_IO, errno, "cannot write %s", path);
    if (fd >= 0) unlink(temporary.data);
  } else {
    file_sync_parent(path);
  }
  buf_fini(&temporary);
  return ok;
}
