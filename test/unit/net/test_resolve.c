/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/resolve.h"

struct place {
    struct worker worker;
    struct resolver resolver;
    struct resolve resolve;
    struct resolve_serial serial;
    bool done;
};

static int
set_up(void **state)
{
    struct place *p = mem_new(struct place);

    worker_init(&p->worker, 0);
    p->resolver.helper = helper_new(1, 2);
    p->resolver.resolv_conf = mem_strdup("");
    *state = p;
    return 0;
}

static int
tear_down(void **state)
{
    struct place *p = *state;

    helper_free(p->resolver.helper);
    mem_free(p->resolver.resolv_conf);
    worker_done(&p->worker);
    mem_free(p);
    return 0;
}

static void
on_resolved(struct worker *w, struct mail *m)
{
    container_of(m, struct place, resolve.job.done)->done = true;
    worker_stop(w);
}

static void
on_serial(struct worker *w, struct mail *m)
{
    container_of(m, struct place, serial.job.done)->done = true;
    worker_stop(w);
}

static void
look_up(struct place *p, const char *host)
{
    p->done = false;
    p->resolve.job.from = &p->worker;
    p->resolve.job.done.deliver = on_resolved;
    p->resolve.port = 4711;
    strcpy(p->resolve.host, host);
    assert_true(resolve_start(&p->resolver, &p->resolve));
    worker_run(&p->worker);
    assert_true(p->done);
}

static void
expect(const struct place *p, const char *address)
{
    char text[NET_ADDRESS_TEXT];

    assert_int_equal(p->resolve.n, 1);
    net_address_print(&p->resolve.found[0], text);
    assert_string_equal(text, address);
}

static void
names_are_looked_up_on_a_helper_thread(void **state)
{
    struct place *p = *state;

    look_up(p, "127.0.0.2");
    expect(p, "127.0.0.2:4711");
    look_up(p, "no name");
    assert_int_equal(p->resolve.n, 0);
    assert_true(p->resolve.message[0] != '\0');
}

/* Nobody listens there. */
static void
a_resolv_conf_names_the_name_servers(void **state)
{
    struct place *p = *state;
    char path[] = "/tmp/pgweir-resolv-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd != -1);
    dprintf(fd, "nameserver 127.0.0.253\n");
    close(fd);
    p->resolver.direct = true;
    mem_free(p->resolver.resolv_conf);
    p->resolver.resolv_conf = mem_strdup(path);
    look_up(p, "127.0.0.2");
    if (resolve_has_cares())
        expect(p, "127.0.0.2:4711");
    else
        assert_string_equal(p->resolve.message, "this pgweir was built without c-ares");
    look_up(p, "db.example.test");
    assert_int_equal(p->resolve.n, 0);
    assert_true(p->resolve.message[0] != '\0');
    p->serial.job.from = &p->worker;
    p->serial.job.done.deliver = on_serial;
    strcpy(p->serial.zone, "example.test");
    assert_true(resolve_serial_start(&p->resolver, &p->serial));
    worker_run(&p->worker);
    assert_false(p->serial.found);
    unlink(path);
}

static void
without_a_helper_nothing_can_be_looked_up(void **state)
{
    struct resolver none = { .resolv_conf = NULL };
    struct place *p = *state;

    assert_false(resolve_start(&none, &p->resolve));
    assert_false(resolve_serial_start(&none, &p->serial));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_looked_up_on_a_helper_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_resolv_conf_names_the_name_servers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_helper_nothing_can_be_looked_up, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
