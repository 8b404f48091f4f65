/* SPDX-License-Identifier: ISC */
/* One row for each client or server: CLIENTS, SERVERS, SOCKETS, PINS, PREPARED. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "views_private.h"

#define NAME_LEN 24 /* "c" or "s" and an id */

/* Both kinds of rows have the same columns; a row is filled, then put. */
struct person {
    const char *type, *database, *user, *replication, *state;
    const struct stream *stream;
    uint16_t unix_port; /* of our Unix socket, for clients that came by it */
    bool by_unix;
    int64_t connected_us, request_us; /* wall clock; 0: never */
    int64_t waited_us;
    bool close_needed;
    char name[NAME_LEN], link[NAME_LEN];
    uint32_t remote_pid;
    struct slice application;
    unsigned n_prepared;
    uint32_t packet_left; /* of a message that is streamed through */
    uint64_t id;
    const char *pinned;
};

void
view_put_time(struct admin_table *t, int64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / CLOCK_S);
    char text[40];
    struct tm tm;

    if (wall_us <= 0) {
        admin_put_null(t);
        return;
    }
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
    admin_put_str(t, text);
}

static void
put_address(struct admin_table *t, const struct net_address *a, const struct person *p)
{
    char host[NET_ADDRESS_TEXT];

    net_address_host(a, host);
    admin_put_str(t, host);
    admin_put_int(t, p->by_unix ? p->unix_port : net_address_port(a));
}

static void
put_addresses(struct admin_table *t, const struct person *p)
{
    struct net_address peer = { 0 }, local = { 0 };

    if (p->stream->stage != STREAM_CLOSED && p->stream->fd >= 0) {
        net_address_peer(&peer, p->stream->fd);
        net_address_local(&local, p->stream->fd);
    }
    put_address(t, &peer, p);
    put_address(t, &local, p);
}

static void
put_tls(struct admin_table *t, const struct stream *s)
{
    char text[128] = "";

    if (s->tls != NULL && s->stage == STREAM_OPEN)
        tls_describe(s->tls, text, sizeof(text));
    admin_put_str(t, text);
}

static void
put_person(struct admin_table *t, const struct person *p)
{
    admin_put_str(t, p->type);
    admin_put_str(t, p->user);
    admin_put_str(t, p->database);
    admin_put_str(t, p->replication);
    admin_put_str(t, p->state);
    put_addresses(t, p);
    view_put_time(t, p->connected_us);
    view_put_time(t, p->request_us);
    admin_put_int(t, p->waited_us / CLOCK_S);
    admin_put_int(t, p->waited_us % CLOCK_S);
    admin_put_int(t, p->close_needed);
    admin_put_str(t, p->name);
    admin_put_str(t, p->link);
    admin_put_int(t, p->remote_pid);
    put_tls(t, p->stream);
    admin_put_slice(t, p->application);
    admin_put_int(t, p->n_prepared);
    admin_put_int(t, (int64_t)p->id);
}

static void
put_socket(struct admin_table *t, const struct person *p)
{
    const struct stream *s = p->stream;

    admin_put_int(t, s->in_len);
    admin_put_int(t, 0); /* pkt_pos: what is kept starts with a message */
    admin_put_int(t, p->packet_left);
    admin_put_int(t, s->out_at);
    admin_put_int(t, s->out_len);
    admin_put_int(t, s->in_len);
    admin_put_int(t, 0); /* send_avail: output is unsent or gone */
}

static void
put_ours(struct admin_table *t, const struct person *p)
{
    admin_put_str(t, p->pinned);
    admin_put_int(t, (int64_t)p->stream->n_in);
    admin_put_int(t, (int64_t)p->stream->n_out);
    admin_row_end(t);
}

/* ---- clients ---- */

static void
name_of(char out[NAME_LEN], char kind, uint64_t id)
{
    snprintf(out, NAME_LEN, "%c%" PRIu64, kind, id);
}

/* What stands for a pointer: as in the log. */
static void
pointer_of(char out[NAME_LEN], const struct conf *conf, char kind, uint64_t id)
{
    if (conf->general.compat == CONF_COMPAT_PGBOUNCER)
        snprintf(out, NAME_LEN, "0x%" PRIx64, id);
    else
        name_of(out, kind, id);
}

