/* ssh_sign: signatures with the private part of a key file of OpenSSH's format. The library could do it, but does not free the
 * private number of an ECDSA key (1.10). Formats: PROTOCOL.key of OpenSSH, RFC 5656 (ECDSA), RFC 8709 (Ed25519). */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "net/ssh_lib.h"

typedef struct SignCurve {
  const char *type, *group;
  const EVP_MD *(*digest)(void);
} SignCurve;

static const SignCurve sign_curves[] = {
    {"ecdsa-sha2-nistp256", "P-256", EVP_sha256},
    {"ecdsa-sha2-nistp384", "P-384", EVP_sha384},
    {"ecdsa-sha2-nistp521", "P-521", EVP_sha512},
};

static const SignCurve *sign_curve(const char *type) {
  for (size_t i = 0; i < sizeof sign_curves / sizeof sign_curves[0]; i++)
    if (strcmp(type, sign_curves[i].type) == 0) return &sign_curves[i];
  return NULL;
}

bool ssh_sign_knows(const char *type) { return strcmp(type, "ssh-ed25519") == 0 || sign_curve(type) != NULL; }

static EVP_PKEY *sign_ec_key(const SignCurve *curve, const unsigned char *point, size_t point_len, const unsigned char *number,
                             size_t number_len) {
  EVP_PKEY *key = NULL;
  BIGNUM *secret = BN_secure_new();
  OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  OSSL_PARAM *params = NULL;
  if (BN_bin2bn(number, (int)number_len, secret) != NULL &&
      OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, point_len) == 1 &&
      OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, secret) == 1)
    params = OSSL_PARAM_BLD_to_param(build);
  if (params == NULL || EVP_PKEY_fromdata_init(context) != 1 || EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) != 1)
    key = NULL;
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(build);
  EVP_PKEY_CTX_free(context);
  BN_clear_free(secret);
  return key;
}

/* The private part: two equal numbers, type, and what belongs to the type. */
static EVP_PKEY *sign_load(const unsigned char *at, size_t left, char type[64]) {
  const unsigned char *text, *point, *number;
  size_t len, point_len, number_len;
  if (left < 8 || memcmp(at, at + 4, 4) != 0) return NULL;
  at += 8;
  left -= 8;
  if (!ssh_wire_string(&at, &left, &text, &len) || len == 0 || len >= 64) return NULL;
  memcpy(type, text, len);
  type[len] = '\0';
  if (strcmp(type, "ssh-ed25519") == 0) {
    bool whole = ssh_wire_string(&at, &left, &point, &point_len) && ssh_wire_string(&at, &left, &number, &number_len);
    return whole && number_len == 64 ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, number, 32) : NULL;
  }
  const SignCurve *curve = sign_curve(type);
  if (curve == NULL || !ssh_wire_string(&at, &left, &text, &len) || !ssh_wire_string(&at, &left, &point, &point_len) ||
      !ssh_wire_string(&at, &left, &number, &number_len))
    return NULL;
  return sign_ec_key(curve, point, point_len, number, number_len);
}

static void sign_add_number(Buf *to, const BIGNUM *number) {
  size_t len = (size_t)BN_num_bytes(number), pad = BN_num_bits(number) % 8 == 0 ? 1 : 0, all = len + pad;
  unsigned char head[4] = {(unsigned char)(all >> 24), (unsigned char)(all >> 16), (unsigned char)(all >> 8), (unsigned char)all};
  buf_add(to, head, 4);
  if (pad > 0) buf_add_char(to, '\0'); /* or it would be negative */
  BN_bn2bin(number, (unsigned char *)buf_reserve(to, len));
  to->len += len;
}

/* From DER to the two numbers of RFC 5656. */
static bool sign_ec_form(const unsigned char *der, size_t len, Buf *signature) {
  ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
  if (pair == NULL) return false;
  sign_add_number(signature, ECDSA_SIG_get0_r(pair));
  sign_add_number(signature, ECDSA_SIG_get0_s(pair));
  ECDSA_SIG_free(pair);
  return true;
}

bool ssh_sign(const unsigned char *private_part, size_t private_len, const void *data, size_t len, Buf *signature) {
  char type[64];
  unsigned char bytes[512];
  size_t size = sizeof bytes;
  EVP_PKEY *key = sign_load(private_part, private_len, type);
  if (key == NULL) return false;
  const SignCurve *curve = sign_curve(type);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool good = EVP_DigestSignInit(context, NULL, curve != NULL ? curve->digest() : NULL, NULL, key) == 1 &&
              EVP_DigestSign(context, bytes, &size, data, len) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  if (!good) return false;
  if (curve != NULL) return sign_ec_form(bytes, size, signature);
  buf_add(signature, bytes, size);
  return true;
}
