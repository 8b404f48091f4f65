/* SPDX-License-Identifier: ISC */
/* Pools of two workers and a PostgreSQL of the test's own, all turned by the test's thread, so that every run
 * is the same. */
#include "base/unit.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listener.h"
#include "pool/pool.h"

#define MOST 32

/* ---- PostgreSQL: says yes to every login and is ready after every query ---- */

struct backend {
    struct stream stream;
    bool started;
};

struct postgres {
    struct worker worker;
    struct net_turn turn;
    struct listener *listener;
    struct net_address address;
    struct backend backends[MOST];
    unsigned n, alive, most_alive, queries;
    bool refuses;
};

static struct postgres *
postgres_of(struct stream *s)
{
    return container_of(s->turn, struct postgres, turn);
}

static size_t
on_backend_bytes(struct stream *s, struct slice bytes)
{
    struct backend *b = container_of(s, struct backend, stream);

    if (!b->started && postgres_of(s)->refuses)
        stream_put(s, SLICE("E\0\0\0\36SFATAL\0VFATAL\0C57P03\0Mno\0\0"));
    else if (!b->started)
        stream_put(s, SLICE("R\0\0\0\10\0\0\0\0K\0\0\0\14\0\0\0\7\0\0\0\11Z\0\0\0\5I"));
    else if (bytes.data[0] == 'Q') {
        postgres_of(s)->queries++;
        stream_put(s, SLICE("Z\0\0\0\5I"));
    }
    b->started = true;
    return bytes.len;
}

static void
on_backend_end(struct stream *s, const struct fault *why)
{
    (void)why;
    postgres_of(s)->alive--;
    stream_close(s);
}

static const struct stream_events backend_events = { on_backend_bytes, on_backend_end, NULL, NULL, NULL };

static void
on_connection(void *owner, int fd, bool is_unix)
{
    struct postgres *pg = owner;

    (void)is_unix;
    assert_true(pg->n < MOST);
    stream_open(&pg->backends[pg->n++].stream, &pg->turn, fd, &backend_events);
    if (++pg->alive > pg->most_alive)
        pg->most_alive = pg->alive;
}

/* ---- the place ---- */

struct hall {
    struct worker worker; /* first: a hall is its worker */
    struct net_turn turn;
    struct pools pools;
};

struct place {
    struct postgres pg;
    struct hall halls[2];
    struct worker *workers[2];
    struct registry *registry;
    struct conf *conf;
    struct secrets *secrets;
    _Atomic uint64_t next_id;
    int order[MOST]; /* waiters in the order in which they were served */
    int n_served, n_troubles;
    struct fault trouble;
};

struct client {
    struct pool_waiter waiter;
    struct place *place;
    struct pool *pool;
    struct server *server;
    int number;
};

static struct pools *
pools_of(struct worker *w)
{
    return &((struct hall *)(void *)w)->pools;
}

static void
postgres_start(struct postgres *pg)
{
    struct fault why;
    int fd;

    worker_init(&pg->worker, 9);
    net_turn_init(&pg->turn, &pg->worker);
    assert_true(net_address_numeric(&pg->address, "127.0.0.1", 0));
    fd = listener_socket(&pg->address, MOST, false, &why);
    assert_true(fd >= 0);
    net_address_local(&pg->address, fd);
    pg->listener = listener_new(&pg->worker, fd, on_connection, pg);
}

static void
drop_line(enum log_level level, const char *line)
{
    (void)level;
    (void)line;
}

static int
set_up(void **state)
{
    struct place *p = mem_new(struct place);

    log_set_sink(drop_line);
    postgres_start(&p->pg);
    for (unsigned i = 0; i < 2; i++) {
        worker_init(&p->halls[i].worker, i);
        net_turn_init(&p->halls[i].turn, &p->halls[i].worker);
        p->workers[i] = &p->halls[i].worker;
    }
    p->registry = registry_new(p->workers, 2, NULL);
    p->secrets = secrets_empty();
    *state = p;
    return 0;
}

