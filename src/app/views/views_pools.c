/* SPDX-License-Identifier: ISC */
/* POOLS, DATABASES, USERS, LISTS. */
#include "base/clock.h"
#include "server/names.h"
#include "views_private.h"

/* ---- POOLS: one row for each (database, user), added up over the halls ---- */

enum { /* figures of a tally, in the order of the columns */
       CL_ACTIVE,
       CL_WAITING,
       CL_ACTIVE_CANCEL,
       CL_WAITING_CANCEL,
       SV_ACTIVE,
       SV_ACTIVE_CANCEL,
       SV_BEING_CANCELED,
       SV_IDLE,
       SV_USED,
       SV_TESTED,
       SV_LOGIN,
       N_COUNTS,
       MAX_WAIT_US = N_COUNTS,
       POOL_MODE,
       PINNED,
       N_CONSOLES
};

static void
count_used(const struct pool *p, int64_t n[TALLY_FIGURES])
{
    ring_each (r, &p->used) {
        const struct server *s = container_of(r, struct server, in_pool);
        const struct session *client = s->state == SERVER_LENT ? s->session : NULL;

        n[s->state == SERVER_CLEAN ? SV_TESTED : SV_ACTIVE]++;
        n[SV_ACTIVE_CANCEL] += s->cancels;
        n[SV_BEING_CANCELED] += s->cancels > 0;
        n[CL_ACTIVE_CANCEL] += s->cancels;
        n[PINNED] += client != NULL && client->pins != 0;
    }
}

static int64_t
count_consoles(const struct hall *h)
{
    int64_t n = 0;

    ring_each (r, &h->sessions)
        n += container_of(r, struct session, in_hall)->state == SESSION_CONSOLE;
    return n;
}

void
pools_each(struct hall *h, struct task *e)
{
    e->gather.n[N_CONSOLES] += count_consoles(h);
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next) {
        int64_t *n = gather_at(&e->gather, slice_str(p->name), slice_str(p->user))->n;
        const struct ring *first = ring_first(&p->waiters);
        int64_t wait =
            first == NULL ? 0 : h->worker.now_us - container_of(first, struct pool_waiter, in_queue)->since_us;

        n[CL_ACTIVE] += p->n_sessions > p->n_waiters ? p->n_sessions - p->n_waiters : 0;
        n[CL_WAITING] += p->n_waiters;
        ring_each (r, &p->idle)
            n[view_is_used(p, container_of(r, struct server, in_pool)) ? SV_USED : SV_IDLE]++;
        n[SV_LOGIN] += p->n_connecting;
        n[MAX_WAIT_US] = wait > n[MAX_WAIT_US] ? wait : n[MAX_WAIT_US];
        n[POOL_MODE] = p->conf.mode;
        count_used(p, n);
    }
}

/* The console's own row, as PgBouncer has it. */
static void
put_console_pool(struct task *e)
{
    struct admin_table *t = &e->table;

    admin_put_str(t, "pgbouncer");
    admin_put_str(t, "pgbouncer");
    admin_put_int(t, e->gather.n[N_CONSOLES]);
    for (unsigned i = CL_WAITING; i < N_COUNTS + 2; i++)
        admin_put_int(t, 0);
    admin_put_str(t, "statement");
    admin_put_null(t);
    admin_put_int(t, 0);
    admin_row_end(t);
}

static const char *
hosts_order(const struct task *e, struct slice database)
{
    const struct conf_database *d = conf_find_database(e->hall->setup.conf, database);

    return d == NULL || strchr(d->host, ',') == NULL ? NULL : conf_word("host_order", d->load_balance_hosts);
}

void
pools_home(struct task *e)
{
    struct admin_table *t = &e->table;

    if (e->compat)
        put_console_pool(e);
    for (const struct tally *a = e->gather.first; a != NULL; a = a->next) {
        admin_put_slice(t, a->first);
        admin_put_slice(t, a->second);
        for (unsigned i = 0; i < N_COUNTS; i++)
            admin_put_int(t, a->n[i]);
        admin_put_int(t, a->n[MAX_WAIT_US] / CLOCK_S);
        admin_put_int(t, a->n[MAX_WAIT_US] % CLOCK_S);
        admin_put_str(t, view_pool_mode((int)a->n[POOL_MODE]));
        admin_put_str(t, hosts_order(e, a->first));
        admin_put_int(t, a->n[PINNED]);
        admin_row_end(t);
    }
}

