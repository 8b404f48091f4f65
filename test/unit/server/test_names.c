/* SPDX-License-Identifier: ISC */
/* Addresses that names had lately. What a look-up found is written here, in place of what it really did. */
#include "base/unit.h"

#include "base/mem.h"
#include "server/names.h"

struct scene {
    struct worker worker;
    struct resolver resolver;
    _Atomic unsigned moved;
    struct names_cache *names;
};

struct asked {
    struct scene *scene;
    struct resolve resolve;
    const char *found; /* NULL: nothing */
    unsigned *n_done;
};

static int
set_up(void **state)
{
    struct scene *s = mem_new(struct scene);

    worker_init(&s->worker, 0);
    s->resolver.resolv_conf = mem_strdup("");
    s->resolver.helper = helper_new(1, 10);
    s->names = names_cache_new(&s->resolver, &s->moved);
    names_cache_set_ttl(s->names, 10, 5);
    *state = s;
    return 0;
}

static int
tear_down(void **state)
{
    struct scene *s = *state;

    helper_free(s->resolver.helper);
    ev_run(s->worker.loop, EVRUN_NOWAIT);
    names_cache_free(s->names);
    mem_free(s->resolver.resolv_conf);
    worker_done(&s->worker);
    mem_free(s);
    return 0;
}

static void
on_done(struct worker *w, struct mail *m)
{
    struct asked *a = container_of(m, struct asked, resolve.job.done);

    (void)w;
    if (a->found != NULL)
        a->resolve.n = net_address_numeric(&a->resolve.found[0], a->found, a->resolve.port);
    names_cache_take(a->scene->names, &a->resolve, 100);
    ++*a->n_done;
}

static enum names_answer
ask(struct scene *s, struct asked *a, const char *host, int64_t now_us)
{
    a->scene = s;
    a->resolve = (struct resolve){ .port = a->resolve.port };
    a->resolve.job.from = &s->worker;
    a->resolve.job.done.deliver = on_done;
    strcpy(a->resolve.host, host);
    return names_cache_ask(s->names, &a->resolve, now_us);
}

static void
wait_for(struct scene *s, const unsigned *n_done, unsigned n)
{
    while (*n_done < n)
        ev_run(s->worker.loop, EVRUN_ONCE);
}

/* HOST was asked for at 100, and it was FOUND. */
static void
learn(struct scene *s, const char *host, const char *found)
{
    unsigned n_done = 0;
    struct asked a = { .found = found, .n_done = &n_done, .resolve.port = 1 };

    assert_int_equal(ask(s, &a, host, 1000), NAMES_ASKED);
    wait_for(s, &n_done, 1);
}

static void
expect(const struct asked *a, const char *address)
{
    char text[NET_ADDRESS_TEXT];

    assert_int_equal(a->resolve.n, 1);
    net_address_print(&a->resolve.found[0], text);
    assert_string_equal(text, address);
}

static void
an_answer_is_used_until_it_is_too_old(void **state)
{
    struct scene *s = *state;
    unsigned n_done = 0;
    struct asked a = { .n_done = &n_done, .resolve.port = 5432 };

    learn(s, "no db", "10.0.0.1");
    assert_int_equal(ask(s, &a, "no db", 109), NAMES_KNOWN);
    expect(&a, "10.0.0.1:5432");
    assert_int_equal(ask(s, &a, "no db", 110), NAMES_ASKED);
    wait_for(s, &n_done, 1);
    assert_int_equal(ask(s, &a, "no db", 104), NAMES_KNOWN);
    assert_int_equal(a.resolve.n, 0);
    assert_true(a.resolve.message[0] != '\0');
    assert_int_equal(ask(s, &a, "no db", 105), NAMES_ASKED);
    wait_for(s, &n_done, 2);
}

