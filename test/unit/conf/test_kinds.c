/* SPDX-License-Identifier: ISC */
/* Text to field and back, by kind. */
#include "conf_tests.h"
#include "kinds_private.h"

static const struct conf_option number = { .name = "n", .parse = conf_parse_number, .low = 1, .high = 100 };
static const struct conf_option duration = { .name = "d", .parse = conf_parse_duration, .high = 31536000 };
static const struct conf_option unset_duration = { .name = "d", .low = -1, .high = 31536000 };
static const struct conf_option msec = { .name = "m", .high = 2147483647 };
static const struct conf_option size = { .name = "s", .low = 4096, .high = 2147483647 };
static const struct conf_option mode = { .name = "u", .high = 07777 };
static const struct conf_option flag = { .name = "b" };

static void
number_is(conf_parser *parser, const struct conf_option *o, const char *text, int64_t value)
{
    size_t len = strlen(text);
    uint8_t *copy = exact(text, len);
    struct fault why = { .message = "" };
    int64_t v = -99;

    if (!parser(o, slice_of(copy, len), &v, &why))
        fail_msg("%s: %s", text, why.message);
    assert_int_equal(v, value);
    free(copy);
}

static void
no_number(conf_parser *parser, const struct conf_option *o, const char *text, const char *message)
{
    size_t len = strlen(text);
    uint8_t *copy = exact(text, len);
    struct fault why = { .message = "" };
    int64_t v = -99;

    assert_false(parser(o, slice_of(copy, len), &v, &why));
    assert_int_equal(v, -99);
    assert_string_equal(why.message, message);
    free(copy);
}

static void
numbers_keep_their_limits(void **state)
{
    static const char *const wrong[] = {
        "", "0", "101", "-1", "+5", "5 ", "5x", "1.0", "99999999999999999999"
    };

    (void)state;
    number_is(conf_parse_number, &number, "1", 1);
    number_is(conf_parse_number, &number, "0100", 100);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        no_number(conf_parse_number, &number, wrong[i], "n must be a whole number from 1 to 100");
}

static void
times_take_units_and_fractions(void **state)
{
    (void)state;
    number_is(conf_parse_duration, &duration, "10", 10000000);
    number_is(conf_parse_duration, &duration, "0", 0);
    number_is(conf_parse_duration, &duration, "0.25", 250000);
    number_is(conf_parse_duration, &duration, "7us", 7);
    number_is(conf_parse_duration, &duration, "200ms", 200000);
    number_is(conf_parse_duration, &duration, "1.5 s", 1500000);
    number_is(conf_parse_duration, &duration, "2min", 120000000);
    number_is(conf_parse_duration, &duration, "1H", 3600000000LL);
    number_is(conf_parse_duration, &duration, "365d", 31536000000000LL);
    number_is(conf_parse_duration, &duration, "0.00000099999999999999999999", 0);
    number_is(conf_parse_msec, &msec, "200", 200000);
    number_is(conf_parse_msec, &msec, "0.5", 500);
    number_is(conf_parse_msec, &msec, "3s", 3000000);
}

static void
times_that_make_no_sense_are_refused(void **state)
{
    static const char *const wrong[] = { "",
                                         "-1",
                                         "x",
                                         "10x",
                                         "s",
                                         "1.2.3",
                                         ".5",
                                         "1.",
                                         "366d",
                                         "1 2s",
                                         "10s5",
                                         "1,5",
                                         "--1",
                                         "1e3",
                                         "0x10",
                                         "9223372036854775807",
                                         "9223372036854775808d",
                                         "106751991167d" };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        no_number(conf_parse_duration, &duration, wrong[i],
                  "d must be a time from 0 to 31536000 seconds, such as 10, 0.5, 200ms or 1h");
    no_number(conf_parse_msec, &msec, "2147483648",
              "m must be a time from 0 to 2147483647 milliseconds, such as 10, 200ms or 1min");
}

static void
minus_one_means_not_set_only_where_a_row_says_so(void **state)
{
    (void)state;
    number_is(conf_parse_duration, &unset_duration, "-1", -1);
    no_number(conf_parse_duration, &unset_duration, "-2",
              "d must be a time from 0 to 31536000 seconds, such as 10, 0.5, 200ms or 1h");
}

static void
sizes_take_units_of_1024(void **state)
{
    static const char *const wrong[] = { "", "4095", "2GB", "64k", "1TB", "-1", "8796093022208GB" };

    (void)state;
    number_is(conf_parse_size, &size, "4096", 4096);
    number_is(conf_parse_size, &size, "64kB", 65536);
    number_is(conf_parse_size, &size, "1.5MB", 1572864);
    number_is(conf_parse_size, &size, "1gb", 1073741824);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        no_number(conf_parse_size, &size, wrong[i],
                  "s must be a size from 4096 to 2147483647 bytes, such as 65536, 64kB or 1MB");
}

static void
modes_are_octal(void **state)
{
    (void)state;
    number_is(conf_parse_mode, &mode, "0770", 0770);
    number_is(conf_parse_mode, &mode, "777", 0777);
    no_number(conf_parse_mode, &mode, "0778", "u must be an octal file mode such as 0770");
    no_number(conf_parse_mode, &mode, "10000", "u must be an octal file mode such as 0770");
    no_number(conf_parse_mode, &mode, "", "u must be an octal file mode such as 0770");
}

