/* SPDX-License-Identifier: ISC */
/* A server from its dial to its end, against a PostgreSQL that follows a script. */
#include "place.h"

static void
a_login_ends_idle_and_knows_what_was_reported(void **state)
{
    struct place *p = *state;

    for (size_t at_once = 0; at_once < 3; at_once++) {
        p->fake.at_once = at_once;
        START(p, trusting);
        expect_login(p);
        assert_int_equal(p->server->pid, 7);
        assert_int_equal(p->server->key, 9);
        assert_slice(params_find(p->server->reports, SLICE("timezone"))->value, "UTC");
        assert_null(p->server->login);
        assert_true(server_may_move(p->server));
        finish(p);
        assert_false(p->fake.off_script);
    }
}

static void
the_start_up_packet_names_user_database_and_settings(void **state)
{
    struct place *p = *state;

    p->target.startup = params_with(p->target.startup, SLICE("timezone"), SLICE("UTC"));
    START(p, trusting);
    expect_login(p);
    server_close(p->server, &p->why);
    turn_once(p);
    fake_stop(&p->fake);
    assert_true(HEARD(p, "\0\3\0\0user\0alice\0database\0app\0timezone\0UTC\0\0"));
    text_done(&p->fake.heard);
}

/* A server that is made for a replication client: its own settings count, however many they are. */
static void
settings_of_its_own_go_out_with_their_own_values(void **state)
{
    struct place *p = *state;
    struct params *own = params_empty(p->target.sets);

    p->target.startup = params_with(p->target.startup, SLICE("a"), SLICE("target"));
    own = params_with(params_with(own, SLICE("a"), SLICE("mine")), SLICE("b"), SLICE("too"));
    START(p, trusting);
    p->server->startup = own;
    expect_login(p);
    server_close(p->server, &p->why);
    turn_once(p);
    fake_stop(&p->fake);
    assert_true(HEARD(p, "database\0app\0a\0mine\0b\0too\0\0"));
    text_done(&p->fake.heard);
}

/* ---- passwords ---- */

static const struct step asks_password[] = { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\10\0\0\0\3", false),
                                             STEP('p', SAYS_LOGIN, false), STEP('X', "", false) };
static const struct step asks_md5[] = { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\14\0\0\0\5salt", false),
                                        STEP('p', SAYS_LOGIN, false), STEP('X', "", false) };

static void
a_plain_password_goes_out_as_it_is(void **state)
{
    struct place *p = *state;

    START(p, asks_password);
    expect_login(p);
    server_close(p->server, &p->why);
    fake_stop(&p->fake);
    assert_true(HEARD(p, "p\0\0\0\13secret\0"));
    text_done(&p->fake.heard);
}

static void
an_md5_answer_never_holds_the_password(void **state)
{
    struct place *p = *state;

    START(p, asks_md5);
    expect_login(p);
    server_close(p->server, &p->why);
    fake_stop(&p->fake);
    assert_true(HEARD(p, "p\0\0\0\50md5"));
    assert_false(HEARD(p, "secret"));
    text_done(&p->fake.heard);
}

static void
a_secret_that_cannot_answer_ends_the_login_with_28p01(void **state)
{
    struct place *p = *state;

    credential_drop(p->target.credential);
    p->target.credential = credential_new(SLICE("md54a0a68b43b6cd5cf266fa02f196e2371"));
    START(p, asks_password);
    turn_until(p, p->gone == 1);
    assert_string_equal(p->why.sqlstate, "28P01");
    assert_true(p->why.hint[0] != '\0');
    finish(p);
}

/* ---- what servers do wrong ---- */

struct bad_login {
    struct step steps[3];
    const char *sqlstate;
};

