/* SPDX-License-Identifier: ISC */
/* What the pools of all workers share. Every function locks, counts and unlocks. */
#include "pool/registry.h"

#include <pthread.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "server/names.h"

#define POOL_PATIENCE_US (50 * CLOCK_MS)

struct pool_name {
    char *name;
    unsigned servers, clients, flags, epoch;
    bool told;                             /* registry_is_news() */
    bool refused;                          /* somebody wants a server and the limit said no */
    _Atomic(struct pool_shared *) poorest; /* of those refused: the pool with the fewest servers; NULL: none */
    _Atomic int64_t poor_since_us;
    UT_hash_handle hh;
};

/* Copies that no table knows. */
struct shared_welcome {
    struct params *settings, *reports;
};

#define SHARED_WELCOMES 64

struct known_pool {
    struct pool_shared pool;
    UT_hash_handle hh;
};

struct known_secret {
    char *user;
    struct credential *credential;
    UT_hash_handle hh;
};

struct registry {
    struct worker *const *workers;
    unsigned n_workers;
    _Atomic unsigned generation;
    struct names_cache *names;
    char apart[64]; /* what each query reads is not in the cache line that each login writes */
    _Atomic unsigned clients;
    struct {
        pthread_mutex_t lock;
        struct pool_name *databases, *users;
        struct known_pool *pools;
        struct known_secret *secrets;
        unsigned all_flags, all_epoch;
    } shared;
};

struct registry *
registry_new(struct worker *const *workers, unsigned n_workers, const struct resolver *by)
{
    struct registry *r = mem_new(struct registry);

    r->workers = workers;
    r->n_workers = n_workers;
    r->names = names_cache_new(by, &r->generation);
    pthread_mutex_init(&r->shared.lock, NULL);
    return r;
}

struct names_cache *
registry_names(const struct registry *r)
{
    return r->names;
}

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

static void
free_names(struct pool_name *table)
{
    struct pool_name *n, *next;

    HASH_ITER(hh, table, n, next)
    {
        HASH_DEL(table, n);
        mem_free(n->name);
        mem_free(n);
    }
}

void
registry_free(struct registry *r)
{
    struct known_pool *p, *p_next;
    struct known_secret *s, *s_next;

    if (r == NULL)
        return;
    names_cache_free(r->names);
    free_names(r->shared.databases);
    free_names(r->shared.users);
    HASH_ITER(hh, r->shared.pools, p, p_next)
    {
        HASH_DEL(r->shared.pools, p);
        free_pool(p);
    }
    HASH_ITER(hh, r->shared.secrets, s, s_next)
    {
        HASH_DEL(r->shared.secrets, s);
        credential_drop(s->credential);
        mem_free(s->user);
        mem_free(s);
    }
    pthread_mutex_destroy(&r->shared.lock);
    mem_free(r);
}

unsigned
registry_n_workers(const struct registry *r)
{
    return r->n_workers;
}

struct worker *
registry_worker(const struct registry *r, unsigned index)
{
    return r->workers[index];
}

/* ---- names: databases and users ---- */

static struct pool_name *
name_locked(struct registry *r, char kind, struct slice name)
{
    struct pool_name **table = kind == 'd' ? &r->shared.databases : &r->shared.users, *n;

    HASH_FIND(hh, *table, name.data, name.len, n);
    if (n == NULL) {
        n = mem_new(struct pool_name);
        n->name = slice_dup(name);
        HASH_ADD_KEYPTR(hh, *table, n->name, name.len, n);
    }
    return n;
}

unsigned
registry_clients(struct registry *r)
{
    return atomic_load(&r->clients);
}

static bool
refuse(struct fault *why, const char *limit, int64_t value, struct slice name)
{
    fault_set(why, "53300", "sorry, too many clients already");
    if (name.len > 0)
        fault_detail(why, "%s is %lld for \"%.*s\".", limit, (long long)value,
                     (int)(name.len > 63 ? 63 : name.len), (const char *)name.data);
    else
        fault_detail(why, "%s is %lld.", limit, (long long)value);
    return fault_hint(why, "Close clients that are not needed, or raise the limit.");
}

bool
registry_client_enter(struct registry *r, struct slice database, struct slice user,
                      const struct client_limits *limits, struct fault *why)
{
    struct pool_name *d, *u;
    bool ok = true;

    pthread_mutex_lock(&r->shared.lock);
    d = name_locked(r, 'd', database);
    u = name_locked(r, 'u', user);
    if (limits->all > 0 && atomic_load(&r->clients) >= limits->all)
        ok = refuse(why, "max_client_conn", limits->all, slice_of(NULL, 0));
    else if (limits->database > 0 && d->clients >= limits->database)
        ok = refuse(why, "max_db_client_connections", limits->database, database);
    else if (limits->user > 0 && u->clients >= limits->user)
        ok = refuse(why, "max_user_client_connections", limits->user, user);
    if (ok) {
        d->clients++;
        u->clients++;
        atomic_fetch_add(&r->clients, 1);
    }
    pthread_mutex_unlock(&r->shared.lock);
    return ok;
}

