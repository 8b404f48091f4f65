/* SPDX-License-Identifier: ISC */
/* FDS: every socket that could be handed on, which those with TLS could not. For who gets descriptors: those
 * that are of use to another pooler, with the secrets that it cannot know; nobody else sees a secret. */
#include <stdio.h>

#include "session/passing.h"
#include "views_private.h"

static void
put_address(struct admin_table *t, const struct net_address *a, bool is_unix, uint16_t unix_port)
{
    char host[NET_ADDRESS_TEXT];

    net_address_host(a, host);
    admin_put_str(t, host);
    admin_put_int(t, is_unix ? unix_port : net_address_port(a));
}

/* The settings that PgBouncer hands on. */
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
}

static void
put_key(struct admin_table *t, const uint8_t key[SCRAM_KEY_LEN])
{
    char hex[2 + 2 * SCRAM_KEY_LEN + 1] = "\\x";

    for (unsigned i = 0; i < SCRAM_KEY_LEN; i++)
        snprintf(hex + 2 + 2 * (size_t)i, 3, "%02x", key[i]);
    admin_put_str(t, hex);
    mem_wipe(hex, sizeof(hex));
}

/* The password of who is not in auth_file, and with a SCRAM secret what logs in to servers. */
static void
put_secrets(struct admin_table *t, const struct session *s)
{
    const struct hall_setup *setup = &s->hall->setup;
    const struct conf_database *d = conf_find_database(setup->conf, slice_str(s->database));
    struct slice secret = credential_secret(s->credential);
    struct scram_secret verifier;
    uint8_t key[SCRAM_KEY_LEN];
    bool has_keys = setup->conf->general.auth_type != CONF_AUTH_PAM && (d == NULL || d->user[0] == '\0') &&
                    credential_client_key(s->credential, key) && credential_scram(s->credential, &verifier);

    if (secret.len == 0 || secrets_find(setup->secrets, slice_str(s->user)).data != NULL)
        admin_put_null(t);
    else
        admin_put_slice(t, secret);
    if (has_keys) {
        put_key(t, key);
        put_key(t, verifier.server_key);
    } else {
        admin_put_null(t);
        admin_put_null(t);
    }
    mem_wipe(key, sizeof(key));
    mem_wipe(&verifier, sizeof(verifier));
}

/* OF: whose secrets are said to who gets FD; NULL: nobody's. */
static void
end_row(struct task *e, const struct session *of, int fd)
{
    if (e->gift != NULL && of != NULL) {
        put_secrets(&e->table, of);
    } else {
        for (unsigned i = 0; i < 3; i++)
            admin_put_null(&e->table);
    }
    admin_row_end(&e->table);
    gift_add(e, fd);
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
    end_row(e, NULL, listener_fd(l));
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
    admin_put_int(&e->table, e->gift == NULL ? 0 : (int64_t)session_cancel_number(s));
    admin_put_int(&e->table, s->server == NULL ? 0 : s->server->stream.fd);
    put_settings(&e->table, s->told);
    end_row(e, s, s->client.fd);
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
    admin_put_int(&e->table, e->gift == NULL ? 0 : (int64_t)((uint64_t)s->pid << 32 | s->key));
    admin_put_int(&e->table, client == NULL ? 0 : client->client.fd);
    put_settings(&e->table, s->reports);
    end_row(e, client, s->stream.fd);
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

/* Servers without a client stay: what sessions of ours left on them nobody else would know. */
static void
give(struct hall *h, struct task *e)
{
    bool for_good = gift_is_for_good(e);

    if (for_good) {
        suspend_hall(h, false); /* who has logged in since is not yet */
        hall_pass(h);
    }
    ring_each (r, &h->sessions) {
        struct session *s = container_of(r, struct session, in_hall);
        bool goes = session_may_pass(s);

        if (s->state == SESSION_CONSOLE)
            continue;
        gift_count(e, goes);
        if (!goes)
            continue;
        if (for_good)
            session_pass(s);
        put_client(s, e);
        if (s->server != NULL)
            put_server(s->server->pool, s->server, e);
    }
}

static void
show(struct hall *h, struct task *e)
{
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

void
fds_each(struct hall *h, struct task *e)
{
    for (unsigned i = 0; i < h->n_listeners; i++)
        put_listener(h, h->listeners[i], e);
    if (e->gift != NULL)
        give(h, e);
    else
        show(h, e);
}
