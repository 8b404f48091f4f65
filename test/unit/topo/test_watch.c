/* SPDX-License-Identifier: ISC */
/* The watch against fake nodes: who it takes for the primary, how fast, and whom it tells. */
#include "watch_scene.h"

/* ---- what is seen ---- */

static bool
no_lag(struct scene *s)
{
    return node(s, 0)->lsn == 0x1000100 && node(s, 1)->lag_bytes == 0x100 && node(s, 2)->lag_bytes == 0;
}

static void
roles_positions_and_lag_are_seen(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS);
    assert_int_equal(cluster(&s)->reign, 1);
    assert_true(node(&s, 0)->system_id == 7 && node(&s, 1)->timeline == 1);
    assert_true(node(&s, 0)->up_since_us > 0 && node(&s, 0)->sampled_us > 0);
    fake_be(&s.fake[0], false, 1, 0x1000100);
    fake_be(&s.fake[2], true, 1, 0x1000100);
    wait_until(&s, no_lag);
    assert_int_equal(node(&s, 2)->lag_us, 0);
    assert_true(node(&s, 1)->lag_us >= 0);
    scene_done(&s);
}

static bool
second_lags(struct scene *s)
{
    return node(s, 1)->state == NODE_LAGGING && node(s, 2)->state == NODE_UP;
}

static void
replica_that_falls_behind_is_told_and_told_when_it_is_back(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS " max_lag_size=255");
    fake_be(&s.fake[0], false, 1, 0x1000100);
    fake_be(&s.fake[2], true, 1, 0x1000100);
    wait_until(&s, second_lags);
    assert_true(node(&s, 1)->reason[0] != '\0');
    fake_be(&s.fake[1], true, 1, 0x1000100);
    wait_until(&s, all_is_well);
    assert_true(has_event(&s, "n1", "state=lagging"));
    scene_done(&s);
}

static bool
second_fell(struct scene *s)
{
    return node(s, 1)->fell_us > 0 && node(s, 1)->lsn == 0x900000;
}

/* Behind where it was itself: restarted, or another server. */
static void
replica_that_goes_back_is_told(void **state)
{
    struct scene s;
    int64_t fell_us;

    (void)state;
    start(&s, DEFAULTS);
    assert_int_equal(node(&s, 1)->fell_us, 0);
    fake_be(&s.fake[1], true, 1, 0x900000);
    wait_until(&s, second_fell);
    fell_us = node(&s, 1)->fell_us;
    fake_be(&s.fake[0], false, 1, 0x1000100);
    fake_be(&s.fake[1], true, 1, 0x1000100);
    fake_be(&s.fake[2], true, 1, 0x1000100);
    wait_until(&s, all_is_well);
    assert_int_equal(node(&s, 0)->fell_us | node(&s, 2)->fell_us, 0);
    assert_int_equal(node(&s, 1)->fell_us, fell_us);
    scene_done(&s);
}

static void
names_of_hosts_are_looked_up(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    configure(&s, N, "localhost", DEFAULTS);
    wait_until(&s, all_is_well);
    scene_done(&s);
}

/* No label may be so long: this fails without a question to anybody. */
#define NO_HOST "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static bool
reason_names_the_host(struct scene *s)
{
    return strstr(node(s, 0)->reason, NO_HOST) != NULL;
}

static void
name_without_address_is_the_reason(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    configure(&s, 1, NO_HOST, DEFAULTS);
    wait_until(&s, reason_names_the_host);
    assert_int_equal(node(&s, 0)->state, NODE_DOWN);
    scene_done(&s);
}

/* ---- what breaks ---- */

static bool
third_leads(struct scene *s)
{
    return cluster(s)->primary == 2;
}

static bool
first_is_fenced(struct scene *s)
{
    return node(s, 0)->state == NODE_FENCED;
}

