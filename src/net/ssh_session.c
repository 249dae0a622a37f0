/* ssh_session: the library transport: a session's life. See ssh_lib.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "loop/timer.h"
#include "net/ssh_hosts.h"
#include "net/ssh_lib.h"

#define SESSION_ROUNDS 64         /* of a pump, before others have their turn */
#define SESSION_DEAF_KEEPALIVES 3 /* so many intervals without a byte: the line is lost */

const char *ssh_session_reason(SshSession *session, int *code) {
  char *text = NULL;
  *code = session->lib != NULL ? libssh2_session_last_error(session->lib, &text, NULL, 0) : 0;
  if (session->wire.ended && session->wire.errnum != 0) return strerror(session->wire.errnum);
  if (session->wire.ended) return "the other side closed the connection";
  return text != NULL && text[0] != '\0' ? text : "the connection failed";
}

/* ---- telling ---- */

static void session_unref(SshSession *session) {
  if (--session->refs > 0) return;
  err_fini(&session->err);
  free(session);
}

static void session_pump(SshSession *session);

static void on_deferred(Deferred *deferred) {
  SshSession *session = (SshSession *)((char *)deferred - offsetof(SshSession, deferred));
  if (session->up_soon && session->phase == SSH_UP) {
    session->up_soon = false;
    session->how.up(session->how.arg, session);
  }
  if (session->pump_soon && session->phase < SSH_DOWN) {
    session->pump_soon = false;
    session_pump(session);
  }
  if (session->down_soon && session->phase == SSH_DOWN) {
    session->down_soon = false;
    session->how.down(session->how.arg, session, session->why, &session->err);
  }
  session_unref(session);
}

static void session_defer(SshSession *session) {
  if (session->deferred.queued) return;
  session->deferred.fn = on_deferred;
  session->refs++;
  loop_defer(session->loop, &session->deferred);
}

void ssh_session_pump_soon(SshSession *session) {
  if (session->phase >= SSH_DOWN) return;
  session->pump_soon = true;
  session_defer(session);
}

static void session_drop_deadline(SshSession *session) {
  if (session->deadline == NULL) return;
  op_on_settled(session->deadline, NULL, NULL);
  op_cancel(session->deadline, ERR_CANCELLED);
  op_unref(session->deadline);
  session->deadline = NULL;
}

void ssh_session_fail(SshSession *session, SshDown why, Err *err) {
  if (session->phase >= SSH_DOWN) {
    err_fini(err);
    return;
  }
  session->phase = SSH_DOWN;
  session->why = why;
  err_move(&session->err, err);
  session_drop_deadline(session);
  if (session->wire.watch != NULL) fdwatch_set(session->wire.watch, 0);
  ssh_channels_lost(session, &session->err);
  session->down_soon = true;
  session_defer(session);
}

/* ---- time ---- */

static void session_set_timer(SshSession *session, int64_t ms, void (*fn)(Op *, void *)) {
  session_drop_deadline(session);
  session->deadline = timer_start(session->loop, ms, 0, NULL);
  op_on_settled(session->deadline, fn, session);
}

static void on_connect_deadline(Op *op, void *arg) {
  static const char *const doing[] = {"connecting", "the key exchange", "the login"};
  SshSession *session = arg;
  char span[CLOCK_SPAN_SIZE];
  Err err = {0};
  session->deadline = NULL;
  op_unref(op);
  clock_span(session->how.timeout_ms, span);
  err_set(&err, ERR_SSH_CONNECT, "%s:%d: %s took more than %s", session->how.config->hostname, session->how.config->port,
          session->phase <= SSH_AUTH ? doing[session->phase] : "it", span);
  ssh_session_fail(session, SSH_DOWN_FAILED, &err);
}

void ssh_session_more_time(SshSession *session, int64_t ms) {
  if (session->phase >= SSH_UP) return;
  session_set_timer(session, ms, on_connect_deadline);
  if (session->how.more_time != NULL) session->how.more_time(session->how.arg, ms);
}

