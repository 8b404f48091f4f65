/* SPDX-License-Identifier: ISC */
/* CONFIG, VERSION, STATE, MEM, DNS_HOSTS, DNS_ZONES. */
#include "base/clock.h"
#include "server/names.h"
#include "views_private.h"

static void
put_pair(struct task *e, const char *key, const char *value)
{
    admin_put_str(&e->table, key);
    admin_put_str(&e->table, value);
    admin_row_end(&e->table);
}

static const char *
default_of(const struct conf_option *o, bool compat)
{
    return compat && o->compat_initial != NULL ? o->compat_initial : o->initial;
}

/* UNSET: PgBouncer has no default, and where nothing was said it shows nothing. */
static void
put_option(struct task *e, const struct conf_option *o, bool unset)
{
    const struct conf *c = e->hall->setup.conf;
    const char *initial = default_of(o, c->general.compat == CONF_COMPAT_PGBOUNCER);
    struct text value = { 0 };

    if (strcmp(o->name, "conffile") == 0 && c->general.conffile[0] == '\0')
        text_add_str(&value, c->file);
    else
        conf_print(o, conf_section_of(c, o), &value);
    admin_put_str(&e->table, o->name);
    admin_put_str(&e->table, unset && value.len == 0 ? NULL : text_str(&value));
    admin_put_str(&e->table, unset ? NULL : initial);
    admin_put_str(&e->table, o->when == CONF_RELOAD ? "yes" : "no");
    admin_row_end(&e->table);
    text_done(&value);
}

void
config_home(struct task *e)
{
    const struct conf_option *o;
    bool unset = false;

    if (e->compat) {
        for (size_t i = 0; (o = conf_pgbouncer_key(i, &unset)) != NULL; i++)
            put_option(e, o, unset);
        return;
    }
    for (o = conf_general_options(); o->name != NULL; o++)
        put_option(e, o, false);
}

void
version_home(struct task *e)
{
    admin_put_str(&e->table, console_version(e->by_pgbouncer || e->compat));
    admin_row_end(&e->table);
}

static const char *
yes(bool truth)
{
    return truth ? "yes" : "no";
}

void
state_home(struct task *e)
{
    bool suspended = atomic_load(&e->app->suspended);
    bool paused = (registry_flags(e->app->registry, slice_of(NULL, 0)) & DATABASE_PAUSED) != 0;

    put_pair(e, "active", yes(!paused));
    put_pair(e, "paused", yes(paused && !suspended));
    put_pair(e, "suspended", yes(suspended));
}

/* ---- MEM: objects in use, and the bytes they take ---- */

enum { MEM_SESSIONS, MEM_SERVERS, MEM_POOLS, MEM_BUFFERS, MEM_BUFFER_BYTES };

static void
count_buffers(struct task *e, const struct stream *s)
{
    size_t bytes = stream_memory(s);

    e->gather.n[MEM_BUFFERS] += bytes > 0;
    e->gather.n[MEM_BUFFER_BYTES] += (int64_t)bytes;
}

void
mem_each(struct hall *h, struct task *e)
{
    ring_each (r, &h->sessions) {
        e->gather.n[MEM_SESSIONS]++;
        count_buffers(e, &container_of(r, struct session, in_hall)->client);
    }
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next) {
        e->gather.n[MEM_POOLS]++;
        e->gather.n[MEM_SERVERS] += p->n_idle + p->n_used + p->n_connecting;
        ring_each (r, &p->used)
            count_buffers(e, &container_of(r, struct server, in_pool)->stream);
    }
}

static void
put_mem(struct task *e, const char *name, size_t size, int64_t used, int64_t bytes)
{
    struct admin_table *t = &e->table;

    admin_put_str(t, name);
    admin_put_int(t, (int64_t)size);
    admin_put_int(t, used);
    admin_put_int(t, 0); /* nothing is kept for later */
    admin_put_int(t, bytes);
    admin_row_end(t);
}

void
mem_home(struct task *e)
{
    const int64_t *n = e->gather.n;

    put_mem(e, "client", sizeof(struct session), n[MEM_SESSIONS],
            n[MEM_SESSIONS] * (int64_t)sizeof(struct session));
    put_mem(e, "server", sizeof(struct server), n[MEM_SERVERS],
            n[MEM_SERVERS] * (int64_t)sizeof(struct server));
    put_mem(e, "pool", sizeof(struct pool), n[MEM_POOLS], n[MEM_POOLS] * (int64_t)sizeof(struct pool));
    put_mem(e, "iobuf", e->hall->turn.recv_len, n[MEM_BUFFERS], n[MEM_BUFFER_BYTES]);
}

/* ---- DNS_HOSTS, DNS_ZONES ---- */

static void
put_name(void *owner, const struct names_shown *n)
{
    struct task *e = owner;
    struct text all = { 0 };
    char host[NET_ADDRESS_TEXT];

    for (unsigned i = 0; i < n->n; i++) {
        net_address_host(&n->found[i], host);
        text_printf(&all, "%s%s:%u", i == 0 ? "" : ",", host, net_address_port(&n->found[i]));
    }
    admin_put_str(&e->table, n->host);
    admin_put_int(&e->table, n->left_us / CLOCK_S);
    admin_put_slice(&e->table, text_slice(&all));
    admin_row_end(&e->table);
    text_done(&all);
}

void
dns_hosts_home(struct task *e)
{
    names_cache_each(registry_names(e->app->registry), put_name, e);
}

static void
put_zone(void *owner, const struct zones_shown *z)
{
    struct task *e = owner;

    admin_put_str(&e->table, z->name);
    admin_put_int(&e->table, z->serial);
    admin_put_int(&e->table, z->n_hosts);
    admin_row_end(&e->table);
}

void
dns_zones_home(struct task *e)
{
    zones_each(e->app->zones, put_zone, e);
}
