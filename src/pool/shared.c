/* SPDX-License-Identifier: ISC */
/* Pools as all workers see them: their counts within the limits, what was learned of their servers. Every
 * function locks, counts and unlocks. */
#include "pool/shared.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "registry_private.h"

#define POOL_PATIENCE_US (50 * CLOCK_MS)
#define SHARED_WELCOMES  64

/* Copies that no table knows. */
struct shared_welcome {
    struct params *settings, *reports;
};

struct known_pool {
    struct pool_shared pool;
    UT_hash_handle hh;
};

static void
forget_welcomes_locked(struct pool_shared *s)
{
    for (unsigned i = 0; i < s->n_welcomes; i++) {
        mem_free(s->welcomes[i].settings);
        mem_free(s->welcomes[i].reports);
    }
    mem_free(s->welcomes);
    s->welcomes = NULL;
    s->n_welcomes = 0;
}

static void
free_pool(struct known_pool *p)
{
    forget_welcomes_locked(&p->pool);
    mem_free(p->pool.slots);
    mem_free(p->pool.key);
    mem_free(p);
}

void
shared_free_all(struct registry *r)
{
    struct known_pool *p, *next;

    HASH_ITER(hh, r->shared.pools, p, next)
    {
        HASH_DEL(r->shared.pools, p);
        free_pool(p);
    }
}

static struct known_pool *
make_pool_locked(struct registry *r, struct text *key, struct slice database, struct slice user)
{
    struct known_pool *k = mem_new(struct known_pool);
    size_t size = r->n_workers * sizeof(struct pool_slot);

    k->pool.registry = r;
    k->pool.database = registry_name_locked(r, 'd', database);
    k->pool.user = registry_name_locked(r, 'u', user);
    k->pool.key_len = key->len;
    k->pool.key = text_take(key);
    k->pool.slots = aligned_alloc(64, size);
    if (k->pool.slots == NULL)
        abort();
    memset(k->pool.slots, 0, size);
    HASH_ADD_KEYPTR(hh, r->shared.pools, k->pool.key, k->pool.key_len, k);
    return k;
}

struct pool_shared *
registry_pool(struct registry *r, struct slice database, struct slice user, struct slice node)
{
    struct text key = { 0 };
    struct known_pool *k;

    text_add(&key, database);
    text_add_char(&key, '\0');
    text_add(&key, user);
    text_add_char(&key, '\0');
    text_add(&key, node);
    pthread_mutex_lock(&r->shared.lock);
    HASH_FIND(hh, r->shared.pools, key.data, key.len, k);
    if (k == NULL)
        k = make_pool_locked(r, &key, database, user);
    k->pool.refs++;
    pthread_mutex_unlock(&r->shared.lock);
    text_done(&key);
    return &k->pool;
}

void
registry_pool_hold(struct pool_shared *s)
{
    pthread_mutex_lock(&s->registry->shared.lock);
    s->refs++;
    pthread_mutex_unlock(&s->registry->shared.lock);
}

static void
rest_locked(struct pool_name *n, const struct pool_shared *s)
{
    if (atomic_load(&n->poorest) == s)
        atomic_store(&n->poorest, NULL);
}

void
registry_pool_rest(struct pool_shared *s)
{
    pthread_mutex_lock(&s->registry->shared.lock);
    rest_locked(s->database, s);
    rest_locked(s->user, s);
    pthread_mutex_unlock(&s->registry->shared.lock);
}

void
registry_pool_drop(struct pool_shared *s)
{
    struct registry *r = s->registry;
    struct known_pool *k = container_of(s, struct known_pool, pool);

    pthread_mutex_lock(&r->shared.lock);
    if (--s->refs == 0) {
        atomic_store(&s->database->poorest, NULL);
        atomic_store(&s->user->poorest, NULL);
        HASH_DEL(r->shared.pools, k);
        free_pool(k);
    }
    pthread_mutex_unlock(&r->shared.lock);
}

/* ---- limits ---- */

static enum pool_room
room_locked(const struct pool_shared *s, const struct pool_limits *limits)
{
    if (limits->pool > 0 && s->n_servers >= limits->pool)
        return POOL_FULL;
    if (limits->database > 0 && s->database->servers >= limits->database)
        return POOL_DATABASE_FULL;
    if (limits->user > 0 && s->user->servers >= limits->user)
        return POOL_USER_FULL;
    return POOL_ROOM;
}

