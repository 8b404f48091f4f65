/* SPDX-License-Identifier: ISC */
/* The few primitives that auth needs. crypto.c is the only file of the room
 * that knows OpenSSL. Pure; any thread. A failure that is not named here (out of memory) aborts. */
#ifndef AUTH_CRYPTO_PRIVATE_H
#define AUTH_CRYPTO_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/text.h"

#define CRYPTO_SHA256_LEN 32
#define CRYPTO_MD5_LEN    16

void crypto_sha256(const uint8_t *data, size_t len, uint8_t out[CRYPTO_SHA256_LEN]);
void
crypto_hmac_sha256(const uint8_t key[CRYPTO_SHA256_LEN], struct slice data, uint8_t out[CRYPTO_SHA256_LEN]);
/* SLOW. ITERATIONS from 1 to INT32_MAX. */
void crypto_pbkdf2_sha256(struct slice password, struct slice salt, uint32_t iterations,
                          uint8_t out[CRYPTO_SHA256_LEN]);
/* The digest of A followed by B. False when the OpenSSL in use has no MD5 (FIPS). */
bool crypto_md5(struct slice a, struct slice b, uint8_t out[CRYPTO_MD5_LEN]);
/* In time that depends on LEN only. */
bool crypto_same(const void *a, const void *b, size_t len);

void crypto_base64_add(struct text *out, const uint8_t *data, size_t len);
/* Only what crypto_base64_add() makes: padded, no white space, no spare bits. False also when OUT (CAP bytes)
 * is too small. */
bool crypto_base64_decode(struct slice in, uint8_t *out, size_t cap, size_t *len);

#endif