/* Refused: nobody leads at once. Promoted: seen within the fast interval. The old one comes back: fenced. */
static void
promotion_is_followed_and_the_old_primary_fenced(void **state)
{
    struct scene s;
    uint64_t reign;

    (void)state;
    start(&s, DEFAULTS);
    reign = cluster(&s)->reign;
    fake_set_mood(&s.fake[0], FAKE_REFUSES);
    wait_until(&s, nobody_leads);
    assert_int_equal(cluster(&s)->reign, reign + 1);
    assert_int_equal(node(&s, 0)->state, NODE_DOWN);
    fake_be(&s.fake[1], true, 1, 0x2000000); /* further, but on the old timeline */
    fake_be(&s.fake[2], false, 2, 0x1000100);
    wait_until(&s, third_leads);
    assert_int_equal(cluster(&s)->reign, reign + 2);
    assert_true(node(&s, 1)->lsn == 0); /* it may be on a branch of its own */
    assert_int_equal(node(&s, 1)->state, NODE_LAGGING);
    fake_set_mood(&s.fake[0], FAKE_ANSWERS);
    wait_until(&s, first_is_fenced);
    assert_int_equal(cluster(&s)->reign, reign + 2);
    assert_true(has_event(&s, "n2", "is the primary") && has_event(&s, "n0", "state=fenced"));
    scene_done(&s);
}

/* Promotion while the old primary lives: it never leads again, not for one snapshot. */
static void
higher_timeline_wins_at_once(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS);
    fake_be(&s.fake[2], false, 2, 0x1000100);
    wait_until(&s, third_leads);
    assert_int_equal(node(&s, 0)->state, NODE_FENCED);
    scene_done(&s);
}

static void
two_on_one_timeline_lead_nobody(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS);
    fake_be(&s.fake[1], false, 1, 0x1000100);
    wait_until(&s, nobody_leads);
    assert_int_equal(node(&s, 0)->state, NODE_FENCED);
    assert_int_equal(node(&s, 1)->state, NODE_FENCED);
    assert_true(has_event(&s, "", "several"));
    fake_be(&s.fake[1], true, 1, 0x1000100);
    wait_until(&s, all_is_well);
    scene_done(&s);
}

#define TIMEOUT (200 * CLOCK_MS)

/* Silence: not before two deadlines passed, and soon after. */
static void
hanging_primary_is_found_by_the_deadline(void **state)
{
    struct scene s;
    int64_t since_us;

    (void)state;
    start(&s, "check_interval=60ms check_interval_fast=10ms check_timeout=200ms");
    since_us = clock_now_us();
    fake_set_mood(&s.fake[0], FAKE_HANGS);
    wait_until(&s, nobody_leads);
    assert_true(clock_now_us() - since_us >= 2 * TIMEOUT * 9 / 10);
    assert_true(clock_now_us() - since_us < 10 * TIMEOUT); /* a busy machine; alone it is 2.5 */
    assert_true(strstr(node(&s, 0)->reason, "in time") != NULL);
    fake_set_mood(&s.fake[0], FAKE_ANSWERS);
    wait_until(&s, all_is_well);
    assert_int_equal(cluster(&s)->reign, 3);
    scene_done(&s);
}

static void
starting_primary_is_down_with_its_words(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS);
    fake_set_mood(&s.fake[0], FAKE_STARTS);
    fake_cut(&s.fake[0]);
    wait_until(&s, nobody_leads);
    assert_true(strstr(node(&s, 0)->reason, "starting up") != NULL);
    scene_done(&s);
}

static bool
logged_in_again(struct scene *s)
{
    assert_int_equal(cluster(s)->primary, 0);
    return s->fake[0].n_logins > s->mark;
}

/* Somebody ended our connection, or there is no room for a new one: the primary is what it was. */
static void
lost_connection_or_a_full_server_is_no_failover(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS);
    s.mark = s.fake[0].n_logins;
    fake_cut(&s.fake[0]);
    wait_until(&s, logged_in_again);
    s.mark = s.fake[0].n_logins;
    fake_break(&s.fake[0]);
    wait_until(&s, logged_in_again);
    s.mark = s.fake[0].n_logins + 3;
    fake_set_mood(&s.fake[0], FAKE_FULL);
    fake_cut(&s.fake[0]);
    wait_until(&s, logged_in_again);
    assert_int_equal(cluster(&s)->reign, 1);
    scene_done(&s);
}

/* ---- who asks ---- */

static bool
sampled_after_the_mark(struct scene *s)
{
    return node(s, 0)->sampled_us >= s->mark;
}

#define ASKERS 50000

static void *
ask_often(void *arg)
{
    struct scene *s = arg;

    for (unsigned i = 0; i < ASKERS; i++)
        watch_sample(s->watch, "main");
    return NULL;
}

