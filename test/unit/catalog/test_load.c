/* SPDX-License-Identifier: ISC */
/* The loader where there is no PostgreSQL; test/system/test_classifier.py has one. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/unit.h"
#include "catalog/catalog.h"

struct owner {
    struct worker worker;
    struct catalog_marks marks;
    unsigned n_told;
    bool good;
    char sqlstate[6];
    struct timer end;
};

static void
on_loaded(void *arg, struct catalog *c, const struct fault *why)
{
    struct owner *o = arg;

    o->n_told++;
    o->good = c != NULL;
    if (why != NULL)
        memcpy(o->sqlstate, why->sqlstate, sizeof(o->sqlstate));
    catalog_drop(c);
    worker_stop(&o->worker);
}

/* A port that was free a moment ago. */
static uint16_t
unused_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return ntohs(at.sin_port);
}

static struct catalog_loader *
load(struct owner *o)
{
    struct catalog_wanted wanted = {
        .target = { .host = "127.0.0.1", .database = "d", .user = "u", .sslmode = "disable" },
        .marks = &o->marks
    };

    worker_init(&o->worker, WORKER_CONTROL);
    wanted.target.port = unused_port();
    return catalog_load(&o->worker, &wanted, on_loaded, o);
}

static void
nobody_there_is_told_once_and_why(void **state)
{
    struct owner o = { .n_told = 0 };

    (void)state;
    load(&o);
    worker_run(&o.worker);
    worker_done(&o.worker);
    assert_int_equal(o.n_told, 1);
    assert_false(o.good);
    assert_string_equal(o.sqlstate, "08006");
}

static void
on_end(struct timer *t)
{
    worker_stop(&container_of(t, struct owner, end)->worker);
}

static void
a_load_that_was_given_up_is_not_told(void **state)
{
    struct owner o = { .n_told = 0 };

    (void)state;
    catalog_load_cancel(load(&o));
    catalog_load_cancel(NULL);
    timer_init(&o.end, on_end);
    timer_start(&o.worker, &o.end, 1000);
    worker_run(&o.worker);
    worker_done(&o.worker);
    assert_int_equal(o.n_told, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_there_is_told_once_and_why),
        cmocka_unit_test(a_load_that_was_given_up_is_not_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
