/* SPDX-License-Identifier: ISC */
/* The addresses that names had lately. Names come from the configuration, so there are few. */
#include "server/names.h"

#include <pthread.h>
#include <strings.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/slice.h"

struct known_name {
    char *host;
    int64_t asked_us;
    bool stale;              /* what was found is not used any more */
    bool again;              /* what is being looked up may have changed meanwhile */
    struct resolve *asking;  /* NULL: nobody is */
    struct resolve *waiting; /* for what that will find; linked by job.next */
    unsigned n;
    struct net_address found[RESOLVE_MAX];
    char message[sizeof(((struct resolve *)0)->message)];
    UT_hash_handle hh;
};

struct names_cache {
    const struct resolver *by;
    _Atomic unsigned n_moves, *moved;
    struct {
        pthread_mutex_t lock;
        struct known_name *names;
        int64_t found_us, missing_us;
        unsigned n_queries, n_waiting;
    } shared;
};

struct names_cache *
names_cache_new(const struct resolver *by, _Atomic unsigned *moved)
{
    struct names_cache *c = mem_new(struct names_cache);

    c->by = by;
    c->moved = moved;
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
find_locked(const struct names_cache *c, struct slice host)
{
    struct known_name *k;

    HASH_FIND(hh, c->shared.names, host.data, host.len, k);
    return k;
}

static int64_t
left_locked(const struct names_cache *c, const struct known_name *k, int64_t now_us)
{
    int64_t left = k->asked_us + (k->n > 0 ? c->shared.found_us : c->shared.missing_us) - now_us;

    return left > 0 && !k->stale ? left : 0;
}

/* ---- asking ---- */

static struct known_name *
make_locked(struct names_cache *c, const char *host)
{
    struct known_name *k = mem_new(struct known_name);

    k->host = mem_strdup(host);
    k->stale = true;
    HASH_ADD_KEYPTR(hh, c->shared.names, k->host, strlen(k->host), k);
    return k;
}

static bool
start_locked(struct names_cache *c, struct known_name *k, struct resolve *r)
{
    if (!resolve_start(c->by, r))
        return false;
    k->asking = r;
    c->shared.n_queries++;
    return true;
}

static void
fill(struct resolve *r, const struct net_address *found, unsigned n, const char *message)
{
    r->n = n;
    memcpy(r->found, found, sizeof(r->found));
    memcpy(r->message, message, sizeof(r->message));
    for (unsigned i = 0; i < n; i++)
        net_address_set_port(&r->found[i], r->port);
}

static enum names_answer
ask_locked(struct names_cache *c, struct resolve *r, int64_t now_us)
{
    struct known_name *k = find_locked(c, slice_str(r->host));

    if (k == NULL)
        k = make_locked(c, r->host);
    if (left_locked(c, k, now_us) > 0) {
        fill(r, k->found, k->n, k->message);
        return NAMES_KNOWN;
    }
    if (k->asking == NULL)
        return start_locked(c, k, r) ? NAMES_ASKED : NAMES_NO_ROOM;
    r->job.next = NULL;
    if (k->waiting != NULL)
        r->job.next = &k->waiting->job;
    k->waiting = r;
    c->shared.n_waiting++;
    return NAMES_ASKED;
}

enum names_answer
names_cache_ask(struct names_cache *c, struct resolve *r, int64_t now_us)
{
    enum names_answer answer;

    pthread_mutex_lock(&c->shared.lock);
    answer = ask_locked(c, r, now_us);
    pthread_mutex_unlock(&c->shared.lock);
    return answer;
}

/* ---- answers ---- */

/* The ports may differ. */
static bool
same_host(const struct net_address *a, const struct net_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

static bool
is_among(const struct net_address *a, const struct net_address *found, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (same_host(a, &found[i]))
            return true;
    return false;
}

/* True: K has lost an address. When nothing is found at all, that may be the fault of the name server. */
static bool
keep(struct known_name *k, const struct resolve *r, int64_t now_us)
{
    bool moved = false;

    for (unsigned i = 0; i < k->n && r->n > 0; i++)
        moved = moved || !is_among(&k->found[i], r->found, r->n);
    k->asked_us = now_us;
    k->stale = k->again;
    k->again = false;
    k->n = r->n;
    memcpy(k->found, r->found, sizeof(k->found));
    memcpy(k->message, r->message, sizeof(k->message));
    return moved;
}

static void
pass_on_locked(struct names_cache *c, struct known_name *k, const struct resolve *r)
{
    while (k->waiting != NULL) {
        struct resolve *other = k->waiting;

        k->waiting = other->job.next == NULL ? NULL : container_of(other->job.next, struct resolve, job);
        c->shared.n_waiting--;
        fill(other, r->found, r->n, r->message);
        other->job.dropped = r->job.dropped;
        mail_post(other->job.from, &other->job.done);
    }
}

void
names_cache_take(struct names_cache *c, struct resolve *r, int64_t now_us)
{
    struct known_name *k;
    bool moved = false;

    pthread_mutex_lock(&c->shared.lock);
    k = find_locked(c, slice_str(r->host));
    if (k->asking == r) { /* it was not passed on to R */
        k->asking = NULL;
        c->shared.n_queries--;
        moved = !r->job.dropped && keep(k, r, now_us);
        pass_on_locked(c, k, r);
    }
    pthread_mutex_unlock(&c->shared.lock);
    if (!moved)
        return;
    atomic_fetch_add(&c->n_moves, 1);
    atomic_fetch_add(c->moved, 1);
}

/* ---- zones ---- */

const char *
names_zone_of(const char *host)
{
    const char *dot = strchr(host, '.');

    return dot == NULL || dot[1] == '\0' ? NULL : dot + 1;
}

struct renewal {
    struct resolve resolve;
    struct names_cache *names;
};

static void
on_renewed(struct worker *w, struct mail *m)
{
    struct renewal *r = container_of(m, struct renewal, resolve.job.done);

    names_cache_take(r->names, &r->resolve, w->now_us);
    mem_free(r);
}

static void
renew_locked(struct names_cache *c, struct known_name *k, struct worker *w)
{
    struct renewal *r;

    k->stale = true;
    k->again = k->asking != NULL;
    if (k->again)
        return;
    r = mem_new(struct renewal);
    r->names = c;
    r->resolve.port = net_address_port(&k->found[0]);
    r->resolve.job.from = w;
    r->resolve.job.done.deliver = on_renewed;
    memcpy(r->resolve.host, k->host, strlen(k->host));
    if (!start_locked(c, k, &r->resolve))
        mem_free(r);
}

void
names_cache_renew(struct names_cache *c, const char *zone, struct worker *w)
{
    pthread_mutex_lock(&c->shared.lock);
    for (struct known_name *k = c->shared.names; k != NULL; k = k->hh.next) {
        const char *its = names_zone_of(k->host);

        if (its != NULL && strcasecmp(its, zone) == 0)
            renew_locked(c, k, w);
    }
    pthread_mutex_unlock(&c->shared.lock);
}

/* ---- questions ---- */

static bool
has_locked(const struct names_cache *c, struct slice host, const struct net_address *a)
{
    const struct known_name *k = find_locked(c, host);
    char *text = slice_dup(host);
    struct net_address plain;
    bool has;

    if (net_address_numeric(&plain, text, 0))
        has = same_host(&plain, a);
    else
        has = k == NULL || k->n == 0 || is_among(a, k->found, k->n);
    mem_free(text);
    return has;
}

bool
names_cache_has(struct names_cache *c, const char *hosts, const struct net_address *a)
{
    bool has = a->len == 0 || a->any.sa_family == AF_UNIX;
    struct slice rest = slice_str(hosts);

    pthread_mutex_lock(&c->shared.lock);
    while (!has && rest.len > 0) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);
        struct slice one = slice_head(rest, comma == NULL ? rest.len : (size_t)(comma - rest.data));

        has = has_locked(c, slice_trim(one), a);
        rest = slice_tail(rest, one.len + 1);
    }
    pthread_mutex_unlock(&c->shared.lock);
    return has;
}

unsigned
names_cache_n_moves(const struct names_cache *c)
{
    return atomic_load(&c->n_moves);
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

struct names_counts
names_cache_counts(struct names_cache *c)
{
    struct names_counts n;

    pthread_mutex_lock(&c->shared.lock);
    n = (struct names_counts){ HASH_COUNT(c->shared.names), c->shared.n_queries, c->shared.n_waiting };
    pthread_mutex_unlock(&c->shared.lock);
    return n;
}
