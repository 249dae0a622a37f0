/* teller: see teller.h. */
#include "run/teller.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"

/* Lines come in bursts: the first one waits so long for the others. */
#define TELLER_GATHER_S 1
/* After a failure. */
#define TELLER_AGAIN_S 2

struct Teller {
  TellerSend send;
  void *self;
  pthread_mutex_t sending; /* taken first; who holds it may send, and take away what was sent */
  pthread_mutex_t lock;    /* of what follows; never held while something is sent */
  pthread_cond_t news;
  Buf waiting;
  bool begun, over; /* the thread: was made, is to end */
  pthread_t thread;
};

Teller *teller_new(TellerSend send, void *self) {
  Teller *teller = mem_alloc(sizeof *teller);
  pthread_condattr_t clock;
  teller->send = send;
  teller->self = self;
  pthread_mutex_init(&teller->sending, NULL);
  pthread_mutex_init(&teller->lock, NULL);
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&teller->news, &clock);
  pthread_condattr_destroy(&clock);
  return teller;
}

void teller_free(Teller *teller) {
  if (teller == NULL) return;
  pthread_mutex_lock(&teller->lock);
  teller->over = true;
  pthread_cond_signal(&teller->news);
  pthread_mutex_unlock(&teller->lock);
  if (teller->begun) pthread_join(teller->thread, NULL);
  pthread_cond_destroy(&teller->news);
  pthread_mutex_destroy(&teller->lock);
  pthread_mutex_destroy(&teller->sending);
  buf_fini(&teller->waiting);
  free(teller);
}

/* Send what waits and then `lines`, and take away what waited. */
static bool teller_send(Teller *teller, const char *lines, size_t len, Err *err) {
  Buf all = {0};
  bool ok = true;
  pthread_mutex_lock(&teller->sending);
  pthread_mutex_lock(&teller->lock);
  size_t waited = teller->waiting.len;
  buf_add(&all, buf_str(&teller->waiting), waited);
  pthread_mutex_unlock(&teller->lock);
  buf_add(&all, lines, len);
  if (all.len > 0) ok = teller->send(teller->self, all.data, all.len, err);
  pthread_mutex_lock(&teller->lock);
  if (ok) buf_consume(&teller->waiting, waited); /* more may have come meanwhile */
  pthread_mutex_unlock(&teller->lock);
  pthread_mutex_unlock(&teller->sending);
  buf_fini(&all);
  return ok;
}

bool teller_append(Teller *teller, const char *lines, size_t len, Err *err) { return teller_send(teller, lines, len, err); }

/* With the lock held: unless it is over sooner. */
static void teller_pause(Teller *teller, int seconds) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += seconds;
  while (!teller->over && pthread_cond_timedwait(&teller->news, &teller->lock, &until) == 0) {
  }
}

static void *teller_main(void *arg) {
  Teller *teller = arg;
  int pause = TELLER_GATHER_S;
  pthread_mutex_lock(&teller->lock);
  while (!teller->over) {
    if (teller->waiting.len == 0) {
      pthread_cond_wait(&teller->news, &teller->lock);
      continue;
    }
    teller_pause(teller, pause);
    if (teller->over) break;
    pthread_mutex_unlock(&teller->lock);
    Err err = {0};
    pause = teller_send(teller, "", 0, &err) ? TELLER_GATHER_S : TELLER_AGAIN_S;
    err_fini(&err);
    pthread_mutex_lock(&teller->lock);
  }
  pthread_mutex_unlock(&teller->lock);
  return NULL;
}

/* Signals are the main thread's. Without a thread the lines wait for the next append. */
static void teller_begin(Teller *teller) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  teller->begun = pthread_create(&teller->thread, NULL, teller_main, teller) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void teller_tell(Teller *teller, const char *lines, size_t len) {
  if (!teller->begun) teller_begin(teller);
  pthread_mutex_lock(&teller->lock);
  buf_add(&teller->waiting, lines, len);
  pthread_cond_signal(&teller->news);
  pthread_mutex_unlock(&teller->lock);
}
