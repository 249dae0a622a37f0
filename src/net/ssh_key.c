/* ssh_key: what a key file says of itself without its passphrase. See PROTOCOL.key of OpenSSH. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "net/ssh_lib.h"

#define KEY_MOST_BYTES ((size_t)128 << 10)

bool ssh_wire_string(const unsigned char **at, size_t *left, const unsigned char **text, size_t *len) {
  if (*left < 4) return false;
  const unsigned char *b = *at;
  size_t n = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
  if (n > *left - 4) return false;
  *text = b + 4;
  *len = n;
  *at += 4 + n;
  *left -= 4 + n;
  return true;
}

bool ssh_key_type(const unsigned char *blob, size_t len, char type[64]) {
  const unsigned char *text;
  size_t n;
  if (!ssh_wire_string(&blob, &len, &text, &n) || n == 0 || n >= 64) return false;
  memcpy(type, text, n);
  type[n] = '\0';
  return true;
}

/* Base64 of len characters, blanks inside left out. NULL: it is not. */
static unsigned char *key_decode(const char *text, size_t len, size_t *out_len) {
  Buf clean = {0};
  for (size_t i = 0; i < len; i++)
    if (strchr(" \r\n\t", text[i]) == NULL) buf_add_char(&clean, text[i]);
  size_t pad = 0;
  while (pad < clean.len && pad < 2 && clean.data[clean.len - 1 - pad] == '=')
    pad++;
  unsigned char *out = mem_alloc(clean.len + 4);
  int n = clean.len > 0 ? EVP_DecodeBlock(out, (const unsigned char *)clean.data, (int)clean.len) : -1;
  if (clean.data != NULL) explicit_bzero(clean.data, clean.len);
  buf_fini(&clean);
  if (n < 0 || (size_t)n < pad) {
    free(out);
    return NULL;
  }
  *out_len = (size_t)n - pad;
  return out;
}

/* "TYPE BASE64 comment" */
static void key_read_public(SshKeyFile *key, const char *path) {
  Buf text = {0};
  Err err = {0};
  if (file_read(path, KEY_MOST_BYTES, &text, &err)) {
    const char *line = buf_str(&text);
    size_t skip = strcspn(line, " ");
    skip += strspn(line + skip, " ");
    key->blob = key_decode(line + skip, strcspn(line + skip, " \r\n"), &key->blob_len);
    char type[64];
    if (key->blob != NULL && !ssh_key_type(key->blob, key->blob_len, type)) {
      free(key->blob);
      key->blob = NULL;
    }
    key->has_pub = key->blob != NULL;
  }
  err_fini(&err);
  buf_fini(&text);
}

/* The part of OpenSSH's own format that is never encrypted: cipher, key derivation, public key. Of a plain one the private part
 * that follows, inside bytes. */
static void key_read_openssh(SshKeyFile *key, const unsigned char *bytes, size_t len, const unsigned char **rest,
                             size_t *rest_len) {
  static const char magic[] = "openssh-key-v1"; /* with its zero byte */
  const unsigned char *text;
  size_t n;
  if (len < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0) return;
  bytes += sizeof magic;
  len -= sizeof magic;
  if (!ssh_wire_string(&bytes, &len, &text, &n)) return;
  key->encrypted = n != 4 || memcmp(text, "none", 4) != 0;
  for (int i = 0; i < 2; i++) /* how the key is derived, and with what */
    if (!ssh_wire_string(&bytes, &len, &text, &n)) return;
  if (len < 4) return;
  bytes += 4; /* how many keys: one */
  len -= 4;
  if (!ssh_wire_string(&bytes, &len, &text, &n)) return;
  if (key->blob == NULL) {
    key->blob = memcpy(mem_alloc(n), text, n);
    key->blob_len = n;
  }
  key->plain = !key->encrypted && key->blob_len == n && memcmp(key->blob, text, n) == 0;
  if (!ssh_wire_string(&bytes, &len, rest, rest_len)) key->plain = false;
}

/* The decoded bytes of a file in that format, wiped by the caller. NULL: it is another. */
static unsigned char *key_decode_openssh(const char *text, size_t *len) {
  static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----", end[] = "-----END";
  const char *start = strstr(text, begin), *stop = start != NULL ? strstr(start, end) : NULL;
  if (stop == NULL) return NULL;
  return key_decode(start + sizeof begin - 1, (size_t)(stop - start) - sizeof begin + 1, len);
}

bool ssh_key_sign(const SshKeyFile *key, const void *data, size_t len, Buf *signature) {
  Buf text = {0};
  Err err = {0};
  SshKeyFile again = {0};
  size_t size = 0, rest_len = 0;
  const unsigned char *rest = NULL;
  bool good = false;
  unsigned char *bytes = file_read(key->path, KEY_MOST_BYTES, &text, &err) ? key_decode_openssh(buf_str(&text), &size) : NULL;
  if (bytes != NULL) {
    key_read_openssh(&again, bytes, size, &rest, &rest_len);
    good = again.plain && ssh_sign(rest, rest_len, data, len, signature);
    explicit_bzero(bytes, size);
  }
  free(bytes);
  if (text.data != NULL) explicit_bzero(text.data, text.len);
  buf_fini(&text);
  err_fini(&err);
  ssh_key_fini(&again);
  return good;
}

bool ssh_key_read(SshKeyFile *key, const char *path) {
  Buf text = {0}, pub = {0};
  Err err = {0};
  memset(key, 0, sizeof *key);
  key->path = mem_strdup(path);
  buf_printf(&pub, "%s.pub", path);
  key_read_public(key, buf_str(&pub));
  buf_fini(&pub);
  if (file_read(path, KEY_MOST_BYTES, &text, &err)) {
    key->has_private = strstr(buf_str(&text), "PRIVATE KEY-----") != NULL;
    key->encrypted = strstr(buf_str(&text), "ENCRYPTED") != NULL; /* the older formats */
    size_t len = 0, rest_len = 0;
    const unsigned char *rest = NULL;
    unsigned char *bytes = key_decode_openssh(buf_str(&text), &len);
    if (bytes != NULL) {
      key_read_openssh(key, bytes, len, &rest, &rest_len);
      explicit_bzero(bytes, len);
    }
    free(bytes);
    explicit_bzero(text.data, text.len);
    /* An IdentityFile may name the public key of one that the agent holds. */
    if (!key->has_private && key->blob == NULL) key_read_public(key, path);
  }
  err_fini(&err);
  buf_fini(&text);
  return key->has_private || key->blob != NULL;
}

void ssh_key_fini(SshKeyFile *key) {
  free(key->path);
  free(key->blob);
  memset(key, 0, sizeof *key);
}
