/* ssh_auth: the login: keys of the agent, then key files, in the order ssh uses: the configured ones that the agent holds, the
 * agent's others (not with IdentitiesOnly), files. Never a password: there is nobody to type one for a script.
 *
 * A passphrase is asked for only when the host has said that it takes the key: the library is asked with a signature that
 * declines. What the library has no algorithm for (RSA with libssh2 1.10, certificates, FIDO) is left out; when nothing is left
 * the other transport tries. */
#include <stdlib.h>
#include <string.h>

#include "net/ssh_lib.h"

#define AUTH_ASK_MS 120000 /* for somebody to type; servers wait as long (LoginGraceTime) */

typedef enum AuthKind { AUTH_AGENT, AUTH_FILE, AUTH_PROBE, AUTH_ASK, AUTH_LIST, AUTH_NEXT } AuthKind;

typedef struct AuthKey {
  unsigned char *blob;
  size_t len;
  bool tried;
} AuthKey;

struct SshAuth {
  SshSession *session;
  SshAgent *agent;
  AuthKey *held; /* the agent's */
  size_t nheld;
  SshKeyFile *files;
  size_t nfiles;
  bool *file_done;
  AuthKind doing;
  AuthKey *key;     /* being tried */
  SshKeyFile *file; /* being tried */
  size_t round;     /* which file is looked at next: first for the agent, then by themselves */
  bool in_files, asked, accepted;
  char *passphrase;
  const char **algorithms; /* what the library can sign with; its own */
  int nalgorithms;
  Buf left_out; /* for the message: what was not even tried */
  int offered;
  Err err;
};

static void on_ready(void *arg) {
  SshAuth *auth = arg;
  ssh_session_pump_soon(auth->session);
}

/* ---- what there is ---- */

static bool auth_knows(const SshAuth *auth, const char *type) {
  /* An RSA key needs one of the newer signatures; a library that knows them for hosts knows them for users. */
  if (strcmp(type, "ssh-rsa") == 0) type = "rsa-sha2-256";
  for (int i = 0; i < auth->nalgorithms; i++)
    if (strcmp(auth->algorithms[i], type) == 0) return true;
  return false;
}

static bool auth_can(SshAuth *auth, const unsigned char *blob, size_t len) {
  char type[64];
  if (blob == NULL || !ssh_key_type(blob, len, type) || auth_knows(auth, type)) return true;
  if (strstr(buf_str(&auth->left_out), type) == NULL)
    buf_printf(&auth->left_out, "%s%s", auth->left_out.len > 0 ? ", " : "", type);
  return false;
}

SshAuth *ssh_auth_new(SshSession *session) {
  const SshConfig *config = session->how.config;
  SshAuth *auth = mem_alloc(sizeof *auth);
  auth->session = session;
  auth->nalgorithms = libssh2_session_supported_algs(session->lib, LIBSSH2_METHOD_HOSTKEY, &auth->algorithms);
  size_t count = 0;
  while (config->identity_files != NULL && config->identity_files[count] != NULL)
    count++;
  auth->files = mem_alloc((count + 1) * sizeof *auth->files);
  auth->file_done = mem_alloc(count + 1);
  for (size_t i = 0; i < count; i++)
    if (ssh_key_read(&auth->files[auth->nfiles], config->identity_files[i]))
      auth->nfiles++;
    else
      ssh_key_fini(&auth->files[auth->nfiles]);
  auth->agent = ssh_agent_open(session->loop, config->identity_agent, on_ready, auth);
  if (auth->agent != NULL) ssh_agent_ask_keys(auth->agent);
  auth->doing = auth->agent != NULL ? AUTH_LIST : AUTH_NEXT;
  return auth;
}

void ssh_auth_free(SshAuth *auth) {
  if (auth == NULL) return;
  ssh_passphrase_leave(auth);
  ssh_agent_close(auth->agent);
  for (size_t i = 0; i < auth->nheld; i++)
    free(auth->held[i].blob);
  free(auth->held);
  for (size_t i = 0; i < auth->nfiles; i++)
    ssh_key_fini(&auth->files[i]);
  free(auth->files);
  free(auth->file_done);
  if (auth->nalgorithms > 0) libssh2_free(auth->session->lib, auth->algorithms);
  buf_fini(&auth->left_out);
  err_fini(&auth->err);
  free(auth);
}

static void auth_take_list(SshAuth *auth, const unsigned char *answer, size_t len) {
  const unsigned char *blob, *comment;
  size_t blob_len, comment_len;
  if (len < 5 || answer[0] != 12) return; /* SSH_AGENT_IDENTITIES_ANSWER */
  answer += 5;
  len -= 5;
  while (ssh_wire_string(&answer, &len, &blob, &blob_len) && ssh_wire_string(&answer, &len, &comment, &comment_len)) {
    auth->held = mem_realloc(auth->held, (auth->nheld + 1) * sizeof *auth->held);
    auth->held[auth->nheld++] = (AuthKey){memcpy(mem_alloc(blob_len), blob, blob_len), blob_len, false};
  }
}

