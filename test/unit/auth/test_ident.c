/* SPDX-License-Identifier: ISC */
/* Maps of system users. */
#include "auth/hba_question.h"

static struct hba *
with_maps(const char *maps, struct fault *why)
{
    struct hba *h = parse("local all all peer map=m\nhostssl all all all cert\n", NULL);
    struct slice copy = exact(slice_str(maps));

    assert_non_null(h);
    if (!hba_parse_ident(h, copy, "/etc/ident", why)) {
        hba_drop(h);
        h = NULL;
    }
    exact_free(copy);
    return h;
}

static enum hba_method
map(const struct hba *h, const char *name, const char *system, const char *user, const char *roles)
{
    const struct hba_ask ask = { .user = slice_str(user), .roles = roles };

    return hba_map_user(h, name, system, &ask);
}

static void
a_map_says_who_may_be_whom(void **state)
{
    struct fault why;
    struct hba *h =
        with_maps("# maps\nm bob robert\nm  \"Bob B\"  all\nother bob root\nm \"/^(.*)@corp\\\\.com$\" \\1\n"
                  "m /^guest[0-9]$ guest\nm /^x_(.*)$ \"pre_\\1_post\"\nm joe /^j\n",
                  &why);

    (void)state;
    if (h == NULL)
        fail_msg("%s", why.message);
    assert_int_equal(map(h, "m", "bob", "robert", NULL), HBA_TRUST);
    assert_int_equal(map(h, "m", "bob", "root", NULL), HBA_REJECT);
    assert_int_equal(map(h, "m", "bob", "bob", NULL), HBA_REJECT);
    assert_int_equal(map(h, "m", "Bob B", "anybody", NULL), HBA_TRUST);
    assert_int_equal(map(h, "m", "guest7", "guest", NULL), HBA_TRUST);
    assert_int_equal(map(h, "m", "guest77", "guest", NULL), HBA_REJECT);
    assert_int_equal(map(h, "m", "x_a", "pre_a_post", NULL), HBA_TRUST);
    assert_int_equal(map(h, "m", "x_a", "pre_b_post", NULL), HBA_REJECT);
    assert_int_equal(map(h, "m", "x_", "pre__post", NULL), HBA_TRUST);
    assert_int_equal(map(h, "m", "x_abc", "pre_", NULL), HBA_REJECT);
    assert_int_equal(map(h, "m", "joe", "jim", NULL), HBA_TRUST);
    assert_int_equal(map(h, "m", "joe", "bob", NULL), HBA_REJECT);
    assert_int_equal(map(h, NULL, "bob", "bob", NULL), HBA_TRUST);
    assert_int_equal(map(h, NULL, "bob", "robert", NULL), HBA_REJECT);
    assert_int_equal(map(h, "M", "bob", "robert", NULL), HBA_REJECT);
    hba_drop(h);
}

static void
members_of_a_role_may_be_meant(void **state)
{
    struct hba *h = with_maps("m bob +ops\n", NULL);

    (void)state;
    assert_non_null(h);
    assert_true(hba_wants_roles(h));
    assert_int_equal(map(h, "m", "bob", "joe", NULL), HBA_NEEDS_ROLES);
    assert_int_equal(map(h, "m", "bob", "joe", "3:joe3:ops"), HBA_TRUST);
    assert_int_equal(map(h, "m", "bob", "joe", "3:joe"), HBA_REJECT);
    assert_int_equal(map(h, "m", "jim", "joe", NULL), HBA_REJECT);
    hba_drop(h);
}

static const struct {
    const char *maps, *reason;
} bad_maps[] = {
    { "\nm bob\n", "/etc/ident:2: a line needs" },
    { "m bob a,b\n", "/etc/ident:1: a line needs" },
    { "m bob a b\n", "/etc/ident:1: a line needs" },
    { "m /( a\n", "/etc/ident:1: bad regular expression" },
    { "m bob /(\n", "/etc/ident:1: bad regular expression" },
    { "m /x \\1\n", "has no parentheses" },
    { "m \"bob a\n", "a quote does not end" },
    { "other bob a\n", "/etc/hba.conf:1: map \"m\" is not in /etc/ident" },
    { "m bob a\ninclude /nonexistent/x\n", "/etc/ident:2: cannot open" },
};

static void
bad_maps_are_refused_and_change_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_maps) / sizeof(bad_maps[0]); i++) {
        struct fault why = { 0 };

        if (with_maps(bad_maps[i].maps, &why) != NULL)
            fail_msg("\"%s\" was taken", bad_maps[i].maps);
        if (strstr(why.message, bad_maps[i].reason) == NULL)
            fail_msg("\"%s\": %s", bad_maps[i].maps, why.message);
    }
}

static void
a_map_needs_a_file(void **state)
{
    struct hba *h = parse("local all all peer map=m\n", NULL), *plain = parse("local all all peer\n", NULL);
    struct fault why;

    (void)state;
    assert_false(hba_load_ident(h, "", &why));
    assert_string_equal(why.message, "/etc/hba.conf:1: map \"m\" needs auth_ident_file");
    assert_true(hba_load_ident(plain, "", &why));
    assert_false(hba_load_ident(h, "/nonexistent/ident", &why));
    hba_drop(h);
    hba_drop(plain);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_says_who_may_be_whom),
        cmocka_unit_test(members_of_a_role_may_be_meant),
        cmocka_unit_test(bad_maps_are_refused_and_change_nothing),
        cmocka_unit_test(a_map_needs_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