/* ---- DATABASES ---- */

void
databases_each(struct hall *h, struct task *e)
{
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next)
        gather_at(&e->gather, slice_str(p->name), slice_of(NULL, 0));
}

static void
put_or_null(struct admin_table *t, const char *s)
{
    admin_put_str(t, s[0] == '\0' ? NULL : s);
}

static void
put_database(struct task *e, const struct conf_database *d, struct slice name)
{
    const struct conf_general *g = &e->hall->setup.conf->general;
    struct admin_table *t = &e->table;
    unsigned servers, clients, flags = registry_flags(e->app->registry, name);
    unsigned own = registry_own_flags(e->app->registry, name);

    registry_counts(e->app->registry, 'd', name, &servers, &clients);
    admin_put_slice(t, name);
    put_or_null(t, d->host);
    admin_put_int(t, d->port);
    admin_put_slice(t, d->dbname[0] != '\0' ? slice_str(d->dbname) : name);
    put_or_null(t, d->user);
    admin_put_int(t, view_pick(d->pool_size, g->default_pool_size));
    admin_put_int(t, view_pick(d->min_pool_size, g->min_pool_size));
    admin_put_int(t, view_pick(d->reserve_pool_size, g->reserve_pool_size));
    admin_put_int(t, view_pick(d->server_lifetime, g->server_lifetime) / CLOCK_S);
    admin_put_str(t, view_pool_mode(d->pool_mode));
    admin_put_str(t, hosts_order(e, name));
    admin_put_int(t, view_pick(d->max_db_connections, g->max_db_connections));
    admin_put_int(t, servers);
    admin_put_int(t, view_pick(d->max_db_client_connections, g->max_db_client_connections));
    admin_put_int(t, clients);
    admin_put_int(t, ((e->compat ? own : flags) & DATABASE_PAUSED) != 0);
    admin_put_int(t, (flags & DATABASE_DISABLED) != 0);
    admin_row_end(t);
}

/* The console's own row, as PgBouncer has it. */
static void
put_console(struct task *e)
{
    const char *name = e->by_pgbouncer || e->compat ? "pgbouncer" : "pgweir";
    struct admin_table *t = &e->table;

    admin_put_str(t, name);
    admin_put_null(t);
    admin_put_int(t, e->hall->setup.conf->general.listen_port);
    admin_put_str(t, name);
    admin_put_str(t, name);
    admin_put_int(t, 2);
    for (unsigned i = 0; i < 3; i++)
        admin_put_int(t, 0);
    admin_put_str(t, "statement");
    admin_put_null(t);
    for (unsigned i = 0; i < 6; i++)
        admin_put_int(t, 0);
    admin_row_end(t);
}

static bool
is_console(struct slice name)
{
    return slice_is(name, "pgbouncer") || slice_is(name, "pgweir");
}

void
databases_home(struct task *e)
{
    const struct conf *c = e->hall->setup.conf;

    for (size_t i = 0; i < c->n_databases; i++)
        if (!e->compat || strcmp(c->databases[i].name, "*") != 0) /* PgBouncer shows what it has made by it */
            put_database(e, &c->databases[i], slice_str(c->databases[i].name));
    for (const struct tally *a = e->gather.first; a != NULL; a = a->next) {
        const struct conf_database *d = conf_find_database(c, a->first);

        if (d != NULL && !slice_is(a->first, d->name) && !is_console(a->first)) /* made by the line "*" */
            put_database(e, d, a->first);
    }
    put_console(e);
}

/* ---- USERS ---- */

static void
put_size(struct task *e, int64_t size)
{
    if (size >= 0)
        admin_put_int(&e->table, size);
    else
        admin_put_str(&e->table, e->compat ? "" : NULL);
}

