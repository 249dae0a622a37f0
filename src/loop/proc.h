/* proc: a child process as an Op.
 *
 * The child leads its own process group (and session), inherits three descriptors and nothing else, and starts with default
 * signal dispositions. The Op settles when the child has ended AND both its outputs (those that we read) are at their end; a
 * grandchild that keeps an output open is given a second. A cancel, a deadline or too much output ends the whole group: TERM, two
 * seconds, KILL.
 *
 * Without `accept` success means that the child ran to an end of its own; exit_code and signal say which. op.sent is true
 * once it runs. */
#ifndef PGSH_LOOP_PROC_H
#define PGSH_LOOP_PROC_H

#include "base/buf.h"
#include "loop/op.h"

#define PROC_LIMIT_BYTES ((size_t)16 << 20)
#define PROC_DRAIN_MS 1000
#define PROC_TERM_MS 2000

/* A line of live output, without its newline, as soon as it is there. `text` is borrowed and not terminated. Must not start or
 * cancel anything. */
typedef void (*ProcLine)(void *arg, bool is_err, const char *text, size_t len);

typedef struct ProcSpec {
  char **argv; /* NULL-ended */
  char **env;  /* NULL-ended "NAME=value" that replaces or is added, "NAME" that is taken away; NULL: none */
  char *cwd;   /* NULL: ours */
  Buf input;   /* its standard input; has_input false: /dev/null */
  bool has_input;
  /* Descriptors that become its standard input, output and error in place of ours; the Op does not look at them, and closes them
   * in this process, also when it fails. */
  bool has_in_fd, has_out_fd, has_err_fd;
  int in_fd, out_fd, err_fd;
  size_t limit_bytes; /* of each output; 0: PROC_LIMIT_BYTES */
  bool tail;          /* keep only the last limit_bytes of each output, instead of failing with ERR_LIMIT */
  int *accept;        /* exit statuses that are success, ended by -1; any other end is ERR_PROCESS. NULL: not judged */
  /* For a command that stands for one far away (kubectl exec) and may end well, or badly, when the line was lost. Its output has
   * to end with this text, a colon, the far command's exit status in three digits and a line break. They are taken off, and the
   * status counts in place of its own; without them it is ERR_LOST. Once they are there it is given two seconds to end. */
  char *proof;
  /* NULL-ended, or NULL. A failure with one of these texts on its standard error did nothing. Any other that is not proved is
   * ERR_UNKNOWN when it `changes` something. */
  char **refused;
  bool changes;
  char *name;    /* how errors call it; NULL: the last part of argv[0] */
  ProcLine line; /* or NULL */
  void *line_arg;
} ProcSpec;

void proc_spec_fini(ProcSpec *spec);
ProcSpec proc_spec_copy(const ProcSpec *spec); /* without descriptors and line */
/* Append a copy to a NULL-ended list of strings. */
void proc_list_add(char ***list, const char *text);

typedef struct ProcResult {
  int exit_code; /* -1 when a signal ended it */
  int signal;    /* 0: none */
  Buf out, err;
  bool truncated; /* tail: something was dropped */
} ProcResult;

/* Start. Takes over the content of spec (emptied), also when it fails. Armed, or settled with ERR_SPAWN. Caller holds one
 * reference. timeout_ms <= 0: none. */
Op *proc_start(Loop *loop, ProcSpec *spec, int64_t timeout_ms, const char *deadline_name);
/* Of a settled Op: what it printed and how it ended. Borrowed. */
const ProcResult *proc_result(const Op *op);
/* For whoever reads its output in its place (has_out_fd) and took `proof` out of the spec: the bytes that a proof takes up; the
 * status that they say, -1: they are none; and the error when they are no success. */
size_t proc_proof_bytes(const char *proof);
int proc_proof_status(const char *proof, const char *bytes, size_t len);
void proc_proof_fail(const char *name, int status, const ProcResult *result, Err *err);
int proc_pid(const Op *op); /* 0 when it could not be started */

#endif
