/* tty: see tty.h. */
#include "cli/tty.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios tty_saved;
static volatile sig_atomic_t tty_silent; /* the terminal differs from tty_saved */
static volatile sig_atomic_t tty_live_rows;
static volatile sig_atomic_t tty_watched; /* a library changed it: it may also have asked for bracketed paste */

static size_t tty_variable(const char *name, size_t fallback) {
  const char *text = getenv(name);
  long value = text != NULL ? strtol(text, NULL, 10) : 0;
  return value > 0 && value < 10000 ? (size_t)value : fallback;
}

void tty_size(int fd, size_t *columns, size_t *rows) {
  struct winsize size = {0};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) memset(&size, 0, sizeof size);
  *columns = size.ws_col > 0 ? size.ws_col : tty_variable("COLUMNS", 80);
  *rows = size.ws_row > 0 ? size.ws_row : tty_variable("LINES", 24);
}

/* A job in the background that changes the terminal would be stopped by it. */
static bool tty_is_ours(void) { return isatty(STDIN_FILENO) == 1 && tcgetpgrp(STDIN_FILENO) == getpgrp(); }

static void tty_clear_flags(tcflag_t flags) {
  static bool registered;
  if (tty_silent || !tty_is_ours() || tcgetattr(STDIN_FILENO, &tty_saved) != 0) return;
  if (!registered) {
    registered = true;
    atexit(tty_restore);
  }
  struct termios quiet = tty_saved;
  quiet.c_lflag &= ~flags;
  quiet.c_cc[VMIN] = 1; /* read only when keys are taken one by one */
  quiet.c_cc[VTIME] = 0;
  tty_silent = 1;
  tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
}

void tty_silence(bool on) {
  if (on)
    tty_clear_flags(ECHO | ECHONL);
  else
    tty_restore();
}

void tty_take_keys(void) { tty_clear_flags(ECHO | ECHONL | ICANON); }

static void tty_write(const char *text, size_t len) {
  ssize_t done = write(STDERR_FILENO, text, len);
  (void)done; /* nobody is left to be told */
}

void tty_watch(bool on) {
  if (on && !tty_silent && tty_is_ours() && tcgetattr(STDIN_FILENO, &tty_saved) == 0) tty_silent = tty_watched = 1;
  if (!on && tty_watched) tty_silent = tty_watched = 0;
}

void tty_restore(void) {
  static const char plain_paste[] = "\033[?2004l\r\n";
  if (!tty_silent || !tty_is_ours()) return;
  tcsetattr(STDIN_FILENO, TCSANOW, &tty_saved);
  tty_silent = 0;
  if (!tty_watched) return;
  tty_watched = 0;
  tty_write(plain_paste, sizeof plain_paste - 1);
}

void tty_flush_input(void) {
  if (tty_is_ours()) tcflush(STDIN_FILENO, TCIFLUSH);
}

void tty_set_live_rows(size_t rows) { tty_live_rows = (sig_atomic_t)rows; }

void tty_erase_signal(void) {
  if (tty_live_rows == 0) return;
  tty_write("\r", 1);
  for (sig_atomic_t i = 1; i < tty_live_rows; i++)
    tty_write("\033[A", 3);
  tty_write("\033[J", 3);
  tty_live_rows = 0;
}
