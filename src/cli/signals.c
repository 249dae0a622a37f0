/* signals: see signals.h. */
#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"
#include "cli/tty.h"

static Vm *volatile signals_vm;
static volatile sig_atomic_t signals_news;
static char signals_farewell[256] = "interrupted\n";
static volatile sig_atomic_t signals_farewell_len = sizeof "interrupted\n" - 1;

static volatile sig_atomic_t signals_idle, signals_patience = 1;

static const int signals_handled[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGQUIT, SIGWINCH};
#define SIGNALS_COUNT (sizeof signals_handled / sizeof signals_handled[0])

static void signals_set_farewell(const char *run, const char *known, const char *next) {
  char text[sizeof signals_farewell];
  const char *dot = text_is_utf8() ? "·" : "-";
  int len = run == NULL ? snprintf(text, sizeof text, "interrupted\n")
                        : snprintf(text, sizeof text, "interrupted: %s; journal intact %s %s %s\n", known, dot, next, run);
  if (len < 0 || (size_t)len >= sizeof text) return;
  signals_farewell_len = 0; /* a handler may read it at any moment */
  memcpy(signals_farewell, text, (size_t)len);
  signals_farewell_len = len;
}

void signals_set_run(const char *run) { signals_set_farewell(run, "state of the last operation unknown", "go on: pgsh resume"); }

/* It cannot be resumed, and its jobs work also while a line is typed. */
void signals_set_session(const char *run) {
  signals_set_farewell(run, "what became of what was still running is not known", "look: pgsh show");
}

static void signals_leave(void) {
  tty_erase_signal();
  tty_restore();
  ssize_t done = write(STDERR_FILENO, signals_farewell, (size_t)signals_farewell_len);
  (void)done;
  _exit(130);
}

static void signals_add(sig_atomic_t news) { signals_news |= news; }

static void on_stop(int number) {
  int saved = errno;
  Vm *vm = signals_vm;
  if (vm != NULL && number == SIGINT && signals_idle) {
    signals_add(SIGNAL_INTERRUPTED);
    loop_wake(vm_loop(vm));
  } else if (vm != NULL) {
    bool waiting = vm_interrupts(vm) >= signals_patience; /* the former ones have not been dealt with yet */
    /* A terminal that is closed hangs up twice, by the kernel and by the shell in it: that is nobody's impatience. */
    if (waiting && number != SIGHUP) signals_leave();
    signals_add(number == SIGINT ? SIGNAL_INTERRUPTED : SIGNAL_INTERRUPTED | SIGNAL_TERMINATED);
    if (waiting)
      loop_wake(vm_loop(vm));
    else
      vm_interrupt(vm);
  }
  errno = saved;
}

static void on_news(int number) {
  int saved = errno;
  Vm *vm = signals_vm;
  if (vm != NULL) {
    signals_add(number == SIGTSTP ? SIGNAL_SUSPENDED : SIGNAL_RESIZED);
    loop_wake(vm_loop(vm));
  }
  errno = saved;
}

/* Ctrl-\: out at once, whatever runs. There is no core to look into: it is a way out, no defect. */
static void on_quit(int number) {
  (void)number;
  signals_leave();
}

static void signals_set(int number, void (*handler)(int)) {
  struct sigaction action = {0}, former;
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < SIGNALS_COUNT; i++)
    sigaddset(&action.sa_mask, signals_handled[i]);
  /* nohup and shells without job control ignore signals on purpose */
  if (sigaction(number, NULL, &former) == 0 && former.sa_handler == SIG_IGN && number != SIGINT) return;
  sigaction(number, &action, NULL);
}

void signals_arm(Vm *vm) {
  signals_vm = vm;
  signals_news = 0;
  signal(SIGPIPE, SIG_IGN);
  for (size_t i = 0; i < SIGNALS_COUNT; i++) {
    int number = signals_handled[i];
    bool news = number == SIGTSTP || number == SIGWINCH;
    signals_set(number, news ? on_news : number == SIGQUIT ? on_quit : on_stop);
  }
}

void signals_set_idle(bool idle) { signals_idle = idle; }
void signals_set_patience(int count) { signals_patience = count; }

void signals_disarm(void) {
  signals_vm = NULL;
  for (size_t i = 0; i < SIGNALS_COUNT; i++) {
    struct sigaction now;
    if (sigaction(signals_handled[i], NULL, &now) != 0 || now.sa_handler == SIG_IGN) continue;
    /* The end of input may come before the hang-up: what still runs on a server is being cancelled then. */
    signal(signals_handled[i], signals_handled[i] == SIGHUP ? SIG_IGN : SIG_DFL);
  }
}

unsigned signals_take(void) {
  sigset_t all, former;
  if (signals_news == 0) return 0;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &former);
  unsigned news = (unsigned)signals_news;
  signals_news = 0;
  sigprocmask(SIG_SETMASK, &former, NULL);
  return news;
}

void signals_suspend(void) {
  tty_restore();
  raise(SIGSTOP); /* the shell sees a stopped job, as after its own SIGTSTP */
}