static void
refused_locked(struct pool_name *n, struct pool_shared *s)
{
    struct pool_shared *poorest = atomic_load(&n->poorest);

    n->refused = true;
    if (poorest != NULL && atomic_load(&poorest->n_servers) <= atomic_load(&s->n_servers))
        return;
    atomic_store(&n->poor_since_us, clock_now_us());
    atomic_store(&n->poorest, s);
}

/* S has more servers than the pool that waits for one of them, and that for a while. */
static bool
owes(const struct pool_shared *s, struct pool_name *n, int64_t now_us)
{
    struct pool_shared *poorest = atomic_load_explicit(&n->poorest, memory_order_relaxed);

    return poorest != NULL && poorest != s && now_us - atomic_load(&n->poor_since_us) > POOL_PATIENCE_US &&
           atomic_load(&s->n_servers) > atomic_load(&poorest->n_servers) + 1;
}

bool
pool_must_yield(const struct pool_shared *s, int64_t now_us)
{
    return owes(s, s->database, now_us) || owes(s, s->user, now_us);
}

enum pool_room
pool_reserve(struct pool_shared *s, const struct pool_limits *limits)
{
    enum pool_room room;

    pthread_mutex_lock(&s->registry->shared.lock);
    room = room_locked(s, limits);
    if (room == POOL_ROOM) {
        s->n_servers++;
        s->database->servers++;
        s->user->servers++;
    }
    if (room == POOL_DATABASE_FULL)
        refused_locked(s->database, s);
    if (room == POOL_USER_FULL)
        refused_locked(s->user, s);
    pthread_mutex_unlock(&s->registry->shared.lock);
    return room;
}

bool
pool_unreserve(struct pool_shared *s)
{
    bool wanted;

    pthread_mutex_lock(&s->registry->shared.lock);
    s->n_servers--;
    s->database->servers--;
    s->user->servers--;
    wanted = s->database->refused || s->user->refused;
    s->database->refused = s->user->refused = false;
    atomic_store(&s->database->poorest, NULL);
    atomic_store(&s->user->poorest, NULL);
    pthread_mutex_unlock(&s->registry->shared.lock);
    return wanted;
}

unsigned
pool_count(struct pool_shared *s)
{
    return atomic_load_explicit(&s->n_servers, memory_order_relaxed);
}

/* ---- what was learned ---- */

static const struct shared_welcome *
welcome_locked(const struct pool_shared *s, const struct params *settings)
{
    for (unsigned i = 0; i < s->n_welcomes; i++)
        if (params_same(s->welcomes[i].settings, settings))
            return &s->welcomes[i];
    return NULL;
}

struct params *
shared_welcome_find(struct pool_shared *s, struct params_table *t, const struct params *settings)
{
    const struct shared_welcome *w;
    struct params *reports;

    pthread_mutex_lock(&s->registry->shared.lock);
    w = welcome_locked(s, settings);
    reports = w == NULL ? NULL : params_import(t, w->reports);
    pthread_mutex_unlock(&s->registry->shared.lock);
    return reports;
}

void
shared_welcome_add(struct pool_shared *s, const struct params *settings, const struct params *reports)
{
    pthread_mutex_lock(&s->registry->shared.lock);
    if (s->n_welcomes == SHARED_WELCOMES)
        forget_welcomes_locked(s);
    if (s->welcomes == NULL)
        s->welcomes = mem_zalloc(SHARED_WELCOMES * sizeof(*s->welcomes));
    if (welcome_locked(s, settings) == NULL)
        s->welcomes[s->n_welcomes++] = (struct shared_welcome){ params_copy(settings), params_copy(reports) };
    pthread_mutex_unlock(&s->registry->shared.lock);
}

void
shared_welcome_forget(struct pool_shared *s)
{
    pthread_mutex_lock(&s->registry->shared.lock);
    forget_welcomes_locked(s);
    pthread_mutex_unlock(&s->registry->shared.lock);
}

void
pool_set_fault(struct pool_shared *s, const struct fault *why)
{
    pthread_mutex_lock(&s->registry->shared.lock);
    if (why != NULL)
        s->last_fault = *why;
    else
        memset(&s->last_fault, 0, sizeof(s->last_fault));
    pthread_mutex_unlock(&s->registry->shared.lock);
}

void
pool_fault(struct pool_shared *s, struct fault *out)
{
    pthread_mutex_lock(&s->registry->shared.lock);
    *out = s->last_fault;
    pthread_mutex_unlock(&s->registry->shared.lock);
}

void
pool_next_epoch(struct pool_shared *s)
{
    atomic_fetch_add(&s->epoch, 1);
    atomic_fetch_add(&s->registry->generation, 1);
}
