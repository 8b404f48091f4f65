/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "wire/error.h"
#include "wire/message.h"

static struct fault
some_fault(void)
{
    struct fault why;

    fault_set(&why, "53300", "too many");
    fault_detail(&why, "limit %d", 3);
    fault_hint(&why, "wait");
    return why;
}

static void
a_fault_reads_back_the_same(void **state)
{
    static const struct {
        enum wire_severity severity;
        char type;
        const char *name;
    } all[] = { { WIRE_ERROR, 'E', "ERROR" },
                { WIRE_FATAL, 'E', "FATAL" },
                { WIRE_WARNING, 'N', "WARNING" },
                { WIRE_NOTICE, 'N', "NOTICE" } };
    struct fault why = some_fault(), back;

    (void)state;
    for (size_t i = 0; i < COUNT(all); i++) {
        struct text t = { 0 };
        struct wire_error e;
        struct wire_frame f;
        struct slice s;

        wire_put_fault(&t, all[i].severity, &why);
        s = exact(text_slice(&t));
        assert_int_equal(wire_frame_read(s.data, s.len, 10000, &f), WIRE_MESSAGE);
        assert_true(f.type == all[i].type && f.len == s.len);
        assert_true(wire_error_read(slice_tail(s, WIRE_HEADER), &e));
        assert_true(slice_is(e.severity, all[i].name));
        wire_error_fault(&e, &back);
        assert_memory_equal(&back, &why, sizeof(why));
        exact_free(s);
        text_done(&t);
    }
}

#define BODY SLICE("SFEHLER\0VERROR\0C23505\0Mduplicate\0Ddetail\0Hhint\0Ffile.c\0L12\0Rroutine\0\0")

static void
an_error_that_is_cut_is_malformed_and_keeps_what_was_read(void **state)
{
    struct slice whole = BODY;

    (void)state;
    for (size_t cut = 0; cut < whole.len; cut++) {
        struct slice s = exact(slice_head(whole, cut));
        struct wire_error e;

        assert_false(wire_error_read(s, &e));
        assert_int_equal(e.sqlstate.len, cut >= 22 ? 5 : 0);
        exact_free(s);
    }
}

static void
the_severity_is_the_one_that_is_not_translated(void **state)
{
    struct wire_error e;

    (void)state;
    assert_true(wire_error_read(SLICE("VFATAL\0SFATALE\0\0"), &e));
    assert_slice(e.severity, "FATAL");
    assert_true(wire_error_read(SLICE("SFATALE\0VFATAL\0\0"), &e));
    assert_slice(e.severity, "FATAL");
    assert_true(wire_error_read(SLICE("SFATALE\0\0"), &e));
    assert_slice(e.severity, "FATALE");
    assert_true(wire_error_read(SLICE("\0"), &e));
    assert_int_equal(e.severity.len + e.sqlstate.len + e.message.len, 0);
}

static void
a_server_cannot_make_a_fault_too_long_or_its_sqlstate_wrong(void **state)
{
    static char big[2000];
    static const struct slice states[] = { { (const uint8_t *)"", 0 },
                                           { (const uint8_t *)"1234", 4 },
                                           { (const uint8_t *)"123456", 6 } };
    struct slice text;

    (void)state;
    memset(big, 'z', sizeof(big));
    text = exact(slice_of(big, sizeof(big)));
    for (size_t i = 0; i < COUNT(states); i++) {
        struct wire_error e = { .sqlstate = states[i], .message = text, .detail = text, .hint = text };
        struct fault why;

        wire_error_fault(&e, &why);
        assert_string_equal(why.sqlstate, "XX000");
        assert_true(strlen(why.message) >= 200 && strlen(why.message) < sizeof(why.message));
        assert_true(strlen(why.detail) >= 380 && strlen(why.detail) < sizeof(why.detail));
        assert_true(strlen(why.hint) >= 150 && strlen(why.hint) < sizeof(why.hint));
    }
    exact_free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_reads_back_the_same),
        cmocka_unit_test(an_error_that_is_cut_is_malformed_and_keeps_what_was_read),
        cmocka_unit_test(the_severity_is_the_one_that_is_not_translated),
        cmocka_unit_test(a_server_cannot_make_a_fault_too_long_or_its_sqlstate_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
