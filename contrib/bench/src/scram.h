/* SPDX-License-Identifier: ISC */
/* The client's side of SCRAM-SHA-256, quick enough for storms: what PBKDF2 gives is kept for each salt. It
 * trusts its server: the server's signature is not checked. */
#ifndef BENCH_SCRAM_H
#define BENCH_SCRAM_H

#include <stdbool.h>
#include <stddef.h>

#define SCRAM_MOST 600 /* bytes of a message */

struct scram {
    char nonce[40];
};

/* The client-first-message into OUT; its length. */
size_t scram_first(struct scram *s, char out[SCRAM_MOST]);
/* The client-final-message that answers SERVER_FIRST; 0: that is not one. */
size_t scram_final(const struct scram *s, const char *password, const char *server_first, size_t len,
                   char out[SCRAM_MOST]);

#endif
