/* store: see store.h. */
#include "run/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "run/store_pg.h"

typedef struct StoreLock {
  int fd;
  char *key; /* NULL: a run's own */
} StoreLock;

struct Store {
  char *dir;
  StorePg *pg; /* NULL: on disk */
  StoreLock *locks;
  size_t lock_count, lock_cap;
};

static char *store_default_dir(void) {
  Buf path = {0};
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  if (state != NULL && state[0] == '/') {
    buf_printf(&path, "%s/pgsh", state);
  } else {
    const struct passwd *user = home == NULL ? getpwuid(getuid()) : NULL;
    buf_printf(&path, "%s/.local/state/pgsh", home != NULL ? home : user != NULL ? user->pw_dir : "/tmp");
  }
  return buf_take(&path);
}

Store *store_new(const char *where) {
  Store *store = mem_alloc(sizeof *store);
  if (where != NULL && (strncmp(where, "postgresql://", 13) == 0 || strncmp(where, "postgres://", 11) == 0)) {
    store->pg = store_pg_new(where);
    store->dir = mem_strdup("the shared database");
  } else {
    store->dir = where != NULL ? mem_strdup(where) : store_default_dir();
  }
  return store;
}

void store_free(Store *store) {
  if (store == NULL) return;
  for (size_t i = 0; i < store->lock_count; i++) {
    close(store->locks[i].fd);
    free(store->locks[i].key);
  }
  free(store->locks);
  store_pg_free(store->pg);
  free(store->dir);
  free(store);
}

const char *store_dir(const Store *store) { return store->dir; }

static char *store_path(const Store *store, const char *a, const char *b, const char *c) {
  Buf path = {0};
  buf_add_str(&path, store->dir);
  const char *const parts[] = {a, b, c};
  for (size_t i = 0; i < 3 && parts[i] != NULL; i++)
    buf_printf(&path, "/%s", parts[i]);
  return buf_take(&path);
}

/* mkdir -p, 0700 for what is made. */
static bool store_make_dirs(const char *path, Err *err) {
  char *copy = mem_strdup(path);
  bool ok = true;
  for (char *p = copy + 1; ok; p++) {
    if (*p != '/' && *p != '\0') continue;
    char end = *p;
    *p = '\0';
    if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
      err_set_errno(err, ERR_IO, errno, "cannot make the directory %s", copy);
      err_set_hint(err, "runs are kept there; --state DIR names another place");
      ok = false;
    }
    *p = end;
    if (end == '\0') break;
  }
  free(copy);
  return ok;
}

/* Directory entries must be on disk too, else a crash can lose a journal that was synced. */
static void store_sync_dir(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

/* ---- locks ------------------------------------------------------------------------------------------------------------ */

static void store_hold(Store *store, int fd, const char *key) {
  if (store->lock_count == store->lock_cap) {
    store->lock_cap = store->lock_cap > 0 ? store->lock_cap * 2 : 8;
    store->locks = mem_realloc(store->locks, store->lock_cap * sizeof *store->locks);
  }
  store->locks[store->lock_count++] = (StoreLock){fd, mem_strdup(key)};
}

static char *store_holder_of(int fd) {
  char text[256];
  ssize_t n = pread(fd, text, sizeof text - 1, 0);
  if (n <= 0) return mem_strdup("another process");
  text[n] = '\0';
  text[strcspn(text, "\n")] = '\0';
  return mem_strdup(text);
}

/* Who holds a lock: for others to read. */
static char *store_holder(const char *run) {
  Buf text = {0};
  char host[128] = "?", at[CLOCK_ISO_SIZE];
  const struct passwd *user = getpwuid(geteuid());
  gethostname(host, sizeof host - 1);
  clock_iso(clock_wall_ms(), at);
  buf_printf(&text, "run %s, %s@%s, pid %d, since %s", run, user != NULL ? user->pw_name : "?", host, (int)getpid(), at);
  return buf_take(&text);
}

static void store_sign(int fd, const char *run) {
  char *holder = store_holder(run);
  /* Information for others only: the lock itself is the kernel's. */
  if (ftruncate(fd, 0) == 0 && pwrite(fd, holder, strlen(holder), 0) < 0) errno = 0;
  free(holder);
}

static struct flock store_whole(short type) { return (struct flock){.l_type = type, .l_whence = SEEK_SET}; }

/* Open and lock; -1 and *holder (when held) on failure. */
static int store_flock(const char *path, char **holder, Err *err) {
  *holder = NULL;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    err_set_errno(err, ERR_IO, errno, "cannot open the lock %s", path);
    return -1;
  }
  struct flock lock = store_whole(F_WRLCK);
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return fd;
  if (errno == EAGAIN || errno == EACCES)
    *holder = store_holder_of(fd);
  else
    err_set_errno(err, ERR_IO, errno, "cannot lock %s", path);
  close(fd);
  return -1;
}