void
registry_client_leave(struct registry *r, struct slice database, struct slice user)
{
    pthread_mutex_lock(&r->shared.lock);
    name_locked(r, 'd', database)->clients--;
    name_locked(r, 'u', user)->clients--;
    atomic_fetch_sub(&r->clients, 1);
    pthread_mutex_unlock(&r->shared.lock);
}

void
registry_counts(struct registry *r, char kind, struct slice name, unsigned *servers, unsigned *clients)
{
    struct pool_name *n;

    pthread_mutex_lock(&r->shared.lock);
    n = name_locked(r, kind, name);
    *servers = n->servers;
    *clients = n->clients;
    pthread_mutex_unlock(&r->shared.lock);
}

unsigned
registry_flags(struct registry *r, struct slice database)
{
    unsigned flags;

    pthread_mutex_lock(&r->shared.lock);
    flags = r->shared.all_flags;
    if (database.len > 0)
        flags |= name_locked(r, 'd', database)->flags;
    pthread_mutex_unlock(&r->shared.lock);
    return flags;
}

bool
registry_is_news(struct registry *r, struct slice database)
{
    struct pool_name *n;
    bool news;

    pthread_mutex_lock(&r->shared.lock);
    n = name_locked(r, 'd', database);
    news = !n->told;
    n->told = true;
    pthread_mutex_unlock(&r->shared.lock);
    return news;
}

unsigned
registry_own_flags(struct registry *r, struct slice database)
{
    unsigned flags;

    pthread_mutex_lock(&r->shared.lock);
    flags = name_locked(r, 'd', database)->flags;
    pthread_mutex_unlock(&r->shared.lock);
    return flags;
}

static void
set_bit(unsigned *flags, unsigned bit, bool on)
{
    *flags = on ? *flags | bit : *flags & ~bit;
}

void
registry_set_flag(struct registry *r, struct slice database, enum database_flag flag, bool on)
{
    pthread_mutex_lock(&r->shared.lock);
    set_bit(database.len > 0 ? &name_locked(r, 'd', database)->flags : &r->shared.all_flags, flag, on);
    pthread_mutex_unlock(&r->shared.lock);
    atomic_fetch_add(&r->generation, 1);
}

void
registry_clear_flag(struct registry *r, enum database_flag flag)
{
    struct pool_name *n, *next;

    pthread_mutex_lock(&r->shared.lock);
    set_bit(&r->shared.all_flags, flag, false);
    HASH_ITER(hh, r->shared.databases, n, next)
    set_bit(&n->flags, flag, false);
    pthread_mutex_unlock(&r->shared.lock);
    atomic_fetch_add(&r->generation, 1);
}

unsigned
registry_epoch(struct registry *r, struct slice database)
{
    unsigned epoch;

    pthread_mutex_lock(&r->shared.lock);
    epoch = r->shared.all_epoch + name_locked(r, 'd', database)->epoch;
    pthread_mutex_unlock(&r->shared.lock);
    return epoch;
}

void
registry_next_epoch(struct registry *r, struct slice database)
{
    pthread_mutex_lock(&r->shared.lock);
    if (database.len > 0)
        name_locked(r, 'd', database)->epoch++;
    else
        r->shared.all_epoch++;
    pthread_mutex_unlock(&r->shared.lock);
    atomic_fetch_add(&r->generation, 1);
}

void
pool_next_epoch(struct pool_shared *s)
{
    atomic_fetch_add(&s->epoch, 1);
    atomic_fetch_add(&s->registry->generation, 1);
}

unsigned
registry_generation(const struct registry *r)
{
    return atomic_load_explicit(&r->generation, memory_order_relaxed);
}

/* ---- pools ---- */

static struct known_pool *
make_pool_locked(struct registry *r, struct text *key, struct slice database, struct slice user)
{
    struct known_pool *k = mem_new(struct known_pool);
    size_t size = r->n_workers * sizeof(struct pool_slot);

    k->pool.registry = r;
    k->pool.database = name_locked(r, 'd', database);
    k->pool.user = name_locked(r, 'u', user);
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

/* ---- secrets ---- */

struct credential *
registry_credential(struct registry *r, struct slice user, struct slice secret)
{
    struct credential *answer;
    struct known_secret *k;

    pthread_mutex_lock(&r->shared.lock);
    HASH_FIND(hh, r->shared.secrets, user.data, user.len, k);
    if (k == NULL) {
        k = mem_new(struct known_secret);
        k->user = slice_dup(user);
        HASH_ADD_KEYPTR(hh, r->shared.secrets, k->user, user.len, k);
    }
    if (k->credential == NULL || !credential_is(k->credential, secret)) {
        credential_drop(k->credential);
        k->credential = credential_new(secret);
    }
    answer = credential_hold(k->credential);
    pthread_mutex_unlock(&r->shared.lock);
    return answer;
}