static void
sample_asked_for_is_newer_than_the_wish_and_shared(void **state)
{
    pthread_t thread;
    struct scene s;
    unsigned before;

    (void)state;
    start(&s, "check_interval=3600 check_interval_fast=3600 check_timeout=20");
    for (unsigned i = 0; i < 20; i++) {
        s.mark = clock_now_us();
        watch_sample(s.watch, "main");
        watch_sample(s.watch, "no such cluster");
        wait_until(&s, sampled_after_the_mark);
        assert_true(node(&s, 0)->sampled_us <= s.fake[0].asked_us);
    }
    before = s.fake[0].n_asked;
    assert_int_equal(pthread_create(&thread, NULL, ask_often, &s), 0);
    pthread_join(thread, NULL);
    s.mark = clock_now_us();
    watch_sample(s.watch, "main");
    wait_until(&s, sampled_after_the_mark);
    assert_in_range(s.fake[0].n_asked - before, 1, 3);
    scene_done(&s);
}

static void
suspect_is_looked_at_at_once(void **state)
{
    struct scene s;

    (void)state;
    start(&s, "check_interval=3600 check_interval_fast=3600 check_timeout=20");
    fake_set_mood(&s.fake[0], FAKE_STARTS);
    fake_cut(&s.fake[0]);
    watch_suspect(s.watch, "main", "no such node");
    watch_suspect(s.watch, "main", "n0");
    wait_until(&s, nobody_leads);
    scene_done(&s);
}

/* ---- auto_failover ---- */

static bool
second_was_promoted(struct scene *s)
{
    return s->fake[1].n_promoted == 1 && cluster(s)->primary == 1;
}

static void
most_advanced_replica_is_promoted_once(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS " auto_failover=1");
    fake_be(&s.fake[1], true, 1, 0x1000080);
    fake_set_receiver(&s.fake[1], "none");
    fake_set_receiver(&s.fake[2], "none");
    fake_set_mood(&s.fake[0], FAKE_REFUSES);
    wait_until(&s, second_was_promoted);
    assert_int_equal(s.fake[2].n_promoted, 0);
    assert_true(has_event(&s, "n1", "promoting it"));
    scene_done(&s);
}

static bool
many_checks_later(struct scene *s)
{
    return s->fake[1].n_asked >= s->mark;
}

static void
nobody_is_promoted_while_replicas_still_receive(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS " auto_failover=1");
    fake_set_receiver(&s.fake[1], "none");
    fake_set_mood(&s.fake[0], FAKE_REFUSES);
    wait_until(&s, nobody_leads);
    s.mark = s.fake[1].n_asked + 60;
    wait_until(&s, many_checks_later);
    assert_int_equal(s.fake[1].n_promoted + s.fake[2].n_promoted, 0);
    fake_set_receiver(&s.fake[2], "none");
    fake_be(&s.fake[1], true, 1, 0x1000080);
    wait_until(&s, second_was_promoted);
    scene_done(&s);
}

static void
who_stands_back_promotes_nobody_and_begins_anew(void **state)
{
    struct scene s;

    (void)state;
    start(&s, DEFAULTS " auto_failover=1");
    watch_set_elects(s.watch, false);
    fake_be(&s.fake[1], true, 1, 0x1000080);
    fake_set_receiver(&s.fake[1], "none");
    fake_set_receiver(&s.fake[2], "none");
    fake_set_mood(&s.fake[0], FAKE_REFUSES);
    wait_until(&s, nobody_leads);
    s.mark = s.fake[1].n_asked + 60;
    wait_until(&s, many_checks_later);
    assert_int_equal(s.fake[1].n_promoted + s.fake[2].n_promoted, 0);
    watch_set_elects(s.watch, true);
    s.mark = s.fake[1].n_asked + 1;
    wait_until(&s, many_checks_later);
    assert_int_equal(s.fake[1].n_promoted + s.fake[2].n_promoted, 0);
    wait_until(&s, second_was_promoted);
    scene_done(&s);
}

/* ---- orders and reload ---- */

