/* ssh_bcrypt: see ssh_bcrypt.h. Blowfish (B. Schneier, 1993) with the expensive key schedule of bcrypt (N. Provos, D. Mazières,
 * 1999), and the way OpenBSD makes a key derivation of it (bcrypt_pbkdf(3)).
 *
 * Blowfish begins with the fraction of pi: it is computed once, which takes less time than one key and less room than a table. */
#include "net/ssh_bcrypt.h"

#include <openssl/bn.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

#define BCRYPT_WORDS (18 + 4 * 256)
#define BCRYPT_GUARD_BITS 64
#define BCRYPT_BYTES 32 /* of one hash */
#define BCRYPT_MOST_ROUNDS 100000

typedef struct Blowfish {
  uint32_t p[18], s[4][256];
} Blowfish;

/* ---- pi ---- */

static Blowfish bcrypt_pi;
static pthread_once_t bcrypt_pi_once = PTHREAD_ONCE_INIT;

/* sum += or -= factor * arctan(1/x), in units of `one` */
static void pi_add_arctan(BIGNUM *sum, const BIGNUM *one, unsigned factor, unsigned x, bool minus) {
  BIGNUM *power = BN_dup(one), *term = BN_new();
  BN_mul_word(power, factor);
  BN_div_word(power, x);
  for (unsigned k = 1; !BN_is_zero(power); k += 2, minus = !minus) {
    BN_copy(term, power);
    BN_div_word(term, k);
    if (minus)
      BN_sub(sum, sum, term);
    else
      BN_add(sum, sum, term);
    BN_div_word(power, (BN_ULONG)x * x);
  }
  BN_free(power);
  BN_free(term);
}

/* pi = 16 arctan(1/5) - 4 arctan(1/239) */
static void pi_compute(void) {
  static unsigned char bytes[BCRYPT_WORDS * 4];
  BIGNUM *one = BN_new(), *pi = BN_new();
  BN_set_bit(one, BCRYPT_WORDS * 32 + BCRYPT_GUARD_BITS);
  BN_zero(pi);
  pi_add_arctan(pi, one, 16, 5, false);
  pi_add_arctan(pi, one, 4, 239, true);
  BN_rshift(pi, pi, BCRYPT_GUARD_BITS);
  BN_mask_bits(pi, BCRYPT_WORDS * 32);
  BN_bn2binpad(pi, bytes, sizeof bytes);
  for (size_t i = 0; i < BCRYPT_WORDS; i++) {
    const unsigned char *b = bytes + 4 * i;
    uint32_t word = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    if (i < 18)
      bcrypt_pi.p[i] = word;
    else
      bcrypt_pi.s[(i - 18) / 256][(i - 18) % 256] = word;
  }
  BN_free(one);
  BN_free(pi);
}

/* ---- Blowfish ---- */

static uint32_t blowfish_f(const Blowfish *b, uint32_t x) {
  return ((b->s[0][x >> 24] + b->s[1][x >> 16 & 255]) ^ b->s[2][x >> 8 & 255]) + b->s[3][x & 255];
}

static void blowfish_encipher(const Blowfish *b, uint32_t half[2]) {
  uint32_t left = half[0] ^ b->p[0], right = half[1];
  for (int i = 1; i <= 16; i += 2) {
    right ^= blowfish_f(b, left) ^ b->p[i];
    left ^= blowfish_f(b, right) ^ b->p[i + 1];
  }
  half[0] = right ^ b->p[17];
  half[1] = left;
}

