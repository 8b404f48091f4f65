/* SPDX-License-Identifier: ISC */
#include "topo/lsn.h"

#include "base/unit.h"

#define SEGMENT (UINT64_C(16) << 20)
#define PAGE    8192

static void
printed_position_reads_the_same(void **state)
{
    struct text text = { 0 };
    uint64_t seed = 7, lsn;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t wanted = draw(&seed) >> draw(&seed) % 64;
        struct slice s;

        text_clear(&text);
        lsn_print(wanted, &text);
        s = exact(text_slice(&text));
        assert_true(lsn_parse(s, &lsn));
        assert_true(lsn == wanted);
        exact_free(s);
    }
    text_done(&text);
    assert_true(lsn_parse(SLICE("16/b374d848"), &lsn));
    assert_true(lsn == UINT64_C(0x16B374D848));
}

static void
anything_else_is_refused(void **state)
{
    const struct slice bad[] = { SLICE(""),      SLICE("/"),    SLICE("1/"),          SLICE("/1"),
                                 SLICE("1/2/3"), SLICE("g/1"),  SLICE("123456789/1"), SLICE(" 1/1"),
                                 SLICE("1/1 "),  SLICE("-1/1"), SLICE("1/123456789"), SLICE("0x1/1"),
                                 SLICE("11") };
    uint64_t lsn;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct slice s = exact(bad[i]);

        assert_false(lsn_parse(s, &lsn));
        exact_free(s);
    }
}

/* Only what lies right behind a header moves, and by no more than the header. */
static void
header_is_taken_off(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 3 * SEGMENT; at += 8) {
        uint64_t lsn = UINT64_C(0x500000000) + at, moved = lsn_without_header(lsn, SEGMENT, PAGE), wanted = lsn;

        if (at % SEGMENT == 40)
            wanted = lsn - 40;
        else if (at % PAGE == 24 && at % SEGMENT != 24)
            wanted = lsn - 24;
        assert_true(moved == wanted);
        assert_true(moved % PAGE == 0 || moved == lsn);
    }
    assert_true(lsn_without_header(0x6018018, SEGMENT, PAGE) == 0x6018000);
    assert_true(lsn_without_header(0x6000028, SEGMENT, PAGE) == 0x6000000);
    assert_true(lsn_without_header(0x6002028, SEGMENT, PAGE) == 0x6002028);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printed_position_reads_the_same),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(header_is_taken_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