/* OPTIONS are lines of the general section. */
static void
configure(struct place *p, const char *options)
{
    char text[500];
    struct fault why = { .sqlstate = "" };

    snprintf(text, sizeof(text),
             "[pgweir]\nserver_tls_sslmode = disable\n%s\n[databases]\napp = host=127.0.0.1 port=%u\n", options,
             net_address_port(&p->pg.address));
    p->conf = conf_parse(slice_str(text), "test.ini", &why);
    if (p->conf == NULL)
        fail_msg("%s", why.message);
    for (unsigned i = 0; i < 2; i++) {
        pools_init(&p->halls[i].pools, &p->halls[i].turn, p->registry, NULL);
        p->halls[i].pools.of_worker = pools_of;
        p->halls[i].pools.next_id = &p->next_id;
        pools_configure(&p->halls[i].pools, p->conf, p->secrets, NULL);
    }
}

static void
turn_once(struct place *p)
{
    ev_run(p->pg.worker.loop, EVRUN_NOWAIT);
    for (int i = 0; i < 2; i++) {
        ev_run(p->halls[i].worker.loop, EVRUN_NOWAIT);
        stream_flush(&p->halls[i].turn);
    }
}

#define turn_until(p, condition)                                            \
    for (int64_t until_us = clock_now_us() + 10 * CLOCK_S; !(condition);) { \
        turn_once(p);                                                       \
        assert_true(clock_now_us() < until_us);                             \
    }

/* Long enough to count as waiting longer than a local client. */
static void
pass_time(struct place *p, int64_t us)
{
    int64_t begin = clock_now_us();

    turn_until(p, clock_now_us() > begin + us);
    turn_once(p); /* every loop has seen it pass, even when the thread slept through it */
}

static int
tear_down(void **state)
{
    struct place *p = *state;

    turn_once(p); /* mail on its way */
    for (int i = 0; i < 2; i++) {
        pools_done(&p->halls[i].pools);
        ev_run(p->halls[i].worker.loop, EVRUN_NOWAIT);
        params_table_free(p->halls[i].pools.sets);
        net_turn_done(&p->halls[i].turn);
        worker_done(&p->halls[i].worker);
    }
    registry_free(p->registry);
    conf_drop(p->conf);
    secrets_drop(p->secrets);
    for (unsigned i = 0; i < p->pg.n; i++)
        stream_close(&p->pg.backends[i].stream);
    listener_free(p->pg.listener);
    net_turn_done(&p->pg.turn);
    worker_done(&p->pg.worker);
    mem_free(p);
    log_set_sink(NULL);
    return 0;
}

/* ---- clients ---- */

static size_t
on_bytes(struct server *s, struct slice bytes)
{
    (void)s;
    return bytes.len;
}

static void
on_gone(struct server *s, const struct fault *why)
{
    (void)why;
    ((struct client *)s->session)->server = NULL;
}

static void
on_nothing(struct server *s)
{
    (void)s;
}

static const struct server_borrower borrower = { on_bytes, on_gone, on_nothing, on_nothing };

static void
have(struct client *c, struct server *s)
{
    struct place *p = c->place;

    assert_null(c->server);
    assert_ptr_equal(s->pool, c->pool);
    assert_ptr_equal(s->stream.turn, c->pool->pools->turn);
    server_lend(s, &borrower, c);
    c->server = s;
    p->order[p->n_served++] = c->number;
}

static void
on_server(struct pool_waiter *w, struct server *s)
{
    have(container_of(w, struct client, waiter), s);
}

static void
on_trouble(struct pool_waiter *w, const struct fault *why)
{
    struct place *p = container_of(w, struct client, waiter)->place;

    p->n_troubles++;
    p->trouble = *why;
}

