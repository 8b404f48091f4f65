/* SPDX-License-Identifier: ISC */
#include "probe_private.h"

#include "base/unit.h"

static const struct ask_answer primary = {
    1, 8, { "f", "0/6018018", "0/6017F00", "7710657440388725669", "0000000A", "on", "16777216", "8192" }
};
static const struct ask_answer replica = {
    1, 8, { "t", "0/5000000", "0/5000100", "7710657440388725669", "a", "streaming", "16777216", "8192" }
};

static void
primary_is_read(void **state)
{
    struct probe p = { 0 };
    struct fault why;

    (void)state;
    assert_true(probe_read(&p, &primary, &why));
    assert_int_equal(p.role, NODE_PRIMARY);
    assert_true(p.lsn == 0x6018000 && p.received == 0x6017F00 && p.timeline == 10 && p.read_only);
    assert_true(p.system_id == UINT64_C(7710657440388725669));
}

static void
replica_is_read_with_or_without_rights(void **state)
{
    struct ask_answer a = replica;
    struct probe p = { 0 };
    struct fault why;

    (void)state;
    assert_true(probe_read(&p, &a, &why));
    assert_int_equal(p.role, NODE_REPLICA);
    assert_true(p.lsn == 0x5000000 && p.received == 0x5000100 && p.timeline == 10);
    assert_int_equal(p.stream, ELECT_STREAMS);
    a.field[5] = "hidden";
    assert_true(probe_read(&p, &a, &why));
    assert_int_equal(p.stream, ELECT_STREAMS);
    a.field[5] = "none";
    a.field[1] = a.field[2] = NULL; /* just started, and nothing to receive */
    assert_true(probe_read(&p, &a, &why));
    assert_int_equal(p.stream, ELECT_CUT_OFF);
    assert_true(p.lsn == 0 && p.received == 0);
}

static void
timeline_that_was_followed_is_not_forgotten_with_the_receiver(void **state)
{
    struct ask_answer a = replica;
    struct probe p = { 0 };
    struct fault why;

    (void)state;
    assert_true(probe_read(&p, &a, &why));
    a.field[4] = "9"; /* of the last restart point */
    a.field[5] = "none";
    assert_true(probe_read(&p, &a, &why));
    assert_int_equal(p.timeline, 10);
    a.field[5] = "streaming"; /* what it receives it knows */
    assert_true(probe_read(&p, &a, &why));
    assert_int_equal(p.timeline, 9);
    a.field[4] = "a";
    assert_true(probe_read(&p, &a, &why));
    a.field[1] = "0/4000000"; /* an older copy was put in its place */
    a.field[4] = "9";
    a.field[5] = "none";
    assert_true(probe_read(&p, &a, &why));
    assert_int_equal(p.timeline, 9);
}

static void
read_with(unsigned field, const char *word)
{
    struct ask_answer a = primary;
    struct probe p = { .timeline = 77 };
    struct fault why;

    a.field[field] = word;
    if (probe_read(&p, &a, &why)) {
        assert_true(p.timeline != 0 && p.system_id != 0 && p.page_size != 0 && p.segment_size != 0);
        assert_true(p.lsn != 0 || p.role == NODE_REPLICA);
        return;
    }
    assert_string_equal(why.sqlstate, "08P01");
    assert_int_equal(p.timeline, 77);
}

/* Any field may be missing or nonsense: a fault, or an answer that makes sense; and what was known stays. */
static void
nonsense_is_refused_and_changes_nothing(void **state)
{
    static const char *const words[] = { NULL, "", "x", "-1", "0", "99999999999999999999999999", "1/2/3", "t" };

    (void)state;
    for (unsigned f = 0; f < 8; f++)
        for (size_t i = 0; i < COUNT(words); i++)
            read_with(f, words[i]);
}

static void
answers_of_another_shape_are_refused(void **state)
{
    struct ask_answer a = primary;
    struct probe p = { 0 };
    struct fault why;
    bool anew;

    (void)state;
    a.n_rows = 0;
    assert_false(probe_read(&p, &a, &why));
    assert_false(probe_read_sample(&p, &a, &anew, &why));
    a.n_rows = 1;
    a.n_fields = 1;
    assert_false(probe_read(&p, &a, &why));
    assert_false(probe_read_sample(&p, &a, &anew, &why));
}

static void
sample_moves_the_position_only(void **state)
{
    struct ask_answer a = { 1, 3, { "f", "0/6020018", "0/6020000" } };
    struct probe p = { 0 };
    struct fault why;
    bool anew;

    (void)state;
    assert_true(probe_read(&p, &primary, &why));
    assert_true(probe_read_sample(&p, &a, &anew, &why));
    assert_false(anew);
    assert_true(p.lsn == 0x6020000 && p.received == 0x6020000 && p.timeline == 10);
    a.field[0] = "t";
    a.field[1] = "0/7000000";
    assert_true(probe_read_sample(&p, &a, &anew, &why));
    assert_true(anew);
    assert_true(p.lsn == 0x6020000 && p.role == NODE_PRIMARY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(primary_is_read),
        cmocka_unit_test(replica_is_read_with_or_without_rights),
        cmocka_unit_test(nonsense_is_refused_and_changes_nothing),
        cmocka_unit_test(timeline_that_was_followed_is_not_forgotten_with_the_receiver),
        cmocka_unit_test(answers_of_another_shape_are_refused),
        cmocka_unit_test(sample_moves_the_position_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