static AuthKey *auth_held(const SshAuth *auth, const SshKeyFile *file) {
  for (size_t i = 0; i < auth->nheld && file->blob != NULL; i++)
    if (auth->held[i].len == file->blob_len && memcmp(auth->held[i].blob, file->blob, file->blob_len) == 0) return &auth->held[i];
  return NULL;
}

/* ---- choosing ---- */

static bool auth_choose_held(SshAuth *auth) {
  for (size_t i = 0; i < auth->nfiles; i++) {
    AuthKey *key = auth_held(auth, &auth->files[i]);
    auth->file_done[i] = auth->file_done[i] || key != NULL;
    if (key == NULL || key->tried) continue;
    auth->key = key;
    return true;
  }
  for (size_t i = 0; i < auth->nheld && !auth->session->how.config->identities_only; i++) {
    if (auth->held[i].tried) continue;
    auth->key = &auth->held[i];
    return true;
  }
  return false;
}

static bool auth_choose(SshAuth *auth) {
  auth->asked = auth->accepted = false;
  auth->passphrase = NULL;
  while (auth_choose_held(auth)) {
    auth->key->tried = true;
    if (!auth_can(auth, auth->key->blob, auth->key->len)) continue;
    auth->doing = AUTH_AGENT;
    return true;
  }
  for (size_t i = 0; i < auth->nfiles; i++) {
    SshKeyFile *file = &auth->files[i];
    if (auth->file_done[i]) continue;
    auth->file_done[i] = true;
    if (!file->has_private || !auth_can(auth, file->blob, file->blob_len)) continue;
    auth->file = file;
    auth->doing = !file->encrypted ? AUTH_FILE : file->blob != NULL ? AUTH_PROBE : AUTH_ASK;
    return true;
  }
  return false;
}

/* ---- trying ---- */

/* The agent's signature, as soon as it is there. */
static int on_agent_sign(LIBSSH2_SESSION *lib, unsigned char **sig, size_t *sig_len, const unsigned char *data, size_t len,
                         void **abstract) {
  SshAuth *auth = *abstract;
  const unsigned char *answer, *text;
  size_t left, n;
  (void)lib;
  if (!auth->asked) {
    auth->asked = true;
    ssh_agent_ask_sign(auth->agent, auth->key->blob, auth->key->len, data, len);
    return LIBSSH2_ERROR_EAGAIN;
  }
  int rc = ssh_agent_answer(auth->agent, &answer, &left);
  if (rc == 0) return LIBSSH2_ERROR_EAGAIN;
  if (rc < 0 || left < 1 || answer[0] != 14) return -1; /* SSH_AGENT_SIGN_RESPONSE */
  answer++;
  left--;
  const unsigned char *whole;
  size_t whole_len;
  if (!ssh_wire_string(&answer, &left, &whole, &whole_len)) return -1;
  if (!ssh_wire_string(&whole, &whole_len, &text, &n)) return -1; /* the algorithm's name */
  if (!ssh_wire_string(&whole, &whole_len, &text, &n)) return -1;
  *sig = memcpy(mem_alloc(n), text, n); /* the library frees it: it uses malloc */
  *sig_len = n;
  return 0;
}

/* The host takes the key: that is all we wanted to know. */
static int on_probe_sign(LIBSSH2_SESSION *lib, unsigned char **sig, size_t *sig_len, const unsigned char *data, size_t len,
                         void **abstract) {
  SshAuth *auth = *abstract;
  (void)lib;
  (void)sig;
  (void)sig_len;
  (void)data;
  (void)len;
  auth->accepted = true;
  return -1;
}

static int on_file_sign(LIBSSH2_SESSION *lib, unsigned char **sig, size_t *sig_len, const unsigned char *data, size_t len,
                        void **abstract) {
  SshAuth *auth = *abstract;
  Buf signature = {0};
  (void)lib;
  const Buf *opened = auth->file->openable ? ssh_passphrase_key(auth->file->path) : NULL;
  bool good = opened != NULL ? ssh_sign((const unsigned char *)opened->data, opened->len, data, len, &signature)
                             : ssh_key_sign(auth->file, data, len, &signature);
  if (!good) {
    buf_fini(&signature);
    return -1;
  }
  *sig_len = signature.len;
  *sig = (unsigned char *)buf_take(&signature);
  return 0;
}

