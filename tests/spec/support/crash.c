/* crash: a shim for LD_PRELOAD that kills the process at its N-th write to a file named journal.jsonl.
 *
 *   CRASH_AT=N        which write, from 1; 0 or unset: none
 *   CRASH_WORDS=…    instead of a number: the first write that holds every line of this text
 *   CRASH_HOW=…       before: not a byte of it is written · torn: half of it · after: all of it
 *   CRASH_COUNT=FILE  the number of writes so far is kept in this file */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int seen;

__attribute__((constructor)) static void crash_open(void) {
  *(void **)&real_write = dlsym(RTLD_NEXT, "write");
  *(void **)&real_writev = dlsym(RTLD_NEXT, "writev");
}

static int crash_is_journal(int fd) {
  static const char name[] = "/journal.jsonl";
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path - 1);
  if (len < (ssize_t)sizeof name) return 0;
  path[len] = '\0';
  return strcmp(path + len - (ssize_t)sizeof name + 1, name) == 0;
}

static void crash_note(void) {
  const char *path = getenv("CRASH_COUNT");
  char text[16];
  if (path == NULL) return;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  (void)!real_write(fd, text, (size_t)snprintf(text, sizeof text, "%d\n", seen));
  close(fd);
}

/* Are all lines of words in one of the parts? */
static int crash_holds(const char *words, const struct iovec *parts, int count) {
  while (*words != '\0') {
    size_t len = strcspn(words, "\n");
    int found = 0;
    for (int i = 0; i < count && !found; i++)
      found = memmem(parts[i].iov_base, parts[i].iov_len, words, len) != NULL;
    if (!found) return 0;
    words += len + (words[len] == '\n');
  }
  return 1;
}

/* Is this the write to die at? Then how: 'b', 't', 'a'; else 0. */
static int crash_now(int fd, const struct iovec *parts, int count) {
  if (!crash_is_journal(fd)) return 0;
  const char *words = getenv("CRASH_WORDS");
  const char *at = getenv("CRASH_AT"), *how = getenv("CRASH_HOW");
  seen++;
  crash_note();
  if (words != NULL ? !crash_holds(words, parts, count) : at == NULL || atoi(at) != seen) return 0;
  return how == NULL ? 'a' : how[0];
}

static void crash_die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

ssize_t write(int fd, const void *data, size_t size) {
  struct iovec part = {(void *)data, size};
  int how = crash_now(fd, &part, 1);
  if (how == 'b') crash_die();
  if (how == 't') (void)!real_write(fd, data, size / 2);
  if (how == 't') crash_die();
  ssize_t written = real_write(fd, data, size);
  if (how == 'a') crash_die();
  return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  int how = crash_now(fd, parts, count);
  if (how == 'b') crash_die();
  if (how == 't') (void)!real_write(fd, parts[0].iov_base, parts[0].iov_len / 2);
  if (how == 't') crash_die();
  ssize_t written = real_writev(fd, parts, count);
  if (how == 'a') crash_die();
  return written;
}
