/* journal: see journal.h. */
#include "run/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define JOURNAL_MAX_BYTES (1LL << 30)
#define JOURNAL_SEEN_MS 30000
/* KEPT events are not held back without bound. */
#define JOURNAL_BACKLOG_BYTES (64 * 1024)
/* The file is made longer than it is, this much at a time, and cut to its length at the end: a sync that need not write the
 * file's new size costs two thirds. Behind the last line there are NULs until then. */
#define JOURNAL_AHEAD_BYTES (256 * 1024)

struct Journal {
  int fd;                    /* -1: elsewhere */
  const JournalPlace *place; /* NULL: a file */
  void *self;
  Buf pending;
  off_t written, reserved; /* of the file */
  int64_t seen_ms;         /* when a wait's last sight was written; 0: none of this wait */
  bool broken;
  bool told; /* elsewhere: what was told may not be there yet */
};

static Journal *journal_on(int fd) {
  Journal *journal = mem_alloc(sizeof *journal);
  journal->fd = fd;
  return journal;
}

Journal *journal_remote(const JournalPlace *place, void *self) {
  Journal *journal = journal_on(-1);
  journal->place = place;
  journal->self = self;
  return journal;
}

Journal *journal_create(const char *path, Err *err) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    err_set_errno(err, ERR_JOURNAL, errno, "cannot make the journal %s", path);
    return NULL;
  }
  return journal_on(fd);
}

/* Drop what was only reserved. A power failure may leave a hole in the last, unacknowledged batch: what stands behind a NUL
 * counts as damage only when it is farther away than a batch is long. */
static bool journal_cut_reserve(const char *path, Buf *text, Err *err) {
  const char *nul = memchr(buf_str(text), '\0', text->len);
  if (nul == NULL) return true;
  size_t end = (size_t)(nul - text->data), last = text->len;
  while (last > end && text->data[last - 1] == '\0')
    last--;
  if (last - end > (size_t)2 * JOURNAL_BACKLOG_BYTES)
    return err_set(err, ERR_JOURNAL, "the journal %s is damaged at byte %zu", path, end);
  text->len = end;
  return true;
}

static bool journal_slurp(int fd, const char *path, Buf *text, Err *err) {
  for (;;) {
    char *to = buf_reserve(text, 65536);
    ssize_t n = read(fd, to, 65536);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return err_set_errno(err, ERR_JOURNAL, errno, "cannot read the journal %s", path);
    if (n == 0) return journal_cut_reserve(path, text, err);
    text->len += (size_t)n;
    text->data[text->len] = '\0';
    if (text->len > JOURNAL_MAX_BYTES) return err_set(err, ERR_JOURNAL, "the journal %s is larger than 1 GiB", path);
  }
}

/* Lines → events. `whole` is set to how many bytes are complete lines that parse; a bad line that is not the last is damage. */
static json_t *journal_parse(const char *path, const Buf *text, size_t *whole, Err *err) {
  json_t *events = json_array();
  size_t line = 0;
  *whole = 0;
  while (*whole < text->len) {
    const char *start = text->data + *whole, *end = memchr(start, '\n', text->len - *whole);
    json_error_t where;
    json_t *event = end != NULL ? json_loadb(start, (size_t)(end - start), 0, &where) : NULL;
    line++;
    if (event == NULL) {
      bool last = end == NULL || (size_t)(end + 1 - text->data) == text->len;
      if (last) return events;
      json_decref(events);
      err_set(err, ERR_JOURNAL, "the journal %s is damaged at line %zu", path, line);
      err_set_hint(err, "it was edited or the disk failed; pgsh does not guess what the line said");
      return NULL;
    }
    json_array_append_new(events, event);
    *whole = (size_t)(end + 1 - text->data);
  }
  return events;
}

static json_t *journal_check_version(const char *path, json_t *events, Err *err) {
  json_t *first = json_array_get(events, 0);
  json_int_t version = json_integer_value(json_object_get(first, "journal_version"));
  if (first != NULL && version > JOURNAL_VERSION) {
    err_set(err, ERR_JOURNAL, "the journal %s has format %lld, this pgsh knows %d", path, (long long)version, JOURNAL_VERSION);
    err_set_hint(err, "use the pgsh that wrote it, or a newer one");
    json_decref(events);
    return NULL;
  }
  return events;
}

static json_t *journal_load(int fd, const char *path, size_t *whole, Err *err) {
  Buf text = {0};
  json_t *events = NULL;
  if (journal_slurp(fd, path, &text, err)) events = journal_parse(path, &text, whole, err);
  buf_fini(&text);
  return events != NULL ? journal_check_version(path, events, err) : NULL;
}

