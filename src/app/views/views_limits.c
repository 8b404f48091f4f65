/* SPDX-License-Identifier: ISC */
/* LIMITS: how much of each limit that is set is used up. Pools, databases and users are those that somebody
 * uses. */
#include "views_private.h"

enum { USED, MOST };

static void
put_limit(struct task *e, const char *limit, struct slice name, int64_t used, int64_t most)
{
    if (most <= 0)
        return;
    admin_put_str(&e->table, limit);
    admin_put_slice(&e->table, name);
    admin_put_int(&e->table, used);
    admin_put_int(&e->table, most);
    admin_row_end(&e->table);
}

void
limits_each(struct hall *h, struct task *e)
{
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next) {
        struct tally *t = gather_at(&e->gather, slice_str(p->name), slice_str(p->user));

        t->n[USED] = pool_count(p->shared);
        t->n[MOST] = p->conf.limits.pool;
        gather_at(&e->gather, slice_str(p->name), SLICE(""));
        gather_at(&e->gather, SLICE(""), slice_str(p->user));
    }
}

static void
put_database(struct task *e, struct slice name)
{
    const struct conf_general *g = &e->hall->setup.conf->general;
    const struct conf_database *d = conf_find_database(e->hall->setup.conf, name);
    unsigned servers, clients;

    if (d == NULL)
        return;
    registry_counts(e->app->registry, 'd', name, &servers, &clients);
    put_limit(e, "max_db_connections", name, servers, view_pick(d->max_db_connections, g->max_db_connections));
    put_limit(e, "max_db_client_connections", name, clients,
              view_pick(d->max_db_client_connections, g->max_db_client_connections));
}

static void
put_user(struct task *e, struct slice name)
{
    const struct conf_general *g = &e->hall->setup.conf->general;
    const struct conf_user *u = conf_find_user(e->hall->setup.conf, name);
    unsigned servers, clients;

    registry_counts(e->app->registry, 'u', name, &servers, &clients);
    put_limit(e, "max_user_connections", name, servers,
              view_pick(u == NULL ? -1 : u->max_user_connections, g->max_user_connections));
    put_limit(e, "max_user_client_connections", name, clients,
              view_pick(u == NULL ? -1 : u->max_user_client_connections, g->max_user_client_connections));
}

void
limits_home(struct task *e)
{
    put_limit(e, "max_client_conn", SLICE(""), registry_clients(e->app->registry),
              e->hall->setup.conf->general.max_client_conn);
    for (const struct tally *t = e->gather.first; t != NULL; t = t->next) {
        struct text name = { 0 };

        if (t->second.len == 0) {
            put_database(e, t->first);
        } else if (t->first.len == 0) {
            put_user(e, t->second);
        } else {
            text_printf(&name, "%.*s/%.*s", (int)t->first.len, (const char *)t->first.data, (int)t->second.len,
                        (const char *)t->second.data);
            put_limit(e, "pool_size", text_slice(&name), t->n[USED], t->n[MOST]);
        }
        text_done(&name);
    }
}
