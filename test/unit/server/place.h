/* SPDX-License-Identifier: ISC */
/* One server on a worker of its own, and what its keeper and borrower heard: shared by the tests of
 * server/server.c. */
#ifndef TEST_SERVER_PLACE_H
#define TEST_SERVER_PLACE_H

#include "base/clock.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "server/fake_postgres.h"
#include "server/server.h"

struct place {
    struct worker worker;
    struct net_turn turn;
    struct fake fake;
    struct server_target target;
    struct tcp_options tcp;
    struct ring cancels;
    struct server *server;  /* NULL once it is gone */
    struct server *leaving; /* farewell said */
    unsigned ready, gone, borrower_gone;
    unsigned seen; /* set of the states that it was in */
    struct fault why;
    struct text got; /* by the borrower */
};

static struct place *
place_of(struct server *s)
{
    return s->pool;
}

static void
on_ready(struct server *s)
{
    place_of(s)->ready++;
}

static void
on_gone(struct server *s, const struct fault *why)
{
    struct place *p = place_of(s);

    p->gone++;
    p->why = *why;
    p->seen |= 1u << s->state;
    p->server = NULL;
    p->leaving = s;
}

static void
on_left(struct server *s)
{
    assert_ptr_equal(place_of(s)->leaving, s);
    place_of(s)->leaving = NULL;
}

static const struct server_keeper keeper = { on_ready, on_gone, on_left };

static size_t
on_borrowed_bytes(struct server *s, struct slice bytes)
{
    text_add(&place_of(s)->got, bytes);
    return bytes.len;
}

static void
on_borrower_gone(struct server *s, const struct fault *why)
{
    (void)why;
    place_of(s)->borrower_gone++;
    assert_int_equal(place_of(s)->gone, 0);
}

static void
on_cancelled(struct server *s)
{
    text_add_str(&place_of(s)->got, "cancelled");
}

static void
on_borrower_quiet(struct server *s)
{
    (void)s;
}

static const struct server_borrower borrower = { on_borrowed_bytes, on_borrower_gone, on_cancelled,
                                                 on_borrower_quiet };

static int
set_up(void **state)
{
    struct place *p = mem_new(struct place);

    worker_init(&p->worker, 0);
    net_turn_init(&p->turn, &p->worker);
    ring_init(&p->cancels);
    p->target = (struct server_target){ .host = "127.0.0.1",
                                        .database = "app",
                                        .user = "alice",
                                        .sslmode = CONF_SSL_DISABLE,
                                        .tcp = &p->tcp,
                                        .cancels = &p->cancels,
                                        .connect_query = "",
                                        .connect_timeout_us = 5 * CLOCK_S,
                                        .sets = params_table_new() };
    p->target.startup = params_empty(p->target.sets);
    p->target.credential = credential_new(SLICE("secret"));
    *state = p;
    return 0;
}

static void
turn_once(struct place *p)
{
    ev_run(p->worker.loop, EVRUN_NOWAIT);
    if (p->server != NULL)
        p->seen |= 1u << p->server->state;
}

static int
tear_down(void **state)
{
    struct place *p = *state;
    struct fault why;

    fault_set(&why, "57P01", "end of the test");
    if (p->server != NULL)
        server_close(p->server, &why);
    if (p->leaving != NULL)
        server_abandon(p->leaving);
    turn_once(p);
    credential_drop(p->target.credential);
    params_drop(p->target.startup);
    params_table_free(p->target.sets);
    text_done(&p->got);
    net_turn_done(&p->turn);
    worker_done(&p->worker);
    mem_free(p);
    return 0;
}

#define turn_until(p, condition)                                            \
    for (int64_t until_us = clock_now_us() + 10 * CLOCK_S; !(condition);) { \
        turn_once(p);                                                       \
        assert_true(clock_now_us() < until_us);                             \
    }

static void
start(struct place *p, const struct step *steps, size_t n)
{
    memcpy(p->fake.steps, steps, n * sizeof(*steps));
    p->fake.n = n;
    p->fake.off_script = false;
    p->ready = p->gone = 0;
    memset(&p->why, 0, sizeof(p->why));
    text_clear(&p->fake.heard);
    fake_start(&p->fake);
    p->target.port = p->fake.port;
    p->server = server_new(&p->turn, &p->target, &keeper, p, slice_of(NULL, 0));
    p->server->id = 17;
    p->seen |= 1u << p->server->state;
}

static void
finish(struct place *p)
{
    struct fault why;

    fault_set(&why, "57P01", "end of the script");
    if (p->server != NULL)
        server_close(p->server, &why);
    turn_once(p);
    fake_stop(&p->fake);
    text_done(&p->fake.heard);
}

#define START(p, steps) start(p, steps, COUNT(steps))
#define STEP(type, says, ...)                                               \
    {                                                                       \
        type, { (const uint8_t *)("" says), sizeof(says) - 1 }, __VA_ARGS__ \
    }

static bool
heard(const struct place *p, const char *bytes, size_t len)
{
    return p->fake.heard.len > 0 && memmem(p->fake.heard.data, p->fake.heard.len, bytes, len) != NULL;
}
#define HEARD(p, literal) heard(p, literal, sizeof(literal) - 1)

static const struct step trusting[] = { STEP(CONNECT, "", false), STEP(0, SAYS_LOGIN, false),
                                        STEP('X', "", false) };

static void
expect_login(struct place *p)
{
    turn_until(p, p->ready + p->gone > 0);
    assert_string_equal(p->why.message, "");
    assert_int_equal(p->server->state, SERVER_IDLE);
}

#endif
