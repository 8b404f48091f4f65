/* SPDX-License-Identifier: ISC */
#include "session/half_session.h"

#include "listen_private.h"

static void
a_topic_goes_when_the_last_hall_drops_it(void **state)
{
    struct topics t = { 0 };

    (void)state;
    topics_want(&t, "a", 0);
    topics_want(&t, "a", 0);
    topics_want(&t, "a", 255);
    topics_want(&t, "b", 255);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.n_of_hall[0], 1);
    assert_int_equal(t.n_of_hall[255], 2);
    assert_false(topics_drop(&t, "a", 0));
    assert_false(topics_drop(&t, "a", 0));
    assert_false(topics_drop(&t, "a", 1));
    assert_false(topics_drop(&t, "c", 255));
    assert_int_equal(t.n_of_hall[0], 0);
    assert_true(topics_drop(&t, "a", 255));
    assert_true(topics_drop(&t, "b", 255));
    assert_int_equal(t.n, 0);
    assert_int_equal(t.n_of_hall[255], 0);
    topics_done(&t);
}

/* Random wants and drops against a plain table. */
static void
what_is_wanted_is_what_was_not_dropped(void **state)
{
    struct topics t = { 0 };
    bool wanted[8][130] = { { false } };
    uint64_t seed = 5;

    (void)state;
    for (int step = 0; step < 20000; step++) {
        uint64_t r = draw(&seed);
        uint32_t name = r % 8, hall = (uint32_t)(r / 8 % 130);
        char text[2] = { (char)('a' + name), '\0' };
        unsigned others = 0;

        for (uint32_t i = 0; i < 130; i++)
            others += i != hall && wanted[name][i];
        if (r / 2048 % 2 == 0)
            topics_want(&t, text, hall);
        else
            assert_int_equal(topics_drop(&t, text, hall), wanted[name][hall] && others == 0);
        wanted[name][hall] = r / 2048 % 2 == 0;
    }
    for (uint32_t hall = 0; hall < 130; hall++) {
        unsigned n = 0;

        for (int name = 0; name < 8; name++)
            n += wanted[name][hall];
        assert_int_equal(t.n_of_hall[hall], n);
    }
    topics_done(&t);
}

static void
names_are_quoted(void **state)
{
    struct topics t = { 0 };
    struct text sql = { 0 };

    (void)state;
    topics_put_listen(&t, &sql);
    assert_int_equal(sql.len, 0);
    topics_want(&t, "A b", 0);
    topics_want(&t, "c\"d;", 0);
    topics_put_listen(&t, &sql);
    assert_string_equal(text_str(&sql), "LISTEN \"A b\";LISTEN \"c\"\"d;\";");
    text_done(&sql);
    topics_done(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_goes_when_the_last_hall_drops_it),
        cmocka_unit_test(what_is_wanted_is_what_was_not_dropped),
        cmocka_unit_test(names_are_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
