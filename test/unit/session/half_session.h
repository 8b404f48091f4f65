/* SPDX-License-Identifier: ISC */
/* As much of a session as its pure parts look at: a hall with tables, a client whose bytes the test reads, and
 * a server that nobody is connected to. */
#ifndef TEST_UNIT_SESSION_HALF_SESSION_H
#define TEST_UNIT_SESSION_HALF_SESSION_H

#include "base/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "session_private.h"

struct half {
    struct conf conf; /* nothing is set */
    struct hall hall;
    struct session session;
    struct server server;
    int fd; /* the client */
};

static const struct stream_events no_events;

static inline int
half_set_up(void **state)
{
    struct half *h = mem_new(struct half);
    int fds[2];

    worker_init(&h->hall.worker, 0);
    net_turn_init(&h->hall.turn, &h->hall.worker);
    h->hall.pools.sets = params_table_new();
    h->hall.facts = facts_table_new(64, 1);
    h->hall.seed = 7;
    h->hall.setup.conf = &h->conf;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    h->fd = fds[1];
    stream_open(&h->session.client, &h->hall.turn, fds[0], &no_events);
    h->session.hall = &h->hall;
    h->session.status = 'I';
    h->session.settings = params_empty(h->hall.pools.sets);
    h->session.startup = params_empty(h->hall.pools.sets);
    h->server.settings = params_empty(h->hall.pools.sets);
    h->server.reports = params_empty(h->hall.pools.sets);
    h->server.prepared = prepared_new();
    h->session.server = &h->server;
    *state = h;
    return 0;
}

static inline int
half_tear_down(void **state)
{
    struct half *h = *state;

    pending_done(&h->session);
    pending_free_spare(&h->hall);
    prepared_names_clear(&h->session);
    settings_done(&h->session);
    params_drop(h->server.settings);
    params_drop(h->server.reports);
    prepared_free(h->server.prepared);
    stream_close(&h->session.client);
    close(h->fd);
    text_done(&h->hall.scratch);
    assert_null(h->hall.statements);
    facts_table_free(h->hall.facts);
    params_table_free(h->hall.pools.sets); /* asserts that no set is left */
    net_turn_done(&h->hall.turn);
    worker_done(&h->hall.worker);
    mem_free(h);
    return 0;
}

/* What the client was sent since the last time. */
static inline struct slice
half_said(struct half *h, char *buf, size_t len)
{
    ssize_t n;

    stream_flush(&h->hall.turn);
    n = read(h->fd, buf, len);
    return slice_of(buf, n > 0 ? (size_t)n : 0);
}

#define HALF(f) cmocka_unit_test_setup_teardown(f, half_set_up, half_tear_down)

#endif
