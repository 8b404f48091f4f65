/* SPDX-License-Identifier: ISC */
/* What the pools of all workers share. Every function locks, counts and unlocks. */
#include "pool/registry.h"

#include "base/mem.h"
#include "registry_private.h"
#include "server/names.h"

struct known_secret {
    char *user;
    struct credential *credential;
    UT_hash_handle hh;
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
    struct known_secret *s, *next;

    if (r == NULL)
        return;
    names_cache_free(r->names);
    free_names(r->shared.databases);
    free_names(r->shared.users);
    shared_free_all(r);
    HASH_ITER(hh, r->shared.secrets, s, next)
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

struct pool_name *
registry_name_locked(struct registry *r, char kind, struct slice name)
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
    d = registry_name_locked(r, 'd', database);
    u = registry_name_locked(r, 'u', user);
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
    registry_name_locked(r, 'd', database)->clients--;
    registry_name_locked(r, 'u', user)->clients--;
    atomic_fetch_sub(&r->clients, 1);
    pthread_mutex_unlock(&r->shared.lock);
}

void
registry_counts(struct registry *r, char kind, struct slice name, unsigned *servers, unsigned *clients)
{
    struct pool_name *n;

    pthread_mutex_lock(&r->shared.lock);
    n = registry_name_locked(r, kind, name);
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
        flags |= registry_name_locked(r, 'd', database)->flags;
    pthread_mutex_unlock(&r->shared.lock);
    return flags;
}

bool
registry_is_news(struct registry *r, struct slice database)
{
    struct pool_name *n;
    bool news;

    pthread_mutex_lock(&r->shared.lock);
    n = registry_name_locked(r, 'd', database);
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
    flags = registry_name_locked(r, 'd', database)->flags;
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
    set_bit(database.len > 0 ? &registry_name_locked(r, 'd', database)->flags : &r->shared.all_flags, flag, on);
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
    epoch = r->shared.all_epoch + registry_name_locked(r, 'd', database)->epoch;
    pthread_mutex_unlock(&r->shared.lock);
    return epoch;
}

void
registry_next_epoch(struct registry *r, struct slice database)
{
    pthread_mutex_lock(&r->shared.lock);
    if (database.len > 0)
        registry_name_locked(r, 'd', database)->epoch++;
    else
        r->shared.all_epoch++;
    pthread_mutex_unlock(&r->shared.lock);
    atomic_fetch_add(&r->generation, 1);
}

unsigned
registry_generation(const struct registry *r)
{
    return atomic_load_explicit(&r->generation, memory_order_relaxed);
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
