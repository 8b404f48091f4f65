/* SPDX-License-Identifier: ISC */
#include "scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define KNOWN 256

/* What PBKDF2 made of the password with a salt, as long as the program runs. */
struct salted {
    uint8_t salt[64], password[32];
    int salt_len, iterations;
};

static void
hmac(const uint8_t key[32], const void *data, size_t len, uint8_t out[32])
{
    unsigned out_len = 32;

    HMAC(EVP_sha256(), key, 32, data, len, out, &out_len);
}

static const uint8_t *
salted_password(const char *password, const uint8_t *salt, int salt_len, int iterations)
{
    static struct salted known[KNOWN];
    static unsigned n;
    struct salted *k;

    for (unsigned i = 0; i < n && i < KNOWN; i++)
        if (known[i].salt_len == salt_len && known[i].iterations == iterations &&
            memcmp(known[i].salt, salt, (size_t)salt_len) == 0)
            return known[i].password;
    k = &known[n++ % KNOWN];
    memcpy(k->salt, salt, (size_t)salt_len);
    k->salt_len = salt_len;
    k->iterations = iterations;
    PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, salt_len, iterations, EVP_sha256(), 32,
                      k->password);
    return k->password;
}

size_t
scram_first(struct scram *s, char out[SCRAM_MOST])
{
    uint8_t bytes[18];

    RAND_bytes(bytes, sizeof(bytes));
    EVP_EncodeBlock((uint8_t *)s->nonce, bytes, sizeof(bytes));
    return (size_t)snprintf(out, SCRAM_MOST, "n,,n=,r=%s", s->nonce);
}

/* Base64 of at most 64 bytes; their number, or -1. */
static int
decode_salt(const char *text, uint8_t salt[64])
{
    uint8_t bytes[160];
    size_t len = strlen(text);
    int n = EVP_DecodeBlock(bytes, (const uint8_t *)text, (int)len);

    for (; n > 0 && len > 0 && text[len - 1] == '='; len--)
        n--;
    if (n < 0 || n > 64)
        return -1;
    memcpy(salt, bytes, (size_t)n);
    return n;
}

size_t
scram_final(const struct scram *s, const char *password, const char *server_first, size_t len,
            char out[SCRAM_MOST])
{
    char first[501], nonce[300], salt_text[200], signed_text[1500], proof_text[60];
    uint8_t salt[64], client_key[32], stored_key[32], signature[32];
    const uint8_t *salted;
    int iterations, salt_len, n;

    if (len >= sizeof(first))
        return 0;
    memcpy(first, server_first, len);
    first[len] = '\0';
    if (sscanf(first, "r=%299[^,],s=%199[^,],i=%d", nonce, salt_text, &iterations) != 3 ||
        (salt_len = decode_salt(salt_text, salt)) == -1)
        return 0;
    salted = salted_password(password, salt, salt_len, iterations);
    hmac(salted, "Client Key", 10, client_key);
    EVP_Digest(client_key, 32, stored_key, NULL, EVP_sha256(), NULL);
    n = snprintf(signed_text, sizeof(signed_text), "n=,r=%s,%s,c=biws,r=%s", s->nonce, first, nonce);
    hmac(stored_key, signed_text, (size_t)n, signature);
    for (int i = 0; i < 32; i++)
        client_key[i] ^= signature[i];
    EVP_EncodeBlock((uint8_t *)proof_text, client_key, 32);
    return (size_t)snprintf(out, SCRAM_MOST, "c=biws,r=%s,p=%s", nonce, proof_text);
}