static bool store_lock_pg(Store *store, const char *key, const char *run, Err *err) {
  char *holder = store_holder(run);
  bool ok = store_pg_lock(store->pg, key, holder, err);
  free(holder);
  return ok;
}

static bool store_lock_run(Store *store, const char *id, Err *err) {
  if (store->pg != NULL) {
    Buf key = {0};
    buf_printf(&key, "run %s", id);
    bool ok = store_lock_pg(store, buf_str(&key), id, err);
    buf_fini(&key);
    return ok;
  }
  char *holder, *path = store_path(store, "runs", id, "lock");
  int fd = store_flock(path, &holder, err);
  free(path);
  if (fd >= 0) {
    store_sign(fd, id);
    store_hold(store, fd, NULL);
    return true;
  }
  if (holder != NULL) {
    err_set(err, ERR_LOCKED, "run %s is in progress: %s", id, holder);
    err_set_hint(err, "look at it with: pgsh status %s", id);
    free(holder);
  }
  return false;
}

bool store_lock(Store *store, const char *key, const char *run, Err *err) {
  if (store->pg != NULL) return store_lock_pg(store, key, run, err);
  Buf name = {0};
  unsigned hash = 5381;
  for (const char *p = key; *p != '\0'; p++) {
    hash = hash * 33 + (unsigned char)*p;
    if (name.len < 100) buf_add_char(&name, isalnum((unsigned char)*p) || *p == '.' ? *p : '-');
  }
  buf_printf(&name, "-%08x", hash);
  char *holder = NULL, *dir = store_path(store, "locks", NULL, NULL), *path = store_path(store, "locks", buf_str(&name), NULL);
  int fd = store_make_dirs(dir, err) ? store_flock(path, &holder, err) : -1;
  if (fd >= 0) {
    store_sign(fd, run);
    store_hold(store, fd, key);
  } else if (holder != NULL) {
    err_set(err, ERR_LOCKED, "%s is held by %s", key, holder);
    err_set_hint(err, "wait for that run to end, or look at it with: pgsh runs");
  }
  free(holder);
  free(dir);
  free(path);
  buf_fini(&name);
  return fd >= 0;
}

void store_unlock(Store *store, const char *key) {
  if (store->pg != NULL) {
    store_pg_unlock(store->pg, key);
    return;
  }
  for (size_t i = 0; i < store->lock_count; i++) {
    StoreLock *lock = &store->locks[i];
    if (lock->key == NULL || strcmp(lock->key, key) != 0) continue;
    close(lock->fd);
    free(lock->key);
    *lock = store->locks[--store->lock_count];
    return;
  }
}

/* ---- runs ------------------------------------------------------------------------------------------------------------- */

static void store_new_id(char id[STORE_ID_SIZE], size_t len) {
  /* No letters that look alike: an id is read aloud and typed. */
  static const char letters[] = "23456789abcdefghjkmnpqrstuvwxyz";
  unsigned char random[STORE_ID_SIZE] = {0};
  if (getrandom(random, sizeof random, 0) < 0) abort();
  for (size_t i = 0; i < len; i++)
    id[i] = letters[random[i] % (sizeof letters - 1)];
  id[len] = '\0';
}

static Journal *store_begin_pg(Store *store, char id[STORE_ID_SIZE], Err *err) {
  /* Ids of a shared state are longer: there is no directory whose making tells that one is taken. */
  store_new_id(id, 8);
  return store_lock_run(store, id, err) ? store_pg_begin(store->pg, id, err) : NULL;
}

Journal *store_begin(Store *store, char id[STORE_ID_SIZE], Err *err) {
  if (store->pg != NULL) return store_begin_pg(store, id, err);
  char *runs = store_path(store, "runs", NULL, NULL), *dir = NULL;
  Journal *journal = NULL;
  bool made = false;
  if (store_make_dirs(runs, err)) {
    for (size_t len = 4; len < 12 && !made; len++) {
      store_new_id(id, len);
      free(dir);
      dir = store_path(store, "runs", id, NULL);
      made = mkdir(dir, 0700) == 0;
      if (!made && errno != EEXIST) {
        err_set_errno(err, ERR_IO, errno, "cannot make the directory %s", dir);
        break;
      }
    }
  }
  if (made && store_lock_run(store, id, err)) {
    char *path = store_path(store, "runs", id, "journal.jsonl");
    journal = journal_create(path, err);
    free(path);
    store_sync_dir(dir);
    store_sync_dir(runs);
  }
  free(runs);
  free(dir);
  return journal;
}

static bool store_is_id(const char *name) {
  size_t len = strlen(name);
  return len >= 4 && len < STORE_ID_SIZE && strspn(name, "23456789abcdefghjkmnpqrstuvwxyz") == len;
}

