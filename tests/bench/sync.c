/* The floor a journal stands on: N times write + fdatasync of a line, to a fresh file. sync FILE N BYTES; prints seconds. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  long n = atol(argv[2]), bytes = atol(argv[3]);
  char *line = malloc((size_t)bytes);
  int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  if (fd < 0 || line == NULL) return 1;
  memset(line, 'x', (size_t)bytes);
  line[bytes - 1] = '\n';
  double start = now();
  for (long i = 0; i < n; i++)
    if (write(fd, line, (size_t)bytes) != bytes || fdatasync(fd) != 0) return 1;
  printf("%.6f\n", now() - start);
  return 0;
}
