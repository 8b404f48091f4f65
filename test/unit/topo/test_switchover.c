/* SPDX-License-Identifier: ISC */
/* Switchover between fake nodes; the halls are played by the test. */
#include "watch_scene.h"

struct play {
    struct scene scene; /* first */
    unsigned busy;      /* what the halls say */
    bool cancelled, mute;
    unsigned n_looks, n_closes, n_done;
    struct fault why; /* of its end */
    char to[NODE_NAME];
};

static struct play *
play_of(struct scene *s)
{
    return (struct play *)(void *)s;
}

static void
on_look(void *owner, const char *cluster_name, const char *node_name, bool close)
{
    struct play *p = owner;

    assert_string_equal(cluster_name, "main");
    assert_string_equal(node_name, "n0");
    assert_true(cluster(&p->scene)->switching); /* they hear of it before they are asked */
    assert_int_equal(p->n_done, 0);
    assert_false(close && p->n_closes > 0);
    p->n_looks += !close;
    p->n_closes += close;
    if (!p->mute)
        watch_switch_seen(p->scene.watch, "main", close ? 0 : p->busy);
}

static bool
on_is_cancelled(void *owner)
{
    return ((struct play *)owner)->cancelled;
}

static void
on_done(void *owner, const struct watch_switched *how, const struct fault *why)
{
    struct play *p = owner;

    p->n_done++;
    assert_string_equal(how->from, "n0");
    snprintf(p->to, sizeof(p->to), "%s", how->to);
    if (why != NULL)
        p->why = *why;
}

static bool
try(struct play *p, const char *name, const char *to, struct fault *why)
{
    struct watch_switch order = { .cluster = slice_str(name),
                                  .to = slice_str(to),
                                  .look = on_look,
                                  .is_cancelled = on_is_cancelled,
                                  .done = on_done,
                                  .owner = p };

    return watch_switch(p->scene.watch, &order, why);
}

static void
begin(struct play *p, const char *options)
{
    struct fault why;

    memset(p, 0, sizeof(*p));
    start(&p->scene, options);
    assert_true(try(p, "main", "n1", &why));
}

static bool
is_over(struct scene *s)
{
    return play_of(s)->n_done > 0 && !cluster(s)->switching;
}

static bool
is_held(struct scene *s)
{
    return cluster(s)->switching;
}

static void
assert_given_up(struct play *p, const char *sqlstate)
{
    wait_until(&p->scene, is_over);
    assert_string_equal(p->why.sqlstate, sqlstate);
    assert_int_equal(p->n_done, 1);
    assert_int_equal(p->scene.fake[1].n_promoted, 0);
    assert_true(has_event(&p->scene, "n1", "given up"));
}

static void
office_changes_hands(void **state)
{
    struct play p;

    (void)state;
    begin(&p, DEFAULTS);
    wait_until(&p.scene, is_over);
    assert_string_equal(p.why.sqlstate, "");
    assert_string_equal(p.to, "n1");
    assert_int_equal(cluster(&p.scene)->primary, 1);
    assert_int_equal(node(&p.scene, 0)->state, NODE_FENCED);
    assert_int_equal(p.n_closes, 1);
    assert_int_equal(p.scene.fake[1].n_promoted, 1);
    scene_done(&p.scene);
    assert_int_equal(p.n_done, 1);
}

static void
what_does_not_end_is_closed(void **state)
{
    struct play p;

    (void)state;
    memset(&p, 0, sizeof(p));
    start(&p.scene, DEFAULTS " switchover_wait=1s");
    p.busy = 1;
    assert_true(try(&p, "main", "", NULL));
    wait_until(&p.scene, is_over);
    assert_string_equal(p.why.sqlstate, "");
    assert_int_equal(p.n_closes, 1);
    assert_true(p.n_looks > 2);
    scene_done(&p.scene);
}

