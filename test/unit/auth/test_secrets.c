/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "auth/secrets.h"
#include "base/text.h"

#define SCRAM                                                                                  \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" \
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static struct secrets *
parse(struct slice text, struct fault *why)
{
    struct slice copy = exact(text);
    struct secrets *s = secrets_parse(copy, "users.txt", why);

    exact_free(copy);
    return s;
}

static bool
finds(const struct secrets *s, const char *user, const char *secret)
{
    struct slice found = secrets_find(s, slice_str(user));

    return found.data != NULL && slice_is(found, secret);
}

static void
last_line_for_a_name_wins(void **state)
{
    struct secrets *s = parse(SLICE("\"a\" \"1\"\n\"b\" \"2\"\n\"a\" \"3\"\n"), NULL);

    (void)state;
    assert_non_null(s);
    assert_int_equal(secrets_count(s), 2);
    assert_true(finds(s, "a", "3"));
    assert_true(finds(s, "b", "2"));
    assert_true(slice_is(secrets_name(s, 0), "a"));
    assert_true(slice_is(secrets_name(s, 1), "b"));
    secrets_drop(s);
}

static void
nobody_is_found_in_an_empty_list(void **state)
{
    struct secrets *s = secrets_empty();

    (void)state;
    assert_int_equal(secrets_count(s), 0);
    assert_null(secrets_find(s, SLICE("a")).data);
    assert_null(secrets_find(s, slice_of(NULL, 0)).data);
    secrets_drop(s);
    s = parse(slice_of(NULL, 0), NULL);
    assert_non_null(s);
    assert_int_equal(secrets_count(s), 0);
    secrets_drop(s);
    secrets_drop(NULL);
}

static void
only_the_whole_name_is_found(void **state)
{
    struct secrets *s = parse(SLICE("\"alice\" \"x\""), NULL);
    struct slice name = exact(SLICE("alice"));

    (void)state;
    assert_non_null(secrets_find(s, name).data);
    for (size_t cut = 0; cut < name.len; cut++)
        assert_null(secrets_find(s, slice_head(name, cut)).data);
    assert_null(secrets_find(s, SLICE("alicex")).data);
    assert_null(secrets_find(s, SLICE("Alice")).data);
    exact_free(name);
    secrets_drop(s);
}

static void
bad_lines_are_refused_with_their_number(void **state)
{
    static const char *const bad[] = {
        "alice \"x\"",          "\"alice",       "\"alice\"",
        "\"alice\" x",          "\"alice\" \"x", "\"alice\", \"x\"",
        "\"\" \"x\"",           "'alice' 'x'",   "\"a\" \"x\"\"",
        "\"two\nlines\" \"x\"", "\"a\" \n\"x\"", "\"a\" \"SCRAM-SHA-256$\"",
        "# no comment",         "\"a\" x \"b\"", "\"a\" \"SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct text text = { 0 };
        struct fault why = { 0 };

        text_printf(&text, "\"first\" \"TOPSECRET\"\n\n%s\n", bad[i]);
        if (parse(text_slice(&text), &why) != NULL)
            fail_msg("\"%s\" was taken", bad[i]);
        if (strncmp(why.message, "users.txt:3: ", 13) != 0 || why.sqlstate[0] == '\0')
            fail_msg("\"%s\": %s", bad[i], why.message);
        assert_null(strstr(why.message, "SECRET"));
        text_done(&text);
    }
    assert_null(parse(SLICE("\"a\" \"x\0y\""), NULL));
}

static void
file_cut_anywhere_is_read_or_refused(void **state)
{
    const struct slice whole = SLICE("\"alice\" \"se\"\"cret\"\n;c\n\"bob\" \"" SCRAM "\"\n");

    (void)state;
    for (size_t cut = 0; cut <= whole.len; cut++) {
        struct secrets *s = parse(slice_head(whole, cut), NULL);

        assert_true(s != NULL || cut < whole.len - 1);
        secrets_drop(s);
    }
}

static void
escapes_and_rests_of_lines_are_understood(void **state)
{
    struct secrets *s = parse(SLICE("; a comment\n"
                                    "\n"
                                    "\"alice\" \"secret\"\n"
                                    "  \t\"bob\"\"x\" \"\" the rest is ignored \"even this\r\n"
                                    "\"say \"\"hi\"\"\"\t\"a\"\"\"\"b\"\"\"\r\n"
                                    " ; another\n"
                                    "\"scram\" \"" SCRAM "\""),
                              NULL);

    (void)state;
    assert_non_null(s);
    assert_int_equal(secrets_count(s), 4);
    assert_true(finds(s, "alice", "secret"));
    assert_true(finds(s, "bob\"x", ""));
    assert_true(finds(s, "say \"hi\"", "a\"\"b\""));
    assert_true(finds(s, "scram", SCRAM));
    secrets_drop(s);
}