static uint32_t
peer_pid(const struct session *s)
{
    struct ucred who;
    socklen_t len = sizeof(who);

    if (!s->is_unix || getsockopt(s->client.fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == -1)
        return 0;
    return (uint32_t)who.pid;
}

/* PgBouncer's word for a client that has no server now. */
static const char *
client_state(const struct session *s)
{
    const char *state = session_state_shown(s->state);
    bool compat = s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER;

    return compat && s->server == NULL && strcmp(state, "active") == 0 ? "idle" : state;
}

static void
describe_client(struct person *p, const struct session *s)
{
    int64_t now = s->hall->worker.now_us;

    *p = (struct person){ .type = "C",
                          .database = s->database,
                          .user = s->user,
                          .replication = s->replication ? "physical" : "none",
                          .state = client_state(s),
                          .stream = &s->client,
                          .unix_port = (uint16_t)s->hall->setup.conf->general.listen_port,
                          .by_unix = s->is_unix,
                          .connected_us = s->connected_us,
                          .request_us =
                              s->request_us > 0 ? clock_wall_us() - (now - s->request_us) : s->connected_us,
                          .waited_us = s->waiter.since_us != 0 ? now - s->waiter.since_us : 0,
                          .remote_pid = peer_pid(s),
                          .application = slice_str(s->application),
                          .n_prepared = session_n_prepared(s),
                          .packet_left = s->client_left,
                          .id = s->id,
                          .pinned = session_pin_name(s) };
    pointer_of(p->name, s->hall->setup.conf, 'c', s->id);
    if (s->server != NULL)
        pointer_of(p->link, s->hall->setup.conf, 's', s->server->id);
}

void
clients_each(struct hall *h, struct task *e)
{
    struct person p;

    ring_each (r, &h->sessions) {
        describe_client(&p, container_of(r, struct session, in_hall));
        put_person(&e->table, &p);
        put_ours(&e->table, &p);
    }
}

/* ---- servers ---- */

/* Idle servers that are checked before their next use. */
bool
view_is_used(const struct pool *p, const struct server *s)
{
    const struct conf_general *g = &p->pools->conf->general;

    return g->server_check_query[0] != '\0' &&
           p->pools->turn->worker->now_us - s->idle_us > g->server_check_delay;
}

typedef void on_server(const struct server *s, const struct pool *p, const char *state, struct task *e);

static void
each_server(struct hall *h, struct task *e, on_server *each)
{
    for (const struct pool *p = h->pools.first; p != NULL; p = p->next) {
        ring_each (r, &p->used) {
            const struct server *s = container_of(r, struct server, in_pool);

            each(s, p, s->state == SERVER_CLEAN ? "tested" : "active", e);
        }
        ring_each (r, &p->idle) {
            const struct server *s = container_of(r, struct server, in_pool);

            each(s, p, view_is_used(p, s) ? "used" : "idle", e);
        }
        ring_each (r, &p->connecting)
            each(container_of(r, struct server, in_pool), p, "login", e);
    }
}

static void
describe_server(struct person *p, const struct server *s, const struct pool *pool, const char *state)
{
    const struct session *client = s->state == SERVER_LENT ? s->session : NULL;
    const struct param *application =
        s->reports == NULL ? NULL : params_find(s->reports, SLICE("application_name"));
    int64_t now = pool->pools->turn->worker->now_us, wall = clock_wall_us();

    *p = (struct person){ .type = "S",
                          .database = pool->name,
                          .user = pool->user,
                          .replication = s->replication ? "physical" : "none",
                          .state = state,
                          .stream = &s->stream,
                          .unix_port = s->target->port,
                          .by_unix = s->target->host[0] == '/' || s->target->host[0] == '@',
                          .connected_us = wall - (now - s->connected_us),
                          .request_us = s->lent_us > 0 ? wall - (now - s->lent_us) : 0,
                          .close_needed = s->old || s->epoch != pool->epoch,
                          .remote_pid = s->pid,
                          .application = application == NULL ? SLICE("") : application->value,
                          .n_prepared = prepared_count(s->prepared),
                          .packet_left = client == NULL ? 0 : client->server_left,
                          .id = s->id,
                          .pinned = client == NULL ? "none" : session_pin_name(client) };
    pointer_of(p->name, pool->pools->conf, 's', s->id);
    if (client != NULL)
        pointer_of(p->link, pool->pools->conf, 'c', client->id);
}

static void
show_server(const struct server *s, const struct pool *pool, const char *state, struct task *e)
{
    struct person p;

    if (e->compat && strcmp(state, "login") == 0)
        state = "new";
    if (s->cancels > 0)
        state = "being_canceled";
    describe_server(&p, s, pool, state);
    put_person(&e->table, &p);
    put_ours(&e->table, &p);
}

void
servers_each(struct hall *h, struct task *e)
{
    each_server(h, e, show_server);
}

/* ---- sockets: both, with PgBouncer's longer names of states ---- */

static void
show_socket(struct person *p, struct task *e)
{
    char state[32];

    bool client = p->type[0] == 'C';

    snprintf(state, sizeof(state), "%s_%s", client ? "cl" : "sv",
             client && strcmp(p->state, "idle") == 0 ? "active" : p->state);
    p->state = state;
    put_person(&e->table, p);
    put_socket(&e->table, p);
    put_ours(&e->table, p);
}

static void
server_socket(const struct server *s, const struct pool *pool, const char *state, struct task *e)
{
    struct person p;

    describe_server(&p, s, pool, state);
    show_socket(&p, e);
}

static void
client_sockets(struct hall *h, struct task *e)
{
    struct person p;

    ring_each (r, &h->sessions) {
        describe_client(&p, container_of(r, struct session, in_hall));
        show_socket(&p, e);
    }
}

void
sockets_each(struct hall *h, struct task *e)
{
    client_sockets(h, e);
    each_server(h, e, server_socket);
}

static void
active_server_socket(const struct server *s, const struct pool *pool, const char *state, struct task *e)
{
    if (strcmp(state, "idle") != 0 && strcmp(state, "used") != 0)
        server_socket(s, pool, state, e);
}

void
active_sockets_each(struct hall *h, struct task *e)
{
    client_sockets(h, e);
    each_server(h, e, active_server_socket);
}

/* ---- what sessions hold ---- */

static void
put_who(struct admin_table *t, const struct session *s)
{
    char name[NAME_LEN];

    name_of(name, 'c', s->id);
    admin_put_str(t, name);
    admin_put_str(t, s->database);
    admin_put_str(t, s->user);
}

static void
show_pin(struct admin_table *t, const struct session *s)
{
    struct net_address peer;
    char host[NET_ADDRESS_TEXT], name[NAME_LEN] = "";

    net_address_peer(&peer, s->client.fd);
    net_address_host(&peer, host);
    if (s->server != NULL)
        name_of(name, 's', s->server->id);
    put_who(t, s);
    admin_put_str(t, s->application);
    admin_put_str(t, host);
    admin_put_int(t, net_address_port(&peer));
    admin_put_str(t, session_pin_name(s));
    admin_put_str(t, name);
    admin_put_int(t, s->server == NULL ? 0 : s->server->pid);
    admin_put_int(t, s->server == NULL ? 0 : (s->hall->worker.now_us - s->server->lent_us) / CLOCK_S);
    admin_row_end(t);
}

void
pins_each(struct hall *h, struct task *e)
{
    ring_each (r, &h->sessions) {
        const struct session *s = container_of(r, struct session, in_hall);

        if (s->pins != 0)
            show_pin(&e->table, s);
    }
}

struct preparing {
    struct admin_table *table;
    const struct session *session;
};

static void
show_prepared(void *owner, struct slice name, struct slice sql)
{
    const struct preparing *p = owner;

    put_who(p->table, p->session);
    admin_put_slice(p->table, name);
    admin_put_slice(p->table, sql);
    admin_row_end(p->table);
}

void
prepared_each(struct hall *h, struct task *e)
{
    ring_each (r, &h->sessions) {
        struct preparing p = { &e->table, container_of(r, struct session, in_hall) };

        session_each_prepared(p.session, show_prepared, &p);
    }
}
