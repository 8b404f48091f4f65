/* SPDX-License-Identifier: ISC */
/* Which texts have a word that leaves state. */
#include "base/unit.h"

#include "suspect_private.h"

static const struct {
    const char *sql;
    bool suspect;
} rows[] = {
    { "", false },
    { "SELECT 1", false },
    { "UPDATE a SET b = 1", false },
    { "SELECT temperature, template, held FROM preparedness", false },
    { "SELECT a.settings, reset_at FROM loads", false },
    { "INSERT INTO t VALUES (1, 2)", false },
    { "CREATE TEMP TABLE a ()", true },
    { "create\nTEMPORARY\ttable a ()", true },
    { "SELECT * INTO pg_temp.a", true },
    { "CREATE TABLE pg_temp_3.a ()", true },
    { "DECLARE a CURSOR WITH HOLD FOR SELECT 1", true },
    { "SELECT PG_ADVISORY_LOCK(1)", true },
    { "SELECT pg_try_advisory_lock_shared(1)", true },
    { "SELECT \"set_config\"('a.b', 'c', false)", true },
    { "SET a.b = 1", true },
    { "  \n SET a.b = 1", true },
    { "SELECT 1;SET a.b = 1", true },
    { "/* a */ SET a.b = 1", true },
    { "BEGIN SET x = 1; END", true },
    { "IF a THEN RESET x; END IF", true },
    { "EXECUTE 'SET x TO 1'", true },
    { "EXECUTE 'CREATE ' || 'TEMP TABLE a ()'", true },
    { "PREPARE a AS SELECT 1", true },
    { "LOAD 'a'", true },
    { "DROP TABLE a", true },
    { "UPDATE pg_settings SET setting = 1", true },
};

static void
words_that_leave_state_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (suspect_words(slice_str(rows[i].sql)) != rows[i].suspect)
            fail_msg("%s", rows[i].sql);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(words_that_leave_state_are_found) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
