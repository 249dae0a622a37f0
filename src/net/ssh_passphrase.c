/* ssh_passphrase: see ssh_lib.h. What was opened is kept in memory while the process lives, as an agent would: each further
 * session then costs a signature, not a key derivation, which is slow on purpose. */
#include <stdlib.h>
#include <string.h>

#include "loop/work.h"
#include "net/ssh_lib.h"

typedef struct Waiter {
  struct Waiter *next;
  void (*ready)(void *arg);
  void *arg;
} Waiter;

typedef struct Passphrase {
  struct Passphrase *next;
  char *path, *text; /* text: NULL: not known (yet) */
  SshAnswerOp *asking;
  SshOptions options; /* of who asks: only its functions */
  Buf key;            /* the opened key's private part */
  WorkOp *opening;
  int failed;      /* what those in `told` are given: see ssh_lib.h */
  Waiter *waiters; /* until there is an answer */
  Waiter *told;    /* that there is none, and have not looked yet */
} Passphrase;

static Passphrase *passphrases;

static void passphrase_wipe(char **text) {
  if (*text != NULL) explicit_bzero(*text, strlen(*text));
  free(*text);
  *text = NULL;
}

static Passphrase *passphrase_of(const char *path) {
  for (Passphrase *one = passphrases; one != NULL; one = one->next)
    if (strcmp(one->path, path) == 0) return one;
  Passphrase *one = mem_alloc(sizeof *one);
  one->path = mem_strdup(path);
  one->next = passphrases;
  passphrases = one;
  return one;
}

/* ---- who waits ---- */

static bool waiters_take(Waiter **list, const void *arg) {
  for (; *list != NULL; list = &(*list)->next) {
    Waiter *waiter = *list;
    if (waiter->arg != arg) continue;
    *list = waiter->next;
    free(waiter);
    return true;
  }
  return false;
}

static void passphrase_wait(Passphrase *one, void (*ready)(void *arg), void *arg) {
  for (Waiter *waiter = one->waiters; waiter != NULL; waiter = waiter->next)
    if (waiter->arg == arg) return;
  Waiter *waiter = mem_alloc(sizeof *waiter);
  *waiter = (Waiter){one->waiters, ready, arg};
  one->waiters = waiter;
}

/* failed: 0, or what they are given when they look: each once, so that who comes later may be asked again. */
static void passphrase_tell(Passphrase *one, int failed) {
  Waiter *waiters = one->waiters, *next;
  one->waiters = NULL;
  one->failed = failed;
  for (Waiter *waiter = waiters; waiter != NULL; waiter = next) {
    void (*ready)(void *) = waiter->ready;
    void *arg = waiter->arg;
    next = waiter->next;
    if (failed != 0) {
      waiter->next = one->told;
      one->told = waiter;
    } else {
      free(waiter);
    }
    ready(arg); /* only marks its session */
  }
}

void ssh_passphrase_leave(const void *arg) {
  for (Passphrase *one = passphrases; one != NULL; one = one->next) {
    waiters_take(&one->waiters, arg);
    waiters_take(&one->told, arg);
    if (one->waiters != NULL) continue;
    /* Nobody wants it any more. */
    if (one->asking != NULL) op_cancel(&one->asking->op, ERR_CANCELLED);
    if (one->opening != NULL) op_cancel(&one->opening->op, ERR_CANCELLED);
  }
}

/* ---- asking ---- */

static void on_answered(Op *op, void *arg) {
  Passphrase *one = arg;
  SshAnswerOp *asked = one->asking;
  bool good = op->err.code == ERR_NONE && asked->answer != NULL;
  one->asking = NULL;
  if (good) {
    one->text = mem_strdup(asked->answer);
    if (one->options.secret != NULL) one->options.secret(one->options.self, one->text);
  }
  passphrase_wipe(&asked->answer);
  passphrase_tell(one, good || op->reason == ERR_CANCELLED ? 0 : -1); /* our own cancel: who came since asks again */
  op_unref(op);
}

int ssh_passphrase_get(const SshOptions *options, const char *path, const char **text, void (*ready)(void *arg), void *arg) {
  Passphrase *one = passphrase_of(path);
  if (one->text != NULL) {
    *text = one->text;
    return 1;
  }
  if (waiters_take(&one->told, arg)) return one->failed;
  if (options->ask == NULL) return -1;
  if (one->asking == NULL) {
    Buf question = {0};
    buf_printf(&question, "Passphrase of the key %s", path);
    one->options = *options;
    one->asking = options->ask(options->self, buf_str(&question));
    buf_fini(&question);
    if (one->asking == NULL) return -1;
    op_on_settled(&one->asking->op, on_answered, one);
  }
  passphrase_wait(one, ready, arg);
  return 0;
}

void ssh_passphrase_wrong(const char *path) { passphrase_wipe(&passphrase_of(path)->text); }

/* ---- opening ---- */

typedef struct Opening {
  char *path, *text;
  SshKeyOpened opened;
  Buf key;
} Opening;

static void opening_free(void *arg) {
  Opening *opening = arg;
  passphrase_wipe(&opening->text);
  if (opening->key.data != NULL) explicit_bzero(opening->key.data, opening->key.cap);
  buf_fini(&opening->key);
  free(opening->path);
  free(opening);
}

static void opening_run(WorkOp *work) {
  Opening *opening = work->arg;
  opening->opened = ssh_key_open(opening->path, opening->text, &work->stop, &opening->key);
}

static void on_opened(Op *op, void *arg) {
  Passphrase *one = arg;
  Opening *opening = one->opening->arg;
  one->opening = NULL;
  bool good = op->err.code == ERR_NONE && opening->opened == SSH_KEY_OPENED;
  if (good) {
    one->key = opening->key;
    opening->key = (Buf){0};
  }
  if (op->err.code == ERR_NONE) passphrase_wipe(&one->text); /* it is open, or it was the wrong one */
  passphrase_tell(one, good || op->reason == ERR_CANCELLED ? 0 : opening->opened == SSH_KEY_WRONG ? -2 : -3);
  op_unref(op);
}

int ssh_passphrase_open(const SshOptions *options, Loop *loop, const SshKeyFile *file, void (*ready)(void *arg), void *arg) {
  Passphrase *one = passphrase_of(file->path);
  const char *text = NULL;
  if (one->key.len > 0) return 1;
  if (waiters_take(&one->told, arg)) return one->failed;
  if (one->opening == NULL) {
    int rc = ssh_passphrase_get(options, file->path, &text, ready, arg);
    if (rc <= 0) return rc;
    Opening *opening = mem_alloc(sizeof *opening);
    opening->path = mem_strdup(file->path);
    opening->text = mem_strdup(text);
    one->opening = work_start(loop, "opening a key", opening_run, opening, opening_free, 0);
    op_on_settled(&one->opening->op, on_opened, one);
  }
  passphrase_wait(one, ready, arg);
  return 0;
}

const Buf *ssh_passphrase_key(const char *path) {
  const Passphrase *one = passphrase_of(path);
  return one->key.len > 0 ? &one->key : NULL;
}