static int64_t session_keepalive_ms(const SshSession *session) {
  int seconds = session->how.config->keepalive_s;
  return (int64_t)(seconds > 0 ? seconds : SSH_KEEPALIVE_S) * 1000;
}

static void on_keepalive(Op *op, void *arg) {
  SshSession *session = arg;
  int64_t interval_ms = session_keepalive_ms(session), silent_ms = clock_mono_ms() - session->wire.heard_ms;
  int next = 0;
  session->deadline = NULL;
  op_unref(op);
  if (silent_ms > interval_ms * SESSION_DEAF_KEEPALIVES) {
    char span[CLOCK_SPAN_SIZE];
    Err err = {0};
    clock_span(silent_ms, span);
    err_set(&err, ERR_SSH_CONNECT, "nothing was heard for %s", span);
    ssh_session_fail(session, SSH_DOWN_LOST, &err);
    return;
  }
  libssh2_keepalive_send(session->lib, &next);
  session_set_timer(session, interval_ms, on_keepalive);
  session_pump(session);
}

/* ---- the handshake ---- */

static bool list_has(const char *list, const char *name, size_t len) {
  for (const char *at = list; *at != '\0'; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
    if (strcspn(at, ",") == len && memcmp(at, name, len) == 0) return true;
  return false;
}

/* What of the list the library has, in the list's order. Not left to libssh2_session_method_pref, which copies overlapping memory
 * when it has to leave something out (1.10). */
static void session_supported(const SshSession *session, int method, const char *list, Buf *common) {
  const char **names = NULL;
  int count = libssh2_session_supported_algs(session->lib, method, &names);
  for (size_t len; *list != '\0'; list += len + (list[len] == ',')) {
    bool known = false;
    len = strcspn(list, ",");
    for (int i = 0; i < count && !known; i++)
      known = strlen(names[i]) == len && memcmp(names[i], list, len) == 0;
    if (!known || list_has(buf_str(common), list, len)) continue;
    if (common->len > 0) buf_add_char(common, ',');
    buf_add(common, list, len);
  }
  if (count > 0) libssh2_free(session->lib, names);
}

/* Before the key exchange: which algorithms. What the configuration says in its order, of that what the library has. */
static bool session_prefer(SshSession *session, const SshHosts *hosts, const char *name, Err *err) {
  const SshConfig *config = session->how.config;
  Buf keys = {0};
  ssh_hosts_types(hosts, name, &keys); /* the known ones first, so that the server offers what can be checked */
  if (config->host_key_algorithms != NULL) buf_printf(&keys, "%s%s", keys.len > 0 ? "," : "", config->host_key_algorithms);
  const struct {
    int method;
    const char *list, *what;
  } prefs[] = {{LIBSSH2_METHOD_KEX, config->kex_algorithms, "KexAlgorithms"},
               {LIBSSH2_METHOD_HOSTKEY, buf_str(&keys), "HostKeyAlgorithms"},
               {LIBSSH2_METHOD_CRYPT_CS, config->ciphers, "Ciphers"},
               {LIBSSH2_METHOD_CRYPT_SC, config->ciphers, "Ciphers"},
               {LIBSSH2_METHOD_MAC_CS, config->macs, "MACs"},
               {LIBSSH2_METHOD_MAC_SC, config->macs, "MACs"}};
  bool good = true;
  for (size_t i = 0; i < sizeof prefs / sizeof prefs[0] && good; i++) {
    if (prefs[i].list == NULL || prefs[i].list[0] == '\0') continue;
    Buf common = {0};
    session_supported(session, prefs[i].method, prefs[i].list, &common);
    if (common.len == 0 || libssh2_session_method_pref(session->lib, prefs[i].method, buf_str(&common)) != 0)
      good = err_set(err, ERR_SSH_CONNECT, "the library has none of the configured %s", prefs[i].what);
    buf_fini(&common);
  }
  buf_fini(&keys);
  return good;
}

static bool session_refuse_key(SshHostState state, const SshHosts *hosts, const char *name, const char *type, const char *print,
                               Err *err) {
  Buf where = {0}, known = {0};
  bool found = ssh_hosts_known(hosts, name, type, &where, &known);
  switch (state) {
  case SSH_HOST_CHANGED:
    err_set(err, ERR_SSH_HOST_KEY, "the host key of %s has CHANGED: it shows %s %s, known is %s (%s)", name, type, print,
            found ? buf_str(&known) : "another", found ? buf_str(&where) : "?");
    err_set_hint(err, "was the host installed anew? Ask who runs it; if so: ssh-keygen -R '%s', then connect once with ssh",
                 name);
    break;
  case SSH_HOST_REVOKED:
    err_set(err, ERR_SSH_HOST_KEY, "the host key of %s is REVOKED: %s %s%s%s%s", name, type, print, found ? " (" : "",
            found ? buf_str(&where) : "", found ? ")" : "");
    break;
  case SSH_HOST_OTHER:
    err_set(err, ERR_SSH_HOST_KEY, "the host %s shows a key of a type that is not known of it: %s %s", name, type, print);
    break;
  default:
    err_set(err, ERR_SSH_HOST_KEY, "the host key of %s is not known: %s %s", name, type, print);
    err_set_hint(err, "compare that fingerprint with one from a source you trust, then connect once with ssh");
  }
  buf_fini(&where);
  buf_fini(&known);
  return false;
}

static bool session_check_key(SshSession *session, SshDown *why, Err *err) {
  const SshConfig *config = session->how.config;
  size_t len = 0;
  int number = 0;
  char type[64];
  const char *blob = libssh2_session_hostkey(session->lib, &len, &number);
  if (blob == NULL || !ssh_key_type((const unsigned char *)blob, len, type))
    return err_set(err, ERR_SSH_CONNECT, "the host showed no key");
  Buf name = {0}, print = {0};
  ssh_hosts_name(config->host_key_alias, config->hostname, config->port, &name);
  ssh_hosts_fingerprint(blob, len, &print);
  SshHosts *hosts = ssh_session_hosts(session, err);
  SshHostState state = err->code == ERR_NONE ? ssh_hosts_check(hosts, buf_str(&name), type, blob, len) : SSH_HOST_UNKNOWN;
  bool good = err->code == ERR_NONE && state == SSH_HOST_OK;
  if (err->code == ERR_NONE && state == SSH_HOST_AUTHORITY) {
    *why = SSH_DOWN_CANNOT;
    err_set(err, ERR_SSH_HOST_KEY, "%s is known by a certificate authority", buf_str(&name));
  } else if (err->code == ERR_NONE && !good) {
    session_refuse_key(state, hosts, buf_str(&name), type, buf_str(&print), err);
  }
  ssh_hosts_free(hosts);
  buf_fini(&name);
  buf_fini(&print);
  return good;
}

/* The known hosts of the configuration; err is set when a file could not be read. */
SshHosts *ssh_session_hosts(const SshSession *session, Err *err) {
  const SshConfig *config = session->how.config;
  char **files = NULL;
  for (char **one = config->user_known_hosts; one != NULL && *one != NULL; one++)
    proc_list_add(&files, *one);
  for (char **one = config->global_known_hosts; one != NULL && *one != NULL; one++)
    proc_list_add(&files, *one);
  if (files == NULL) files = mem_alloc(sizeof *files);
  SshHosts *hosts = ssh_hosts_load(files, err);
  for (char **one = files; *one != NULL; one++)
    free(*one);
  free(files);
  return hosts;
}

/* The codes that say "we have nothing in common": the user's own ssh may. */
static bool session_cannot(int code) {
  return code == LIBSSH2_ERROR_KEX_FAILURE || code == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE || code == LIBSSH2_ERROR_METHOD_NONE ||
         code == LIBSSH2_ERROR_METHOD_NOT_SUPPORTED || code == LIBSSH2_ERROR_HOSTKEY_INIT;
}

/* Has it hung up without saying who it is, or because too many connect? Not with a reason of its own. */
static bool session_busy(const SshSession *session) {
  const char *banner = libssh2_session_banner_get(session->lib); /* its first line, also one that is none */
  return session->wire.ended && (banner == NULL || banner[0] == '\0' || strncmp(banner, "Exceeded MaxStartups", 20) == 0);
}

void ssh_session_joined(SshSession *session, int fd, SshSession *outer) {
  const SshConfig *config = session->how.config;
  Err err = {0};
  Buf name = {0};
  SshDown why = SSH_DOWN_CANNOT;
  session->wire.fd = outer != NULL ? outer->wire.fd : fd;
  session->wire.outer = outer;
  session->wire.heard_ms = clock_mono_ms();
  if (outer == NULL) session->wire.watch = fdwatch_open(session->loop, fd, session->on_event, session);
  session->lib = libssh2_session_init_ex(NULL, NULL, NULL, session);
  if (session->lib == NULL) abort();
  libssh2_session_set_blocking(session->lib, 0);
  ssh_wire_attach(session);
  ssh_hosts_name(config->host_key_alias, config->hostname, config->port, &name);
  SshHosts *hosts = ssh_session_hosts(session, &err);
  if (err.code != ERR_NONE) why = SSH_DOWN_FAILED;
  bool good = err.code == ERR_NONE && session_prefer(session, hosts, buf_str(&name), &err);
  ssh_hosts_free(hosts);
  buf_fini(&name);
  if (!good) {
    ssh_session_fail(session, why, &err);
    return;
  }
  session->phase = SSH_HANDSHAKE;
  ssh_session_pump_soon(session);
}

static bool session_handshake(SshSession *session) {
  Err err = {0};
  SshDown why = SSH_DOWN_FAILED;
  int rc = libssh2_session_handshake(session->lib, session->wire.fd);
  session->in_kex = rc == LIBSSH2_ERROR_EAGAIN;
  if (session->in_kex) return false;
  if (rc != 0) {
    int code;
    const char *reason = ssh_session_reason(session, &code);
    if (session_cannot(rc)) why = SSH_DOWN_CANNOT;
    if (session_busy(session)) why = SSH_DOWN_BUSY;
    err_set(&err, ERR_SSH_CONNECT, "%s:%d: the key exchange failed: %s", session->how.config->hostname, session->how.config->port,
            reason);
    ssh_session_fail(session, why, &err);
  } else if (!session_check_key(session, &why, &err)) {
    ssh_session_fail(session, why, &err);
  } else {
    session->phase = SSH_AUTH;
    session->auth = ssh_auth_new(session);
  }
  return true;
}

static bool session_login(SshSession *session) {
  Err err = {0};
  int rc = ssh_auth_step(session->auth, &err);
  if (rc == 0) return false;
  ssh_auth_free(session->auth);
  session->auth = NULL;
  if (rc < 0) {
    ssh_session_fail(session, session->wire.ended && err.code == ERR_NONE ? SSH_DOWN_FAILED : SSH_DOWN_CANNOT, &err);
    return true;
  }
  session->phase = SSH_UP;
  session->up_soon = true;
  session_defer(session);
  libssh2_keepalive_config(session->lib, 1, (unsigned)(session_keepalive_ms(session) / 1000));
  session_set_timer(session, session_keepalive_ms(session), on_keepalive);
  return true;
}

/* ---- the pump ---- */

static bool session_step(SshSession *session) {
  bool progress = false;
  Err err = {0};
  switch (session->phase) {
  case SSH_HANDSHAKE: return session_handshake(session);
  case SSH_AUTH: return session_login(session);
  case SSH_UP:
    if (!ssh_channels_step(session, &progress, &err)) ssh_session_fail(session, SSH_DOWN_LOST, &err);
    return progress;
  default: return false;
  }
}

static void session_pump(SshSession *session) {
  bool progress = true;
  if (session->lib == NULL) return;
  session->refs++;
  for (int round = 0; progress && session->phase < SSH_DOWN; round++) {
    if (round == SESSION_ROUNDS) {
      ssh_session_pump_soon(session);
      break;
    }
    progress = ssh_wire_fill(&session->wire);
    if (session_step(session)) progress = true;
    if (ssh_wire_flush(&session->wire)) progress = true;
  }
  if (session->phase == SSH_UP && session->wire.ended && !progress) {
    Err err = {0};
    int code;
    err_set(&err, ERR_SSH_CONNECT, "the line was lost: %s", ssh_session_reason(session, &code));
    ssh_session_fail(session, SSH_DOWN_LOST, &err);
  }
  if (session->phase < SSH_DOWN) ssh_wire_watch(&session->wire);
  session_unref(session);
}

static void on_event(void *arg, int events) {
  (void)events;
  session_pump(arg);
}

/* ---- begin and end ---- */

static void on_dialled(void *arg, int fd, Err *err) {
  SshSession *session = arg;
  session->dial = NULL;
  if (fd < 0)
    ssh_session_fail(session, SSH_DOWN_FAILED, err);
  else
    ssh_session_joined(session, fd, NULL);
}

SshSession *ssh_session_open_hop(const SshOpen *how, int hops) {
  static bool library_ready;
  if (!library_ready) library_ready = libssh2_init(0) == 0;
  SshSession *session = mem_alloc(sizeof *session);
  session->how = *how;
  session->loop = how->loop;
  session->refs = 1;
  session->wire.fd = -1;
  session->hops = hops;
  session->on_event = on_event;
  session_set_timer(session, how->timeout_ms, on_connect_deadline);
  if (how->config->jumps != NULL && how->config->jumps[0] != NULL)
    session->jump = ssh_jump_start(session, how->config->jumps);
  else
    session->dial = ssh_dial_start(session->loop, how->config->hostname, how->config->port, how->timeout_ms, on_dialled, session);
  return session;
}

static SshSession *session_open(const SshOpen *how) { return ssh_session_open_hop(how, 0); }

static void session_free_library(SshSession *session) {
  if (session->lib == NULL) return;
  if (!session->wire.ended && !session->in_kex && session->phase <= SSH_UP) {
    libssh2_session_disconnect(session->lib, "done");
    ssh_wire_flush(&session->wire);
  }
  session->wire.dead = true; /* nothing is waited for any more */
  /* Keys of an exchange that was cut off are only freed when it fails by itself (1.10). */
  if (session->in_kex) libssh2_session_handshake(session->lib, session->wire.fd);
  for (int i = 0; i < 1000 && libssh2_session_free(session->lib) == LIBSSH2_ERROR_EAGAIN; i++)
    ;
  session->lib = NULL;
}

static void session_close(SshSession *session) {
  ssh_auth_free(session->auth);
  session->auth = NULL;
  session_free_library(session);
  session->phase = SSH_CLOSED;
  session_drop_deadline(session);
  ssh_dial_cancel(session->dial);
  session->dial = NULL;
  ssh_channels_free(session);
  ssh_wire_fini(&session->wire);
  ssh_jump_free(session->jump);
  session->jump = NULL;
  session_unref(session);
}

const SshTransportOps ssh_transport_lib = {.name = "lib",
                                           .open = session_open,
                                           .close = session_close,
                                           .exec = ssh_channel_exec,
                                           .kick = ssh_channel_kick,
                                           .drop = ssh_channel_drop};
