/* SPDX-License-Identifier: ISC */
/* What statements leave behind: each string with its effects as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/text.h"
#include "sql/facts.h"

static const char *const kind_names[] = {
    [EFFECT_NONE] = "none",
    [EFFECT_SET] = "set",
    [EFFECT_SET_CONFIG] = "config",
    [EFFECT_RESET] = "reset",
    [EFFECT_RESET_ALL] = "reset all",
    [EFFECT_PREPARE] = "prepare",
    [EFFECT_EXECUTE] = "execute",
    [EFFECT_DEALLOCATE] = "deallocate",
    [EFFECT_DEALLOCATE_ALL] = "deallocate all",
    [EFFECT_DISCARD_ALL] = "discard all",
    [EFFECT_SAVEPOINT] = "savepoint",
    [EFFECT_ROLLBACK_TO] = "rollback to",
    [EFFECT_RELEASE] = "release",
    [EFFECT_PIN] = "pin",
    [EFFECT_SET_LOCAL] = "set local",
    [EFFECT_UNPIN] = "unpin",
    [EFFECT_MAY_UNPIN] = "may unpin",
    [EFFECT_MAY_LEAVE] = "may leave",
    [EFFECT_LISTEN] = "listen",
    [EFFECT_UNLISTEN] = "unlisten",
    [EFFECT_QUIT] = "quit",
    [EFFECT_VACATE] = "vacate",
};

static const struct {
    const char *sql, *effects;
} rows[] = {
#define EFFECTS(sql, effects) { sql, effects },
#include "effects.def"
#undef EFFECTS
};

/* "0 set name|replay" and so on, one effect after the other with "; " between. */
static void
render(struct text *t, const struct facts *f)
{
    for (unsigned i = 0; i < f->n_effects; i++) {
        const struct effect *e = &f->effects[i];

        text_printf(t, "%s%u %s", i == 0 ? "" : "; ", e->statement, kind_names[e->kind]);
        if (e->pin != PIN_NONE)
            text_printf(t, " %s", pin_reason_name(e->pin));
        if (e->name.len > 0)
            text_printf(t, " %.*s", (int)e->name.len, (const char *)e->name.data);
        if (e->replay.len > 0)
            text_printf(t, "|%.*s", (int)e->replay.len, (const char *)e->replay.data);
    }
}

static void
statements_have_the_effects_of_the_table(void **state)
{
    struct facts_table *table = facts_table_new(4096, 7);
    struct text t = { 0 };
    unsigned n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct facts *f = facts_of(table, slice_str(rows[i].sql), true, NULL);

        text_clear(&t);
        render(&t, f);
        if (!f->analysed || strcmp(text_str(&t), rows[i].effects) != 0) {
            print_error("%s\n    gives  %s\n    not as %s\n", rows[i].sql,
                        f->analysed ? text_str(&t) : "a syntax error", rows[i].effects);
            n_wrong++;
        }
        facts_drop(f);
    }
    assert_int_equal(n_wrong, 0);
    text_done(&t);
    facts_table_free(table);
}

/* What replays a setting has, when it is read again, the same effect. */
static void
a_replay_is_a_statement_with_the_same_effect(void **state)
{
    struct facts_table *table = facts_table_new(4096, 7);
    unsigned n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct facts *f = facts_of(table, slice_str(rows[i].sql), true, NULL);

        for (unsigned k = 0; k < f->n_effects; k++) {
            const struct effect *e = &f->effects[k];
            const struct facts *again;

            if (e->kind != EFFECT_SET && e->kind != EFFECT_SET_CONFIG)
                continue;
            again = facts_of(table, e->replay, true, NULL);
            assert_int_equal(again->n_statements, 1);
            assert_int_equal(again->n_effects, 1);
            assert_int_equal(again->effects[0].kind, slice_is(e->name, "role") ? EFFECT_SET : e->kind);
            assert_true(slice_equal(again->effects[0].name, e->name));
            assert_true(slice_equal(again->effects[0].replay, e->replay));
            facts_drop(again);
            n++;
        }
        facts_drop(f);
    }
    assert_true(n > 20);
    facts_table_free(table);
}

static void
every_pin_reason_has_a_name_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(pin_reason_name(PIN_NONE), "none");
    assert_string_equal(pin_reason_name(PIN_TEMP_TABLE), "temp_table");
    assert_string_equal(pin_reason_name(PIN_N), "unknown");
    for (unsigned i = 0; i < PIN_N; i++)
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(pin_reason_name((enum pin_reason)i), pin_reason_name((enum pin_reason)k));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_have_the_effects_of_the_table),
        cmocka_unit_test(a_replay_is_a_statement_with_the_same_effect),
        cmocka_unit_test(every_pin_reason_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