static void
many_who_ask_at_once_make_one_question(void **state)
{
    struct scene *s = *state;
    unsigned n_done = 0;
    struct asked a[3];
    struct names_counts n;

    for (unsigned i = 0; i < 3; i++) {
        a[i] = (struct asked){ .n_done = &n_done, .resolve.port = (uint16_t)(i + 1) };
        a[i].found = i == 0 ? "::1" : NULL;
        assert_int_equal(ask(s, &a[i], "no db", 1), NAMES_ASKED);
    }
    n = names_cache_counts(s->names);
    assert_int_equal(n.names, 1);
    assert_int_equal(n.queries, 1);
    assert_int_equal(n.waiting, 2);
    wait_for(s, &n_done, 3);
    expect(&a[0], "[::1]:1");
    expect(&a[1], "[::1]:2");
    expect(&a[2], "[::1]:3");
    n = names_cache_counts(s->names);
    assert_int_equal(n.queries + n.waiting, 0);
}

static struct net_address
address(const char *text)
{
    struct net_address a;

    assert_true(net_address_numeric(&a, text, 5432));
    return a;
}

static void
an_address_that_a_name_has_lost_is_no_longer_its_own(void **state)
{
    struct scene *s = *state;
    const struct net_address one = address("10.0.0.1"), other = address("10.0.0.2"), six = address("::1");

    learn(s, "no db", "10.0.0.1");
    assert_true(names_cache_has(s->names, "no db", &one));
    assert_false(names_cache_has(s->names, "no db", &other));
    assert_true(names_cache_has(s->names, "no db , 10.0.0.2", &other));
    assert_false(names_cache_has(s->names, "no db,10.0.0.3", &other));
    assert_false(names_cache_has(s->names, "no db", &six));
    assert_true(names_cache_has(s->names, "never asked", &other));
    assert_int_equal(s->moved, 0);
    learn(s, "no db", "10.0.0.2");
    assert_false(names_cache_has(s->names, "no db", &one));
    assert_int_equal(s->moved, 1);
    assert_int_equal(names_cache_n_moves(s->names), 1);
    learn(s, "no db", NULL);
    assert_int_equal(s->moved, 1);
    assert_true(names_cache_has(s->names, "no db", &one));
}

static void
the_names_of_a_zone_are_looked_up_anew(void **state)
{
    struct scene *s = *state;
    unsigned n_done = 0;
    struct asked a = { .n_done = &n_done, .found = "10.0.0.2" };
    struct names_counts n;

    learn(s, "no db.Example.test", "10.0.0.1");
    learn(s, "no db.example.org", "10.0.0.1");
    names_cache_renew(s->names, "example.test", &s->worker);
    assert_int_equal(names_cache_counts(s->names).queries, 1);
    assert_int_equal(ask(s, &a, "no db.example.org", 101), NAMES_KNOWN);
    assert_int_equal(ask(s, &a, "no db.Example.test", 101), NAMES_ASKED);
    assert_int_equal(names_cache_counts(s->names).waiting, 1);
    wait_for(s, &n_done, 1);
    names_cache_renew(s->names, "test", &s->worker);
    n = names_cache_counts(s->names);
    assert_int_equal(n.queries + n.waiting, 0);
}

/* What is being looked up when the zone changes may be from before. */
static void
an_answer_from_before_a_change_is_not_kept(void **state)
{
    struct scene *s = *state;
    unsigned n_done = 0;
    struct asked a = { .n_done = &n_done, .found = "10.0.0.1" };

    assert_int_equal(ask(s, &a, "no db.test", 1), NAMES_ASKED);
    names_cache_renew(s->names, "test", &s->worker);
    wait_for(s, &n_done, 1);
    assert_int_equal(ask(s, &a, "no db.test", 101), NAMES_ASKED);
    wait_for(s, &n_done, 2);
    assert_int_equal(ask(s, &a, "no db.test", 101), NAMES_KNOWN);
}

static void
a_zone_is_what_follows_the_first_dot(void **state)
{
    (void)state;
    assert_string_equal(names_zone_of("db.example.com"), "example.com");
    assert_string_equal(names_zone_of("db.com"), "com");
    assert_null(names_zone_of("localhost"));
    assert_null(names_zone_of("localhost."));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_is_used_until_it_is_too_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_who_ask_at_once_make_one_question, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_address_that_a_name_has_lost_is_no_longer_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_names_of_a_zone_are_looked_up_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_from_before_a_change_is_not_kept, set_up, tear_down),
        cmocka_unit_test(a_zone_is_what_follows_the_first_dot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