/* Client NUMBER asks worker HALL for a server. */
static void
ask(struct place *p, struct client *c, int number, int hall)
{
    const struct conf_database *d = conf_find_database(p->conf, SLICE("app"));
    struct server *s;

    *c = (struct client){ .place = p, .number = number };
    ring_init(&c->waiter.in_queue);
    c->waiter.on_server = on_server;
    c->waiter.on_trouble = on_trouble;
    c->pool = pools_find(&p->halls[hall].pools,
                         &(struct pool_wanted){ .database = d, .name = SLICE("app"), .user = SLICE("alice") });
    s = pool_borrow(c->pool, &c->waiter);
    if (s != NULL)
        have(c, s);
}

static void
give_back(struct client *c, bool reset)
{
    struct server *s = c->server;

    c->server = NULL;
    pool_give_back(s, reset);
}

/* ---- tests ---- */

static void
clients_of_one_worker_are_served_as_they_came(void **state)
{
    struct place *p = *state;
    struct client c[6];

    configure(p, "default_pool_size = 1");
    for (int i = 0; i < 6; i++)
        ask(p, &c[i], i, 0);
    for (int i = 0; i < 6; i++) {
        turn_until(p, p->n_served == i + 1);
        assert_int_equal(p->order[i], i);
        assert_non_null(c[i].server);
        give_back(&c[i], false);
    }
    assert_int_equal(p->pg.n, 1);
    assert_int_equal(c[0].pool->n_idle, 1);
    assert_int_equal(c[0].pool->n_waiters, 0);
    assert_int_equal(c[0].pool->database->stats.server_assignments, 6);
}

/* They come by turns to both workers, more than the local advantage apart. */
static void
clients_of_two_workers_are_served_as_they_came(void **state)
{
    struct place *p = *state;
    struct client c[6];

    configure(p, "default_pool_size = 1");
    for (int i = 0; i < 6; i++) {
        ask(p, &c[i], i, i % 2);
        pass_time(p, 2 * CLOCK_MS);
    }
    for (int i = 0; i < 6; i++) {
        turn_until(p, p->n_served == i + 1);
        assert_int_equal(p->order[i], i);
        give_back(&c[i], false);
    }
    assert_int_equal(p->pg.n, 1);
}

static void
the_limit_holds_over_all_workers(void **state)
{
    struct place *p = *state;
    struct client c[12];
    int next = 0;

    configure(p, "default_pool_size = 3");
    for (int i = 0; i < 12; i++)
        ask(p, &c[i], i, i % 2);
    turn_until(p, p->n_served == 3);
    pass_time(p, 5 * CLOCK_MS);
    assert_int_equal(p->n_served, 3);
    while (next < 12) {
        turn_until(p, p->n_served > next);
        give_back(&c[p->order[next++]], false);
    }
    assert_int_equal(p->pg.most_alive, 3);
    assert_int_equal(pool_count(c[0].pool->shared), 3);
}

static void
an_idle_server_goes_to_the_worker_that_needs_it(void **state)
{
    struct place *p = *state;
    struct client first, second;

    configure(p, "default_pool_size = 1");
    ask(p, &first, 0, 0);
    turn_until(p, p->n_served == 1);
    give_back(&first, false);
    assert_int_equal(first.pool->n_idle, 1);
    ask(p, &second, 1, 1);
    turn_until(p, p->n_served == 2);
    assert_int_equal(first.pool->n_idle, 0);
    assert_int_equal(second.pool->n_used, 1);
    assert_int_equal(p->pg.n, 1);
}

static void
one_that_stops_waiting_is_passed_over(void **state)
{
    struct place *p = *state;
    struct client c[3];

    configure(p, "default_pool_size = 1");
    for (int i = 0; i < 3; i++)
        ask(p, &c[i], i, 0);
    turn_until(p, p->n_served == 1);
    pool_stop_waiting(c[1].pool, &c[1].waiter);
    pool_stop_waiting(c[1].pool, &c[1].waiter);
    give_back(&c[0], false);
    turn_until(p, p->n_served == 2);
    assert_int_equal(p->order[1], 2);
    assert_null(c[1].server);
}

