/* ssh_expand: see ssh_expand.h. */
#include "net/ssh_expand.h"

#include <openssl/evp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPAND_NAME 256 /* a host's, a user's, a variable's name */
#define EXPAND_PW 16384 /* what getpwuid_r wants to put its strings in */

/* A user's home: as ssh finds it, which does not ask HOME. `name` NULL: ours. */
static bool expand_user(const char *name, bool want_home, Buf *out) {
  struct passwd entry, *found = NULL;
  char *room = mem_alloc(EXPAND_PW);
  int rc =
      name != NULL ? getpwnam_r(name, &entry, room, EXPAND_PW, &found) : getpwuid_r(getuid(), &entry, room, EXPAND_PW, &found);
  bool ok = rc == 0 && found != NULL;
  if (ok) buf_add_str(out, want_home ? entry.pw_dir : entry.pw_name);
  free(room);
  return ok;
}

static void expand_hostname(bool is_short, Buf *out) {
  char name[EXPAND_NAME] = "";
  if (gethostname(name, sizeof name - 1) != 0) name[0] = '\0';
  if (is_short) name[strcspn(name, ".")] = '\0';
  buf_add_str(out, name);
}

/* %j: the last hop's host. */
static void expand_jump(const SshConfig *config, Buf *out) {
  const char *jump = ssh_config_get(config, "proxyjump");
  if (jump == NULL) return;
  const char *comma = strrchr(jump, ','), *host = comma != NULL ? comma + 1 : jump, *at = strrchr(host, '@');
  if (at != NULL) host = at + 1;
  if (*host == '[')
    buf_add(out, host + 1, strcspn(host + 1, "]"));
  else
    buf_add(out, host, strcspn(host, ":"));
}

/* %C: one name for a connection. Releases from 9.7 on also hash %j, which is empty without a ProxyJump. */
static void expand_digest(const SshConfig *config, Buf *out) {
  Buf text = {0};
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  expand_hostname(false, &text);
  buf_printf(&text, "%s%d%s", config->hostname, config->port, config->user);
  if (EVP_Digest(buf_str(&text), text.len, digest, &len, EVP_sha1(), NULL) != 1) len = 0;
  for (unsigned i = 0; i < len; i++)
    buf_printf(out, "%02x", digest[i]);
  buf_fini(&text);
}

static bool expand_token(const SshConfig *config, char token, Buf *out) {
  switch (token) {
  case 'C': expand_digest(config, out); return true;
  case 'd': return expand_user(NULL, true, out);
  case 'h': buf_add_str(out, config->hostname); return true;
  case 'i': buf_printf(out, "%lu", (unsigned long)getuid()); return true;
  case 'j': expand_jump(config, out); return true;
  case 'k': buf_add_str(out, config->host_key_alias != NULL ? config->host_key_alias : config->original); return true;
  case 'L': expand_hostname(true, out); return true;
  case 'l': expand_hostname(false, out); return true;
  case 'n': buf_add_str(out, config->original); return true;
  case 'p': buf_printf(out, "%d", config->port); return true;
  case 'r': buf_add_str(out, config->user); return true;
  case 'u': return expand_user(NULL, false, out);
  default: return false;
  }
}

/* "~", "~/…", "~user/…": what follows it; NULL when there is no such user. */
static const char *expand_tilde(const char *text, Buf *out) {
  char name[EXPAND_NAME];
  if (*text != '~') return text;
  size_t len = strcspn(++text, "/");
  if (len >= sizeof name) return NULL;
  memcpy(name, text, len);
  name[len] = '\0';
  return expand_user(len > 0 ? name : NULL, true, out) ? text + len : NULL;
}

/* "${NAME}": what follows it; NULL when it is not set or not closed. */
static const char *expand_variable(const char *text, Buf *out) {
  char name[EXPAND_NAME];
  size_t len = strcspn(text + 2, "}");
  if (len == 0 || len >= sizeof name || text[2 + len] != '}') return NULL;
  memcpy(name, text + 2, len);
  name[len] = '\0';
  const char *value = getenv(name);
  if (value == NULL) return NULL;
  buf_add_str(out, value);
  return text + 3 + len;
}

static bool expand_fail(const char *text, const char *at, Err *err) {
  return err_set(err, ERR_SSH_CONNECT, "\"%s\" of the ssh configuration cannot be expanded at \"%.20s\"", text, at);
}

bool ssh_expand(const SshConfig *config, const char *text, const char *tokens, bool is_path, Buf *out, Err *err) {
  const char *at = is_path ? expand_tilde(text, out) : text;
  if (at == NULL) return expand_fail(text, text, err);
  while (*at != '\0') {
    const char *here = at;
    if (is_path && at[0] == '$' && at[1] == '{') {
      at = expand_variable(at, out);
      if (at == NULL) return expand_fail(text, here, err);
    } else if (*at != '%') {
      buf_add_char(out, *at++);
    } else if (at[1] == '%') {
      buf_add_char(out, '%');
      at += 2;
    } else if (at[1] == '\0' || strchr(tokens, at[1]) == NULL || !expand_token(config, at[1], out)) {
      return expand_fail(text, here, err);
    } else {
      at += 2;
    }
  }
  return true;
}
