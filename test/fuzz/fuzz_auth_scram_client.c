/* SPDX-License-Identifier: ISC */
/* A hostile server: two messages with a line feed between them. Without the password it is never believed, and
 * it cannot make us compute for long. */
#include <assert.h>
#include <stdlib.h>

#include "auth/scram.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size == 0 ? NULL : memchr(data, '\n', size);
    struct slice challenge = slice_of(data, cut == NULL ? size : (size_t)(cut - data));
    struct slice final = slice_tail(slice_of(data, size), challenge.len + 1);
    struct scram_keys keys;
    struct scram_client c;
    struct text out = { 0 };
    struct fault why = { 0 };

    scram_client_first(&c, NULL, (const uint8_t *)"client nonce 18 by", &out);
    assert(!scram_client_verify(&c, final, NULL));
    text_clear(&out);
    if (scram_client_challenge(&c, challenge, &why)) {
        assert(c.iterations >= 1 && c.iterations <= SCRAM_MAX_ITERATIONS);
        assert(c.salt_len >= 1 && c.salt_len <= sizeof(c.salt));
        assert(strlen(c.server_nonce) > strlen(c.client_nonce));
        scram_keys_derive(SLICE("secret"), c.salt, c.salt_len, 1, &keys);
        scram_client_set_keys(&c, &keys);
        scram_client_final(&c, &out);
        assert(out.len > 0 && out.len < SCRAM_MAX_MESSAGE);
    }
    assert(!scram_client_verify(&c, final, &why));
    assert(why.sqlstate[0] != '\0' && why.message[0] != '\0');
    text_done(&out);
    return 0;
}
