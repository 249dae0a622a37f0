/* file: see file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
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

#define FILE_NEW_NS ((int64_t)100000000) /* one change and the next may get the same time */

void file_mark(const char *path, FileMark *mark) {
  struct timespec now;
  memset(mark, 0, sizeof *mark);
  clock_gettime(CLOCK_REALTIME, &now);
  mark->exists = stat(path, &mark->st) == 0;
  int64_t age_ns = (int64_t)(now.tv_sec - mark->st.st_ctim.tv_sec) * 1000000000 + (now.tv_nsec - mark->st.st_ctim.tv_nsec);
  mark->sure = !mark->exists || age_ns > FILE_NEW_NS;
}

bool file_mark_looks_same(const FileMark *before, const FileMark *now) {
  const struct stat *a = &before->st, *b = &now->st;
  if (before->exists != now->exists) return false;
  return !now->exists ||
         (a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode && a->st_size == b->st_size &&
          a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
          a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec);
}

bool file_mark_same(const FileMark *before, const FileMark *now) { return before->sure && file_mark_looks_same(before, now); }

bool file_write_all(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, bytes, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes += n;
    len -= (size_t)n;
  }
  return true;
}

/* Make the names in the file's directory last. */
static void file_sync_parent(const char *path) {
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
  FileDraft draft;
  bool good = file_draft_open(&draft, path, mode, err);
  if (good && !file_write_all(draft.fd, bytes, len)) good = err_set_errno(err, ERR_IO, errno, "cannot write %s", path);
  good = good && file_draft_sync(&draft, err) && file_draft_publish(&draft, err);
  file_draft_drop(&draft);
  return good;
}

/* ---- a draft ---- */

static bool draft_fail(const FileDraft *draft, Err *err) {
  return err_set_errno(err, ERR_IO, errno, "cannot write %s", draft->path);
}

bool file_draft_open(FileDraft *draft, const char *path, unsigned mode, Err *err) {
  struct stat st;
  *draft = (FileDraft){.fd = -1, .path = mem_strdup(path), .mode = mode};
  if (stat(path, &st) == 0) {
    if (!S_ISREG(st.st_mode)) return err_set(err, ERR_IO, "cannot write %s: it is there, and not a file", path);
    draft->replaces = true;
    draft->mode = st.st_mode & 07777;
    draft->uid = st.st_uid;
    draft->gid = st.st_gid;
    char *real = realpath(path, NULL);
    if (real != NULL) {
      free(draft->path);
      draft->path = real;
    }
  }
  Buf name = {0};
  const char *slash = strrchr(draft->path, '/');
  const char *base = slash != NULL ? slash + 1 : draft->path;
  buf_add(&name, draft->path, (size_t)(base - draft->path));
  buf_printf(&name, ".%s.XXXXXX.part", base);
  draft->temporary = buf_take(&name);
  draft->fd = mkostemps(draft->temporary, (int)strlen(".part"), O_CLOEXEC);
  if (draft->fd >= 0) return true;
  free(draft->temporary);
  draft->temporary = NULL;
  return draft_fail(draft, err);
}

/* Who may not give it away owns it now: then it must not run as its owner or group either. */
static void draft_keep_owner(FileDraft *draft) {
  if (fchown(draft->fd, draft->uid, draft->gid) == 0) return;
  draft->mode &= ~(unsigned)S_ISUID;
  if (fchown(draft->fd, (uid_t)-1, draft->gid) != 0) draft->mode &= ~(unsigned)S_ISGID;
}

bool file_draft_sync(FileDraft *draft, Err *err) {
  if (draft->replaces) draft_keep_owner(draft); /* before the mode, which it would change */
  if (fchmod(draft->fd, draft->mode) == 0 && fsync(draft->fd) == 0) return true;
  return draft_fail(draft, err);
}

bool file_draft_publish(FileDraft *draft, Err *err) {
  int rc = close(draft->fd);
  draft->fd = -1;
  if (rc != 0 || rename(draft->temporary, draft->path) != 0) return draft_fail(draft, err);
  free(draft->temporary);
  draft->temporary = NULL;
  file_sync_parent(draft->path);
  return true;
}

void file_draft_drop(FileDraft *draft) {
  if (draft->fd >= 0) close(draft->fd);
  if (draft->temporary != NULL) unlink(draft->temporary);
  free(draft->temporary);
  free(draft->path);
  *draft = (FileDraft){.fd = -1};
}
