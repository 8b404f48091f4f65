/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"

#define MODEL_MAX 8192

/* The same pieces, put together in the simplest way. */
struct model {
    char data[MODEL_MAX];
    size_t len;
};

static void
model_add(struct model *m, const void *p, size_t len)
{
    assert_true(m->len + len <= MODEL_MAX);
    memcpy(m->data + m->len, p, len);
    m->len += len;
}

static void
one_piece(struct text *t, struct model *m, uint64_t r)
{
    static const char bytes[] = "it's \"a\" \\ string\0with a NUL";
    struct slice s = slice_of(bytes, (r >> 8) % sizeof(bytes));
    char number[64];
    char *at;

    switch (r % 5) {
    case 0:
        text_add(t, s);
        model_add(m, s.data, s.len);
        break;
    case 1:
        text_add_char(t, (char)r);
        model_add(m, &(char){ (char)r }, 1);
        break;
    case 2:
        text_printf(t, "%u:%s", (unsigned)r, "");
        model_add(m, number, (size_t)snprintf(number, sizeof(number), "%u:", (unsigned)r));
        break;
    case 3:
        text_add_str(t, "word");
        model_add(m, "word", 4);
        break;
    default:
        at = text_room(t, s.len);
        memcpy(at, s.data, s.len);
        text_grew(t, s.len);
        model_add(m, s.data, s.len);
        break;
    }
}

static void
a_text_is_what_was_added_in_its_order(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int round = 0; round < 50; round++) {
        struct model m = { .len = 0 };
        struct text t = { 0 };

        for (int i = 0; i < 100; i++) {
            one_piece(&t, &m, draw(&seed));
            assert_int_equal(t.len, m.len);
            assert_true(t.len < t.cap || t.len == 0);
        }
        assert_memory_equal(t.data, m.data, m.len);
        text_done(&t);
    }
}

static void
a_text_ends_in_a_nul_after_every_addition(void **state)
{
    struct text t = { 0 };

    (void)state;
    for (int i = 0; i < 300; i++) {
        text_add_char(&t, 'x');
        assert_int_equal(strlen(text_str(&t)), (size_t)i + 1);
        text_add(&t, slice_of(NULL, 0));
        text_printf(&t, "%s", "");
        assert_int_equal(strlen(text_str(&t)), (size_t)i + 1);
    }
    text_done(&t);
}

static void
an_empty_text_is_an_empty_string(void **state)
{
    struct text t = { 0 };
    char *s;

    (void)state;
    assert_string_equal(text_str(&t), "");
    assert_int_equal(text_slice(&t).len, 0);
    s = text_take(&t);
    assert_string_equal(s, "");
    mem_free(s);
    text_add_str(&t, "old");
    text_clear(&t);
    assert_string_equal(text_str(&t), "");
    s = text_take(&t);
    assert_string_equal(s, "");
    mem_free(s);
    text_done(&t);
}

static void
taking_moves_the_string_and_leaves_nothing(void **state)
{
    struct text t = { 0 };
    char *s;

    (void)state;
    text_printf(&t, "%d %s", 42, "apples");
    s = text_take(&t);
    assert_string_equal(s, "42 apples");
    mem_free(s);
    assert_null(t.data);
    text_add_str(&t, "again");
    assert_string_equal(text_str(&t), "again");
    text_done(&t);
    assert_null(t.data);
    text_done(&t);
}

/* Reading the quoted form back must give what went in, whatever it was. */
static void
quoting_can_be_undone(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < 500; round++) {
        char in[32], back[32];
        struct text t = { 0 };
        size_t len = draw(&seed) % sizeof(in), n = 0;

        for (size_t i = 0; i < len; i++)
            in[i] = "a'\"\\\n"[draw(&seed) % 5];
        text_add_quoted(&t, slice_of(in, len), '\'');
        assert_true(t.len >= 2 && t.data[0] == '\'' && t.data[t.len - 1] == '\'');
        for (size_t i = 1; i < t.len - 1; i++) {
            if (t.data[i] == '\'')
                assert_int_equal(t.data[++i], '\'');
            assert_true(i < t.len - 1 && n < len);
            back[n++] = t.data[i];
        }
        assert_int_equal(n, len);
        assert_memory_equal(in, back, len);
        text_done(&t);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_what_was_added_in_its_order),
        cmocka_unit_test(a_text_ends_in_a_nul_after_every_addition),
        cmocka_unit_test(an_empty_text_is_an_empty_string),
        cmocka_unit_test(taking_moves_the_string_and_leaves_nothing),
        cmocka_unit_test(quoting_can_be_undone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
