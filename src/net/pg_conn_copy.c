/* pg_conn_copy: a connection while the data of a COPY is on its way. See pg_conn.h.
 *
 * COPY FROM STDIN: libpq 15 looks at an error of the server only when the data has ended, which may be hours away. So the socket
 * is looked at first, without taking anything from it. libpq itself reads only when it could not write: therefore it is given a
 * piece only when the socket takes one, and when that did block, the kernel's count of received bytes tells whether libpq has
 * read something that it keeps to itself. Inside TLS nothing can be seen; there the error is found at the end. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/pg_conn.h"

/* A socket that says it can be written to takes so much. */
#define PIECE_BYTES ((size_t)64 << 10)
/* What libpq has read and does not understand for so long is not half a notice. */
#define SUSPECT_MS 1000

/* What the kernel tells since Linux 4.1; the C library's structure ends before that. */
typedef struct TcpCount {
  struct tcp_info info;
  uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
} TcpCount;

static bool copy_is_plain(const PgConn *conn) { return PQsslInUse(conn->pg) == 0 && PQgssEncInUse(conn->pg) == 0; }

/* How many bytes libpq has read from its socket since the connection was made; 0: not known (a Unix socket). */
static uint64_t copy_count_read(const PgConn *conn) {
  TcpCount count = {0};
  int before, after = -1, fd = PQsocket(conn->pg);
  if (!copy_is_plain(conn) || ioctl(fd, FIONREAD, &after) != 0) return 0;
  do { /* until nothing has come between the two looks */
    socklen_t size = sizeof count;
    before = after;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &count, &size) != 0 || size < sizeof count) return 0;
    if (ioctl(fd, FIONREAD, &after) != 0) return 0;
  } while (before != after);
  return count.bytes_received - (uint64_t)after;
}

void pg_conn_copy_begin(PgConn *conn, PgCopy copy) {
  conn->copy = copy;
  conn->blocked = false;
  conn->suspect_ms = 0;
  conn->read = copy == PG_COPY_IN ? copy_count_read(conn) : 0;
}

/* ---- out ---- */

int pg_conn_copy_get(PgConn *conn, char **row) {
  int len = PQgetCopyData(conn->pg, row, 1);
  if (len > 0) return len;
  if (len == 0 && PQconsumeInput(conn->pg) == 1) {
    len = PQgetCopyData(conn->pg, row, 1);
    if (len >= 0) return len;
  }
  conn->copy = PG_COPY_NONE; /* why, say the results that follow */
  return -1;
}

void pg_conn_copy_wait(PgConn *conn) {
  conn->paused = false;
  pg_conn_rewatch(conn);
}

/* ---- in ---- */

/* Does an error begin in these bytes? Messages are a letter and a length that counts itself. */
static bool copy_has_error(const unsigned char *bytes, size_t len) {
  size_t at = 0;
  while (at < len) {
    if (bytes[at] == 'E') return true;
    if (len - at < 5) return false;
    uint32_t size = 0;
    for (size_t i = 1; i <= 4; i++)
      size = size << 8 | bytes[at + i];
    at += 1 + (size_t)size;
  }
  return false;
}

/* Let libpq take the notices that it has read. */
static void copy_parse(PgConn *conn) {
  for (PGnotify *n = PQnotifies(conn->pg); n != NULL; n = PQnotifies(conn->pg)) {
    conn->noticed = true;
    PQfreemem(n);
  }
}

/* Has the server given up, or gone? `seen` (may be NULL): so many bytes are there that hold no error. */
static bool copy_is_refused(PgConn *conn, size_t *seen) {
  unsigned char bytes[4096];
  if (seen != NULL) *seen = 0;
  if (!copy_is_plain(conn)) return false;
  ssize_t n = recv(PQsocket(conn->pg), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0) return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
  if (seen != NULL) *seen = (size_t)n;
  return n == 0 || copy_has_error(bytes, (size_t)n);
}

/* Has libpq, while it could not write, read something that is not a notice? */
static bool copy_is_swallowed(PgConn *conn) {
  uint64_t now = conn->read != 0 ? copy_count_read(conn) : 0;
  if (now != conn->read && conn->suspect_ms == 0) {
    conn->suspect_ms = clock_mono_ms();
    conn->noticed = false;
  }
  conn->read = now;
  if (conn->suspect_ms == 0) return false;
  copy_parse(conn);
  if (conn->noticed) conn->suspect_ms = 0;
  return conn->suspect_ms != 0 && clock_mono_ms() - conn->suspect_ms > SUSPECT_MS;
}

static void copy_refuse(PgConn *conn) {
  pg_conn_copy_end(conn, "the server has refused the data");
  PQconsumeInput(conn->pg); /* what it says is found with the results… */
  pg_conn_yield(conn);      /* …and may have been read already: then the socket does not tell of it */
}

void pg_conn_copy_ready(PgConn *conn, int events) {
  if ((events & UV_READABLE) != 0) {
    size_t seen;
    if (copy_is_refused(conn, &seen) || PQconsumeInput(conn->pg) == 0) {
      copy_refuse(conn);
      return;
    }
    copy_parse(conn);
    /* An error that came between the look and the reading was not seen: copy_is_swallowed finds that libpq has read more. */
    if (conn->read != 0) conn->read += seen;
  }
  if ((events & UV_WRITABLE) != 0) conn->blocked = PQflush(conn->pg) == 1;
}

static bool copy_can_write(const PgConn *conn) {
  struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLOUT};
  return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT) != 0;
}

size_t pg_conn_copy_put(PgConn *conn, const char *bytes, size_t len) {
  if (conn->copy != PG_COPY_IN || conn->blocked) return 0;
  if (copy_is_refused(conn, NULL) || copy_is_swallowed(conn)) {
    copy_refuse(conn);
    return 0;
  }
  size_t piece = len < PIECE_BYTES ? len : PIECE_BYTES;
  conn->blocked = PQflush(conn->pg) == 1 || !copy_can_write(conn);
  int put = conn->blocked ? 0 : PQputCopyData(conn->pg, bytes, (int)piece);
  if (put < 0) {
    copy_refuse(conn); /* the line has dropped */
    return 0;
  }
  conn->blocked = put == 0 || PQflush(conn->pg) == 1;
  if (conn->blocked) pg_conn_rewatch(conn);
  return put == 1 ? piece : 0;
}

void pg_conn_copy_end(PgConn *conn, const char *why) {
  if (conn->copy != PG_COPY_IN) return;
  conn->copy = PG_COPY_NONE;
  conn->blocked = conn->paused = false;
  PQputCopyEnd(conn->pg, why); /* if that fails, so does reading what follows */
  pg_conn_rewatch(conn);
}
