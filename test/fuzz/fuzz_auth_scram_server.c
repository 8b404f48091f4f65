/* SPDX-License-Identifier: ISC */
/* A hostile client: two messages with a line feed between them. Without the password nobody gets in; with it,
 * whatever legal first message was sent, the right answer to our challenge does. */
#include <assert.h>
#include <stdlib.h>

#include "auth/scram.h"

static const uint8_t nonce[SCRAM_NONCE_LEN] = "server nonce 18 by";

/* Answers as a client that knows the password and has sent FIRST. */
static void
answer_rightly(struct scram_server *s, const struct scram_keys *keys, struct slice first,
               struct slice challenge)
{
    struct scram_client c;
    struct text out = { 0 }, proof = { 0 };
    struct slice bare = slice_tail(first, 3);
    size_t theirs = s->nonces_len - 24;

    scram_client_first(&c, keys, nonce, &out);
    text_clear(&out);
    if (theirs >= sizeof(c.client_nonce) || bare.len >= sizeof(c.client_first_bare)) {
        text_done(&out);
        return;
    }
    memset(c.client_nonce, 0, sizeof(c.client_nonce));
    memcpy(c.client_nonce, challenge.data + 2, theirs);
    memset(c.client_first_bare, 0, sizeof(c.client_first_bare));
    memcpy(c.client_first_bare, bare.data, bare.len);
    assert(scram_client_challenge(&c, challenge, NULL));
    scram_client_final(&c, &out);
    s->binding = 'n';
    assert(scram_server_final(s, text_slice(&out), &proof, NULL));
    assert(memcmp(s->client_key, keys->client_key, SCRAM_KEY_LEN) == 0);
    assert(scram_client_verify(&c, text_slice(&proof), NULL));
    text_done(&proof);
    text_done(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size == 0 ? NULL : memchr(data, '\n', size);
    struct slice first = slice_of(data, cut == NULL ? size : (size_t)(cut - data));
    struct slice final = slice_tail(slice_of(data, size), first.len + 1);
    struct scram_server s = { 0 }, good = { 0 };
    struct scram_keys keys;
    struct text challenge = { 0 }, out = { 0 };
    struct fault why = { 0 };

    scram_secret_derive(SLICE("secret"), SLICE("salt"), 1, &s.secret);
    scram_keys_derive(SLICE("secret"), s.secret.salt, s.secret.salt_len, 1, &keys);
    if (scram_server_first(&s, first, nonce, &challenge, &why)) {
        assert(challenge.len < SCRAM_MAX_MESSAGE);
        good.secret = s.secret;
        assert(scram_server_first(&good, first, nonce, &out, NULL));
        answer_rightly(&good, &keys, first, text_slice(&challenge));
        text_clear(&out);
    } else {
        assert(challenge.len == 0 && why.sqlstate[0] != '\0');
    }
    assert(!scram_server_final(&s, final, &out, &why));
    assert(out.len == 0 && why.sqlstate[0] != '\0');
    assert(!scram_server_final(&s, final, &out, &why));
    text_done(&challenge);
    text_done(&out);
    scram_server_done(&good);
    scram_server_done(&s);
    return 0;
}
