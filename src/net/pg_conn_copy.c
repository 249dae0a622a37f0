/* pg_conn_copy: a connection while the data of a COPY is on its way. See pg_conn.h.
 *
 * COPY FROM STDIN: libpq 15 looks at an error of the server only when the data has ended, which may be hours away. So the socket
 * is looked at first, without taking anything from it. What libpq reads may be half a message, or an error that came behind the
 * look (it also reads by itself when it cannot write: so it is given a piece only when the socket takes one). Therefore, when it
 * has read something and made no notice of it, and nothing more comes for a while, the server has given up. To refuse good data
 * would be worse than to find an error at the end: inside TLS nothing can be seen, and there that is where it is found. */
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
/* So much is looked at: more than libpq reads in one go, as a rule. */
#define PEEK_BYTES ((size_t)32 << 10)
/* What libpq has read, has not understood, and is not followed by anything for so long is not half a notice. */
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
  conn->noticed = 0;
  conn->begun = conn->read = copy == PG_COPY_IN ? copy_count_read(conn) : 0;
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

/* Is an error in these bytes? They may begin anywhere in a message. Its severity, which is not translated, stands between the
 * codes V and C; in older ones between S and C. A notice has another one, and in its texts there is no NUL. */
static bool copy_has_error(const char *bytes, size_t len) {
  static const char *const words[] = {"ERROR", "FATAL", "PANIC"};
  for (const char *at = bytes; len > 0 && (at = memchr(at, '\0', len - (size_t)(at - bytes))) != NULL; at++) {
    if (at - bytes < 6 || (size_t)(at - bytes) + 1 >= len || at[1] != 'C' || (at[-6] != 'V' && at[-6] != 'S')) continue;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
      if (memcmp(at - 5, words[i], 5) == 0) return true;
  }
  return false;
}

/* Has the server given up, or gone? */
static bool copy_is_refused(PgConn *conn) {
  char bytes[PEEK_BYTES];
  if (!copy_is_plain(conn)) return false;
  ssize_t n = recv(PQsocket(conn->pg), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
  if (n < 0) return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
  return n == 0 || copy_has_error(bytes, (size_t)n);
}

/* libpq has read something: is there more of it than the notices that it makes known now? Servers before 14 say in the middle of
 * a COPY, too, that a trigger has set a parameter: there it means nothing. */
static void copy_judge(PgConn *conn) {
  for (PGnotify *n = PQnotifies(conn->pg); n != NULL; n = PQnotifies(conn->pg)) {
    conn->noticed += 11 + strlen(n->relname) + strlen(n->extra); /* type, length, process, two ends */
    PQfreemem(n);
  }
  if (conn->read == 0 || PQserverVersion(conn->pg) < 140000) return;
  if (conn->noticed > conn->read - conn->begun) conn->begun = conn->read - conn->noticed; /* one came with the beginning */
  conn->suspect_ms = conn->noticed < conn->read - conn->begun ? clock_mono_ms() : 0;
}

/* Has libpq read something that is neither a notice nor half a one? */
static bool copy_is_swallowed(PgConn *conn) {
  uint64_t former = conn->read;
  if (former != 0) conn->read = copy_count_read(conn);
  if (conn->read != former) copy_judge(conn); /* by itself, while it could not write */
  return conn->suspect_ms != 0 && clock_mono_ms() - conn->suspect_ms > SUSPECT_MS;
}

static void copy_refuse(PgConn *conn) {
  pg_conn_copy_end(conn, "the server has refused the data");
  PQconsumeInput(conn->pg); /* what it says is found with the results… */
  pg_conn_yield(conn);      /* …and may have been read already: then the socket does not tell of it */
}

void pg_conn_copy_ready(PgConn *conn, int events) {
  if ((events & UV_READABLE) != 0) {
    if (copy_is_refused(conn) || PQconsumeInput(conn->pg) == 0) {
      copy_refuse(conn);
      return;
    }
    if (conn->read != 0) conn->read = copy_count_read(conn);
    copy_judge(conn);
  }
  if ((events & UV_WRITABLE) != 0) conn->blocked = PQflush(conn->pg) == 1;
}

static bool copy_can_write(const PgConn *conn) {
  struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLOUT};
  return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT) != 0;
}

size_t pg_conn_copy_put(PgConn *conn, const char *bytes, size_t len) {
  if (conn->copy != PG_COPY_IN || conn->blocked) return 0;
  if (copy_is_refused(conn) || copy_is_swallowed(conn)) {
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
