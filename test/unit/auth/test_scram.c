/* SPDX-License-Identifier: ISC */
/* The secret of "pencil" was computed with Python's hashlib. */
#include "base/unit.h"

#include "auth/scram.h"

#define PENCIL                                                                                 \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" \
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static void
secret_is_what_hashlib_computes(void **state)
{
    static const uint8_t salt[] = "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
    struct scram_secret s;
    struct text t = { 0 };

    (void)state;
    scram_secret_derive(SLICE("pencil"), slice_of(salt, 16), 4096, &s);
    scram_secret_print(&s, &t);
    assert_string_equal(text_str(&t), PENCIL);
    text_done(&t);
}

static void
printed_secret_reads_back(void **state)
{
    struct scram_secret s;
    struct text t = { 0 };

    (void)state;
    assert_true(scram_secret_parse(SLICE(PENCIL), &s));
    assert_int_equal(s.iterations, 4096);
    assert_int_equal(s.salt_len, 16);
    scram_secret_print(&s, &t);
    assert_string_equal(text_str(&t), PENCIL);
    text_done(&t);
}

static bool
parses(struct slice text)
{
    struct slice copy = exact(text);
    struct scram_secret s;
    bool good = scram_secret_parse(copy, &s);

    exact_free(copy);
    return good;
}

static void
secret_cut_anywhere_is_refused(void **state)
{
    const struct slice whole = SLICE(PENCIL);

    (void)state;
    assert_true(parses(whole));
    for (size_t cut = 0; cut < whole.len; cut++)
        assert_false(parses(slice_head(whole, cut)));
}

#define KEYS "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define S64  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="

static void
damaged_secrets_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "SCRAM-SHA-1$4096:c2FsdA==" KEYS,
        "scram-sha-256$4096:c2FsdA==" KEYS,
        " SCRAM-SHA-256$4096:c2FsdA==" KEYS,
        "SCRAM-SHA-256$0:c2FsdA==" KEYS,
        "SCRAM-SHA-256$-1:c2FsdA==" KEYS,
        "SCRAM-SHA-256$+1:c2FsdA==" KEYS,
        "SCRAM-SHA-256$ 1:c2FsdA==" KEYS,
        "SCRAM-SHA-256$:c2FsdA==" KEYS,
        "SCRAM-SHA-256$2147483648:c2FsdA==" KEYS,
        "SCRAM-SHA-256$4294967297:c2FsdA==" KEYS,
        "SCRAM-SHA-256$18446744073709551617:c2FsdA==" KEYS,
        "SCRAM-SHA-256$4096:" KEYS,
        "SCRAM-SHA-256$4096:c2Fsd" KEYS,
        "SCRAM-SHA-256$4096:AAAA" S64 KEYS,
        "SCRAM-SHA-256$4096:c2FsdA==" KEYS "=",
        "SCRAM-SHA-256$4096:c2FsdA==" KEYS " ",
        "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parses(slice_str(bad[i])))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_true(parses(SLICE("SCRAM-SHA-256$2147483647:c2FsdA==" KEYS)));
    assert_true(parses(SLICE("SCRAM-SHA-256$1:" S64 KEYS)));
}

static void
keys_belong_to_the_secret(void **state)
{
    struct scram_secret s;
    struct scram_keys k;

    (void)state;
    scram_secret_derive(SLICE("pw"), SLICE("NaCl"), 3, &s);
    scram_keys_derive(SLICE("pw"), s.salt, s.salt_len, s.iterations, &k);
    assert_memory_equal(k.server_key, s.server_key, SCRAM_KEY_LEN);
    assert_memory_not_equal(k.client_key, s.server_key, SCRAM_KEY_LEN);
    assert_memory_not_equal(k.client_key, s.stored_key, SCRAM_KEY_LEN);
}

static void
mock_is_the_same_every_time_and_looks_like_a_real_one(void **state)
{
    uint8_t key[32] = { 1 }, other_key[32] = { 2 };
    struct scram_secret a, b;

    (void)state;
    scram_secret_mock(key, SLICE("nobody"), &a);
    scram_secret_mock(key, SLICE("nobody"), &b);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(a.iterations, 4096);
    assert_int_equal(a.salt_len, 16);
    assert_memory_not_equal(a.salt, a.stored_key, 16);
    assert_memory_not_equal(a.stored_key, a.server_key, SCRAM_KEY_LEN);
    scram_secret_mock(key, SLICE("nobody2"), &b);
    assert_memory_not_equal(a.salt, b.salt, 16);
    assert_memory_not_equal(a.stored_key, b.stored_key, SCRAM_KEY_LEN);
    scram_secret_mock(other_key, SLICE("nobody"), &b);
    assert_memory_not_equal(a.salt, b.salt, 16);
    assert_memory_not_equal(a.stored_key, b.stored_key, SCRAM_KEY_LEN);
    scram_secret_mock(key, slice_of(NULL, 0), &b);
    assert_int_equal(b.salt_len, 16);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secret_is_what_hashlib_computes),
        cmocka_unit_test(printed_secret_reads_back),
        cmocka_unit_test(secret_cut_anywhere_is_refused),
        cmocka_unit_test(damaged_secrets_are_refused),
        cmocka_unit_test(keys_belong_to_the_secret),
        cmocka_unit_test(mock_is_the_same_every_time_and_looks_like_a_real_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