/* A line with a name of NAME_LEN and a secret of SECRET_LEN bytes. */
static bool
takes_lengths(size_t name_len, size_t secret_len)
{
    struct text text = { 0 };
    struct secrets *s;

    text_add_char(&text, '"');
    for (size_t i = 0; i < name_len; i++)
        text_add_str(&text, "\"\"");
    text_add_str(&text, "\" \"");
    for (size_t i = 0; i < secret_len; i++)
        text_add_char(&text, 's');
    text_add_char(&text, '"');
    s = parse(text_slice(&text), NULL);
    if (s != NULL) {
        assert_int_equal(secrets_name(s, 0).len, name_len);
        assert_int_equal(secrets_find(s, secrets_name(s, 0)).len, secret_len);
    }
    text_done(&text);
    secrets_drop(s);
    return s != NULL;
}

static void
length_limits_hold_to_the_byte(void **state)
{
    (void)state;
    assert_true(takes_lengths(127, 65530));
    assert_false(takes_lengths(128, 1));
    assert_false(takes_lengths(1, 65531));
    assert_false(takes_lengths(300, 70000));
}

static void
kinds_are_told_apart_as_postgresql_does(void **state)
{
    (void)state;
    assert_int_equal(secret_kind(slice_of(NULL, 0)), SECRET_NONE);
    assert_int_equal(secret_kind(SLICE("")), SECRET_NONE);
    assert_int_equal(secret_kind(SLICE("secret")), SECRET_PLAIN);
    assert_int_equal(secret_kind(SLICE("md5")), SECRET_PLAIN);
    assert_int_equal(secret_kind(SLICE("md54A0a68b43b6cd5cf266fa02f196e2371")), SECRET_PLAIN);
    assert_int_equal(secret_kind(SLICE("md54a0a68b43b6cd5cf266fa02f196e2371")), SECRET_MD5);
    assert_int_equal(secret_kind(SLICE(SCRAM)), SECRET_SCRAM);
    assert_int_equal(secret_kind(SLICE("SCRAM-SHA-256")), SECRET_PLAIN);
}

static void
last_drop_frees(void **state)
{
    struct secrets *s = parse(SLICE("\"a\" \"1\""), NULL);

    (void)state;
    assert_ptr_equal(secrets_hold(s), s);
    secrets_drop(s);
    assert_true(finds(s, "a", "1")); /* ASan would tell */
    secrets_drop(s);
}

static void
ten_thousand_users_are_quick_and_all_there(void **state)
{
    struct text text = { 0 };
    struct secrets *s;
    clock_t start;
    char name[20];

    (void)state;
    for (int i = 0; i < 10000; i++)
        text_printf(&text, "\"user%d\" \"%s\"\n", i, i % 2 == 0 ? SCRAM : "plain");
    start = clock();
    s = secrets_parse(text_slice(&text), "users.txt", NULL);
    assert_true(clock() - start < CLOCKS_PER_SEC / 2); /* 50 ms are promised without sanitizers */
    assert_non_null(s);
    assert_int_equal(secrets_count(s), 10000);
    assert_in_range(secrets_bytes(s), text.len, text.len + 10000 * 100);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        assert_true(slice_is(secrets_name(s, (size_t)i), name));
        assert_true(finds(s, name, i % 2 == 0 ? SCRAM : "plain"));
    }
    text_done(&text);
    secrets_drop(s);
}

static void
files_are_read_and_their_absence_is_told(void **state)
{
    char name[] = "/tmp/test_secrets_XXXXXX";
    struct fault why = { 0 };
    struct secrets *s;
    int fd = mkstemp(name);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "\"a\" \"1\"\nbad", 11), 11);
    close(fd);
    assert_null(secrets_load(name, &why));
    assert_non_null(strstr(why.message, ":2: "));
    assert_int_equal(truncate(name, 8), 0);
    s = secrets_load(name, &why);
    assert_non_null(s);
    assert_true(finds(s, "a", "1"));
    secrets_drop(s);
    assert_int_equal(truncate(name, (64 << 20) + 1), 0);
    assert_null(secrets_load(name, &why));
    assert_non_null(strstr(why.message, "64 MB"));
    unlink(name);
    assert_null(secrets_load(name, &why));
    assert_non_null(strstr(why.message, "cannot open"));
    assert_null(secrets_load("/tmp", &why));
    assert_non_null(strstr(why.message, "not a regular file"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_and_rests_of_lines_are_understood),
        cmocka_unit_test(last_line_for_a_name_wins),
        cmocka_unit_test(nobody_is_found_in_an_empty_list),
        cmocka_unit_test(only_the_whole_name_is_found),
        cmocka_unit_test(bad_lines_are_refused_with_their_number),
        cmocka_unit_test(file_cut_anywhere_is_read_or_refused),
        cmocka_unit_test(length_limits_hold_to_the_byte),
        cmocka_unit_test(kinds_are_told_apart_as_postgresql_does),
        cmocka_unit_test(last_drop_frees),
        cmocka_unit_test(ten_thousand_users_are_quick_and_all_there),
        cmocka_unit_test(files_are_read_and_their_absence_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