static void
a_server_that_is_reset_runs_the_query_before_the_next_client(void **state)
{
    struct place *p = *state;
    struct client c[2];

    configure(p, "default_pool_size = 1");
    ask(p, &c[0], 0, 0);
    ask(p, &c[1], 1, 0);
    turn_until(p, p->n_served == 1);
    give_back(&c[0], true);
    assert_int_equal(p->n_served, 1);
    turn_until(p, p->n_served == 2);
    assert_int_equal(p->pg.queries, 1);
    assert_int_equal(p->pg.n, 1);
}

static void
nothing_is_lent_while_the_database_is_paused(void **state)
{
    struct place *p = *state;
    struct client c;

    configure(p, "default_pool_size = 2");
    registry_set_flag(p->registry, SLICE("app"), DATABASE_PAUSED, true);
    ask(p, &c, 0, 0);
    pass_time(p, 5 * CLOCK_MS);
    assert_int_equal(p->n_served, 0);
    assert_int_equal(p->pg.n, 0);
    registry_set_flag(p->registry, SLICE("app"), DATABASE_PAUSED, false);
    pool_retry(c.pool);
    turn_until(p, p->n_served == 1);
}

static void
a_server_that_refuses_is_told_and_tried_again(void **state)
{
    struct place *p = *state;
    struct client c;

    configure(p, "default_pool_size = 5");
    p->pg.refuses = true;
    ask(p, &c, 0, 0);
    turn_until(p, p->n_troubles == 1);
    assert_string_equal(p->trouble.sqlstate, "57P03");
    assert_true(pool_is_down(c.pool));
    assert_int_equal(pool_count(c.pool->shared), 0);
    p->pg.refuses = false;
    turn_until(p, p->n_served == 1);
    assert_false(pool_is_down(c.pool));
    assert_int_equal(p->pg.n, 2);
}

static void
a_server_of_an_old_epoch_goes_when_it_comes_back(void **state)
{
    struct place *p = *state;
    struct client c;

    configure(p, "default_pool_size = 1");
    ask(p, &c, 0, 0);
    turn_until(p, p->n_served == 1);
    registry_next_epoch(p->registry, SLICE("app"));
    give_back(&c, false);
    assert_int_equal(c.pool->n_idle + c.pool->n_used, 0);
    assert_int_equal(pool_count(c.pool->shared), 1); /* until PostgreSQL has ended it */
    turn_until(p, pool_count(c.pool->shared) == 0);
    turn_until(p, p->pg.alive == 0);
}

static void
closing_servers_tells_who_holds_one(void **state)
{
    struct place *p = *state;
    struct client c[2];

    configure(p, "default_pool_size = 2");
    ask(p, &c[0], 0, 0);
    ask(p, &c[1], 1, 0);
    turn_until(p, p->n_served == 2);
    give_back(&c[0], false);
    pools_close_servers(&p->halls[0].pools, SLICE("other"), true);
    assert_int_equal(pool_count(c[0].pool->shared), 2);
    pools_close_servers(&p->halls[0].pools, SLICE("app"), false);
    turn_until(p, pool_count(c[0].pool->shared) == 1);
    assert_non_null(c[1].server);
    pools_close_servers(&p->halls[0].pools, SLICE(""), true);
    assert_null(c[1].server);
    turn_until(p, pool_count(c[0].pool->shared) == 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(clients_of_one_worker_are_served_as_they_came),
        TEST(clients_of_two_workers_are_served_as_they_came),
        TEST(the_limit_holds_over_all_workers),
        TEST(an_idle_server_goes_to_the_worker_that_needs_it),
        TEST(one_that_stops_waiting_is_passed_over),
        TEST(a_server_that_is_reset_runs_the_query_before_the_next_client),
        TEST(nothing_is_lent_while_the_database_is_paused),
        TEST(a_server_that_refuses_is_told_and_tried_again),
        TEST(a_server_of_an_old_epoch_goes_when_it_comes_back),
        TEST(closing_servers_tells_who_holds_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
