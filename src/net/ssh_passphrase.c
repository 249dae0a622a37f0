/* ssh_passphrase: see ssh_lib.h. Kept in memory while the process lives, as an agent would. */
#include <stdlib.h>
#include <string.h>

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
  bool refused;       /* asked, and there was no answer: not asked again for those that wait */
  Waiter *waiters;
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

static void on_answered(Op *op, void *arg) {
  Passphrase *one = arg;
  SshAnswerOp *asked = one->asking;
  one->asking = NULL;
  if (op->err.code == ERR_NONE && asked->answer != NULL) {
    one->text = mem_strdup(asked->answer);
    if (one->options.secret != NULL) one->options.secret(one->options.self, one->text);
  } else
    one->refused = true;
  passphrase_wipe(&asked->answer);
  Waiter *waiters = one->waiters;
  one->waiters = NULL;
  while (waiters != NULL) {
    Waiter *waiter = waiters;
    waiters = waiter->next;
    waiter->ready(waiter->arg);
    free(waiter);
  }
  op_unref(op);
}

int ssh_passphrase_get(const SshOptions *options, const char *path, const char **text, void (*ready)(void *arg), void *arg) {
  Passphrase *one = passphrase_of(path);
  if (one->text != NULL) {
    *text = one->text;
    return 1;
  }
  if (one->refused || options->ask == NULL) {
    one->refused = false;
    return -1;
  }
  if (one->asking == NULL) {
    Buf question = {0};
    buf_printf(&question, "Passphrase of the key %s", path);
    one->options = *options;
    one->asking = options->ask(options->self, buf_str(&question));
    buf_fini(&question);
    if (one->asking == NULL) return -1;
    op_on_settled(&one->asking->op, on_answered, one);
  }
  for (Waiter *waiter = one->waiters; waiter != NULL; waiter = waiter->next)
    if (waiter->arg == arg) return 0;
  Waiter *waiter = mem_alloc(sizeof *waiter);
  *waiter = (Waiter){one->waiters, ready, arg};
  one->waiters = waiter;
  return 0;
}

void ssh_passphrase_leave(const void *arg) {
  for (Passphrase *one = passphrases; one != NULL; one = one->next) {
    for (Waiter **at = &one->waiters; *at != NULL;) {
      Waiter *waiter = *at;
      if (waiter->arg == arg) {
        *at = waiter->next;
        free(waiter);
      } else {
        at = &waiter->next;
      }
    }
    /* Nobody wants it any more. */
    if (one->asking != NULL && one->waiters == NULL) op_cancel(&one->asking->op, ERR_CANCELLED);
  }
}

void ssh_passphrase_wrong(const char *path) { passphrase_wipe(&passphrase_of(path)->text); }