static void
booleans_have_many_words(void **state)
{
    static const char *const yes[] = { "1", "on", "YES", "true" }, *const no[] = { "0", "off", "no", "False" };
    struct fault why;

    (void)state;
    for (int i = 0; i < 4; i++) {
        bool v = false;

        assert_true(conf_parse_boolean(&flag, slice_str(yes[i]), &v, NULL));
        assert_true(v);
        assert_true(conf_parse_boolean(&flag, slice_str(no[i]), &v, NULL));
        assert_false(v);
    }
    assert_false(conf_parse_boolean(&flag, SLICE("2"), &(bool){ false }, &why));
    assert_string_equal(why.message, "b must be 0, 1, off, on, no, yes, false or true");
}

static void
words_are_those_of_the_kind(void **state)
{
    const struct conf_option o = { .name = "pool_mode", .kind = "pool_mode", .initial = "session" };
    const struct conf_option unset = { .name = "pool_mode", .kind = "pool_mode", .initial = "" };
    struct text out = { 0 };
    struct fault why;
    int v = 99;

    (void)state;
    assert_true(conf_parse_word(&o, SLICE("Transaction"), &v, NULL));
    assert_int_equal(v, CONF_POOL_TRANSACTION);
    assert_false(conf_parse_word(&o, SLICE("trans"), &v, &why));
    assert_string_equal(why.message, "pool_mode must be session, transaction or statement");
    assert_false(conf_parse_word(&o, SLICE(""), &v, NULL));
    assert_true(conf_parse_word(&unset, SLICE(""), &v, NULL));
    assert_int_equal(v, -1);
    conf_print_word(&unset, &v, &out);
    assert_string_equal(text_str(&out), "");
    text_done(&out);
}

/* The words of a kind and the values of its enum are two lists. */
static void
every_word_has_the_value_of_its_enum(void **state)
{
    static const struct {
        const char *kind, *word;
        int value;
    } cases[] = {
        { "pool_mode", "session", CONF_POOL_SESSION },
        { "pool_mode", "statement", CONF_POOL_STATEMENT },
        { "auth_type", "any", CONF_AUTH_ANY },
        { "auth_type", "trust", CONF_AUTH_TRUST },
        { "auth_type", "plain", CONF_AUTH_PLAIN },
        { "auth_type", "md5", CONF_AUTH_MD5 },
        { "auth_type", "scram-sha-256", CONF_AUTH_SCRAM },
        { "auth_type", "hba", CONF_AUTH_HBA },
        { "sslmode", "disable", CONF_SSL_DISABLE },
        { "sslmode", "allow", CONF_SSL_ALLOW },
        { "sslmode", "prefer", CONF_SSL_PREFER },
        { "sslmode", "require", CONF_SSL_REQUIRE },
        { "sslmode", "verify-ca", CONF_SSL_VERIFY_CA },
        { "sslmode", "verify-full", CONF_SSL_VERIFY_FULL },
        { "on_state", "pin", CONF_STATE_PIN },
        { "on_state", "error", CONF_STATE_ERROR },
        { "on_state", "warn", CONF_STATE_WARN },
        { "compat", "none", CONF_COMPAT_NONE },
        { "compat", "pgbouncer", CONF_COMPAT_PGBOUNCER },
        { "route", "auto", CONF_ROUTE_AUTO },
        { "route", "primary", CONF_ROUTE_PRIMARY },
        { "route", "replica", CONF_ROUTE_REPLICA },
        { "route", "prefer-replica", CONF_ROUTE_PREFER_REPLICA },
        { "consistency", "eventual", CONF_EVENTUAL },
        { "consistency", "session", CONF_SESSION },
        { "consistency", "global", CONF_GLOBAL },
        { "balance", "least_conn", CONF_LEAST_CONN },
        { "balance", "round_robin", CONF_ROUND_ROBIN },
        { "balance", "latency", CONF_LATENCY },
        { "balance", "hash", CONF_HASH },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct conf_option o = { .name = "x", .kind = cases[i].kind, .initial = "" };
        int v = 99;

        assert_true(conf_parse_word(&o, slice_str(cases[i].word), &v, NULL));
        assert_int_equal(v, cases[i].value);
    }
}

static void
what_is_printed_reads_back_the_same(void **state)
{
    static const int64_t times[] = { -1, 0, 1, 999999, 1000000, 1500000, 3600000001LL };

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        struct text out = { 0 };

        conf_print_duration(&unset_duration, &times[i], &out);
        number_is(conf_parse_duration, &unset_duration, text_str(&out), times[i]);
        text_clear(&out);
        if (times[i] >= 0) {
            conf_print_msec(&msec, &times[i], &out);
            number_is(conf_parse_msec, &msec, text_str(&out), times[i]);
        }
        text_done(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_keep_their_limits),
        cmocka_unit_test(times_take_units_and_fractions),
        cmocka_unit_test(times_that_make_no_sense_are_refused),
        cmocka_unit_test(minus_one_means_not_set_only_where_a_row_says_so),
        cmocka_unit_test(sizes_take_units_of_1024),
        cmocka_unit_test(modes_are_octal),
        cmocka_unit_test(booleans_have_many_words),
        cmocka_unit_test(words_are_those_of_the_kind),
        cmocka_unit_test(every_word_has_the_value_of_its_enum),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
