/* SPDX-License-Identifier: ISC */
/* The sample file and the manual. */
#include <stdio.h>

#include "conf_tests.h"

/* With the environment's PGWEIR_WRITE_SAMPLE set, this writes etc/pgweir.ini instead of comparing. */
static void
etc_pgweir_ini_is_what_the_rows_say(void **state)
{
    const char *path = SOURCE_DIR "/etc/pgweir.ini";
    struct text sample = { 0 };
    FILE *f = fopen(path, getenv("PGWEIR_WRITE_SAMPLE") != NULL ? "w+" : "r");
    char *file = mem_zalloc(1 << 20);

    (void)state;
    assert_non_null(f);
    conf_sample(&sample);
    if (getenv("PGWEIR_WRITE_SAMPLE") != NULL) {
        assert_true(fputs(text_str(&sample), f) >= 0);
        rewind(f);
    }
    assert_true(fread(file, 1, (1 << 20) - 1, f) > 0);
    assert_string_equal(file, text_str(&sample));
    fclose(f);
    mem_free(file);
    text_done(&sample);
}

/* The text of every general option, one a line. */
static char *
general_text(const struct conf *c)
{
    struct text out = { 0 };

    for (const struct conf_option *o = conf_general_options(); o->name != NULL; o++) {
        conf_print(o, &c->general, &out);
        text_add_char(&out, '\n');
    }
    return text_take(&out);
}

static void
every_line_of_the_sample_shows_the_default(void **state)
{
    struct text sample = { 0 };
    struct conf *plain, *shown;
    char *a, *b;

    (void)state;
    conf_sample(&sample);
    plain = good(text_str(&sample));
    /* Take the comment sign off "\n;name = value"; explanations have a space or another sign behind it. */
    for (char *at = sample.data, *end = strstr(at, "\n[databases]"); (at = strstr(at, "\n;")) < end; at += 2)
        if (at[2] >= 'a' && at[2] <= 'z')
            at[1] = ' ';
    shown = good(text_str(&sample));
    a = general_text(plain);
    b = general_text(shown);
    assert_string_equal(a, b);
    assert_int_equal(plain->n_databases, 0);
    mem_free(a);
    mem_free(b);
    conf_drop(plain);
    conf_drop(shown);
    text_done(&sample);
}

static void
the_manual_names_every_option(void **state)
{
    static const struct conf_option *(*const tables[])(void) = { conf_general_options, conf_database_options,
                                                                 conf_user_options,    conf_node_options,
                                                                 conf_cluster_options, conf_rule_options };
    struct text manual = { 0 };

    (void)state;
    conf_manual(&manual);
    for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
        for (const struct conf_option *o = tables[t](); o->name != NULL; o++) {
            char *item = mem_printf("\n.It Ic %s\n", o->name);

            assert_non_null(strstr(text_str(&manual), item));
            mem_free(item);
        }
    text_done(&manual);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(etc_pgweir_ini_is_what_the_rows_say),
        cmocka_unit_test(every_line_of_the_sample_shows_the_default),
        cmocka_unit_test(the_manual_names_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
