/* ssh_limits: see ssh_limits.h.
 *
 * Only what makes a difference to a command is named. Left out on purpose: GSSAPIAuthentication and HostbasedAuthentication while
 * there is a key (Debian switches GSSAPI on for every host; where the key is refused, the handle falls back anyway);
 * forwardings of ports, displays and terminals, and RemoteCommand, which commands never have; ControlPath, since the library
 * opens a session of its own. */
#include "net/ssh_limits.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "loop/proc.h"

#define LIMITS_KEY_FILE ((size_t)64 << 10)

/* An option, and the values with which it makes no difference (NULL-ended, "" for any). */
typedef struct LimitsRow {
  const char *keyword, *harmless[5];
} LimitsRow;

static const LimitsRow limits_rows[] = {
    {"bindaddress", {"none"}},
    {"bindinterface", {"none"}},
    {"forwardagent", {"no", "false"}},
    {"gssapikeyexchange", {"no", "false"}}, /* the host's key is then not looked up */
    {"knownhostscommand", {"none"}},
    {"pkcs11provider", {"none"}},
    {"proxycommand", {"none"}},
    {"pubkeyauthentication", {"yes", "true", "unbound", "host-bound"}},
    {"revokedhostkeys", {"none"}},
    {"setenv", {"none"}},
    {"verifyhostkeydns", {"no", "false", "ask"}},
};

static bool limits_row_applies(const SshConfig *config, const LimitsRow *row) {
  const char *value = ssh_config_get(config, row->keyword);
  for (const char *const *word = row->harmless; value != NULL && *word != NULL; word++)
    if (strcmp(value, *word) == 0) return false;
  return value != NULL;
}

/* ---- key files ---- */

static bool limits_has(const Buf *bytes, const char *word) {
  return memmem(buf_str(bytes), bytes->len, word, strlen(word)) != NULL;
}

/* The name of an sk key's type stands in its file: in the open in FILE.pub, in base64 in FILE itself. */
static bool limits_text_is_sk(const char *text, size_t len) {
  static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
  size_t skip = sizeof begin - 1;
  if (len <= skip || len - skip > LIMITS_KEY_FILE || strncmp(text, begin, skip) != 0) return strncmp(text, "sk-", 3) == 0;
  Buf bytes = {0};
  EVP_ENCODE_CTX *decode = EVP_ENCODE_CTX_new();
  int got = 0;
  EVP_DecodeInit(decode);
  EVP_DecodeUpdate(decode, (unsigned char *)buf_reserve(&bytes, len), &got, (const unsigned char *)text + skip,
                   (int)(len - skip)); /* what came before an error counts */
  bytes.len = got > 0 ? (size_t)got : 0;
  bool is_sk = limits_has(&bytes, "sk-ssh-ed25519@openssh.com") || limits_has(&bytes, "sk-ecdsa-sha2-nistp256@openssh.com");
  EVP_ENCODE_CTX_free(decode);
  explicit_bzero(bytes.data, bytes.len);
  buf_fini(&bytes);
  return is_sk;
}

static bool limits_file_is_sk(const char *path) {
  Buf text = {0}, name = {0};
  buf_add_str(&name, path);
  bool got = file_read(path, LIMITS_KEY_FILE, &text, NULL);
  if (!got) {
    buf_clear(&text);
    buf_add_str(&name, ".pub");
    got = file_read(buf_str(&name), LIMITS_KEY_FILE, &text, NULL);
  }
  bool is_sk = got && limits_text_is_sk(buf_str(&text), text.len);
  if (text.data != NULL) explicit_bzero(text.data, text.len);
  buf_fini(&text);
  buf_fini(&name);
  return is_sk;
}

/* Are there key files, and all of them FIDO's? */
static bool limits_only_sk(const SshConfig *config) {
  for (char **file = config->identity_files; *file != NULL; file++)
    if (!limits_file_is_sk(*file)) return false;
  return config->identity_files[0] != NULL;
}

/* A certificate that ssh would offer: a configured one, or FILE-cert.pub beside a key. */
static bool limits_certificate(const SshConfig *config) {
  for (char **file = config->certificate_files; *file != NULL; file++)
    if (access(*file, R_OK) == 0) return true;
  bool found = false;
  for (char **file = config->identity_files; *file != NULL && !found; file++) {
    Buf name = {0};
    buf_printf(&name, "%s-cert.pub", *file);
    found = access(buf_str(&name), R_OK) == 0;
    buf_fini(&name);
  }
  return found;
}

/* ---- together ---- */

static bool limits_yes(const SshConfig *config, const char *keyword) {
  const char *value = ssh_config_get(config, keyword);
  return value != NULL && (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0);
}

void ssh_limits_find(const SshConfig *config, char ***names) {
  *names = mem_alloc(sizeof **names);
  for (size_t i = 0; i < sizeof limits_rows / sizeof *limits_rows; i++)
    if (limits_row_applies(config, &limits_rows[i])) proc_list_add(names, limits_rows[i].keyword);
  if (limits_certificate(config)) proc_list_add(names, "certificatefile");
  if (limits_only_sk(config)) proc_list_add(names, "securitykeyprovider");
  const char *preferred = ssh_config_get(config, "preferredauthentications");
  if (preferred != NULL && strstr(preferred, "publickey") == NULL) proc_list_add(names, "preferredauthentications");
  if (config->identity_files[0] != NULL || config->identity_agent != NULL) return;
  if (config->gssapi) proc_list_add(names, "gssapiauthentication");
  if (limits_yes(config, "hostbasedauthentication")) proc_list_add(names, "hostbasedauthentication");
}
