/* times N COMMAND...: run it N times after one warm-up, standard output and error to /dev/null; prints the median wall time
 * in milliseconds. Exit status 1 when a run failed. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int n = argc > 2 ? atoi(argv[1]) : 0;
  double *ms = calloc((size_t)n + 1, sizeof *ms);
  posix_spawn_file_actions_t actions;
  if (n < 1 || ms == NULL) return 2;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; fd++)
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  for (int i = 0; i <= n; i++) {
    pid_t pid;
    int status;
    double start = now();
    if (posix_spawnp(&pid, argv[2], &actions, NULL, argv + 2, environ) != 0) return 1;
    waitpid(pid, &status, 0);
    if (i > 0) ms[i - 1] = now() - start;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return 1;
  }
  qsort(ms, (size_t)n, sizeof *ms, compare);
  printf("%.3f\n", ms[n / 2]);
  return 0;
}