static void
orders_are_obeyed_at_once_and_refused_when_senseless(void **state)
{
    struct scene s;
    struct fault why;

    (void)state;
    start(&s, DEFAULTS);
    assert_true(watch_order(s.watch, SLICE("n1"), WATCH_BAN, &why));
    assert_int_equal(node(&s, 1)->state, NODE_BANNED);
    assert_false(watch_order(s.watch, SLICE("n1"), WATCH_BAN, &why));
    assert_string_equal(why.sqlstate, "55000");
    assert_true(watch_order(s.watch, SLICE("n1"), WATCH_DRAIN, &why));
    assert_true(watch_order(s.watch, SLICE("n1"), WATCH_UNBAN, &why));
    assert_int_equal(node(&s, 1)->state, NODE_DRAINING);
    assert_true(watch_order(s.watch, SLICE("n1"), WATCH_UNDRAIN, &why));
    assert_true(all_is_well(&s));
    assert_false(watch_order(s.watch, SLICE("n1"), WATCH_UNDRAIN, &why));
    assert_false(watch_order(s.watch, SLICE("n9"), WATCH_BAN, &why));
    assert_string_equal(why.sqlstate, "42704");
    scene_done(&s);
}

static bool
two_are_well(struct scene *s)
{
    return cluster(s)->n_nodes == 2 && all_is_well(s);
}

static void
reload_keeps_what_is_known(void **state)
{
    struct scene s;
    struct fault why;

    (void)state;
    start(&s, DEFAULTS);
    assert_true(watch_order(s.watch, SLICE("n1"), WATCH_BAN, &why));
    configure(&s, 2, "127.0.0.1", DEFAULTS " max_lag=7");
    assert_int_equal(cluster(&s)->n_nodes, 2);
    assert_int_equal(cluster(&s)->primary, 0);
    assert_int_equal(cluster(&s)->reign, 1);
    assert_true(cluster(&s)->max_lag_us == 7 * CLOCK_S);
    assert_int_equal(node(&s, 1)->state, NODE_BANNED);
    assert_true(watch_order(s.watch, SLICE("n1"), WATCH_UNBAN, &why));
    wait_until(&s, two_are_well);
    configure(&s, N, "127.0.0.1", DEFAULTS);
    wait_until(&s, all_is_well);
    assert_int_equal(cluster(&s)->reign, 1);
    scene_done(&s);
}

static void
primary_that_was_taken_out_is_none(void **state)
{
    struct scene s;
    uint16_t port;

    (void)state;
    start(&s, DEFAULTS);
    port = s.fake[0].port;
    s.fake[0].port = s.fake[1].port; /* n0 is another server now */
    configure(&s, 1, "127.0.0.1", DEFAULTS);
    s.fake[0].port = port;
    assert_true(nobody_leads(&s));
    assert_int_equal(cluster(&s)->reign, 2);
    scene_done(&s);
}

/* With a question under way, a bell rung, a name being looked up. */
static void
freeing_at_any_moment_is_safe(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        struct scene s;

        scene_init(&s);
        configure(&s, N, i % 2 == 0 ? "127.0.0.1" : "localhost", DEFAULTS);
        s.mark = i;
        wait_until(&s, turned);
        watch_sample(s.watch, "main");
        watch_suspect(s.watch, "main", "n1");
        scene_done(&s);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_positions_and_lag_are_seen),
        cmocka_unit_test(replica_that_falls_behind_is_told_and_told_when_it_is_back),
        cmocka_unit_test(replica_that_goes_back_is_told),
        cmocka_unit_test(names_of_hosts_are_looked_up),
        cmocka_unit_test(name_without_address_is_the_reason),
        cmocka_unit_test(promotion_is_followed_and_the_old_primary_fenced),
        cmocka_unit_test(higher_timeline_wins_at_once),
        cmocka_unit_test(two_on_one_timeline_lead_nobody),
        cmocka_unit_test(hanging_primary_is_found_by_the_deadline),
        cmocka_unit_test(starting_primary_is_down_with_its_words),
        cmocka_unit_test(lost_connection_or_a_full_server_is_no_failover),
        cmocka_unit_test(sample_asked_for_is_newer_than_the_wish_and_shared),
        cmocka_unit_test(suspect_is_looked_at_at_once),
        cmocka_unit_test(most_advanced_replica_is_promoted_once),
        cmocka_unit_test(nobody_is_promoted_while_replicas_still_receive),
        cmocka_unit_test(who_stands_back_promotes_nobody_and_begins_anew),
        cmocka_unit_test(orders_are_obeyed_at_once_and_refused_when_senseless),
        cmocka_unit_test(reload_keeps_what_is_known),
        cmocka_unit_test(primary_that_was_taken_out_is_none),
        cmocka_unit_test(freeing_at_any_moment_is_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
