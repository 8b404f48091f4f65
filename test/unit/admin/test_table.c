/* SPDX-License-Identifier: ISC */
/* The rows of one SHOW. */
#include "admin/table.h"
#include "admin_tests.h"

static void
make_rows(const char *sql, struct text *out, uint64_t *n_rows)
{
    struct admin_command c;
    struct admin_table t;

    assert_true(parse(sql, &c));
    admin_table_init(&t, &c, out);
    admin_table_head(&t);
    for (int i = 0; i < 3; i++) { /* SHOW PEERS: peer_id, host, port, pool_size */
        admin_put_int(&t, i);
        if (i == 2)
            admin_put_null(&t);
        else
            admin_put_str(&t, i == 0 ? "a\"\n\\" : "b");
        admin_put_slice(&t, SLICE("10"));
        admin_put_int(&t, -1);
        admin_row_end(&t);
    }
    *n_rows = t.n_rows;
    admin_table_done(&t);
}

static void
rows_have_the_columns_of_their_view(void **state)
{
    struct text out = { 0 };
    struct slice body;
    uint64_t n;
    size_t at = 0;

    (void)state;
    make_rows("SHOW PEERS", &out, &n);
    assert_int_equal(n, 3);
    assert_int_equal(next_message(&out, &at, &body), 'T');
    assert_int_equal(body.data[1], 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next_message(&out, &at, &body), 'D');
        assert_int_equal(body.data[1], 4);
        assert_int_equal(body.data[6], '0' + i);
        if (i == 2)
            assert_memory_equal(body.data + 7, "\xff\xff\xff\xff", 4);
    }
    assert_int_equal(next_message(&out, &at, &body), 0);
    text_done(&out);
}

static void
where_lets_equal_rows_pass_and_null_never(void **state)
{
    struct text out = { 0 };
    uint64_t n;

    (void)state;
    make_rows("SHOW PEERS WHERE host = b", &out, &n);
    assert_int_equal(n, 1);
    make_rows("SHOW PEERS WHERE host = ''", &out, &n);
    assert_int_equal(n, 0);
    make_rows("SHOW PEERS WHERE pool_size = '-1'", &out, &n);
    assert_int_equal(n, 3);
    text_done(&out);
}

static void
json_quotes_text_and_not_numbers(void **state)
{
    static const char *const expected[] = {
        "{\"peer_id\":0,\"host\":\"a\\\"\\u000a\\\\\",\"port\":10,\"pool_size\":-1}",
        "{\"peer_id\":1,\"host\":\"b\",\"port\":10,\"pool_size\":-1}",
        "{\"peer_id\":2,\"host\":null,\"port\":10,\"pool_size\":-1}"
    };
    struct text out = { 0 };
    struct slice body;
    uint64_t n;
    size_t at = 0;

    (void)state;
    make_rows("SHOW PEERS FORMAT JSON", &out, &n);
    assert_int_equal(next_message(&out, &at, &body), 'T');
    assert_int_equal(body.data[1], 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next_message(&out, &at, &body), 'D');
        assert_true(slice_is(slice_tail(body, 6), expected[i]));
    }
    text_done(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_columns_of_their_view),
        cmocka_unit_test(where_lets_equal_rows_pass_and_null_never),
        cmocka_unit_test(json_quotes_text_and_not_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