static bool store_live(const Store *store, const char *id, char **holder) {
  char *path = store_path(store, "runs", id, "lock");
  int fd = open(path, O_RDWR | O_CLOEXEC);
  free(path);
  *holder = NULL;
  if (fd < 0) return false;
  struct flock lock = store_whole(F_WRLCK); /* asks only: looking must not get in the way of one who begins */
  bool live = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  if (live) *holder = store_holder_of(fd);
  close(fd);
  return live;
}

static int store_newest_first(const void *a, const void *b) {
  const StoreRun *x = a, *y = b;
  int order = strcmp(y->started != NULL ? y->started : "", x->started != NULL ? x->started : "");
  return order != 0 ? order : strcmp(x->id, y->id);
}

static void store_describe(const Store *store, StoreRun *run) {
  char *path = store_path(store, "runs", run->id, "journal.jsonl");
  json_t *first = journal_first(path);
  run->started = mem_strdup(json_string_value(json_object_get(first, "at")));
  json_decref(first);
  free(path);
  run->live = store_live(store, run->id, &run->holder);
}

StoreRun *store_list(Store *store, size_t *count, Err *err) {
  if (store->pg != NULL) return store_pg_list(store->pg, count, err);
  char *path = store_path(store, "runs", NULL, NULL);
  DIR *dir = opendir(path);
  StoreRun *runs = mem_alloc(sizeof *runs);
  size_t cap = 1;
  *count = 0;
  if (dir == NULL && errno != ENOENT) err_set_errno(err, ERR_IO, errno, "cannot read %s", path);
  free(path);
  for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
    if (!store_is_id(entry->d_name)) continue;
    if (*count == cap) runs = mem_realloc(runs, (cap *= 2) * sizeof *runs);
    StoreRun *run = &runs[(*count)++];
    memset(run, 0, sizeof *run);
    memcpy(run->id, entry->d_name, strlen(entry->d_name) + 1);
    store_describe(store, run);
  }
  if (dir != NULL) closedir(dir);
  qsort(runs, *count, sizeof *runs, store_newest_first);
  return runs;
}

void store_free_list(StoreRun *runs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free(runs[i].holder);
    free(runs[i].started);
  }
  free(runs);
}

/* The one run that `name` means. */
static bool store_find(Store *store, const char *name, char id[STORE_ID_SIZE], Err *err) {
  size_t count, matches = 0;
  Err failure = {0};
  StoreRun *runs = store_list(store, &count, &failure);
  for (size_t i = 0; i < count; i++) {
    bool exact = strcmp(runs[i].id, name) == 0;
    bool hit = strcmp(name, "last") == 0 ? i == 0 : strncmp(runs[i].id, name, strlen(name)) == 0;
    if (exact) matches = 0;
    if (exact || hit) {
      memcpy(id, runs[i].id, STORE_ID_SIZE);
      matches++;
    }
    if (exact) break;
  }
  store_free_list(runs, count);
  if (failure.code != ERR_NONE) {
    err_move(err, &failure);
    return false;
  }
  if (matches == 1) return true;
  if (matches > 1)
    err_set(err, ERR_USAGE, "'%s' is the beginning of %zu runs", name, matches);
  else
    err_set(err, ERR_USAGE, "there is no run '%s' in %s", name, store->dir);
  err_set_hint(err, "pgsh runs lists them");
  return false;
}

Journal *store_resume(Store *store, const char *name, char id[STORE_ID_SIZE], json_t **events, Err *err) {
  if (!store_find(store, name, id, err) || !store_lock_run(store, id, err)) return NULL;
  if (store->pg != NULL) return store_pg_resume(store->pg, id, events, err);
  char *path = store_path(store, "runs", id, "journal.jsonl");
  Journal *journal = journal_open(path, events, err);
  free(path);
  return journal;
}

static json_t *store_read_pg(Store *store, StoreRun *run, Err *err) {
  size_t count;
  StoreRun *runs = store_pg_list(store->pg, &count, err);
  for (size_t i = 0; i < count; i++) {
    if (strcmp(runs[i].id, run->id) != 0) continue;
    run->live = runs[i].live;
    run->holder = mem_strdup(runs[i].holder);
    run->started = mem_strdup(runs[i].started);
  }
  store_free_list(runs, count);
  return store_pg_read(store->pg, run->id, err);
}

json_t *store_read(Store *store, const char *name, StoreRun *run, Err *err) {
  memset(run, 0, sizeof *run);
  if (!store_find(store, name, run->id, err)) return NULL;
  if (store->pg != NULL) return store_read_pg(store, run, err);
  store_describe(store, run);
  char *path = store_path(store, "runs", run->id, "journal.jsonl");
  json_t *events = journal_read(path, err);
  free(path);
  return events;
}
