/* ssh_key: what a key file says of itself without its passphrase, and with it. See PROTOCOL.key of OpenSSH. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "net/ssh_bcrypt.h"
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

/* OpenSSH's own format. Only `rest`, the private part, may be encrypted. All borrowed from the file's bytes. */
typedef struct KeyPart {
  const unsigned char *text;
  size_t len;
} KeyPart;

typedef struct KeyParts {
  KeyPart cipher, derivation, options, pub, rest;
  size_t behind; /* bytes behind the private part: a cipher's tag */
} KeyParts;

static bool key_split(const unsigned char *bytes, size_t len, KeyParts *parts) {
  static const char magic[] = "openssh-key-v1"; /* with its zero byte */
  KeyPart *heads[] = {&parts->cipher, &parts->derivation, &parts->options};
  memset(parts, 0, sizeof *parts);
  if (len < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0) return false;
  bytes += sizeof magic;
  len -= sizeof magic;
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
    if (!ssh_wire_string(&bytes, &len, &heads[i]->text, &heads[i]->len)) return false;
  if (len < 4) return false;
  bytes += 4; /* how many keys: one */
  len -= 4;
  bool whole = ssh_wire_string(&bytes, &len, &parts->pub.text, &parts->pub.len) &&
               ssh_wire_string(&bytes, &len, &parts->rest.text, &parts->rest.len);
  parts->behind = len;
  return whole;
}

static bool key_part_is(const KeyPart *part, const char *text) {
  return part->len == strlen(text) && memcmp(part->text, text, part->len) == 0;
}

typedef struct KeyCipher {
  const char *name;
  const EVP_CIPHER *(*cipher)(void);
} KeyCipher;

/* Those without a tag: OpenSSH writes aes256-ctr, and has written aes256-cbc. */
static const KeyCipher *key_cipher(const KeyParts *parts) {
  static const KeyCipher known[] = {{"aes256-ctr", EVP_aes_256_ctr}, {"aes192-ctr", EVP_aes_192_ctr},
                                    {"aes128-ctr", EVP_aes_128_ctr}, {"aes256-cbc", EVP_aes_256_cbc},
                                    {"aes192-cbc", EVP_aes_192_cbc}, {"aes128-cbc", EVP_aes_128_cbc}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (key_part_is(&parts->cipher, known[i].name)) return parts->behind == 0 ? &known[i] : NULL;
  return NULL;
}

static void key_read_openssh(SshKeyFile *key, const unsigned char *bytes, size_t len, KeyParts *parts) {
  char type[64];
  if (!key_split(bytes, len, parts)) return;
  key->encrypted = !key_part_is(&parts->cipher, "none");
  if (key->blob == NULL) {
    key->blob = memcpy(mem_alloc(parts->pub.len + 1), parts->pub.text, parts->pub.len);
    key->blob_len = parts->pub.len;
  }
  bool own = key->blob_len == parts->pub.len && memcmp(key->blob, parts->pub.text, key->blob_len) == 0;
  key->plain = own && !key->encrypted;
  key->openable = own && key->encrypted && key_part_is(&parts->derivation, "bcrypt") && key_cipher(parts) != NULL &&
                  ssh_key_type(key->blob, key->blob_len, type) && ssh_sign_knows(type);
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
  size_t size = 0;
  KeyParts parts = {0};
  bool good = false;
  unsigned char *bytes = file_read(key->path, KEY_MOST_BYTES, &text, &err) ? key_decode_openssh(buf_str(&text), &size) : NULL;
  if (bytes != NULL) {
    key_read_openssh(&again, bytes, size, &parts);
    good = again.plain && ssh_sign(parts.rest.text, parts.rest.len, data, len, signature);
    explicit_bzero(bytes, size);
  }
  free(bytes);
  if (text.data != NULL) explicit_bzero(text.data, text.len);
  buf_fini(&text);
  err_fini(&err);
  ssh_key_fini(&again);
  return good;
}

/* The key of the cipher, then its first block. */
static bool key_derive(const KeyParts *parts, const EVP_CIPHER *cipher, const char *passphrase, unsigned char *key,
                       const atomic_bool *stop) {
  const unsigned char *at = parts->options.text, *salt;
  size_t left = parts->options.len, salt_len;
  size_t len = (size_t)EVP_CIPHER_get_key_length(cipher) + (size_t)EVP_CIPHER_get_iv_length(cipher);
  if (!ssh_wire_string(&at, &left, &salt, &salt_len) || left != 4) return false;
  unsigned rounds = (unsigned)at[0] << 24 | (unsigned)at[1] << 16 | (unsigned)at[2] << 8 | at[3];
  return ssh_bcrypt_pbkdf(passphrase, salt, salt_len, rounds, key, len, stop);
}

static bool key_decrypt(const KeyParts *parts, const EVP_CIPHER *cipher, const unsigned char *key, unsigned char *out) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  int done = 0;
  size_t len = parts->rest.len;
  bool good = len < KEY_MOST_BYTES && len % 16 == 0 &&
              EVP_DecryptInit_ex(context, cipher, NULL, key, key + EVP_CIPHER_get_key_length(cipher)) == 1 &&
              EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
              EVP_DecryptUpdate(context, out, &done, parts->rest.text, (int)len) == 1 && (size_t)done == len;
  EVP_CIPHER_CTX_free(context);
  return good;
}

SshKeyOpened ssh_key_open(const char *path, const char *passphrase, const atomic_bool *stop, Buf *private_part) {
  Buf text = {0};
  size_t size = 0;
  unsigned char key[EVP_MAX_KEY_LENGTH + EVP_MAX_IV_LENGTH];
  KeyParts parts;
  SshKeyOpened opened = SSH_KEY_BROKEN;
  unsigned char *bytes = file_read(path, KEY_MOST_BYTES, &text, NULL) ? key_decode_openssh(buf_str(&text), &size) : NULL;
  const KeyCipher *cipher = bytes != NULL && key_split(bytes, size, &parts) ? key_cipher(&parts) : NULL;
  if (cipher != NULL && key_derive(&parts, cipher->cipher(), passphrase, key, stop)) {
    unsigned char *out = (unsigned char *)buf_reserve(private_part, parts.rest.len + 16);
    if (key_decrypt(&parts, cipher->cipher(), key, out)) {
      /* It begins with one number, twice: what another passphrase gives does not. */
      opened = parts.rest.len >= 8 && memcmp(out, out + 4, 4) == 0 ? SSH_KEY_OPENED : SSH_KEY_WRONG;
      private_part->len = opened == SSH_KEY_OPENED ? parts.rest.len : 0;
    }
    if (opened != SSH_KEY_OPENED) explicit_bzero(out, parts.rest.len);
  }
  explicit_bzero(key, sizeof key);
  free(bytes);
  buf_fini(&text);
  return opened;
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
    size_t len = 0;
    KeyParts parts = {0};
    unsigned char *bytes = key_decode_openssh(buf_str(&text), &len);
    if (bytes != NULL) {
      key_read_openssh(key, bytes, len, &parts);
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

bool ssh_key_is_encrypted(const char *path) {
  SshKeyFile key = {0};
  bool encrypted = ssh_key_read(&key, path) && key.has_private && key.encrypted;
  ssh_key_fini(&key);
  return encrypted;
}
