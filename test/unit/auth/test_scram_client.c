/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "auth/scram.h"

#define OURS  "Y2xpZW50IG5vbmNlIDE4IGJ5" /* base64 of NONCE */
#define FIRST "r=" OURS "theirs,s=W22ZaJ0SNY7soEsUEjb6gQ==,i="
static const uint8_t NONCE[SCRAM_NONCE_LEN] = "client nonce 18 by";

/* The same as in the RFC: its nonces are of another length than ours. */
static void
start_as_rfc_7677(struct scram_client *c)
{
    struct text out = { 0 };

    scram_client_first(c, NULL, NONCE, &out);
    strcpy(c->client_nonce, "rOprNGfwEbeRWgbNEkqO");
    strcpy(c->client_first_bare, "n=user,r=rOprNGfwEbeRWgbNEkqO");
    text_done(&out);
}

static void
server_of_rfc_7677_is_answered_and_believed(void **state)
{
    struct scram_client c;
    struct scram_keys keys;
    struct text out = { 0 };

    (void)state;
    start_as_rfc_7677(&c);
    assert_true(scram_client_challenge(&c,
                                       SLICE("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                             "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
                                       NULL));
    assert_int_equal(c.iterations, 4096);
    assert_false(c.have_keys);
    scram_keys_derive(SLICE("pencil"), c.salt, c.salt_len, c.iterations, &keys);
    scram_client_set_keys(&c, &keys);
    scram_client_final(&c, &out);
    assert_string_equal(text_str(&out), "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_true(scram_client_verify(&c, SLICE("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), NULL));
    text_done(&out);
}

static void
first_message_is_that_of_libpq(void **state)
{
    struct scram_client c;
    struct text out = { 0 };

    (void)state;
    scram_client_first(&c, NULL, NONCE, &out);
    assert_string_equal(text_str(&out), "n,,n=,r=" OURS);
    text_done(&out);
}

static bool
takes(struct slice challenge, struct fault *why)
{
    struct scram_client c;
    struct text out = { 0 };
    struct slice copy = exact(challenge);
    bool good;

    scram_client_first(&c, NULL, NONCE, &out);
    good = scram_client_challenge(&c, copy, why);
    exact_free(copy);
    text_done(&out);
    return good;
}

static void
hostile_challenges_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "r=",
        "x=1,r=" OURS "theirs,s=c2FsdA==,i=1",
        "m=1,r=" OURS "theirs,s=c2FsdA==,i=1",
        "e=other-error",
        "r=" OURS ",s=c2FsdA==,i=1", /* nothing of the server's */
        "r=" OURS "a b,s=c2FsdA==,i=1",
        "r=X" OURS ",s=c2FsdA==,i=1",
        "r=" OURS "theirs,s=,i=1",
        "r=" OURS "theirs,s=c2FsdA,i=1",
        "r=" OURS "theirs,i=1,s=c2FsdA==",
        "r=" OURS "theirs,s=c2FsdA==",
        "r=" OURS "theirs,s=c2FsdA==,",
        "r=" OURS "theirs,s=c2FsdA==,i=",
        "r=" OURS "theirs,s=c2FsdA==,i=0",
        "r=" OURS "theirs,s=c2FsdA==,i=-1",
        "r=" OURS "theirs,s=c2FsdA==,i=1x",
        "r=" OURS "theirs,s=c2FsdA==,i=1000001",
        "r=" OURS "theirs,s=c2FsdA==,i=4294967297",
        "r=" OURS "theirs,s=c2FsdA==,i=99999999999999999999",
        "r=" OURS "theirs,s=c2FsdA==,i=1,",
        "r=" OURS "theirs,s=c2FsdA==,i=1,x=1",
        "r=" OURS
        "theirs,s=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,i=1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fault why = { 0 };

        if (takes(slice_str(bad[i]), &why))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_string_equal(why.sqlstate, "08P01");
    }
    assert_true(takes(SLICE("r=" OURS "t,s=c2FsdA==,i=1000000"), NULL));
    assert_false(takes(SLICE("r=" OURS "t,s=c2FsdA==,i=1\0"), NULL));
}

