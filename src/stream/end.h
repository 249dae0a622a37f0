/* end: the sources and sinks of a pipe. Each function makes a stage; the caller owns it until a pipe takes it over (stage_free).
 * Nothing is opened before the pipe starts. */
#ifndef PGSH_STREAM_END_H
#define PGSH_STREAM_END_H

#include "loop/proc.h"
#include "net/pg.h"
#include "net/ssh.h"
#include "stream/stage.h"

/* ---- a child process (end_proc.c) ---- */

/* Somebody who reads what a child says besides: see ProcLine. All may be NULL. */
typedef struct EndLines {
  ProcLine line;           /* must not start or cancel anything */
  bool (*busy)(void *arg); /* the child has ended: not before this is false does the stage end; then end_lines_done is called */
  void (*free)(void *arg); /* with the stage */
  void *arg;
} EndLines;

void end_lines_done(Stage *stage); /* of any stage that was made with EndLines */

/* Source: the standard output. It ended well when the child did, as spec->accept judges. Takes over what spec owns; input, limits
 * and accept as proc.h says; `out_fd` is the stage's. */
Stage *end_proc_output(ProcSpec spec, EndLines lines);
/* Sink: the standard input. A child that ends before it has read everything is a failure. A stop ends it before it could see the
 * end of its input. */
Stage *end_proc_input(ProcSpec spec, EndLines lines);

/* ---- a command on another host (end_ssh.c): as above ---- */

/* `ssh` may be closed once the pipe runs: the stage then fails. NULL: it is closed already. */
Stage *end_ssh_output(Ssh *ssh, SshSpec spec, EndLines lines);
Stage *end_ssh_input(Ssh *ssh, SshSpec spec, EndLines lines);
/* Of a command that acts only on the whole stream, and can tell a part from it: stopped before the end, it has done nothing. */
Stage *end_ssh_whole_input(Ssh *ssh, SshSpec spec, EndLines lines);

/* ---- a file (end_file.c) ---- */

/* Source: a regular file (or block device) from its beginning. */
Stage *end_file_reader(const char *path);
/* Sink: replaces the file, as a FileDraft (base/file.h). `mode` for a new file. A stop removes the draft. */
Stage *end_file_writer(const char *path, unsigned mode);

/* ---- memory (end_text.c) ---- */

Stage *end_text(const char *bytes, size_t len); /* source: copied */
/* Sink: `found` is what came; more than limit bytes: ERR_LIMIT. */
Stage *end_capture(size_t limit);
Stage *end_discard(void); /* sink: for what the filters find out */

/* ---- COPY (end_copy.c) ---- */

/* Source or sink: the COPY statement of `job` (PgJob.copy says which) on a handle that is open when the pipe starts (NULL: it is
 * not). The sink's finish commits. The stage takes a reference to the job. `count` of the sink is the number of rows. */
Stage *end_copy(Pg *pg, PgJob *job);

#endif
