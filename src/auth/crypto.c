/* SPDX-License-Identifier: ISC */
/* Hashes and base64 for the room; the only file here that includes OpenSSL.
 * No state; any thread. */
#include "crypto_private.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SHA256_BLOCK 64

/* OpenSSL fails here only without memory or without SHA-256: neither can be lived with. */
static void
must(bool done)
{
    if (!done)
        abort();
}

/* OpenSSL wants a pointer even for nothing. */
static const uint8_t *
bytes_of(struct slice s)
{
    return s.data == NULL ? (const uint8_t *)"" : s.data;
}

/* OpenSSL 3 looks an algorithm up by its name each time that it is not given what EVP_MD_fetch() found: that
 * costs more than the hash of a short message. */
static EVP_MD *sha256;

static void
fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(sha256 != NULL);
}

static EVP_MD_CTX *
digest_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    must(md != NULL && pthread_once(&once, fetch) == 0);
    return md;
}

/* The hash of A and B, one after the other. */
static void
digest(EVP_MD_CTX *md, struct slice a, struct slice b, uint8_t out[CRYPTO_SHA256_LEN])
{
    must(EVP_DigestInit_ex2(md, sha256, NULL) == 1 && EVP_DigestUpdate(md, bytes_of(a), a.len) == 1 &&
         EVP_DigestUpdate(md, bytes_of(b), b.len) == 1 && EVP_DigestFinal_ex(md, out, NULL) == 1);
}

void
crypto_sha256(const uint8_t *data, size_t len, uint8_t out[CRYPTO_SHA256_LEN])
{
    EVP_MD_CTX *md = digest_new();

    digest(md, slice_of(data, len), SLICE(""), out);
    EVP_MD_CTX_free(md);
}

/* RFC 2104. OpenSSL's own HMAC fetches five times for each call (above). */
void
crypto_hmac_sha256(const uint8_t key[CRYPTO_SHA256_LEN], struct slice data, uint8_t out[CRYPTO_SHA256_LEN])
{
    uint8_t pad[SHA256_BLOCK], inner[CRYPTO_SHA256_LEN];
    EVP_MD_CTX *md = digest_new();

    memset(pad, 0x36, sizeof(pad));
    for (size_t i = 0; i < CRYPTO_SHA256_LEN; i++)
        pad[i] ^= key[i];
    digest(md, slice_of(pad, sizeof(pad)), data, inner);
    for (size_t i = 0; i < SHA256_BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    digest(md, slice_of(pad, sizeof(pad)), slice_of(inner, sizeof(inner)), out);
    EVP_MD_CTX_free(md);
    OPENSSL_cleanse(pad, sizeof(pad));
    OPENSSL_cleanse(inner, sizeof(inner));
}

void
crypto_pbkdf2_sha256(struct slice password, struct slice salt, uint32_t iterations,
                     uint8_t out[CRYPTO_SHA256_LEN])
{
    assert(iterations >= 1 && iterations <= INT32_MAX);
    assert(password.len <= INT_MAX && salt.len <= INT_MAX);
    must(PKCS5_PBKDF2_HMAC((const char *)bytes_of(password), (int)password.len, bytes_of(salt), (int)salt.len,
                           (int)iterations, EVP_sha256(), CRYPTO_SHA256_LEN, out) == 1);
}

bool
crypto_md5(struct slice a, struct slice b, uint8_t out[CRYPTO_MD5_LEN])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool done;

    must(md != NULL);
    done = EVP_DigestInit_ex(md, EVP_md5(), NULL) == 1 && EVP_DigestUpdate(md, bytes_of(a), a.len) == 1 &&
           EVP_DigestUpdate(md, bytes_of(b), b.len) == 1 && EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return done;
}

bool
crypto_same(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void
crypto_base64_add(struct text *out, const uint8_t *data, size_t len)
{
    char *at;

    assert(len <= INT_MAX / 2);
    at = text_room(out, (len + 2) / 3 * 4);
    text_grew(out, (size_t)EVP_EncodeBlock((unsigned char *)at, data, (int)len));
}

static int
base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* Not EVP_DecodeBlock(): it takes white space and counts padding as data. */
bool
crypto_base64_decode(struct slice in, uint8_t *out, size_t cap, size_t *len)
{
    uint32_t bits = 0;
    unsigned n_bits = 0, pad = 0;
    size_t n = 0;

    if (in.len % 4 != 0)
        return false;
    while (pad < 2 && in.len > 0 && in.data[in.len - 1] == '=') {
        in.len--;
        pad++;
    }
    for (size_t i = 0; i < in.len; i++) {
        int digit = base64_digit(in.data[i]);

        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        if (n == cap)
            return false;
        out[n++] = (uint8_t)(bits >> n_bits);
        bits &= (1u << n_bits) - 1;
    }
    *len = n;
    return n_bits == 2 * pad && bits == 0;
}