Journal *journal_open(const char *path, json_t **events, Err *err) {
  size_t whole;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    err_set_errno(err, ERR_JOURNAL, errno, "cannot open the journal %s", path);
    return NULL;
  }
  *events = journal_load(fd, path, &whole, err);
  if (*events != NULL && ftruncate(fd, (off_t)whole) == 0 && lseek(fd, (off_t)whole, SEEK_SET) >= 0 && fdatasync(fd) == 0) {
    Journal *journal = journal_on(fd);
    journal->written = journal->reserved = (off_t)whole;
    return journal;
  }
  if (*events != NULL) {
    err_set_errno(err, ERR_JOURNAL, errno, "cannot repair the journal %s", path);
    json_decref(*events);
    *events = NULL;
  }
  close(fd);
  return NULL;
}

json_t *journal_read(const char *path, Err *err) {
  size_t whole;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    err_set_errno(err, ERR_JOURNAL, errno, "cannot read the journal %s", path);
    return NULL;
  }
  json_t *events = journal_load(fd, path, &whole, err);
  close(fd);
  return events;
}

json_t *journal_first(const char *path) {
  Buf text = {0};
  json_t *event = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  ssize_t n = read(fd, buf_reserve(&text, 65536), 65536);
  if (n > 0) {
    const char *end = memchr(text.data, '\n', (size_t)n);
    json_error_t where;
    if (end != NULL) event = json_loadb(text.data, (size_t)(end - text.data), 0, &where);
  }
  buf_fini(&text);
  close(fd);
  return event;
}

static bool journal_flush_remote(Journal *journal, Err *err) {
  if (journal->pending.len == 0 && !journal->told) return true;
  Err failure = {0};
  if (journal->place->append(journal->self, buf_str(&journal->pending), journal->pending.len, &failure)) {
    buf_clear(&journal->pending);
    journal->told = false;
    err_fini(&failure);
    return true;
  }
  journal->broken = true;
  err_set(err, ERR_JOURNAL, "cannot write the journal: %s", failure.message);
  err_set_hint(err, "the shared state is needed for every effect; when it is back: pgsh resume");
  err_fini(&failure);
  return false;
}

/* What need not be durable must not wait for a network. */
static bool journal_tell(Journal *journal) {
  journal->place->tell(journal->self, journal->pending.data, journal->pending.len);
  buf_clear(&journal->pending);
  return journal->told = true;
}

static bool journal_flush(Journal *journal, bool sync, Err *err) {
  if (journal->broken) return err_set(err, ERR_JOURNAL, "the journal could not be written before");
  if (journal->place != NULL) return sync ? journal_flush_remote(journal, err) : journal_tell(journal);
  size_t done = 0;
  off_t end = journal->written + (off_t)journal->pending.len;
  /* Where it cannot be reserved the file grows with each write, as files do. */
  if (end > journal->reserved &&
      fallocate(journal->fd, 0, journal->written, (off_t)journal->pending.len + JOURNAL_AHEAD_BYTES) == 0)
    journal->reserved = end + JOURNAL_AHEAD_BYTES;
  while (done < journal->pending.len) {
    ssize_t n = write(journal->fd, journal->pending.data + done, journal->pending.len - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      journal->broken = true;
      return err_set_errno(err, ERR_JOURNAL, n < 0 ? errno : ENOSPC, "cannot write the journal");
    }
    done += (size_t)n;
  }
  buf_clear(&journal->pending);
  journal->written = end;
  if (sync && fdatasync(journal->fd) != 0) {
    journal->broken = true;
    return err_set_errno(err, ERR_JOURNAL, errno, "cannot sync the journal");
  }
  return true;
}

void journal_close(Journal *journal) {
  if (journal == NULL) return;
  journal_flush(journal, true, NULL);
  if (journal->fd >= 0) {
    if (!journal->broken && ftruncate(journal->fd, journal->written) == 0) fdatasync(journal->fd);
    close(journal->fd);
  }
  buf_fini(&journal->pending);
  free(journal);
}

static int on_dump(const char *bytes, size_t len, void *arg) {
  buf_add(arg, bytes, len);
  return 0;
}

/* A wait of nine hours looks every few seconds: what it sees is written now and then only. */
static bool journal_has_seen(Journal *journal, EventType type) {
  if (type == EVENT_WAIT_STARTED) journal->seen_ms = 0;
  if (type != EVENT_WAIT_SEEN) return false;
  int64_t now = clock_mono_ms();
  if (journal->seen_ms != 0 && now - journal->seen_ms < JOURNAL_SEEN_MS) return true;
  journal->seen_ms = now;
  return false;
}

bool journal_view(void *self, EventType type, json_t *event, Err *err) {
  Journal *journal = self;
  EventDurability durability = event_durability(type);
  if (durability == EVENT_LIVE || journal_has_seen(journal, type)) return true;
  json_dump_callback(event, on_dump, &journal->pending, JSON_COMPACT);
  buf_add_char(&journal->pending, '\n');
  bool sync = durability == EVENT_SYNCED, told = durability == EVENT_TOLD;
  if (!sync && !told && journal->pending.len < JOURNAL_BACKLOG_BYTES) return true;
  return journal_flush(journal, sync, err);
}
