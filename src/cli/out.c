/* out: see out.h. */
#include "cli/out.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/text.h"

static int out_refused[3]; /* errno */

int out_broken(void) { return out_refused[STDOUT_FILENO]; }

/* The descriptor may be non-blocking (another process that shares the terminal made it so). */
static bool out_wait(int fd) {
  struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
  return poll(&poll_fd, 1, 10000) > 0;
}

bool out_write(int fd, const char *bytes, size_t len) {
  if (out_refused[fd] != 0) return false;
  if (fd == STDOUT_FILENO) fflush(stdout);
  while (len > 0) {
    ssize_t done = write(fd, bytes, len);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EAGAIN && out_wait(fd)) continue;
    if (done < 0) {
      out_refused[fd] = errno;
      return false;
    }
    bytes += done;
    len -= (size_t)done;
  }
  return true;
}

void out_complain(const char *format, ...) {
  Buf text = {0}, line = {0};
  va_list args;
  va_start(args, format);
  buf_vprintf(&text, format, args);
  va_end(args);
  buf_add_str(&line, "pgsh: ");
  text_add_clean(&line, buf_str(&text));
  buf_add_char(&line, '\n');
  out_write(STDERR_FILENO, buf_str(&line), line.len);
  buf_fini(&text);
  buf_fini(&line);
}
