/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "base/mem.h"
#include "image_private.h"
#include "wire/writer.h"

#define TYPES SLICE("\0\1\0\0\0\27")

static void
pair(struct text *t, struct image_set *set, struct slice name, struct slice value)
{
    image_put_slice(t, name);
    image_put_slice(t, value);
    set->present = true;
    set->n++;
    set->rest = text_slice(t);
}

/* All that a session can have. */
static void
write_full(struct text *out)
{
    static const uint8_t key[32] = { 1, 2, 3 };
    struct text sets[4] = { { 0 } };
    struct image im = { .id = 0x123456789a,
                        .lsn = 77,
                        .n_in = 1,
                        .n_out = 2,
                        .connected_us = 5,
                        .idle_us = 6,
                        .n_requests = 7,
                        .pid = 8,
                        .noticed = 9,
                        .has_application = true,
                        .has_unnamed = true,
                        .user = SLICE("app"),
                        .database = SLICE("db"),
                        .application = SLICE(""),
                        .secret = SLICE("secret"),
                        .client_key = slice_of(key, 32),
                        .key = slice_of(key, 32),
                        .startup = { .present = true },
                        .mark = SLICE("0123456789abcdef0123456789abcdef"),
                        .unnamed = { .sql = SLICE("SELECT 1"), .types = SLICE("\0\0") },
                        .n_names = 2 };
    const struct image_statement names[] = { { SLICE("one"), SLICE("SELECT $1"), TYPES, false },
                                             { SLICE("two"), SLICE(""), SLICE("\0\0"), true } };

    pair(&sets[0], &im.settings, SLICE("TimeZone"), SLICE("SELECT set_config('TimeZone','UTC',false)"));
    pair(&sets[0], &im.settings, SLICE("a.b"), SLICE("SELECT set_config('a.b','',false)"));
    pair(&sets[1], &im.told, SLICE("DateStyle"), SLICE(""));
    pair(&sets[2], &im.by_sql, SLICE("p"), SLICE("PREPARE p AS SELECT 1"));
    pair(&sets[3], &im.channels, SLICE("news"), SLICE(""));
    image_write(out, &im);
    image_put_statement(out, &names[0]);
    image_put_statement(out, &names[1]);
    for (int i = 0; i < 4; i++)
        text_done(&sets[i]);
}

static void
what_is_written_is_read(void **state)
{
    struct text t = { 0 };
    struct image im;
    struct fault why;
    struct slice name, value;
    struct image_statement st;

    (void)state;
    write_full(&t);
    assert_true(image_read(text_slice(&t), &im, &why));
    assert_int_equal(im.id, 0x123456789a);
    assert_int_equal(im.lsn, 77);
    assert_int_equal(im.noticed, 9);
    assert_true(slice_is(im.user, "app") && slice_is(im.database, "db") && slice_is(im.secret, "secret"));
    assert_true(im.has_application && im.application.len == 0);
    assert_int_equal(im.key.len, 32);
    assert_true(im.startup.present && im.startup.n == 0);
    assert_true(image_next_pair(&im.settings, &name, &value) && slice_is(name, "TimeZone"));
    assert_true(image_next_pair(&im.settings, &name, &value) && slice_is(name, "a.b"));
    assert_false(image_next_pair(&im.settings, &name, &value));
    assert_true(image_next_pair(&im.told, &name, &value) && value.len == 0);
    assert_true(image_next_pair(&im.by_sql, &name, &value) && slice_is(name, "p"));
    assert_true(slice_is(value, "PREPARE p AS SELECT 1"));
    assert_true(image_next_pair(&im.channels, &name, &value) && slice_is(name, "news"));
    assert_true(slice_is(im.mark, "0123456789abcdef0123456789abcdef"));
    assert_true(im.has_unnamed && slice_is(im.unnamed.sql, "SELECT 1"));
    assert_true(image_next_name(&im, &st) && slice_is(st.name, "one") && slice_equal(st.types, TYPES));
    assert_true(image_next_name(&im, &st) && slice_is(st.name, "two") && st.doubtful);
    assert_false(image_next_name(&im, &st));
    text_done(&t);
}

static void
whatever_is_cut_off_or_added_is_refused(void **state)
{
    struct text t = { 0 };
    struct image im;
    struct fault why;

    (void)state;
    write_full(&t);
    for (size_t cut = 0; cut < t.len; cut++) {
        uint8_t *head = mem_alloc(cut + 1); /* so that a byte too far is noticed */

        memcpy(head, t.data, cut);
        assert_false(image_read(slice_of(head, cut), &im, &why));
        assert_string_equal(why.sqlstate, "08P01");
        mem_free(head);
    }
    text_add_char(&t, 0);
    assert_false(image_read(text_slice(&t), &im, &why));
    text_done(&t);
}

static void
check_what_is_read(struct slice bytes)
{
    struct slice name, value;
    struct image_statement st;
    struct image im;
    struct fault why;

    if (!image_read(bytes, &im, &why))
        return;
    while (image_next_pair(&im.settings, &name, &value))
        assert_null(memchr(value.data, 0, value.len));
    for (size_t i = 0; i < im.mark.len; i++)
        assert_non_null(strchr("0123456789abcdef", im.mark.data[i]));
    while (image_next_name(&im, &st))
        assert_true(st.name.len > 0 && st.types.len >= 2);
}

/* No byte can be changed so that something reads beyond the image, or a NUL gets into a text. */
static void
every_changed_byte_is_refused_or_harmless(void **state)
{
    struct text t = { 0 };

    (void)state;
    write_full(&t);
    for (size_t i = 0; i < t.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            t.data[i] ^= (char)(1 << bit);
            check_what_is_read(text_slice(&t));
            t.data[i] ^= (char)(1 << bit);
        }
    }
    text_done(&t);
}

static void
another_version_is_refused(void **state)
{
    struct text t = { 0 };
    struct image im;
    struct fault why;

    (void)state;
    write_full(&t);
    t.data[1]++;
    assert_false(image_read(text_slice(&t), &im, &why));
    text_done(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(whatever_is_cut_off_or_added_is_refused),
        cmocka_unit_test(every_changed_byte_is_refused_or_harmless),
        cmocka_unit_test(another_version_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
