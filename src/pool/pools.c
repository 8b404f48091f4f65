/* SPDX-License-Identifier: ISC */
/* The pools of one worker: finding, making, configuring and ending them. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pool_private.h"
#include "server/names.h"

#define DEFER_S 45 /* what "on" means in PgBouncer */

void
pools_init(struct pools *p, struct net_turn *t, struct registry *r, struct helper *h)
{
    p->turn = t;
    p->registry = r;
    p->helper = h;
    p->sets = params_table_new();
    ring_init(&p->cancels);
    timer_init(&p->janitor, pool_janitor);
    timer_init(&p->window, pool_window);
}

struct pool_database *
pools_database(struct pools *p, struct slice name)
{
    struct pool_database *d;

    for (d = p->databases; d != NULL; d = d->next)
        if (slice_is(name, d->name))
            return d;
    d = mem_new(struct pool_database);
    d->name = slice_dup(name);
    d->next = p->databases;
    p->databases = d;
    return d;
}

/* ---- what the configuration says ---- */

static int64_t
pick(int64_t first, int64_t second, int64_t otherwise)
{
    return first >= 0 ? first : second >= 0 ? second : otherwise;
}

static void
resolve_conf(struct pool *p, const struct conf_database *d, const struct conf_user *u)
{
    static const struct conf_user none = { .pool_size = -1,
                                           .reserve_pool_size = -1,
                                           .pool_mode = -1,
                                           .max_user_connections = -1,
                                           .query_wait_timeout = -1 };
    const struct conf_general *g = &p->pools->conf->general;

    if (u == NULL)
        u = &none;
    p->conf = (struct pool_conf){
        .mode = (int)pick(u->pool_mode, d->pool_mode, g->pool_mode),
        .on_session_state = (int)pick(d->on_session_state, -1, g->on_session_state),
        .limits = { .pool = pick(u->pool_size, d->pool_size, g->default_pool_size),
                    .database = pick(d->max_db_connections, -1, g->max_db_connections),
                    .user = pick(u->max_user_connections, -1, g->max_user_connections) },
        .min_size = pick(d->min_pool_size, -1, g->min_pool_size),
        .reserve_size = pick(u->reserve_pool_size, d->reserve_pool_size, g->reserve_pool_size),
        .lifetime_us = pick(d->server_lifetime, -1, g->server_lifetime),
        .query_wait_us = pick(u->query_wait_timeout, d->query_wait_timeout, g->query_wait_timeout),
    };
}

static struct params *
startup_params(const struct pool *p, const struct conf_database *d)
{
    const struct {
        const char *name, *value;
    } all[] = { { "client_encoding", d->client_encoding },
                { "datestyle", d->datestyle },
                { "timezone", d->timezone },
                { "application_name", d->application_name } };
    struct params *set = params_empty(p->pools->sets);

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].value[0] != '\0')
            set = params_with(set, slice_str(all[i].name), slice_str(all[i].value));
    return set;
}

