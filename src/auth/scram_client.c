/* SPDX-License-Identifier: ISC */
/* SCRAM-SHA-256 with us as the client of a PostgreSQL server that may be
 * anybody until it has proved that it knows the password too. Pure; any thread. */
#include <assert.h>

#include "base/mem.h"
#include "crypto_private.h"
#include "scram_private.h"

void
scram_client_first(struct scram_client *c, const struct scram_keys *keys, const uint8_t nonce[SCRAM_NONCE_LEN],
                   struct text *out)
{
    struct text t = { 0 };

    memset(c, 0, sizeof(*c));
    if (keys != NULL)
        scram_client_set_keys(c, keys);
    crypto_base64_add(&t, nonce, SCRAM_NONCE_LEN);
    assert(t.len < sizeof(c->client_nonce));
    memcpy(c->client_nonce, t.data, t.len + 1);
    text_clear(&t);
    text_printf(&t, "n=,r=%s", c->client_nonce); /* PostgreSQL takes the user from the start-up packet */
    assert(t.len < sizeof(c->client_first_bare));
    memcpy(c->client_first_bare, t.data, t.len + 1);
    text_printf(out, "n,,%s", c->client_first_bare);
    text_done(&t);
    c->step = SCRAM_ASKED;
}

/* Ours, and something of the server's behind it. */
static bool
is_our_nonce(const struct scram_client *c, struct slice nonce)
{
    size_t ours = strlen(c->client_nonce);

    return nonce.len > ours && nonce.len < sizeof(c->server_nonce) && scram_is_printable(nonce) &&
           memcmp(nonce.data, c->client_nonce, ours) == 0;
}

bool
scram_client_challenge(struct scram_client *c, struct slice message, struct fault *why)
{
    struct slice rest = message, nonce, salt, iterations;
    size_t salt_len;

    if (c->step != SCRAM_ASKED)
        return fault_set(why, "08P01", "SCRAM messages of the server are out of order");
    c->step = SCRAM_DONE;
    if (!scram_is_message(message, why))
        return false;
    if (!scram_take(&rest, 'r', &nonce) || !scram_take(&rest, 's', &salt) ||
        !scram_take(&rest, 'i', &iterations) || rest.len > 0)
        return fault_set(why, "08P01",
                         "malformed SCRAM message of the server: nonce, salt and iterations expected");
    if (!is_our_nonce(c, nonce))
        return fault_set(why, "08P01", "invalid SCRAM message of the server: the nonce does not match");
    if (!crypto_base64_decode(salt, c->salt, sizeof(c->salt), &salt_len) || salt_len == 0)
        return fault_set(why, "08P01", "malformed SCRAM message of the server: bad salt");
    if (!scram_iterations(iterations, SCRAM_MAX_ITERATIONS, &c->iterations))
        return fault_set(why, "08P01", "invalid SCRAM message of the server: iterations must be from 1 to %d",
                         SCRAM_MAX_ITERATIONS);
    c->salt_len = (unsigned)salt_len;
    memcpy(c->server_nonce, nonce.data, nonce.len);
    c->server_nonce[nonce.len] = '\0';
    memcpy(c->server_first, message.data, message.len);
    c->server_first[message.len] = '\0';
    c->step = SCRAM_CHALLENGED;
    return true;
}

void
scram_client_set_keys(struct scram_client *c, const struct scram_keys *keys)
{
    c->keys = *keys;
    c->have_keys = true;
}

void
scram_client_final(struct scram_client *c, struct text *out)
{
    uint8_t stored_key[SCRAM_KEY_LEN], proof[SCRAM_KEY_LEN];
    struct text said = { 0 }; /* RFC 5802 AuthMessage; ours begins at START */
    size_t start;

    assert(c->step == SCRAM_CHALLENGED && c->have_keys);
    text_printf(&said, "%s,%s,", c->client_first_bare, c->server_first);
    start = said.len;
    text_printf(&said, "c=biws,r=%s", c->server_nonce); /* base64 of "n,," */
    crypto_sha256(c->keys.client_key, SCRAM_KEY_LEN, stored_key);
    crypto_hmac_sha256(stored_key, text_slice(&said), proof);
    for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
        proof[i] ^= c->keys.client_key[i];
    crypto_hmac_sha256(c->keys.server_key, text_slice(&said), c->server_signature);
    text_add(out, slice_tail(text_slice(&said), start));
    text_add_str(out, ",p=");
    crypto_base64_add(out, proof, SCRAM_KEY_LEN);
    text_done(&said);
    mem_wipe(stored_key, sizeof(stored_key));
    c->step = SCRAM_ANSWERED;
}

bool
scram_client_verify(const struct scram_client *c, struct slice message, struct fault *why)
{
    uint8_t signature[SCRAM_KEY_LEN];
    struct slice value;
    size_t len;

    if (c->step != SCRAM_ANSWERED)
        return fault_set(why, "08P01", "SCRAM messages of the server are out of order");
    if (!scram_is_message(message, why))
        return false;
    if (message.data[0] == 'e')
        return fault_set(why, "28P01", "the server refuses the SCRAM exchange");
    if (!scram_take(&message, 'v', &value) || message.len > 0 ||
        !crypto_base64_decode(value, signature, sizeof(signature), &len) || len != sizeof(signature))
        return fault_set(why, "08P01", "malformed SCRAM message of the server: bad signature");
    if (!crypto_same(signature, c->server_signature, sizeof(signature)))
        return fault_set(why, "28P01", "the server does not know the password: its SCRAM signature is wrong");
    return true;
}