static void
put_user(struct task *e, struct slice name, const struct conf_user *u)
{
    const struct conf_general *g = &e->hall->setup.conf->general;
    struct admin_table *t = &e->table;
    unsigned servers, clients;

    registry_counts(e->app->registry, 'u', name, &servers, &clients);
    admin_put_slice(t, name);
    put_size(e, u == NULL ? -1 : u->pool_size);
    put_size(e, u == NULL ? -1 : u->reserve_pool_size);
    admin_put_str(t, u == NULL ? NULL : view_pool_mode(u->pool_mode));
    admin_put_int(t, view_pick(u == NULL ? -1 : u->max_user_connections, g->max_user_connections));
    admin_put_int(t, servers);
    admin_put_int(t,
                  view_pick(u == NULL ? -1 : u->max_user_client_connections, g->max_user_client_connections));
    admin_put_int(t, clients);
    admin_row_end(t);
}

void
users_home(struct task *e)
{
    const struct hall_setup *s = &e->hall->setup;

    for (size_t i = 0; i < secrets_count(s->secrets); i++) {
        struct slice name = secrets_name(s->secrets, i);

        put_user(e, name, conf_find_user(s->conf, name));
    }
    for (size_t i = 0; i < s->conf->n_users; i++) {
        const struct conf_user *u = &s->conf->users[i];

        if (secrets_find(s->secrets, slice_str(u->name)).data == NULL)
            put_user(e, slice_str(u->name), u);
    }
}

/* ---- LISTS ---- */

enum { USED_CLIENTS, LOGIN_CLIENTS, USED_SERVERS, CANCELS, CANCELS_DROPPED };

void
lists_each(struct hall *h, struct task *e)
{
    e->gather.n[USED_CLIENTS] += h->n_sessions;
    e->gather.n[LOGIN_CLIENTS] += h->n_logins;
    e->gather.n[CANCELS] += h->n_cancels;
    e->gather.n[CANCELS_DROPPED] += h->n_cancels_dropped;
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next) {
        gather_at(&e->gather, slice_str(p->name), slice_str(p->user));
        e->gather.n[USED_SERVERS] += p->n_idle + p->n_used + p->n_connecting;
    }
}

static void
put_list(struct task *e, const char *name, int64_t items)
{
    admin_put_str(&e->table, name);
    admin_put_int(&e->table, items);
    admin_row_end(&e->table);
}

static int64_t
count_users(const struct hall_setup *s)
{
    int64_t n = (int64_t)secrets_count(s->secrets);

    for (size_t i = 0; i < s->conf->n_users; i++)
        n += secrets_find(s->secrets, slice_str(s->conf->users[i].name)).data == NULL;
    return n;
}

static void
count_zone(void *owner, const struct zones_shown *z)
{
    (void)z;
    ++*(int64_t *)owner;
}

void
lists_home(struct task *e)
{
    struct names_counts names = names_cache_counts(registry_names(e->app->registry));
    int64_t pools = 0, zones = 0;

    for (const struct tally *a = e->gather.first; a != NULL; a = a->next)
        pools++;
    put_list(e, "databases", (int64_t)e->hall->setup.conf->n_databases + 1);
    put_list(e, "users", count_users(&e->hall->setup));
    put_list(e, "peers", (int64_t)e->hall->setup.conf->n_peers);
    put_list(e, "pools", pools + e->compat); /* PgBouncer's console has one */
    put_list(e, "peer_pools", (int64_t)e->hall->setup.conf->n_peers);
    put_list(e, "free_clients", 0);
    put_list(e, "used_clients", e->gather.n[USED_CLIENTS]);
    put_list(e, "login_clients", e->gather.n[LOGIN_CLIENTS]);
    put_list(e, "free_servers", 0);
    put_list(e, "used_servers", e->gather.n[USED_SERVERS]);
    zones_each(e->app->zones, count_zone, &zones);
    put_list(e, "dns_names", names.names);
    put_list(e, "dns_zones", zones);
    put_list(e, "dns_queries", names.queries);
    put_list(e, "dns_pending", names.waiting);
    if (e->compat)
        return;
    put_list(e, "cancel_requests", e->gather.n[CANCELS]);
    put_list(e, "dropped_cancel_requests", e->gather.n[CANCELS_DROPPED] + e->app->takeover.n_cancels_dropped);
}
