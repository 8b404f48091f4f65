/* SPDX-License-Identifier: ISC */
/* SCRAM-SHA-256: secrets, keys, and the grammar and signature that both sides
 * share. No state; any thread. */
#include "scram_private.h"

#include <assert.h>

#include "base/mem.h"
#include "crypto_private.h"
#include "saslprep_private.h"

bool
scram_is_message(struct slice m, struct fault *why)
{
    if (m.len == 0)
        return fault_set(why, "08P01", "malformed SCRAM message: it is empty");
    if (m.len >= SCRAM_MAX_MESSAGE)
        return fault_set(why, "08P01", "malformed SCRAM message: %zu bytes are too many", m.len);
    if (memchr(m.data, 0, m.len) != NULL)
        return fault_set(why, "08P01", "malformed SCRAM message: it contains a NUL byte");
    return true;
}

bool
scram_take_any(struct slice *rest, char *name, struct slice *value)
{
    const uint8_t *comma;
    size_t len = rest->len;

    if (len < 2 || rest->data[1] != '=')
        return false;
    if ((rest->data[0] | 0x20) < 'a' || (rest->data[0] | 0x20) > 'z')
        return false;
    *name = (char)rest->data[0];
    comma = memchr(rest->data, ',', len);
    if (comma != NULL)
        len = (size_t)(comma - rest->data);
    *value = slice_tail(slice_head(*rest, len), 2);
    *rest = slice_tail(*rest, comma == NULL ? len : len + 1);
    return comma == NULL || rest->len > 0;
}

bool
scram_take(struct slice *rest, char name, struct slice *value)
{
    char found;

    return rest->len > 0 && rest->data[0] == (uint8_t)name && scram_take_any(rest, &found, value);
}

bool
scram_is_printable(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < 0x21 || s.data[i] > 0x7E || s.data[i] == ',')
            return false;
    return s.len > 0;
}

bool
scram_iterations(struct slice s, uint32_t high, uint32_t *out)
{
    uint64_t n = 0;

    if (s.len == 0 || s.len > 10 || s.data[0] == '0')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(s.data[i] - '0');
    }
    *out = (uint32_t)n;
    return n <= high;
}

/* Takes what stands before the next C off REST; false when there is no C. */
static bool
take_until(struct slice *rest, char c, struct slice *value)
{
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->data, c, rest->len);

    if (at == NULL)
        return false;
    *value = slice_head(*rest, (size_t)(at - rest->data));
    *rest = slice_tail(*rest, value->len + 1);
    return true;
}

static bool
decode_key(struct slice text, uint8_t key[SCRAM_KEY_LEN])
{
    size_t len;

    return crypto_base64_decode(text, key, SCRAM_KEY_LEN, &len) && len == SCRAM_KEY_LEN;
}

bool
scram_secret_parse(struct slice text, struct scram_secret *out)
{
    struct slice mechanism, iterations, salt, stored;
    size_t salt_len;

    if (!take_until(&text, '$', &mechanism) || !take_until(&text, ':', &iterations) ||
        !take_until(&text, '$', &salt) || !take_until(&text, ':', &stored))
        return false;
    if (!slice_is(mechanism, "SCRAM-SHA-256") || !scram_iterations(iterations, INT32_MAX, &out->iterations))
        return false;
    if (!crypto_base64_decode(salt, out->salt, sizeof(out->salt), &salt_len) || salt_len == 0)
        return false;
    out->salt_len = (unsigned)salt_len;
    return decode_key(stored, out->stored_key) && decode_key(text, out->server_key);
}

void
scram_secret_print(const struct scram_secret *s, struct text *out)
{
    text_printf(out, "SCRAM-SHA-256$%u:", (unsigned)s->iterations);
    crypto_base64_add(out, s->salt, s->salt_len);
    text_add_char(out, '$');
    crypto_base64_add(out, s->stored_key, SCRAM_KEY_LEN);
    text_add_char(out, ':');
    crypto_base64_add(out, s->server_key, SCRAM_KEY_LEN);
}

void
scram_keys_derive(struct slice password, const uint8_t *salt, unsigned salt_len, uint32_t iterations,
                  struct scram_keys *out)
{
    uint8_t salted[SCRAM_KEY_LEN];
    struct slice prepared = saslprep(password);

    crypto_pbkdf2_sha256(prepared, slice_of(salt, salt_len), iterations, salted);
    crypto_hmac_sha256(salted, SLICE("Client Key"), out->client_key);
    crypto_hmac_sha256(salted, SLICE("Server Key"), out->server_key);
    mem_wipe(salted, sizeof(salted));
    saslprep_done(prepared);
}

void
scram_secret_derive(struct slice password, struct slice salt, uint32_t iterations, struct scram_secret *out)
{
    struct scram_keys keys;

    assert(salt.len > 0 && salt.len <= sizeof(out->salt));
    memset(out, 0, sizeof(*out));
    out->iterations = iterations;
    out->salt_len = (unsigned)salt.len;
    memcpy(out->salt, salt.data, salt.len);
    scram_keys_derive(password, out->salt, out->salt_len, iterations, &keys);
    crypto_sha256(keys.client_key, SCRAM_KEY_LEN, out->stored_key);
    memcpy(out->server_key, keys.server_key, SCRAM_KEY_LEN);
    mem_wipe(&keys, sizeof(keys));
}

void
scram_secret_mock(const uint8_t key[32], struct slice user, struct scram_secret *out)
{
    uint8_t bytes[CRYPTO_SHA256_LEN];

    memset(out, 0, sizeof(*out));
    crypto_hmac_sha256(key, user, bytes);
    memcpy(out->salt, bytes, SCRAM_SALT_LEN);
    out->salt_len = SCRAM_SALT_LEN;
    out->iterations = SCRAM_DEFAULT_ITERATIONS;
    for (size_t i = 0; i < SCRAM_KEY_LEN; i++) { /* from the bytes that nobody ever sees, nor what they sign */
        out->stored_key[i] = bytes[SCRAM_SALT_LEN + i % (sizeof(bytes) - SCRAM_SALT_LEN)];
        out->server_key[i] = out->stored_key[i] ^ 0x5c;
    }
}
