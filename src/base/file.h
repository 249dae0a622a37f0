/* file: whole files, read and written so that a crash leaves the old or the new one. */
#ifndef PGSH_BASE_FILE_H
#define PGSH_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"

/* Append the file's content to `text`. ERR_IO when it cannot be read, is a directory; ERR_LIMIT above `limit` bytes. */
bool file_read(const char *path, size_t limit, Buf *text, Err *err);
/* Replace, as a draft that is published at once. On failure the old file is untouched. */
bool file_write(const char *path, const void *bytes, size_t len, unsigned mode, Err *err);
/* Write all of it to a descriptor that blocks, however often it is interrupted; else errno says why not. */
bool file_write_all(int fd, const char *bytes, size_t len);

/* A file in the making, under a temporary name in its directory: ".dump.sql.gz.Xy12ab.part", told from the whole by its name also
 * after a power cut. May be used on any thread, by one at a time; all of it may block. */
typedef struct FileDraft {
  int fd; /* to write to; -1: none */
  /* private */
  char *path, *temporary; /* temporary: while it exists */
  unsigned mode;
  bool replaces;
  unsigned uid, gid; /* of the file it replaces */
} FileDraft;

/* Begin one. `mode` for a new file; an existing one keeps its mode, and its owner where we may. Behind a symbolic link the file
 * it names is meant. ERR_IO when there is something else than a file. */
bool file_draft_open(FileDraft *draft, const char *path, unsigned mode, Err *err);
/* All is written: owner, mode, and on disk. */
bool file_draft_sync(FileDraft *draft, Err *err);
/* It takes its name, and keeps it: renamed, directory synced. */
bool file_draft_publish(FileDraft *draft, Err *err);
/* The end of it, whatever became of it: closed, and removed unless it was published. May be called again. */
void file_draft_drop(FileDraft *draft);

/* What a file is known by: to see, without reading it again, that it has not changed. */
typedef struct FileMark {
  bool exists;
  bool sure; /* it has not changed just now: a further change would show in its times */
  struct stat st;
} FileMark;
/* Mark before reading. */
void file_mark(const char *path, FileMark *mark);
/* Has nothing changed between the two? Of a file that was marked when it was not `sure` yet one cannot say: false. */
bool file_mark_same(const FileMark *before, const FileMark *now);
/* As far as its times tell. */
bool file_mark_looks_same(const FileMark *before, const FileMark *now);

#endif