/* The next four of 64 bytes that are read round and round. */
static uint32_t blowfish_next(const unsigned char *bytes, unsigned *at) {
  const unsigned char *b = bytes + *at;
  *at = (*at + 4) % SHA512_DIGEST_LENGTH;
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void blowfish_fill(Blowfish *b, uint32_t *words, size_t count, const unsigned char *salt, unsigned *at, uint32_t half[2]) {
  for (size_t i = 0; i < count; i += 2) {
    if (salt != NULL) {
      half[0] ^= blowfish_next(salt, at);
      half[1] ^= blowfish_next(salt, at);
    }
    blowfish_encipher(b, half);
    words[i] = half[0];
    words[i + 1] = half[1];
  }
}

/* salt: NULL for none. */
static void blowfish_expand(Blowfish *b, const unsigned char *salt, const unsigned char *key) {
  unsigned at = 0;
  uint32_t half[2] = {0, 0};
  for (int i = 0; i < 18; i++)
    b->p[i] ^= blowfish_next(key, &at);
  at = 0;
  blowfish_fill(b, b->p, 18, salt, &at, half);
  for (int i = 0; i < 4; i++)
    blowfish_fill(b, b->s[i], 256, salt, &at, half);
}

/* ---- bcrypt ---- */

static void bcrypt_hash(const unsigned char *pass, const unsigned char *salt, unsigned char out[BCRYPT_BYTES]) {
  static const unsigned char text[] = "OxychromaticBlowfishSwatDynamite";
  Blowfish state = bcrypt_pi;
  uint32_t words[BCRYPT_BYTES / 4];
  unsigned at = 0;
  blowfish_expand(&state, salt, pass);
  for (int i = 0; i < 64; i++) {
    blowfish_expand(&state, NULL, salt);
    blowfish_expand(&state, NULL, pass);
  }
  for (size_t i = 0; i < BCRYPT_BYTES / 4; i++)
    words[i] = blowfish_next(text, &at);
  for (size_t i = 0; i < BCRYPT_BYTES / 4; i += 2)
    for (int k = 0; k < 64; k++)
      blowfish_encipher(&state, words + i);
  for (size_t i = 0; i < BCRYPT_BYTES; i++)
    out[i] = (unsigned char)(words[i / 4] >> 8 * (i % 4));
  explicit_bzero(&state, sizeof state);
  explicit_bzero(words, sizeof words);
}

/* One block of the derivation: `first` is the salt with the block's number behind it. */
static bool bcrypt_block(const unsigned char *pass, const Buf *first, unsigned rounds, unsigned char out[BCRYPT_BYTES],
                         const atomic_bool *stop) {
  unsigned char salt[SHA512_DIGEST_LENGTH], one[BCRYPT_BYTES];
  SHA512((const unsigned char *)first->data, first->len, salt);
  memset(out, 0, BCRYPT_BYTES);
  bool stopped = false;
  for (unsigned round = 0; round < rounds && !stopped; round++) {
    bcrypt_hash(pass, salt, one);
    for (size_t i = 0; i < BCRYPT_BYTES; i++)
      out[i] ^= one[i];
    SHA512(one, sizeof one, salt);
    stopped = stop != NULL && atomic_load(stop);
  }
  explicit_bzero(one, sizeof one);
  return !stopped;
}

bool ssh_bcrypt_pbkdf(const char *passphrase, const void *salt, size_t salt_len, unsigned rounds, unsigned char *key,
                      size_t key_len, const atomic_bool *stop) {
  unsigned char pass[SHA512_DIGEST_LENGTH], out[BCRYPT_BYTES];
  size_t blocks = (key_len + BCRYPT_BYTES - 1) / BCRYPT_BYTES;
  if (rounds < 1 || rounds > BCRYPT_MOST_ROUNDS || salt_len < 1 || salt_len > 1024 || key_len < 1 || key_len > 1024) return false;
  pthread_once(&bcrypt_pi_once, pi_compute);
  SHA512((const unsigned char *)passphrase, strlen(passphrase), pass);
  bool good = true;
  for (size_t block = 0; good && block < blocks; block++) {
    Buf first = {0};
    buf_add(&first, salt, salt_len);
    for (int shift = 24; shift >= 0; shift -= 8)
      buf_add_char(&first, (char)((block + 1) >> shift & 255));
    good = bcrypt_block(pass, &first, rounds, out, stop);
    /* Not one block after the other: each gives every so manieth byte. */
    for (size_t i = 0; i * blocks + block < key_len && i < BCRYPT_BYTES; i++)
      key[i * blocks + block] = out[i];
    buf_fini(&first);
  }
  explicit_bzero(pass, sizeof pass);
  explicit_bzero(out, sizeof out);
  return good;
}
