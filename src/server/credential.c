/* SPDX-License-Identifier: ISC */
/* What pgweir knows to log in to PostgreSQL as a role. Any thread. */
#include "server/credential.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

struct credential {
    _Atomic int refs;
    enum secret_kind kind;
    char *text; /* the secret as given */
    size_t len;
    struct scram_secret scram; /* SECRET_SCRAM */
    struct {
        pthread_mutex_t lock;
        bool have_keys;
        struct scram_keys keys;
        uint8_t salt[64]; /* what the keys of a password were derived with */
        unsigned salt_len;
        uint32_t iterations;
        bool have_derived;
        struct scram_secret derived; /* of a plain password: what its clients' logins are checked against */
    } shared;
};

struct credential *
credential_new(struct slice secret)
{
    struct credential *c = mem_new(struct credential);

    c->refs = 1;
    c->kind = secret_kind(secret);
    c->text = slice_dup(secret);
    c->len = secret.len;
    pthread_mutex_init(&c->shared.lock, NULL);
    if (c->kind == SECRET_SCRAM && !scram_secret_parse(secret, &c->scram))
        c->kind = SECRET_PLAIN;
    if (c->kind == SECRET_SCRAM) {
        c->shared.derived = c->scram;
        c->shared.have_derived = true;
    }
    return c;
}

bool
credential_scram(struct credential *c, struct scram_secret *out)
{
    bool found;

    pthread_mutex_lock(&c->shared.lock);
    found = c->shared.have_derived;
    if (found)
        *out = c->shared.derived;
    pthread_mutex_unlock(&c->shared.lock);
    return found;
}

void
credential_set_scram(struct credential *c, const struct scram_secret *derived)
{
    pthread_mutex_lock(&c->shared.lock);
    c->shared.derived = *derived;
    c->shared.have_derived = true;
    pthread_mutex_unlock(&c->shared.lock);
}

struct credential *
credential_hold(struct credential *c)
{
    if (c != NULL)
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void
credential_drop(struct credential *c)
{
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&c->shared.lock);
    mem_wipe(c->text, c->len);
    mem_free(c->text);
    mem_wipe(c, sizeof(*c));
    mem_free(c);
}

bool
credential_is(const struct credential *c, struct slice secret)
{
    return slice_equal(slice_of(c->text, c->len), secret);
}

enum secret_kind
credential_kind(const struct credential *c)
{
    return c->kind;
}

struct slice
credential_secret(const struct credential *c)
{
    return slice_of(c->text, c->len);
}

void
credential_learn(struct credential *c, const uint8_t client_key[SCRAM_KEY_LEN])
{
    pthread_mutex_lock(&c->shared.lock);
    memcpy(c->shared.keys.client_key, client_key, SCRAM_KEY_LEN);
    memcpy(c->shared.keys.server_key, c->scram.server_key, SCRAM_KEY_LEN);
    c->shared.have_keys = c->kind == SECRET_SCRAM;
    pthread_mutex_unlock(&c->shared.lock);
}

bool
credential_client_key(struct credential *c, uint8_t client_key[SCRAM_KEY_LEN])
{
    bool found;

    pthread_mutex_lock(&c->shared.lock);
    found = c->kind == SECRET_SCRAM && c->shared.have_keys;
    if (found)
        memcpy(client_key, c->shared.keys.client_key, SCRAM_KEY_LEN);
    pthread_mutex_unlock(&c->shared.lock);
    return found;
}

static bool
fits(const struct credential *c, struct slice salt, uint32_t iterations)
{
    if (c->kind == SECRET_SCRAM)
        return iterations == c->scram.iterations &&
               slice_equal(salt, slice_of(c->scram.salt, c->scram.salt_len));
    return iterations == c->shared.iterations &&
           slice_equal(salt, slice_of(c->shared.salt, c->shared.salt_len));
}

bool
credential_keys(struct credential *c, const uint8_t *salt, unsigned salt_len, uint32_t iterations,
                struct scram_keys *out)
{
    bool found;

    pthread_mutex_lock(&c->shared.lock);
    found = c->shared.have_keys && fits(c, slice_of(salt, salt_len), iterations);
    if (found)
        *out = c->shared.keys;
    pthread_mutex_unlock(&c->shared.lock);
    return found;
}

void
credential_remember(struct credential *c, const uint8_t *salt, unsigned salt_len, uint32_t iterations,
                    const struct scram_keys *keys)
{
    if (c->kind != SECRET_PLAIN || salt_len > sizeof(c->shared.salt))
        return;
    pthread_mutex_lock(&c->shared.lock);
    memcpy(c->shared.salt, salt, salt_len);
    c->shared.salt_len = salt_len;
    c->shared.iterations = iterations;
    c->shared.keys = *keys;
    c->shared.have_keys = true;
    pthread_mutex_unlock(&c->shared.lock);
}
