/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "auth/md5.h"

static void
secret_and_answer_are_what_postgresql_computes(void **state)
{
    static const uint8_t salt[4] = { 0x01, 0x00, 0xFF, 0x80 };
    char secret[MD5_SECRET_LEN + 1], answer[MD5_SECRET_LEN + 1];

    (void)state;
    assert_true(md5_secret(SLICE("secret"), SLICE("alice"), secret));
    assert_string_equal(secret, "md54a0a68b43b6cd5cf266fa02f196e2371");
    assert_true(md5_answer(secret, salt, answer));
    assert_string_equal(answer, "md58c929cb19b6e44863a27ebe2984625fc");
    assert_true(md5_secret(slice_of(NULL, 0), slice_of(NULL, 0), secret));
    assert_string_equal(secret, "md5d41d8cd98f00b204e9800998ecf8427e");
}

static bool
is_secret(struct slice s)
{
    struct slice copy = exact(s);
    bool is = md5_is_secret(copy);

    exact_free(copy);
    return is;
}

static void
only_whole_lower_case_secrets_are_secrets(void **state)
{
    const struct slice good = SLICE("md54a0a68b43b6cd5cf266fa02f196e2371");

    (void)state;
    assert_true(is_secret(good));
    for (size_t cut = 0; cut < good.len; cut++)
        assert_false(is_secret(slice_head(good, cut)));
    assert_false(is_secret(SLICE("md54a0a68b43b6cd5cf266fa02f196e2371 ")));
    assert_false(is_secret(SLICE("md54A0A68B43B6CD5CF266FA02F196E2371")));
    assert_false(is_secret(SLICE("md54a0a68b43b6cd5cf266fa02f196e237g")));
    assert_false(is_secret(SLICE("MD54a0a68b43b6cd5cf266fa02f196e2371")));
}

static void
same_is_equal_and_never_empty(void **state)
{
    (void)state;
    assert_true(md5_same(SLICE("md5a"), SLICE("md5a")));
    assert_false(md5_same(SLICE("md5a"), SLICE("md5b")));
    assert_false(md5_same(SLICE("md5a"), SLICE("md5")));
    assert_false(md5_same(SLICE(""), SLICE("")));
    assert_false(md5_same(slice_of(NULL, 0), slice_of(NULL, 0)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secret_and_answer_are_what_postgresql_computes),
        cmocka_unit_test(only_whole_lower_case_secrets_are_secrets),
        cmocka_unit_test(same_is_equal_and_never_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