static const struct bad_login bad_logins[] = {
    { { STEP(CONNECT, "", false), STEP(0, SAYS_FATAL, true) }, "57P03" },
    { { STEP(CONNECT, "", false), STEP(0, "", true) }, "08006" },
    { { STEP(CONNECT, "", false), STEP(0, SAYS_OK, true) }, "08006" },
    { { STEP(CONNECT, "", false), STEP(0, SAYS_READY, false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, SAYS_OK SAYS_OK, false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, SAYS_OK "Z\0\0\0\5T", false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, SAYS_OK "Z\0\0\0\4", false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, SAYS_OK "D\0\0\0\4", false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\4", false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\3", false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, "R\377\377\377\377", false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\12\0\0\0\5sa", false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\10\0\0\0\7", false) }, "28000" },
    { { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\13\0\0\0\12x\0\0", false) }, "28000" },
    { { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\11\0\0\0\13r", false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, "R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0\0" SAYS_OK, false) }, "08P01" },
    { { STEP(CONNECT, "", false), STEP(0, SAYS_OK "S\0\0\0\6a\0", false) }, "08P01" },
};

static void
every_bad_login_ends_with_its_reason(void **state)
{
    struct place *p = *state;

    for (size_t i = 0; i < COUNT(bad_logins); i++) {
        start(p, bad_logins[i].steps, 2);
        turn_until(p, p->ready + p->gone > 0);
        if (p->gone != 1 || strcmp(p->why.sqlstate, bad_logins[i].sqlstate) != 0)
            fail_msg("case %zu: %s %s", i, p->why.sqlstate, p->why.message);
        finish(p);
    }
}

static void
nobody_waits_longer_than_the_connect_timeout(void **state)
{
    static const struct step silent[] = { STEP(CONNECT, "", false), STEP(0, "", false), STEP(0, "", false) };
    struct place *p = *state;

    p->target.connect_timeout_us = 50 * CLOCK_MS;
    START(p, silent);
    turn_until(p, p->gone == 1);
    assert_string_equal(p->why.sqlstate, "08001");
    assert_non_null(strstr(p->why.message, "timeout"));
    finish(p);
}

static void
what_cannot_even_be_tried_is_told_from_the_loop(void **state)
{
    struct place *p = *state;
    char path[300];

    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    p->target.host = path;
    p->server = server_new(&p->turn, &p->target, &keeper, p, slice_of(NULL, 0));
    assert_int_equal(p->gone, 0);
    turn_until(p, p->gone == 1);
    assert_string_equal(p->why.sqlstate, "08001");
}

/* ---- TLS ---- */

static void
prefer_takes_no_for_an_answer_and_require_does_not(void **state)
{
    static const struct step refuses[] = { STEP(CONNECT, "", false), STEP(0, "N", false),
                                           STEP(0, SAYS_LOGIN, false), STEP('X', "", false) };
    struct place *p = *state;

    p->target.sslmode = CONF_SSL_PREFER;
    START(p, refuses);
    expect_login(p);
    assert_true((p->seen & 1u << SERVER_TLS) != 0);
    finish(p);
    p->target.sslmode = CONF_SSL_REQUIRE;
    START(p, refuses);
    turn_until(p, p->gone == 1);
    assert_string_equal(p->why.sqlstate, "08001");
    finish(p);
}

/* Plain text before the handshake could be somebody else's. */
static void
bytes_that_come_with_the_answer_to_tls_are_never_used(void **state)
{
    static const struct step stuffs[] = { STEP(CONNECT, "", false), STEP(0, "S" SAYS_LOGIN, false) };
    static const struct step stuffs_no[] = { STEP(CONNECT, "", false), STEP(0, "N" SAYS_LOGIN, false) };
    struct place *p = *state;

    p->target.sslmode = CONF_SSL_PREFER;
    START(p, stuffs);
    turn_until(p, p->ready + p->gone > 0);
    assert_int_equal(p->ready, 0);
    assert_string_equal(p->why.sqlstate, "08P01");
    finish(p);
    START(p, stuffs_no);
    turn_until(p, p->ready + p->gone > 0);
    assert_int_equal(p->ready, 0);
    finish(p);
}

/* ---- idle, lent, clean ---- */

/* After its login the fake says IDLE_BYTES unasked. */
static void
expect_idle_reaction(struct place *p, struct slice idle_bytes, const char *sqlstate)
{
    struct step steps[] = {
        STEP(CONNECT, "", false), STEP(0, SAYS_LOGIN, false), { 'Q', idle_bytes, false }, STEP('X', "", false)
    };
    struct slice wake = SLICE("Q\0\0\0\5\0");

    START(p, steps);
    expect_login(p);
    stream_put_copy(&p->server->stream, wake);
    stream_flush(&p->turn);
    if (sqlstate == NULL) {
        for (uint64_t before = p->server->stream.n_in; p->server->stream.n_in == before;)
            turn_once(p);
        assert_int_equal(p->server->state, SERVER_IDLE);
    } else {
        turn_until(p, p->gone == 1);
        assert_string_equal(p->why.sqlstate, sqlstate);
    }
}

static void
an_idle_server_may_report_and_notify_but_nothing_else(void **state)
{
    struct place *p = *state;

    expect_idle_reaction(p, SLICE("S\0\0\0\17TimeZone\0A\0"), NULL);
    assert_slice(params_find(p->server->reports, SLICE("TimeZone"))->value, "A");
    finish(p);
    expect_idle_reaction(p, SLICE("N\0\0\0\5\0"), NULL);
    finish(p);
    expect_idle_reaction(p, SLICE("A\0\0\0\12\0\0\0\1a\0"), NULL);
    finish(p);
    expect_idle_reaction(p, SLICE(SAYS_READY), "08P01");
    finish(p);
    expect_idle_reaction(p, SLICE(SAYS_FATAL), "57P03");
    finish(p);
}

static void
a_borrower_gets_every_byte_and_the_server_comes_back(void **state)
{
    static const struct step steps[] = { STEP(CONNECT, "", false), STEP(0, SAYS_LOGIN, false),
                                         STEP('Q', "C\0\0\0\7OK\0" SAYS_READY, false), STEP('X', "", false) };
    struct place *p = *state;

    START(p, steps);
    expect_login(p);
    server_lend(p->server, &borrower, NULL);
    assert_int_equal(p->server->state, SERVER_LENT);
    assert_false(server_may_move(p->server));
    stream_put(&p->server->stream, SLICE("Q\0\0\0\6x\0"));
    stream_flush(&p->turn);
    turn_until(p, p->got.len >= 14);
    assert_slice(text_slice(&p->got), "C\0\0\0\7OK\0" SAYS_READY);
    server_take_back(p->server);
    assert_int_equal(p->server->state, SERVER_IDLE);
    assert_int_equal(p->ready, 1);
    finish(p);
}

static void
a_borrower_hears_of_the_end_before_the_keeper(void **state)
{
    static const struct step steps[] = { STEP(CONNECT, "", false), STEP(0, SAYS_LOGIN, false),
                                         STEP('Q', "", true) };
    struct place *p = *state;

    START(p, steps);
    expect_login(p);
    server_lend(p->server, &borrower, NULL);
    stream_put(&p->server->stream, SLICE("Q\0\0\0\6x\0"));
    stream_flush(&p->turn);
    turn_until(p, p->gone == 1);
    assert_int_equal(p->borrower_gone, 1);
    finish(p);
}

/* SAYS answers the ROLLBACK of an open transaction and one reset query. */
static void
clean_with(struct place *p, struct slice says, char status)
{
    struct step steps[] = { STEP(CONNECT, "", false),
                            STEP(0, SAYS_LOGIN, false),
                            STEP('Q', "", false),
                            { 'Q', says, false },
                            STEP('X', "", false) };
    struct slice reset = SLICE("DISCARD ALL");

    START(p, steps);
    expect_login(p);
    server_lend(p->server, &borrower, NULL);
    p->server->status = status;
    p->ready = 0;
    server_clean(p->server, &reset, 1, CLOCK_S);
    turn_until(p, p->ready + p->gone > 0);
}

static void
cleaning_rolls_back_resets_and_ends_idle(void **state)
{
    struct place *p = *state;

    clean_with(p, SLICE("C\0\0\0\15ROLLBACK\0" SAYS_READY "C\0\0\0\20DISCARD ALL\0" SAYS_READY), 'T');
    assert_int_equal(p->ready, 1);
    assert_int_equal(p->server->state, SERVER_IDLE);
    assert_int_equal(p->borrower_gone, 0);
    server_close(p->server, &p->why);
    fake_stop(&p->fake);
    assert_true(HEARD(p, "Q\0\0\0\15ROLLBACK\0Q\0\0\0\20DISCARD ALL\0"));
    text_done(&p->fake.heard);
}

static void
a_server_that_cannot_be_cleaned_goes(void **state)
{
    struct place *p = *state;

    clean_with(p, SLICE(SAYS_READY SAYS_FATAL), 'T');
    assert_int_equal(p->gone, 1);
    assert_string_equal(p->why.sqlstate, "57P03");
    finish(p);
    clean_with(p, SLICE(SAYS_READY "Z\0\0\0\5T"), 'T');
    assert_int_equal(p->gone, 1);
    finish(p);
}

static void
the_connect_query_runs_before_anybody_gets_the_server(void **state)
{
    static const struct step steps[] = { STEP(CONNECT, "", false), STEP(0, SAYS_LOGIN, false),
                                         STEP('Q', SAYS_READY, false), STEP('X', "", false) };
    struct place *p = *state;

    p->target.connect_query = "SET a = 1";
    START(p, steps);
    expect_login(p);
    assert_int_equal(p->ready, 1);
    server_close(p->server, &p->why);
    fake_stop(&p->fake);
    assert_true(HEARD(p, "Q\0\0\0\16SET a = 1\0"));
    text_done(&p->fake.heard);
}

/* Cut off after every number of turns: whatever it was doing, nothing is left behind. */
static void
a_server_can_be_closed_at_any_moment(void **state)
{
    struct place *p = *state;
    bool was_idle = false;

    for (unsigned turns = 0; !was_idle; turns++) {
        p->fake.at_once = 1;
        START(p, trusting);
        for (unsigned i = 0; i < turns && p->server->state != SERVER_IDLE; i++)
            turn_once(p);
        was_idle = p->server->state == SERVER_IDLE;
        finish(p);
        assert_int_equal(p->gone, 1);
        assert_true(turns < 100000);
    }
}

static void
a_cancel_goes_over_a_connection_of_its_own(void **state)
{
    static const struct step steps[] = { STEP(CONNECT, "", false), STEP(0, SAYS_LOGIN, false),
                                         STEP(CONNECT, "", false), STEP(0, "", true) };
    struct place *p = *state;

    p->fake.keeps_old = true;
    START(p, steps);
    expect_login(p);
    server_lend(p->server, &borrower, NULL);
    server_cancel(p->server, 5 * CLOCK_S, NULL, NULL);
    server_cancel(p->server, 5 * CLOCK_S, NULL, NULL);
    assert_int_equal(p->server->cancels, 1);
    assert_false(server_may_move(p->server));
    turn_until(p, p->server == NULL || p->server->cancels == 0);
    assert_string_equal(text_str(&p->got), "cancelled");
    fake_stop(&p->fake);
    assert_true(HEARD(p, "\0\0\0\20\4\322\26\56\0\0\0\7\0\0\0\11"));
    text_done(&p->fake.heard);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_login_ends_idle_and_knows_what_was_reported),
        TEST(the_start_up_packet_names_user_database_and_settings),
        TEST(settings_of_its_own_go_out_with_their_own_values),
        TEST(a_plain_password_goes_out_as_it_is),
        TEST(an_md5_answer_never_holds_the_password),
        TEST(a_secret_that_cannot_answer_ends_the_login_with_28p01),
        TEST(every_bad_login_ends_with_its_reason),
        TEST(nobody_waits_longer_than_the_connect_timeout),
        TEST(what_cannot_even_be_tried_is_told_from_the_loop),
        TEST(prefer_takes_no_for_an_answer_and_require_does_not),
        TEST(bytes_that_come_with_the_answer_to_tls_are_never_used),
        TEST(an_idle_server_may_report_and_notify_but_nothing_else),
        TEST(a_borrower_gets_every_byte_and_the_server_comes_back),
        TEST(a_borrower_hears_of_the_end_before_the_keeper),
        TEST(cleaning_rolls_back_resets_and_ends_idle),
        TEST(a_server_that_cannot_be_cleaned_goes),
        TEST(the_connect_query_runs_before_anybody_gets_the_server),
        TEST(a_server_can_be_closed_at_any_moment),
        TEST(a_cancel_goes_over_a_connection_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