static bool
same(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

static void
replace(char **text, const char *value)
{
    mem_free(*text);
    *text = mem_strdup(value);
}

/* The password of the line, else the secret of that user, else what the client proved. */
static struct credential *
find_credential(const struct pool *p, const struct conf_database *d, struct credential *client)
{
    struct slice user = slice_str(p->user), secret;

    if (d->password[0] != '\0')
        return registry_credential(p->pools->registry, user, slice_str(d->password));
    secret = secrets_find(p->pools->secrets, user);
    if (secret.data != NULL)
        return registry_credential(p->pools->registry, user, secret);
    if (client != NULL && !p->forced_user)
        return credential_hold(client);
    return p->target.credential != NULL ? credential_hold(p->target.credential)
                                        : credential_new(slice_of("", 0));
}

/* A node of P's that the configuration does not name any more keeps its address: nothing is sent there. */
static const struct conf_node *
node_of(const struct pool *p)
{
    return p->node == NULL ? NULL : conf_find_node(p->pools->conf, slice_str(p->node));
}

static const char *
host_of(const struct pool *p, const struct conf_database *d, uint16_t *port)
{
    const struct conf_node *n = node_of(p);

    *port = (uint16_t)(n != NULL ? n->port : p->node != NULL ? p->target.port : d->port);
    if (n != NULL)
        return n->host;
    if (p->node != NULL && p->target.host != NULL)
        return p->target.host;
    return d->host[0] != '\0' ? d->host : "/var/run/postgresql";
}

static bool
set_target(struct pool *p, const struct conf_database *d)
{
    struct server_target *t = &p->target;
    const char *database = d->dbname[0] != '\0' ? d->dbname : p->name;
    uint16_t port;
    char *host = mem_strdup(host_of(p, d, &port));
    struct params *startup = startup_params(p, d);
    bool is_new = t->host == NULL;
    bool changed = !same(t->host, host) || t->port != port || !same(t->database, database) ||
                   t->startup != startup || !same(t->connect_query, d->connect_query) ||
                   t->sslmode != p->pools->conf->general.server_tls_sslmode || t->tls != p->pools->tls;

    mem_free(t->host);
    t->host = host;
    replace(&t->database, database);
    replace(&t->user, p->user);
    replace(&t->connect_query, d->connect_query);
    t->port = port;
    t->standby = p->node == NULL ? NULL : d->route == CONF_ROUTE_REPLICA ? "on" : "off";
    params_drop(t->startup);
    t->startup = startup;
    t->sslmode = p->pools->conf->general.server_tls_sslmode;
    t->tls = p->pools->tls;
    t->tcp = &p->pools->tcp;
    t->connect_timeout_us = p->pools->conf->general.server_connect_timeout;
    t->helper = p->pools->helper;
    t->names = registry_names(p->pools->registry);
    t->host_turn = strchr(host, ',') == NULL ? NULL : &p->host_turn;
    t->in_turn = d->load_balance_hosts == CONF_HOSTS_ROUND_ROBIN;
    t->cancels = &p->pools->cancels;
    t->sets = p->pools->sets;
    t->checker = p->node == NULL ? NULL : p->pools->checker;
    return changed && !is_new;
}

static void
make_old(struct pool *p)
{
    struct ring *lists[] = { &p->idle, &p->used, &p->connecting };

    for (size_t i = 0; i < 3; i++)
        ring_each (r, lists[i])
            container_of(r, struct server, in_pool)->old = true;
}

static void
configure(struct pool *p, const struct conf_database *d, struct credential *client)
{
    struct credential *c = find_credential(p, d, client);

    resolve_conf(p, d, conf_find_user(p->pools->conf, slice_str(p->user)));
    credential_drop(p->target.credential);
    p->target.credential = c;
    if (!set_target(p, d))
        return;
    make_old(p);
    pool_forget_welcomes(p);
    shared_welcome_forget(p->shared);
    atomic_store(&p->shared->failures, 0);
    atomic_store(&p->shared->retry_at_us, 0);
}

/* ---- making and ending ---- */

static struct pool *
pool_new(struct pools *pools, struct slice name, struct slice user, const struct conf_node *node)
{
    struct pool *p = mem_new(struct pool);

    p->pools = pools;
    p->shared = registry_pool(pools->registry, name, user, node == NULL ? SLICE("") : slice_str(node->name));
    p->node = node == NULL ? NULL : mem_strdup(node->name);
    p->slot = &p->shared->slots[pools->turn->worker->index];
    p->slot->pool = p;
    p->database = pools_database(pools, name);
    p->name = slice_dup(name);
    p->user = slice_dup(user);
    p->generation = registry_generation(pools->registry) - 1;
    ring_init(&p->idle);
    ring_init(&p->used);
    ring_init(&p->connecting);
    ring_init(&p->leaving);
    ring_init(&p->waiters);
    ring_init(&p->claims);
    timer_init(&p->retry, pool_on_retry);
    p->next = pools->first;
    pools->first = p;
    HASH_ADD_KEYPTR(hh, pools->by_key, p->shared->key, p->shared->key_len, p);
    return p;
}

static void
free_pool(struct pool *p)
{
    struct ring *lists[] = { &p->idle, &p->used, &p->connecting };
    struct fault why;

    fault_set(&why, "57P01", "server shutting down");
    for (size_t i = 0; i < 3; i++)
        while (!ring_is_empty(lists[i]))
            server_close(container_of(ring_first(lists[i]), struct server, in_pool), &why);
    while (!ring_is_empty(&p->leaving))
        server_abandon(container_of(ring_first(&p->leaving), struct server, in_pool));
    timer_stop(pool_worker(p), &p->retry);
    pool_forget_welcomes(p);
    params_drop(p->target.startup);
    credential_drop(p->target.credential);
    mem_free(p->target.host);
    mem_free(p->target.database);
    mem_free(p->target.user);
    mem_free(p->target.connect_query);
    mem_free(p->name);
    mem_free(p->user);
    mem_free(p->node);
    p->slot->pool = NULL;
    registry_pool_drop(p->shared);
    mem_free(p);
}

void
pool_forget(struct pool **at)
{
    struct pool *p = *at;

    log_info("cleaning up idle pool: database=%s user=%s", p->name, p->user);
    *at = p->next;
    HASH_DEL(p->pools->by_key, p);
    free_pool(p);
}

void
pools_done(struct pools *p)
{
    p->ending = true;
    timer_stop(p->turn->worker, &p->janitor);
    timer_stop(p->turn->worker, &p->window);
    while (p->first != NULL) {
        struct pool *pool = p->first;

        p->first = pool->next;
        HASH_DEL(p->by_key, pool);
        free_pool(pool);
    }
    while (p->databases != NULL) {
        struct pool_database *d = p->databases;

        p->databases = d->next;
        mem_free(d->name);
        mem_free(d);
    }
    server_end_cancels(&p->cancels);
    conf_drop(p->conf);
    secrets_drop(p->secrets);
    tls_context_drop(p->tls);
}

/* What a pool's credential should be now is found anew at each login: secrets change without a reload
 * (auth_query). */
static bool
has_credential(const struct pool *p, const struct conf_database *d, struct credential *client)
{
    struct credential *c = find_credential(p, d, client);
    bool same_one = c == p->target.credential;

    credential_drop(c);
    return same_one;
}

struct pool *
pools_find(struct pools *p, const struct pool_wanted *want)
{
    bool forced = want->database->user[0] != '\0';
    struct slice login = forced ? slice_str(want->database->user) : want->user;
    struct text key = { 0 };
    struct pool *pool;

    text_add(&key, want->name);
    text_add_char(&key, '\0');
    text_add(&key, login);
    text_add_char(&key, '\0');
    if (want->node != NULL)
        text_add(&key, slice_str(want->node->name));
    HASH_FIND(hh, p->by_key, key.data, key.len, pool);
    text_done(&key);
    if (pool != NULL && has_credential(pool, want->database, want->credential))
        return pool;
    if (pool == NULL) {
        if (strcmp(want->database->name, "*") == 0 && registry_is_news(p->registry, want->name))
            log_info("registered new auto-database: db=%.*s", (int)want->name.len,
                     (const char *)want->name.data);
        pool = pool_new(p, want->name, login, want->node);
        pool->forced_user = forced;
    }
    configure(pool, want->database, want->credential);
    return pool;
}

static void
open_minimum(struct pools *p, const struct conf_database *d)
{
    struct pool_wanted want = { .database = d, .name = slice_str(d->name) };

    if (d->cluster[0] == '\0')
        pools_find(p, &want);
    for (size_t i = 0; d->cluster[0] != '\0' && i < p->conf->n_nodes; i++) {
        want.node = &p->conf->nodes[i];
        if (strcmp(want.node->cluster, d->cluster) == 0)
            pools_find(p, &want);
    }
}

void
pools_open_minimum(struct pools *p)
{
    for (size_t i = 0; i < p->conf->n_databases; i++) {
        const struct conf_database *d = &p->conf->databases[i];

        if (d->user[0] != '\0' && strcmp(d->name, "*") != 0 &&
            pick(d->min_pool_size, -1, p->conf->general.min_pool_size) > 0)
            open_minimum(p, d);
    }
    pool_wake_janitor(p);
}

static void
set_tcp(struct pools *p)
{
    const struct conf_general *g = &p->conf->general;

    p->tcp =
        (struct tcp_options){ .keepalive = g->tcp_keepalive,
                              .idle_s = (int)g->tcp_keepidle,
                              .interval_s = (int)g->tcp_keepintvl,
                              .count = (int)g->tcp_keepcnt,
                              .user_timeout_ms = (int)(g->tcp_user_timeout / CLOCK_MS),
                              .buffer = (int)g->tcp_socket_buffer,
                              .defer_accept_s = g->tcp_defer_accept == 1 ? DEFER_S : (int)g->tcp_defer_accept };
}

/* Does D still lead to P's server? A database may become a cluster or cease to be one, and nodes may go. */
bool
pool_is_named(const struct pool *p, const struct conf_database *d)
{
    return (p->node != NULL) == (conf_cluster_of(p->pools->conf, d) != NULL) &&
           (p->node == NULL || node_of(p) != NULL);
}

void
pools_configure(struct pools *p, struct conf *conf, struct secrets *secrets, struct tls_context *tls)
{
    struct conf *old_conf = p->conf;
    struct secrets *old_secrets = p->secrets;
    struct tls_context *old_tls = p->tls;

    p->conf = conf_hold(conf);
    p->secrets = secrets_hold(secrets);
    p->tls = tls_context_hold(tls);
    set_tcp(p);
    names_cache_set_ttl(registry_names(p->registry), conf->general.dns_max_ttl, conf->general.dns_nxdomain_ttl);
    for (struct pool *pool = p->first; pool != NULL; pool = pool->next) {
        const struct conf_database *d = conf_find_database(conf, slice_str(pool->name));

        if (d != NULL && pool_is_named(pool, d)) {
            configure(pool, d, NULL);
        } else {
            make_old(pool);
            pool->conf.min_size = 0;
        }
    }
    conf_drop(old_conf);
    secrets_drop(old_secrets);
    tls_context_drop(old_tls);
    timer_start(p->turn->worker, &p->window, conf->general.stats_period);
    pool_wake_janitor(p);
}

static void
close_servers(struct pool *pool, bool all, const struct fault *why)
{
    pool_refresh(pool);
    while (!ring_is_empty(&pool->idle))
        server_close(container_of(ring_first(&pool->idle), struct server, in_pool), why);
    while (all && !ring_is_empty(&pool->used))
        server_end(container_of(ring_first(&pool->used), struct server, in_pool), why);
    while (all && !ring_is_empty(&pool->connecting))
        server_close(container_of(ring_first(&pool->connecting), struct server, in_pool), why);
}

void
pools_close_servers(struct pools *p, struct slice database, bool all)
{
    struct fault ended, paused;

    fault_set(&ended, "57P01", "terminating connection due to administrator command");
    fault_set(&paused, "57P01", "database is paused");
    for (struct pool *pool = p->first; pool != NULL; pool = pool->next) {
        if (database.len > 0 && !slice_is(database, pool->name))
            continue;
        pool_refresh(pool);
        close_servers(pool, all, all || pool_may_lend(pool) ? &ended : &paused);
    }
}

static bool
is_of(const struct pool *p, const char *node)
{
    return p->node != NULL && strcmp(p->node, node) == 0;
}

void
pools_close_node(struct pools *p, const char *node, const struct fault *why)
{
    for (struct pool *pool = p->first; pool != NULL; pool = pool->next)
        if (is_of(pool, node))
            close_servers(pool, true, why);
}

void
pools_drain_node(struct pools *p, const char *node)
{
    struct fault why;

    fault_set(&why, "57P01", "node %.63s is drained", node);
    for (struct pool *pool = p->first; pool != NULL; pool = pool->next) {
        if (!is_of(pool, node))
            continue;
        make_old(pool);
        close_servers(pool, false, &why);
    }
}
