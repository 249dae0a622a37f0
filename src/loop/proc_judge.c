/* proc_judge: what a child is started with, as a value, and how its end is judged. */
#include "loop/proc_judge.h"

#include <stdlib.h>
#include <string.h>

#define PROC_WORDS_BYTES 1024 /* of a failed child's last lines, in the error's detail */
#define PROC_WORDS_LINES 10
#define PROC_STATUS_BYTES 5 /* ":000\n" */

/* ---- the specification ---- */

void proc_list_free(char **list) {
  for (char **item = list; item != NULL && *item != NULL; item++) {
    explicit_bzero(*item, strlen(*item)); /* an environment may hold secrets */
    free(*item);
  }
  free(list);
}

void proc_list_add(char ***list, const char *text) {
  size_t count = 0;
  while (*list != NULL && (*list)[count] != NULL)
    count++;
  *list = mem_realloc(*list, (count + 2) * sizeof **list);
  (*list)[count] = mem_strdup(text);
  (*list)[count + 1] = NULL;
}

static char **proc_list_copy(char *const *list) {
  char **copy = NULL;
  for (; list != NULL && *list != NULL; list++)
    proc_list_add(&copy, *list);
  return copy;
}

ProcSpec proc_spec_copy(const ProcSpec *from) {
  ProcSpec spec = {.has_input = from->has_input, .limit_bytes = from->limit_bytes, .tail = from->tail, .changes = from->changes};
  spec.argv = proc_list_copy(from->argv);
  spec.env = proc_list_copy(from->env);
  spec.refused = proc_list_copy(from->refused);
  spec.cwd = mem_strdup(from->cwd);
  spec.name = mem_strdup(from->name);
  spec.proof = mem_strdup(from->proof);
  buf_add(&spec.input, buf_str(&from->input), from->input.len);
  size_t count = 0;
  while (from->accept != NULL && from->accept[count] >= 0)
    count++;
  if (from->accept != NULL)
    spec.accept = memcpy(mem_alloc((count + 1) * sizeof *spec.accept), from->accept, (count + 1) * sizeof *spec.accept);
  return spec;
}

/* ---- the end ---- */

/* The last lines of what it had to say. */
static void proc_last_words(const ProcResult *result, Err *err) {
  const Buf *from = result->err.len > 0 ? &result->err : &result->out;
  size_t end = from->len, lines = 0;
  while (end > 0 && strchr("\r\n ", from->data[end - 1]) != NULL)
    end--;
  size_t start = end;
  while (start > 0 && end - start < PROC_WORDS_BYTES && (from->data[start - 1] != '\n' || ++lines < PROC_WORDS_LINES))
    start--;
  if (start == end) return;
  char *text = mem_alloc(end - start + 1);
  memcpy(text, from->data + start, end - start);
  err_set_detail(err, text);
  free(text);
}

size_t proc_proof_bytes(const char *proof) { return strlen(proof) + PROC_STATUS_BYTES; }

int proc_proof_status(const char *proof, const char *bytes, size_t len) {
  size_t size = strlen(proof);
  if (len < size + PROC_STATUS_BYTES) return -1;
  const char *at = bytes + len - size - PROC_STATUS_BYTES, *status = at + size;
  if (memcmp(at, proof, size) != 0 || status[0] != ':' || status[4] != '\n') return -1;
  int value = 0;
  for (int i = 1; i <= 3; i++) {
    if (status[i] < '0' || status[i] > '9') return -1;
    value = value * 10 + (status[i] - '0');
  }
  return value;
}

static bool proc_accepts(const ProcSpec *spec, const ProcResult *result) {
  if (spec->accept == NULL) return true;
  if (result->signal != 0) return false;
  for (const int *one = spec->accept; *one >= 0; one++)
    if (*one == result->exit_code) return true;
  return false;
}

static bool proc_was_refused(const ProcSpec *spec, const ProcResult *result) {
  for (char **text = spec->refused; text != NULL && *text != NULL; text++)
    if (memmem(buf_str(&result->err), result->err.len, *text, strlen(*text)) != NULL) return true;
  return false;
}

void proc_proof_fail(const char *name, int status, const ProcResult *result, Err *err) {
  if (status >= 0)
    err_set(err, ERR_PROCESS, "%s exited with %d", name, status);
  else
    err_set(err, ERR_LOST, "%s ended without word of how its command has ended: the line was lost", name);
  err->exit_code = status >= 0 ? status : result->exit_code;
  err->signal = status >= 0 ? 0 : result->signal;
  proc_last_words(result, err);
}

static void proc_fail(const ProcSpec *spec, const ProcResult *result, Err *err) {
  if (result->signal != 0)
    err_set(err, ERR_PROCESS, "%s was ended by signal %d (%s)", spec->name, result->signal, strsignal(result->signal));
  else
    err_set(err, ERR_PROCESS, "%s exited with %d", spec->name, result->exit_code);
  err->exit_code = result->exit_code;
  err->signal = result->signal;
  proc_last_words(result, err);
}

bool proc_judge_end(const ProcSpec *spec, ProcResult *result, Err *err) {
  int status = spec->proof != NULL ? proc_proof_status(spec->proof, buf_str(&result->out), result->out.len) : -1;
  if (status >= 0) {
    result->out.len -= proc_proof_bytes(spec->proof);
    result->out.data[result->out.len] = '\0';
    result->exit_code = status;
    result->signal = 0;
  }
  bool proved = spec->proof == NULL || status >= 0;
  if (proved && proc_accepts(spec, result)) return true;
  bool refused = status < 0 && proc_was_refused(spec, result);
  if (spec->proof != NULL && !refused)
    proc_proof_fail(spec->name, status, result, err);
  else
    proc_fail(spec, result, err);
  bool judged = spec->proof != NULL || spec->refused != NULL;
  if (judged && status < 0 && !refused && spec->changes) err->code = ERR_UNKNOWN;
  return false;
}
