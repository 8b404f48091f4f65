/* SPDX-License-Identifier: ISC */
/* The addresses that names had lately. Names come from the configuration, so there are few. */
#include "server/names.h"

#include <pthread.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/mem.h"

struct known_name {
    char *host;
    int64_t asked_us;
    unsigned n;
    struct net_address found[RESOLVE_MAX];
    char message[sizeof(((struct resolve *)0)->message)];
    UT_hash_handle hh;
};

struct names_cache {
    struct {
        pthread_mutex_t lock;
        struct known_name *names;
        int64_t found_us, missing_us;
        int queries;
    } shared;
};

struct names_cache *
names_cache_new(void)
{
    struct names_cache *c = mem_new(struct names_cache);

    pthread_mutex_init(&c->shared.lock, NULL);
    return c;
}

void
names_cache_free(struct names_cache *c)
{
    struct known_name *k, *next;

    if (c == NULL)
        return;
    HASH_ITER(hh, c->shared.names, k, next)
    {
        HASH_DEL(c->shared.names, k);
        mem_free(k->host);
        mem_free(k);
    }
    pthread_mutex_destroy(&c->shared.lock);
    mem_free(c);
}

void
names_cache_set_ttl(struct names_cache *c, int64_t found_us, int64_t missing_us)
{
    pthread_mutex_lock(&c->shared.lock);
    c->shared.found_us = found_us;
    c->shared.missing_us = missing_us;
    pthread_mutex_unlock(&c->shared.lock);
}

static struct known_name *
find_locked(const struct names_cache *c, const char *host)
{
    struct known_name *k;

    HASH_FIND_STR(c->shared.names, host, k);
    return k;
}

static int64_t
left_locked(const struct names_cache *c, const struct known_name *k, int64_t now_us)
{
    int64_t left = k->asked_us + (k->n > 0 ? c->shared.found_us : c->shared.missing_us) - now_us;

    return left > 0 ? left : 0;
}

static void
set_port(struct net_address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET)
        a->v4.sin_port = htons(port);
    else
        a->v6.sin6_port = htons(port);
}

bool
names_cache_find(struct names_cache *c, struct resolve *r, int64_t now_us)
{
    const struct known_name *k;
    bool fresh;

    pthread_mutex_lock(&c->shared.lock);
    k = find_locked(c, r->host);
    fresh = k != NULL && left_locked(c, k, now_us) > 0;
    if (fresh) {
        r->n = k->n;
        memcpy(r->found, k->found, sizeof(r->found));
        memcpy(r->message, k->message, sizeof(r->message));
    }
    pthread_mutex_unlock(&c->shared.lock);
    for (unsigned i = 0; fresh && i < r->n; i++)
        set_port(&r->found[i], r->port);
    return fresh;
}

void
names_cache_add(struct names_cache *c, const struct resolve *r, int64_t now_us)
{
    struct known_name *k;

    pthread_mutex_lock(&c->shared.lock);
    k = find_locked(c, r->host);
    if (k == NULL) {
        k = mem_new(struct known_name);
        k->host = mem_strdup(r->host);
        HASH_ADD_KEYPTR(hh, c->shared.names, k->host, strlen(k->host), k);
    }
    k->asked_us = now_us;
    k->n = r->n;
    memcpy(k->found, r->found, sizeof(k->found));
    memcpy(k->message, r->message, sizeof(k->message));
    pthread_mutex_unlock(&c->shared.lock);
}

void
names_cache_count(struct names_cache *c, int change)
{
    pthread_mutex_lock(&c->shared.lock);
    c->shared.queries += change;
    pthread_mutex_unlock(&c->shared.lock);
}

void
names_cache_each(struct names_cache *c, void (*each)(void *owner, const struct names_shown *s), void *owner)
{
    int64_t now = clock_now_us();

    pthread_mutex_lock(&c->shared.lock);
    for (const struct known_name *k = c->shared.names; k != NULL; k = k->hh.next) {
        const struct names_shown s = { k->host, left_locked(c, k, now), k->found, k->n };

        each(owner, &s);
    }
    pthread_mutex_unlock(&c->shared.lock);
}

void
names_cache_counts(struct names_cache *c, unsigned *names, unsigned *queries)
{
    pthread_mutex_lock(&c->shared.lock);
    *names = HASH_COUNT(c->shared.names);
    *queries = (unsigned)c->shared.queries;
    pthread_mutex_unlock(&c->shared.lock);
}