static void
without_the_right_nothing_is_held(void **state)
{
    struct play p;
    struct fault why;

    (void)state;
    memset(&p, 0, sizeof(p));
    start(&p.scene, DEFAULTS);
    p.scene.fake[1].refuses_promotion = true;
    assert_true(try(&p, "main", "n1", &why));
    assert_given_up(&p, "42501");
    assert_int_equal(p.n_looks, 0);
    assert_false(has_event(&p.scene, "n0", "held"));
    scene_done(&p.scene);
}

static void
heir_that_stays_behind_is_given_up(void **state)
{
    struct play p;
    struct fault why;

    (void)state;
    memset(&p, 0, sizeof(p));
    start(&p.scene, DEFAULTS " switchover_wait=10ms");
    fake_be(&p.scene.fake[0], false, 1, 0x2000000);
    assert_true(try(&p, "main", "n1", &why));
    assert_given_up(&p, "55000");
    assert_int_equal(p.n_looks, 0);
    assert_int_equal(cluster(&p.scene)->primary, 0);
    scene_done(&p.scene);
}

static void
it_can_be_cancelled_while_it_waits(void **state)
{
    struct play p;
    struct fault why;

    (void)state;
    begin(&p, DEFAULTS " switchover_wait=1h");
    p.busy = 3;
    wait_until(&p.scene, is_held);
    assert_false(try(&p, "main", "n2", &why)); /* one at a time */
    assert_string_equal(why.sqlstate, "55000");
    p.cancelled = true;
    assert_given_up(&p, "57014");
    assert_int_equal(cluster(&p.scene)->primary, 0);
    assert_int_equal(p.n_closes, 0);
    scene_done(&p.scene);
}

static void
end_of_the_primary_ends_it(void **state)
{
    struct play p;

    (void)state;
    begin(&p, DEFAULTS " switchover_wait=1h");
    p.busy = 1;
    wait_until(&p.scene, is_held);
    fake_set_mood(&p.scene.fake[0], FAKE_REFUSES);
    assert_given_up(&p, "55000");
    scene_done(&p.scene);
}

/* Also while the halls are being asked. */
static void
end_of_the_watch_and_of_a_node_end_it(void **state)
{
    struct play p;

    (void)state;
    begin(&p, DEFAULTS " switchover_wait=1h");
    p.mute = true;
    wait_until(&p.scene, is_held);
    scene_done(&p.scene);
    assert_int_equal(p.n_done, 1);
    begin(&p, DEFAULTS " switchover_wait=1h");
    p.mute = true;
    wait_until(&p.scene, is_held);
    configure(&p.scene, 1, "127.0.0.1", DEFAULTS);
    assert_int_equal(p.n_done, 1);
    assert_false(cluster(&p.scene)->switching);
    scene_done(&p.scene);
}

static void
what_cannot_begin_is_refused_at_once(void **state)
{
    struct play p;
    struct fault why;

    (void)state;
    memset(&p, 0, sizeof(p));
    start(&p.scene, DEFAULTS);
    assert_false(try(&p, "other", "", &why));
    assert_string_equal(why.sqlstate, "42704");
    assert_false(try(&p, "main", "n7", &why));
    assert_string_equal(why.sqlstate, "42704");
    assert_false(try(&p, "main", "n0", &why));
    assert_string_equal(why.sqlstate, "55000");
    scene_done(&p.scene);
    assert_int_equal(p.n_done, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(office_changes_hands),
        cmocka_unit_test(what_does_not_end_is_closed),
        cmocka_unit_test(without_the_right_nothing_is_held),
        cmocka_unit_test(heir_that_stays_behind_is_given_up),
        cmocka_unit_test(it_can_be_cancelled_while_it_waits),
        cmocka_unit_test(end_of_the_primary_ends_it),
        cmocka_unit_test(end_of_the_watch_and_of_a_node_end_it),
        cmocka_unit_test(what_cannot_begin_is_refused_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
