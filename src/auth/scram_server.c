/* SPDX-License-Identifier: ISC */
/* SCRAM-SHA-256 with us as the server. A doomed exchange does the same work as a
 * real one: the only question asked of "doomed" is the last. Pure; any thread. */
#include <assert.h>

#include "base/mem.h"
#include "crypto_private.h"
#include "scram_private.h"

#define NONCES_MAX 512 /* the client's nonce and ours are shorter together */
#define NONCE_TEXT (SCRAM_NONCE_LEN / 3 * 4)
#define SAID_USUAL 256 /* libpq's logins say 172 bytes */

void
scram_server_done(struct scram_server *s)
{
    text_done(&s->said);
    mem_wipe(s, sizeof(*s));
}

/* "n,," or "y,,": no channel binding, no other identity. */
static bool
take_gs2_header(struct scram_server *s, struct slice *rest, struct fault *why)
{
    uint8_t flag = rest->data[0];

    if (flag == 'p')
        return fault_set(why, "08P01", "the client asks for SCRAM channel binding, which was not offered");
    if ((flag != 'n' && flag != 'y') || rest->len < 2 || rest->data[1] != ',')
        return fault_set(why, "08P01", "malformed SCRAM message: bad channel-binding flag");
    if (rest->len > 2 && rest->data[2] == 'a')
        return fault_set(why, "0A000",
                         "the client asks for a SCRAM authorization identity, which is not supported");
    if (rest->len < 3 || rest->data[2] != ',')
        return fault_set(why, "08P01", "malformed SCRAM message: comma expected");
    s->binding = (char)flag;
    *rest = slice_tail(*rest, 3);
    return true;
}

/* client-first-message-bare; NONCE is the client's part. */
static bool
read_bare(struct slice bare, struct slice *nonce, struct fault *why)
{
    struct slice value;
    char name;

    if (bare.len > 0 && bare.data[0] == 'm')
        return fault_set(why, "0A000", "the client requires a SCRAM extension, which is not supported");
    if (!scram_take(&bare, 'n', &value) || !scram_take(&bare, 'r', nonce))
        return fault_set(why, "08P01", "malformed SCRAM message: user name and nonce expected");
    if (!scram_is_printable(*nonce))
        return fault_set(why, "08P01", "malformed SCRAM message: non-printable characters in the nonce");
    while (bare.len > 0)
        if (!scram_take_any(&bare, &name, &value))
            return fault_set(why, "08P01", "malformed SCRAM message: bad attribute");
    return true;
}

/* printf would be a twentieth of a login. */
static void
add_number(struct text *t, uint32_t n)
{
    char digits[10];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    text_add(t, slice_of(digits + at, sizeof(digits) - at));
}

static void
add_challenge(struct scram_server *s, struct slice theirs, const uint8_t ours[SCRAM_NONCE_LEN])
{
    text_add(&s->said, SLICE("r="));
    text_add(&s->said, theirs);
    crypto_base64_add(&s->said, ours, SCRAM_NONCE_LEN);
    text_add(&s->said, SLICE(",s="));
    crypto_base64_add(&s->said, s->secret.salt, s->secret.salt_len);
    text_add(&s->said, SLICE(",i="));
    add_number(&s->said, s->secret.iterations);
}

bool
scram_server_first(struct scram_server *s, struct slice initial, const uint8_t nonce[SCRAM_NONCE_LEN],
                   struct text *out, struct fault *why)
{
    struct slice theirs;

    if (s->step != SCRAM_START)
        return fault_set(why, "08P01", "SCRAM messages are out of order");
    s->step = SCRAM_DONE;
    if (!scram_is_message(initial, why) || !take_gs2_header(s, &initial, why) ||
        !read_bare(initial, &theirs, why))
        return false;
    s->nonces_len = (unsigned)theirs.len + NONCE_TEXT;
    if (s->nonces_len >= NONCES_MAX)
        return fault_set(why, "08P01", "malformed SCRAM message: a nonce of %zu bytes is too long", theirs.len);
    text_room(&s->said, SAID_USUAL);
    text_add(&s->said, initial);
    text_add_char(&s->said, ',');
    s->first_at = (unsigned)s->said.len;
    add_challenge(s, theirs, nonce);
    text_add(out, slice_tail(text_slice(&s->said), s->first_at));
    text_add_char(&s->said, ',');
    s->step = SCRAM_ASKED;
    return true;
}

static struct slice
nonces(const struct scram_server *s)
{
    return slice_head(slice_tail(text_slice(&s->said), s->first_at + 2), s->nonces_len);
}

/* c=, r=, extensions, p= at the very end. */
static bool
read_final(struct scram_server *s, struct slice message, uint8_t proof[SCRAM_KEY_LEN], struct fault *why)
{
    const char *header = s->binding == 'n' ? "biws" : "eSws"; /* base64 of "n,,", "y,,": it comes again */
    struct slice rest = message, value, before;
    size_t len;
    char name;

    if (!scram_take(&rest, 'c', &value) || !slice_is(value, header))
        return fault_set(why, "08P01", "malformed SCRAM message: unexpected channel-binding attribute");
    if (!scram_take(&rest, 'r', &value) || !slice_equal(value, nonces(s)))
        return fault_set(why, "08P01", "invalid SCRAM response: the nonce does not match");
    do {
        before = rest;
        if (!scram_take_any(&rest, &name, &value))
            return fault_set(why, "08P01", "malformed SCRAM message: the proof is missing");
    } while (name != 'p');
    if (rest.len > 0 || !crypto_base64_decode(value, proof, SCRAM_KEY_LEN, &len) || len != SCRAM_KEY_LEN)
        return fault_set(why, "08P01", "malformed SCRAM message: malformed proof");
    text_add(&s->said, slice_head(message, message.len - before.len - 1));
    return true;
}

/* Recovers the client's key from PROOF; true when it is the one whose hash we keep. */
static bool
is_proven(const struct scram_server *s, const uint8_t proof[SCRAM_KEY_LEN], uint8_t client_key[SCRAM_KEY_LEN])
{
    uint8_t signature[SCRAM_KEY_LEN], hash[SCRAM_KEY_LEN];

    crypto_hmac_sha256(s->secret.stored_key, text_slice(&s->said), signature);
    for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
        client_key[i] = proof[i] ^ signature[i];
    crypto_sha256(client_key, SCRAM_KEY_LEN, hash);
    return crypto_same(hash, s->secret.stored_key, SCRAM_KEY_LEN) && !s->doomed;
}

bool
scram_server_final(struct scram_server *s, struct slice message, struct text *out, struct fault *why)
{
    uint8_t proof[SCRAM_KEY_LEN], client_key[SCRAM_KEY_LEN], signature[SCRAM_KEY_LEN];
    bool proven;

    if (s->step != SCRAM_ASKED)
        return fault_set(why, "08P01", "SCRAM messages are out of order");
    s->step = SCRAM_DONE;
    if (!scram_is_message(message, why) || !read_final(s, message, proof, why))
        return false;
    proven = is_proven(s, proof, client_key);
    if (proven) {
        memcpy(s->client_key, client_key, SCRAM_KEY_LEN);
        crypto_hmac_sha256(s->secret.server_key, text_slice(&s->said), signature);
        text_add_str(out, "v=");
        crypto_base64_add(out, signature, SCRAM_KEY_LEN);
    }
    mem_wipe(client_key, sizeof(client_key));
    return proven || fault_set(why, "28P01", "password authentication failed");
}
