/* SPDX-License-Identifier: ISC */
/* Whose text a client hears: ours, PostgreSQL's, or PgBouncer's. */
#include "base/unit.h"

#include "login_private.h"

/* As much of a session as the choice looks at. */
struct stage {
    struct conf conf;
    struct hall hall;
    struct login login;
    struct session session;
};

static struct stage *
stage_new(enum session_state state, enum hba_method method)
{
    struct stage *g = mem_new(struct stage);

    g->conf.general.compat = CONF_COMPAT_PGBOUNCER;
    g->hall.setup.conf = &g->conf;
    g->login.method = method;
    g->session.hall = &g->hall;
    g->session.login = &g->login;
    g->session.state = (uint8_t)state;
    return g;
}

static const struct {
    enum session_state state;
    enum hba_method method;
    const char *sqlstate, *message, *detail, *theirs; /* THEIRS is NULL: ours stays */
} cases[] = {
    { SESSION_LOGIN, HBA_MD5, "53300", "sorry, too many clients already", "max_client_conn is 5.",
      "no more connections allowed (max_client_conn)" },
    { SESSION_LOGIN, HBA_MD5, "53300", "sorry, too many clients already",
      "max_user_client_connections is 5 for \"a\".",
      "client connections exceeded (max_user_client_connections)" },
    { SESSION_WELCOME, HBA_MD5, "53300", "sorry, too many clients already", "", NULL }, /* of PostgreSQL */
    { SESSION_LOGIN, HBA_MD5, "28P01", "password authentication failed for user \"a\"", "",
      "password authentication failed" },
    { SESSION_LOGIN, HBA_SCRAM, "28P01", "password authentication failed for user \"a\"", "",
      "SASL authentication failed" },
    { SESSION_WELCOME, HBA_SCRAM, "28P01", "password authentication failed for user \"a\"", "", NULL },
    { SESSION_LOGIN, HBA_MD5, "3D000", "database \"a \" b\" does not exist", "", "no such database: a \" b" },
    { SESSION_LOGIN, HBA_MD5, "3D000", "database \"\" does not exist", "", "no such database: " },
    { SESSION_LOGIN, HBA_MD5, "3D000", "database \" does not exist", "",
      NULL }, /* head and tail may not overlap */
    { SESSION_LOGIN, HBA_MD5, "3D000", "", "", NULL },
    { SESSION_WELCOME, HBA_MD5, "3D000", "database \"a\" does not exist", "", NULL },
    { SESSION_LOGIN, HBA_MD5, "57P03", "database \"a\" is disabled", "", "database \"a\" is disabled" },
    { SESSION_HELLO, HBA_MD5, "57P03", "no server is available for database \"a\"", "pgweir is shutting down.",
      "pooler is shutting down" },
    { SESSION_WAITING, HBA_MD5, "57P03", "no server is available for database \"a\"", "h:1: refused",
      "query_wait_timeout" },
    { SESSION_LOGIN, HBA_MD5, "57P03", "no server is available for database \"a\"", "auth_query failed: x",
      "bouncer config error" },
    { SESSION_LOGIN, HBA_MD5, "42501", "user \"a\" may not use the console", "", "not allowed" },
    { SESSION_HELLO, HBA_MD5, "28000", "no PostgreSQL user name specified in startup packet", "",
      "no username supplied" },
    { SESSION_WAITING, HBA_MD5, "53300", "no server connection became free within 10 s", "pool a/b: size=1",
      "query_wait_timeout" },
    { SESSION_LINKED, HBA_MD5, "57014", "canceling statement due to query_timeout", "", "query timeout" },
    { SESSION_LINKED, HBA_MD5, "57014", "canceling statement due to user request", "", NULL },
    { SESSION_LINKED, HBA_MD5, "57P01", "terminating connection due to administrator command", "", NULL },
};

static void
in_compat_the_text_is_that_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct stage *g = stage_new(cases[i].state, cases[i].method);
        struct fault why, theirs;
        const struct fault *said;

        fault_set(&why, cases[i].sqlstate, "%s", cases[i].message);
        fault_detail(&why, "%s", cases[i].detail);
        fault_hint(&why, "Do this.");
        said = compat_fault(&g->session, &why, &theirs);
        assert_string_equal(said->sqlstate, cases[i].theirs == NULL ? cases[i].sqlstate : "08P01");
        assert_string_equal(said->message, cases[i].theirs == NULL ? cases[i].message : cases[i].theirs);
        assert_string_equal(said->detail, cases[i].detail);
        assert_string_equal(said->hint, "Do this.");
        mem_free(g);
    }
}

static void
a_login_without_a_server_keeps_the_sqlstate_for_the_next_host(void **state)
{
    struct stage *g = stage_new(SESSION_WELCOME, HBA_MD5);
    struct fault why, theirs;
    const struct fault *said;

    (void)state;
    fault_set(&why, "57P03", "no server is available for database \"a\"");
    fault_detail(&why, "h:1: Connection refused");
    said = compat_fault(&g->session, &why, &theirs);
    assert_string_equal(said->sqlstate, "57P03");
    assert_string_equal(
        said->message,
        "server login has been failing, cached error: h:1: Connection refused (server_login_retry)");
    memset(why.detail, 'x', sizeof(why.detail) - 1);
    why.detail[sizeof(why.detail) - 1] = '\0';
    said = compat_fault(&g->session, &why, &theirs);
    assert_non_null(strstr(said->message, "xx (server_login_retry)"));
    mem_free(g);
}

static void
without_compat_every_text_is_ours(void **state)
{
    struct fault why, theirs;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct stage *g = stage_new(cases[i].state, cases[i].method);

        g->conf.general.compat = CONF_COMPAT_NONE;
        fault_set(&why, cases[i].sqlstate, "%s", cases[i].message);
        fault_detail(&why, "%s", cases[i].detail);
        assert_ptr_equal(compat_fault(&g->session, &why, &theirs), &why);
        mem_free(g);
    }
}

static void
no_reason_stays_none_and_theirs_is_not_changed_again(void **state)
{
    struct stage *g = stage_new(SESSION_LOGIN, HBA_MD5);
    struct fault why, theirs, again;

    (void)state;
    assert_null(compat_fault(&g->session, NULL, &theirs));
    fault_set(&why, "3D000", "database \"a\" does not exist");
    assert_ptr_equal(compat_fault(&g->session, &why, &theirs), &theirs);
    assert_ptr_equal(compat_fault(&g->session, &theirs, &again), &theirs);
    mem_free(g);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_compat_the_text_is_that_of_the_table),
        cmocka_unit_test(a_login_without_a_server_keeps_the_sqlstate_for_the_next_host),
        cmocka_unit_test(without_compat_every_text_is_ours),
        cmocka_unit_test(no_reason_stays_none_and_theirs_is_not_changed_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