static int auth_call(SshAuth *auth) {
  SshSession *session = auth->session;
  const char *user = session->how.config->user;
  void *self = auth;
  if (auth->doing == AUTH_AGENT)
    return libssh2_userauth_publickey(session->lib, user, auth->key->blob, auth->key->len, on_agent_sign, &self);
  if (auth->doing == AUTH_PROBE)
    return libssh2_userauth_publickey(session->lib, user, auth->file->blob, auth->file->blob_len, on_probe_sign, &self);
  if (auth->file->plain || auth->file->openable)
    return libssh2_userauth_publickey(session->lib, user, auth->file->blob, auth->file->blob_len, on_file_sign, &self);
  Buf pub = {0};
  buf_printf(&pub, "%s.pub", auth->file->path);
  int rc = libssh2_userauth_publickey_fromfile_ex(session->lib, user, (unsigned)strlen(user),
                                                  auth->file->has_pub ? buf_str(&pub) : NULL, auth->file->path, auth->passphrase);
  buf_fini(&pub);
  return rc;
}

static bool auth_lost(const SshAuth *auth, int rc) {
  return auth->session->wire.ended || rc == LIBSSH2_ERROR_SOCKET_DISCONNECT || rc == LIBSSH2_ERROR_SOCKET_RECV ||
         rc == LIBSSH2_ERROR_SOCKET_SEND;
}

/* One key was tried, and is not it. */
static void auth_refused(SshAuth *auth, int rc) {
  if (auth->doing == AUTH_PROBE && auth->accepted) {
    auth->doing = AUTH_ASK;
    return;
  }
  if (auth->doing == AUTH_FILE && auth->passphrase != NULL && rc != LIBSSH2_ERROR_AUTHENTICATION_FAILED) {
    ssh_passphrase_wrong(auth->file->path);
    err_set(&auth->err, ERR_SSH_CONNECT, "the passphrase of %s is wrong", auth->file->path);
  }
  auth->offered++;
  auth->doing = AUTH_NEXT;
}

/* A passphrase is wanted. 0: somebody is being asked, or the key is being opened. */
static int auth_ask(SshAuth *auth) {
  const SshOptions *options = auth->session->how.options;
  const char *text = NULL;
  int rc = auth->file->openable ? ssh_passphrase_open(options, auth->session->loop, auth->file, on_ready, auth)
                                : ssh_passphrase_get(options, auth->file->path, &text, on_ready, auth);
  if (rc == 0) {
    if (!auth->asked) ssh_session_more_time(auth->session, AUTH_ASK_MS);
    auth->asked = true;
    return 0;
  }
  if (rc < -1) {
    err_set(&auth->err, ERR_SSH_CONNECT, rc == -2 ? "the passphrase of %s is wrong" : "the key %s cannot be opened: it is broken",
            auth->file->path);
    auth->doing = AUTH_NEXT;
    return 1;
  }
  if (rc < 0) {
    err_set(&auth->err, ERR_SSH_CONNECT, "the key %s needs a passphrase, and there is nobody to ask", auth->file->path);
    err_set_hint(&auth->err, "ssh-add '%s'", auth->file->path);
    auth->doing = AUTH_NEXT;
    return 1;
  }
  auth->passphrase = (char *)text;
  auth->doing = AUTH_FILE;
  return 1;
}

static void auth_fail(SshAuth *auth, int rc, Err *err) {
  const SshConfig *config = auth->session->how.config;
  int code;
  if (auth->err.code != ERR_NONE && !auth_lost(auth, rc)) {
    err_move(err, &auth->err);
    return;
  }
  err_set(err, ERR_SSH_CONNECT, "%s:%d: login as %s failed: ", config->hostname, config->port, config->user);
  Buf text = {0};
  buf_add_str(&text, err->message);
  if (auth_lost(auth, rc))
    buf_add_str(&text, ssh_session_reason(auth->session, &code));
  else if (auth->offered > 0)
    buf_printf(&text, "%d key%s refused", auth->offered, auth->offered == 1 ? " was" : "s were");
  else
    buf_add_str(&text, "there is no key to offer");
  if (auth->left_out.len > 0) buf_printf(&text, "; the library cannot use %s", buf_str(&auth->left_out));
  err_set(err, ERR_SSH_CONNECT, "%s", buf_str(&text));
  buf_fini(&text);
}

int ssh_auth_step(SshAuth *auth, Err *err) {
  const unsigned char *answer;
  size_t len;
  for (;;) {
    int rc = 0;
    switch (auth->doing) {
    case AUTH_LIST:
      rc = ssh_agent_answer(auth->agent, &answer, &len);
      if (rc == 0) return 0;
      if (rc > 0) auth_take_list(auth, answer, len);
      auth->doing = AUTH_NEXT;
      break;
    case AUTH_NEXT:
      if (!auth_choose(auth)) {
        auth_fail(auth, 0, err);
        return -1;
      }
      break;
    case AUTH_ASK:
      if (auth_ask(auth) == 0) return 0;
      break;
    default:
      rc = auth_call(auth);
      if (rc == LIBSSH2_ERROR_EAGAIN) return 0;
      if (rc == 0) return 1;
      if (auth_lost(auth, rc)) {
        auth_fail(auth, rc, err);
        return -1;
      }
      auth_refused(auth, rc);
    }
  }
}