static void
challenge_cut_before_its_last_number_is_refused(void **state)
{
    const struct slice whole = SLICE(FIRST "4096");

    (void)state;
    for (size_t cut = 0; cut <= whole.len; cut++)
        assert_true(takes(slice_head(whole, cut), NULL) == (cut > whole.len - 4));
}

static void
long_nonces_and_messages_are_refused(void **state)
{
    char message[SCRAM_MAX_MESSAGE];
    const size_t nonce_len = 511, before = 2;

    (void)state;
    memset(message, 'x', sizeof(message));
    memcpy(message, "r=" OURS, before + strlen(OURS));
    memcpy(message + before + nonce_len, ",s=c2FsdA==,i=1", 15);
    assert_true(takes(slice_of(message, before + nonce_len + 15), NULL));
    message[before + nonce_len] = 'x';
    memcpy(message + before + nonce_len + 1, ",s=c2FsdA==,i=1", 15);
    assert_false(takes(slice_of(message, before + nonce_len + 16), NULL));
    assert_false(takes(slice_of(message, sizeof(message)), NULL));
}

static void
challenge_comes_once(void **state)
{
    struct scram_client c;
    struct text out = { 0 };
    struct fault why = { 0 };

    (void)state;
    scram_client_first(&c, NULL, NONCE, &out);
    assert_true(scram_client_challenge(&c, SLICE(FIRST "1"), NULL));
    assert_false(scram_client_challenge(&c, SLICE(FIRST "2"), &why));
    assert_string_equal(why.sqlstate, "08P01");
    text_done(&out);
}

/* C up to client-final-message, which is not looked at. */
static void
answer(struct scram_client *c, const struct scram_keys *keys)
{
    struct text out = { 0 };

    scram_client_first(c, keys, NONCE, &out);
    assert_true(scram_client_challenge(c, SLICE(FIRST "1"), NULL));
    scram_client_final(c, &out);
    text_done(&out);
}

#define ZERO_SIGNATURE "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static void
server_is_not_believed_before_we_answered(void **state)
{
    struct scram_client c;
    struct text out = { 0 };

    (void)state;
    scram_client_first(&c, NULL, NONCE, &out);
    assert_false(scram_client_verify(&c, SLICE(ZERO_SIGNATURE), NULL));
    assert_true(scram_client_challenge(&c, SLICE(FIRST "1"), NULL));
    assert_false(scram_client_verify(&c, SLICE(ZERO_SIGNATURE), NULL));
    text_done(&out);
}

static const char *
verdict(struct scram_client *c, struct slice message)
{
    static struct fault why;
    struct slice copy = exact(message);
    bool good = scram_client_verify(c, copy, &why);

    exact_free(copy);
    return good ? "" : why.sqlstate;
}

static void
server_that_does_not_know_the_password_is_found_out(void **state)
{
    struct scram_keys keys = { .client_key = { 1 }, .server_key = { 2 } };
    struct scram_client c;

    (void)state;
    answer(&c, &keys);
    assert_string_equal(verdict(&c, SLICE(ZERO_SIGNATURE)), "28P01");
    assert_string_equal(verdict(&c, SLICE("e=invalid-proof")), "28P01");
    assert_string_equal(verdict(&c, SLICE("")), "08P01");
    assert_string_equal(verdict(&c, SLICE("x=1")), "08P01");
    assert_string_equal(verdict(&c, SLICE(ZERO_SIGNATURE ",")), "08P01");
    assert_string_equal(verdict(&c, SLICE(ZERO_SIGNATURE ",x=1")), "08P01");
    assert_string_equal(verdict(&c, SLICE(ZERO_SIGNATURE "\0")), "08P01");
    for (size_t cut = 0; cut < sizeof(ZERO_SIGNATURE) - 1; cut++)
        assert_string_equal(verdict(&c, slice_head(SLICE(ZERO_SIGNATURE), cut)), "08P01");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_of_rfc_7677_is_answered_and_believed),
        cmocka_unit_test(first_message_is_that_of_libpq),
        cmocka_unit_test(hostile_challenges_are_refused),
        cmocka_unit_test(challenge_cut_before_its_last_number_is_refused),
        cmocka_unit_test(long_nonces_and_messages_are_refused),
        cmocka_unit_test(challenge_comes_once),
        cmocka_unit_test(server_is_not_believed_before_we_answered),
        cmocka_unit_test(server_that_does_not_know_the_password_is_found_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
