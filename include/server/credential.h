/* SPDX-License-Identifier: ISC */
/* What pgweir knows to log in to PostgreSQL as a role: a password, an MD5
 * secret, or SCRAM keys taken from the client's own login. Counted; shared by
 * workers, hence the lock inside. Wiped when the last holder drops it. */
#ifndef SERVER_CREDENTIAL_H
#define SERVER_CREDENTIAL_H

#include "auth/scram.h"
#include "auth/secrets.h"

struct credential;

/* From a secret of any kind (password=, auth_file, auth_query); an empty one is SECRET_NONE. */
struct credential *credential_new(struct slice secret);
struct credential *credential_hold(struct credential *c);
void credential_drop(struct credential *c); /* NULL is fine */
/* Made from this very secret? */
bool credential_is(const struct credential *c, struct slice secret);
enum secret_kind credential_kind(const struct credential *c);
/* The password or the MD5 secret, as it was given. */
struct slice credential_secret(const struct credential *c);
/* A client that logged in with SCRAM showed its key: servers can be reached with it from now on. */
void credential_learn(struct credential *c, const uint8_t client_key[SCRAM_KEY_LEN]);
/* What credential_learn() was told; false: nothing. */
bool credential_client_key(struct credential *c, uint8_t client_key[SCRAM_KEY_LEN]);
/* What a client's SCRAM login is checked against. False: a plain password whose secret nobody has derived yet.
 */
bool credential_scram(struct credential *c, struct scram_secret *out);
void credential_set_scram(struct credential *c, const struct scram_secret *derived);
/* Keys for a server that asks with SALT and ITERATIONS. False: not known (yet). */
bool credential_keys(struct credential *c, const uint8_t *salt, unsigned salt_len, uint32_t iterations,
                     struct scram_keys *out);
/* Remember keys that a helper thread derived from the password. */
void credential_remember(struct credential *c, const uint8_t *salt, unsigned salt_len, uint32_t iterations,
                         const struct scram_keys *keys);

#endif
