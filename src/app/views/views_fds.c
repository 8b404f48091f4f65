/* SPDX-License-Identifier: ISC */
/* FDS: every socket that could be handed on, which those with TLS could not. No secret is shown, and no
 * descriptor is sent: -R has a way of its own. */
#include "views_private.h"

static void
put_address(struct admin_table *t, const struct net_address *a, bool is_unix, uint16_t unix_port)
{
    char host[NET_ADDRESS_TEXT];

    net_address_host(a, host);
    admin_put_str(t, host);
    admin_put_int(t, is_unix ? unix_port : net_address_port(a));
}

/* The settings that PgBouncer hands on, and the passwords and keys that we do not show. */
static void
put_settings(struct admin_table *t, const struct params *p)
{
    static const char *const names[] = { "client_encoding", "standard_conforming_strings", "DateStyle",
                                         "TimeZone" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct param *found = p == NULL ? NULL : params_find(p, slice_str(names[i]));

        if (found != NULL)
            admin_put_slice(t, found->value);
        else
            admin_put_null(t);
    }
    for (unsigned i = 0; i < 3; i++)
        admin_put_null(t);
    admin_row_end(t);
}

static void
put_listener(struct hall *h, const struct listener *l, struct task *e)
{
    struct net_address a;

    net_address_local(&a, listener_fd(l));
    admin_put_int(&e->table, listener_fd(l));
    admin_put_str(&e->table, "pooler");
    admin_put_null(&e->table);
    admin_put_null(&e->table);
    put_address(&e->table, &a, listener_is_unix(l), (uint16_t)h->setup.conf->general.listen_port);
    admin_put_int(&e->table, 0);
    admin_put_int(&e->table, 0);
    put_settings(&e->table, NULL);
}

static void
put_client(const struct session *s, struct task *e)
{
    struct net_address a;

    net_address_peer(&a, s->client.fd);
    admin_put_int(&e->table, s->client.fd);
    admin_put_str(&e->table, "client");
    admin_put_str(&e->table, s->user);
    admin_put_str(&e->table, s->database);
    put_address(&e->table, &a, s->is_unix, (uint16_t)s->hall->setup.conf->general.listen_port);
    admin_put_int(&e->table, 0);
    admin_put_int(&e->table, s->server == NULL ? 0 : s->server->stream.fd);
    put_settings(&e->table, s->told);
}

static void
put_server(const struct pool *p, const struct server *s, struct task *e)
{
    const struct session *client = s->state == SERVER_LENT ? s->session : NULL;

    admin_put_int(&e->table, s->stream.fd);
    admin_put_str(&e->table, "server");
    admin_put_str(&e->table, p->user);
    admin_put_str(&e->table, p->name);
    put_address(&e->table, &s->address, s->address.any.sa_family == AF_UNIX, s->target->port);
    admin_put_int(&e->table, 0);
    admin_put_int(&e->table, client == NULL ? 0 : client->client.fd);
    put_settings(&e->table, s->reports);
}

static bool
is_plain(const struct stream *s)
{
    return s->stage == STREAM_OPEN && s->tls == NULL;
}

static void
servers_of(const struct pool *p, const struct ring *list, struct task *e)
{
    ring_each (r, list) {
        const struct server *s = container_of(r, struct server, in_pool);

        if (is_plain(&s->stream))
            put_server(p, s, e);
    }
}

void
fds_each(struct hall *h, struct task *e)
{
    for (unsigned i = 0; i < h->n_listeners; i++)
        put_listener(h, h->listeners[i], e);
    ring_each (r, &h->sessions) {
        const struct session *s = container_of(r, struct session, in_hall);

        if (s->state != SESSION_CONSOLE && is_plain(&s->client) &&
            (s->server == NULL || s->server->stream.tls == NULL))
            put_client(s, e);
    }
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next) {
        servers_of(p, &p->used, e);
        servers_of(p, &p->idle, e);
    }
}
