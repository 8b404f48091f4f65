/* SPDX-License-Identifier: ISC */
/* SCRAM-SHA-256 (RFC 5802, RFC 7677, PostgreSQL manual "SASL Authentication"),
 * both sides; message in, message out, no I/O. Every input is hostile.
 * PBKDF2 runs only in the functions marked SLOW: the client side says after the challenge whether it
 * needs keys, so that the caller can derive them on a helper thread.
 * The structs hold secrets: mem_wipe() them when done, or scram_server_done(). */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/slice.h"
#include "base/text.h"

#define SCRAM_KEY_LEN            32
#define SCRAM_NONCE_LEN          18      /* random bytes that each side adds */
#define SCRAM_SALT_LEN           16      /* what PostgreSQL makes */
#define SCRAM_DEFAULT_ITERATIONS 4096    /* PostgreSQL's too */
#define SCRAM_MAX_ITERATIONS     1000000 /* a hostile server may ask for more: refused */
#define SCRAM_MAX_MESSAGE        2048    /* messages of this length or longer are refused */

/* What a server keeps: "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>". */
struct scram_secret {
    uint32_t iterations;
    uint8_t salt[64];
    unsigned salt_len;
    uint8_t stored_key[SCRAM_KEY_LEN];
    uint8_t server_key[SCRAM_KEY_LEN];
};

bool scram_secret_parse(struct slice text, struct scram_secret *out);
/* Adds to OUT. */
void scram_secret_print(const struct scram_secret *s, struct text *out);
/* SLOW (iterations x 2 SHA-256; milliseconds): the secret of PASSWORD. SASLprep as PostgreSQL does it:
 * a password that is not valid UTF-8 or fails the profile is used as it is. SALT has 1 to 64 bytes. */
void
scram_secret_derive(struct slice password, struct slice salt, uint32_t iterations, struct scram_secret *out);
/* A stable secret that nobody can match, from a per-process KEY and the user's name:
 * unknown users see the same salt and iterations (the default) every time. Fast (no PBKDF2): about as long as
 * it takes to find a secret. Use its salt to derive the secret of a plain password: then no salt that changes
 * tells which users there are. */
void scram_secret_mock(const uint8_t key[32], struct slice user, struct scram_secret *out);

/* ---- we are the server: a client proves that it knows the password ---- */
enum scram_step { SCRAM_START, SCRAM_ASKED, SCRAM_CHALLENGED, SCRAM_ANSWERED, SCRAM_DONE };

/* Zeroed by the caller, who then sets secret and doomed; good for one exchange, then scram_server_done(). */
struct scram_server {
    struct scram_secret secret;
    bool doomed; /* mock: goes through every step and always fails at the end */
    enum scram_step step;
    uint8_t client_key[SCRAM_KEY_LEN]; /* recovered from a good proof: lets us log in to PostgreSQL as this
                                          client */
    char binding;                      /* 'n' or 'y': how the client's first message begins */
    struct text said;                  /* RFC 5802 AuthMessage, as far as it was said */
    unsigned first_at;                 /* where server-first-message begins in it */
    unsigned nonces_len;               /* of the client's nonce and ours in that */
};
void scram_server_done(struct scram_server *s);
/* INITIAL comes from SASLInitialResponse (the caller has checked its mechanism). NONCE is random (tests fix
 * it). On success server-first-message is added to OUT. Channel binding (p=) and an authzid (a=) are refused.
 * The user name inside is ignored, as in PostgreSQL: the one of the start-up packet counts. */
bool scram_server_first(struct scram_server *s, struct slice initial, const uint8_t nonce[SCRAM_NONCE_LEN],
                        struct text *out, struct fault *why);
/* MESSAGE is client-final-message. On success server-final-message is added to OUT and client_key is set.
 * False: 28P01 for a wrong proof (no text of it says why), 08P01 for bad grammar or a second try. */
bool scram_server_final(struct scram_server *s, struct slice message, struct text *out, struct fault *why);

/* ---- we are the client: log in to PostgreSQL ---- */
struct scram_keys { /* enough to log in without a password */
    uint8_t client_key[SCRAM_KEY_LEN];
    uint8_t server_key[SCRAM_KEY_LEN];
};
/* Set up by scram_client_first(); good for one exchange. */
struct scram_client {
    bool have_keys;
    enum scram_step step;
    struct scram_keys keys;
    uint32_t iterations; /* set by scram_client_challenge() */
    uint8_t salt[64];
    unsigned salt_len;
    char client_nonce[32];
    char client_first_bare[64];
    char server_first[SCRAM_MAX_MESSAGE];
    char server_nonce[512]; /* the whole nonce, ours first */
    uint8_t server_signature[SCRAM_KEY_LEN];
};
/* Start; client-first-message ("n,,n=,r=...") is added to OUT. KEYS may be NULL: then after
 * scram_client_challenge() the caller derives them with scram_keys_derive() and scram_client_set_keys(). */
void scram_client_first(struct scram_client *c, const struct scram_keys *keys,
                        const uint8_t nonce[SCRAM_NONCE_LEN], struct text *out);
/* MESSAGE is server-first-message: checks it, fills salt and iterations. Once only. */
bool scram_client_challenge(struct scram_client *c, struct slice message, struct fault *why);
void scram_client_set_keys(struct scram_client *c, const struct scram_keys *keys);
/* SLOW, as scram_secret_derive(): for a helper thread. */
void scram_keys_derive(struct slice password, const uint8_t *salt, unsigned salt_len, uint32_t iterations,
                       struct scram_keys *out);
/* After the challenge and with keys (asserted): client-final-message is added to OUT. */
void scram_client_final(struct scram_client *c, struct text *out);
/* MESSAGE is server-final-message: true when the server proved itself. Never true before scram_client_final().
 * A server that sends AuthenticationOk without this message has not proved anything. 28P01 for a wrong proof,
 * 08P01 for bad grammar. */
bool scram_client_verify(const struct scram_client *c, struct slice message, struct fault *why);

#endif
