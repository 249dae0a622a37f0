/* digest: see digest.h. */
#include "stream/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define DIGEST_CHUNK_BYTES ((size_t)1 << 18)

/* Few on purpose: what checksum files and services use. */
const char *const digest_names[] = {"sha256",     "sha512",     "sha384", "sha224", "sha3-256", "sha3-512",
                                    "blake2b512", "blake2s256", "sha1",   "md5",    NULL};

struct Digest {
  EVP_MD_CTX *ctx;
};

bool digest_known(const char *name) {
  for (size_t i = 0; digest_names[i] != NULL; i++)
    if (strcmp(digest_names[i], name) == 0) return true;
  return false;
}

size_t digest_digits(const char *name) {
  const EVP_MD *md = digest_known(name) ? EVP_get_digestbyname(name) : NULL;
  return md != NULL ? 2 * (size_t)EVP_MD_get_size(md) : 0;
}

Digest *digest_new(const char *name) {
  if (!digest_known(name)) return NULL;
  Digest *digest = mem_alloc(sizeof *digest);
  const EVP_MD *md = EVP_get_digestbyname(name);
  digest->ctx = EVP_MD_CTX_new();
  if (md != NULL && digest->ctx != NULL && EVP_DigestInit_ex(digest->ctx, md, NULL) == 1) return digest;
  digest_free(digest);
  return NULL;
}

void digest_free(Digest *digest) {
  if (digest == NULL) return;
  EVP_MD_CTX_free(digest->ctx);
  free(digest);
}

void digest_update(Digest *digest, const void *bytes, size_t len) { EVP_DigestUpdate(digest->ctx, bytes, len); }

void digest_final(Digest *digest, char hex[DIGEST_HEX_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  EVP_DigestFinal_ex(digest->ctx, raw, &len);
  for (unsigned i = 0; i < len; i++) {
    hex[2 * i] = digits[raw[i] >> 4];
    hex[2 * i + 1] = digits[raw[i] & 15];
  }
  hex[2 * len] = '\0';
}

static Digest *digest_new_or_err(const char *name, Err *err) {
  Digest *digest = digest_new(name);
  if (digest == NULL) err_set(err, ERR_USAGE, "no digest \"%s\" on this system", name);
  return digest;
}

bool digest_bytes(const char *name, const void *bytes, size_t len, char hex[DIGEST_HEX_SIZE], Err *err) {
  Digest *digest = digest_new_or_err(name, err);
  if (digest == NULL) return false;
  digest_update(digest, bytes, len);
  digest_final(digest, hex);
  digest_free(digest);
  return true;
}

static bool digest_feed_fd(Digest *digest, int fd, const atomic_bool *stop, const char *path, Err *err) {
  char *chunk = mem_alloc(DIGEST_CHUNK_BYTES);
  ssize_t len = 0;
  bool good = true;
  while (good && (len = read(fd, chunk, DIGEST_CHUNK_BYTES)) != 0) {
    if (len > 0)
      digest_update(digest, chunk, (size_t)len);
    else if (errno != EINTR)
      good = err_set_errno(err, ERR_IO, errno, "cannot read %s", path);
    if (stop != NULL && atomic_load(stop)) good = err_set(err, ERR_CANCELLED, "stopped");
  }
  free(chunk);
  return good;
}

bool digest_file(const char *name, const char *path, const atomic_bool *stop, char hex[DIGEST_HEX_SIZE], Err *err) {
  Digest *digest = digest_new_or_err(name, err);
  if (digest == NULL) return false;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* non-blocking: opening a pipe without a writer must not hang */
  bool good = fd >= 0 || err_set_errno(err, ERR_IO, errno, "cannot open %s", path);
  if (good) {
    good = digest_feed_fd(digest, fd, stop, path, err);
    close(fd);
  }
  if (good) digest_final(digest, hex);
  digest_free(digest);
  return good;
}
