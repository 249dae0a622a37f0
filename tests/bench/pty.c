/* pty READY ROUNDS TYPE EXPECT WARM WARMED COMMAND…: runs the command on a terminal of its own and prints "ready MS" when READY
 * appears. With rounds: types WARM and waits for WARMED; then, ROUNDS times, types TYPE and prints "round MS" when EXPECT appears
 * behind it; Ctrl-U in between. In what is typed \t is a tab, \n Enter. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char seen[1 << 20];
static size_t seen_len;

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Read until the text is there, or nothing comes for `limit_ms`. */
static int wait_for(int fd, const char *text, int limit_ms) {
  for (;;) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (text != NULL && memmem(seen, seen_len, text, strlen(text)) != NULL) return 1;
    if (poll(&p, 1, limit_ms) <= 0) return 0;
    ssize_t n = read(fd, seen + seen_len, sizeof seen - seen_len - 1);
    if (n <= 0) return 0;
    seen_len += (size_t)n;
    if (seen_len > sizeof seen / 2) {
      memmove(seen, seen + seen_len - 4096, 4096);
      seen_len = 4096;
    }
  }
}

static void type_text(int fd, const char *text) {
  for (; *text != '\0'; text++) {
    char c = *text;
    if (c == '\\' && (text[1] == 't' || text[1] == 'n')) {
      c = text[1] == 't' ? '\t' : '\r';
      text++;
    }
    if (write(fd, &c, 1) != 1) return;
  }
}

int main(int argc, char **argv) {
  struct winsize size = {.ws_row = 40, .ws_col = 120};
  int fd;
  if (argc < 8) return 2;
  double begun = now_ms();
  pid_t pid = forkpty(&fd, NULL, NULL, &size);
  if (pid == 0) {
    execvp(argv[7], argv + 7);
    _exit(127);
  }
  if (!wait_for(fd, argv[1], 20000)) return 1;
  printf("ready %.2f\n", now_ms() - begun);
  int rounds = atoi(argv[2]);
  if (rounds > 0) {
    type_text(fd, argv[5]);
    if (!wait_for(fd, argv[6], 20000)) return 1;
  }
  for (int i = 0; i < rounds; i++) {
    wait_for(fd, NULL, 60);
    seen_len = 0;
    begun = now_ms();
    type_text(fd, argv[3]);
    if (!wait_for(fd, argv[4], 20000)) return 1;
    printf("round %.2f\n", now_ms() - begun);
    type_text(fd, "\025");
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  return 0;
}
