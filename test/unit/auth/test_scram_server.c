/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <stdio.h>

#include "auth/scram.h"
#include "base/mem.h"

static const uint8_t NONCE[SCRAM_NONCE_LEN] = "server nonce 18 by";

/* A server side for PASSWORD. */
static struct scram_server *
server_for(const char *password)
{
    struct scram_server *s = mem_new(struct scram_server);

    scram_secret_derive(slice_str(password), SLICE("0123456789abcdef"), 1, &s->secret);
    return s;
}

static void
drop(struct scram_server *s)
{
    scram_server_done(s);
    mem_free(s);
}

/* What a client that knows PASSWORD answers to CHALLENGE. */
static void
answer_of_client(struct scram_client *c, const char *password, const struct text *challenge, struct text *out)
{
    struct scram_keys keys;

    assert_true(scram_client_challenge(c, text_slice(challenge), NULL));
    scram_keys_derive(slice_str(password), c->salt, c->salt_len, c->iterations, &keys);
    scram_client_set_keys(c, &keys);
    text_clear(out);
    scram_client_final(c, out);
}

/* The dialog up to client-final-message, which is in FINAL. */
static void
talk(struct scram_server *s, struct scram_client *c, const char *password, struct text *final)
{
    struct text challenge = { 0 };

    scram_client_first(c, NULL, (const uint8_t *)"client nonce 18 by", final);
    assert_true(scram_server_first(s, text_slice(final), NONCE, &challenge, NULL));
    answer_of_client(c, password, &challenge, final);
    text_done(&challenge);
}

static void
client_of_rfc_7677_is_let_in(void **state)
{
    struct scram_server s = { .step = SCRAM_ASKED, .binding = 'n' };
    struct text out = { 0 };

    (void)state;
    text_add_str(&s.said, "n=user,r=rOprNGfwEbeRWgbNEkqO,");
    s.first_at = (unsigned)s.said.len;
    text_add_str(&s.said, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                          "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,");
    s.nonces_len = strlen("rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    scram_secret_derive(SLICE("pencil"),
                        SLICE("\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81"), 4096,
                        &s.secret);
    assert_true(scram_server_final(&s,
                                   SLICE("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                         "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
                                   &out, NULL));
    assert_string_equal(text_str(&out), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    text_done(&out);
    scram_server_done(&s);
}

static void
right_password_is_let_in_and_both_sides_are_proven(void **state)
{
    struct scram_server *s = server_for("secret");
    struct scram_client c;
    struct text final = { 0 }, out = { 0 };

    (void)state;
    talk(s, &c, "secret", &final);
    assert_true(scram_server_final(s, text_slice(&final), &out, NULL));
    assert_true(scram_client_verify(&c, text_slice(&out), NULL));
    assert_memory_equal(s->client_key, c.keys.client_key, SCRAM_KEY_LEN);
    text_done(&final);
    text_done(&out);
    drop(s);
}

static void
client_key_of_one_login_serves_for_another(void **state)
{
    struct scram_server *s = server_for("secret"), *next = server_for("secret");
    struct scram_client c;
    struct scram_keys keys;
    struct text final = { 0 }, out = { 0 };

    (void)state;
    talk(s, &c, "secret", &final);
    assert_true(scram_server_final(s, text_slice(&final), &out, NULL));
    memcpy(keys.client_key, s->client_key, SCRAM_KEY_LEN);
    memcpy(keys.server_key, s->secret.server_key, SCRAM_KEY_LEN);

    text_clear(&final);
    text_clear(&out);
    scram_client_first(&c, &keys, (const uint8_t *)"another nonce 18 b", &final);
    assert_true(scram_server_first(next, text_slice(&final), NONCE, &out, NULL));
    assert_true(scram_client_challenge(&c, text_slice(&out), NULL));
    assert_true(c.have_keys);
    text_clear(&final);
    text_clear(&out);
    scram_client_final(&c, &final);
    assert_true(scram_server_final(next, text_slice(&final), &out, NULL));
    assert_true(scram_client_verify(&c, text_slice(&out), NULL));
    text_done(&final);
    text_done(&out);
    drop(s);
    drop(next);
}

/* The fault of an exchange that must fail. */
static struct fault
failure(const char *password, bool doomed)
{
    static const uint8_t zero[SCRAM_KEY_LEN];
    struct scram_server *s = server_for("secret");
    struct scram_client c;
    struct text final = { 0 }, out = { 0 };
    struct fault why = { 0 };

    s->doomed = doomed;
    talk(s, &c, password, &final);
    assert_false(scram_server_final(s, text_slice(&final), &out, &why));
    assert_int_equal(out.len, 0);
    assert_memory_equal(s->client_key, zero, SCRAM_KEY_LEN);
    text_done(&final);
    text_done(&out);
    drop(s);
    return why;
}

static void
wrong_password_and_doomed_exchange_fail_alike(void **state)
{
    struct fault wrong = failure("Secret", false), doomed = failure("Secret", true),
                 right = failure("secret", true);

    (void)state;
    assert_string_equal(wrong.sqlstate, "28P01");
    assert_memory_equal(&wrong, &doomed, sizeof(wrong));
    assert_memory_equal(&wrong, &right, sizeof(wrong));
}

static void
mock_secret_goes_through_all_steps_and_fails(void **state)
{
    static const uint8_t key[32] = "per process";
    struct scram_server *s = mem_new(struct scram_server);
    struct scram_client c;
    struct text final = { 0 }, out = { 0 };
    struct fault why = { 0 };

    (void)state;
    scram_secret_mock(key, SLICE("nobody"), &s->secret);
    talk(s, &c, "", &final); /* even if "doomed" was forgotten */
    assert_false(scram_server_final(s, text_slice(&final), &out, &why));
    assert_string_equal(why.sqlstate, "28P01");
    text_done(&final);
    text_done(&out);
    drop(s);
}

static bool
takes_first(struct slice initial, struct fault *why)
{
    struct scram_server *s = server_for("secret");
    struct slice copy = exact(initial);
    struct text out = { 0 };
    bool good = scram_server_first(s, copy, NONCE, &out, why);

    assert_true(good == (out.len > 0));
    text_done(&out);
    exact_free(copy);
    drop(s);
    return good;
}

static void
first_messages_of_known_clients_are_taken(void **state)
{
    (void)state;
    assert_true(takes_first(SLICE("n,,n=,r=3b5kcPBbqWnWp5Yk"), NULL));       /* libpq */
    assert_true(takes_first(SLICE("y,,n=*,r=!~"), NULL));                    /* JDBC */
    assert_true(takes_first(SLICE("n,,n=user=2Cname,r=abc,x=1,Y=2"), NULL)); /* extensions are ignored */
}

static void
first_messages_against_the_grammar_are_refused(void **state)
{
    static const struct {
        const char *message, *sqlstate;
    } rows[] = {
        { "", "08P01" },
        { "n", "08P01" },
        { "n,", "08P01" },
        { "n,,", "08P01" },
        { "x,,n=,r=abc", "08P01" },
        { "p=tls-server-end-point,,n=,r=abc", "08P01" },
        { "p=,,n=,r=abc", "08P01" },
        { "n,a=root,n=,r=abc", "0A000" },
        { "nn,n=,r=abc", "08P01" },
        { "n,,m=1,n=,r=abc", "0A000" },
        { "n,,r=abc,n=", "08P01" },
        { "n,,n=,r=", "08P01" },
        { "n,,n=", "08P01" },
        { "n,,n=,r=a b", "08P01" },
        { "n,,n=,r=a\xc3\xa4", "08P01" },
        { "n,,n=,r=a\x7f", "08P01" },
        { "n,,n=,r=abc,", "08P01" },
        { "n,,n=,r=abc,x", "08P01" },
        { "n,,n=,r=abc,1=x", "08P01" },
        { "n,,n=,r=abc,,", "08P01" },
        { "n,,,r=abc", "08P01" },
        { "n,,N=,r=abc", "08P01" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fault why = { 0 };

        if (takes_first(slice_str(rows[i].message), &why))
            fail_msg("\"%s\" was taken", rows[i].message);
        if (strcmp(why.sqlstate, rows[i].sqlstate) != 0 || why.message[0] == '\0')
            fail_msg("\"%s\": %s %s", rows[i].message, why.sqlstate, why.message);
    }
    assert_false(takes_first(SLICE("n,,n=,r=abc\0"), NULL));
    assert_false(takes_first(SLICE("n,,n=\0,r=abc"), NULL));
}

static void
first_message_cut_before_the_nonce_is_refused(void **state)
{
    const struct slice whole = SLICE("n,,n=joe,r=abc");

    (void)state;
    for (size_t cut = 0; cut <= whole.len; cut++)
        assert_true(takes_first(slice_head(whole, cut), NULL) == (cut > whole.len - 3));
}

static void
length_limits_hold_to_the_byte(void **state)
{
    char message[SCRAM_MAX_MESSAGE + 1];
    struct fault why = { 0 };

    (void)state;
    memset(message, 'x', sizeof(message));
    memcpy(message, "n,,n=", 5);
    memcpy(message + SCRAM_MAX_MESSAGE - 7, ",r=abc", 6);
    assert_true(takes_first(slice_of(message, SCRAM_MAX_MESSAGE - 1), NULL));
    assert_false(takes_first(slice_of(message, SCRAM_MAX_MESSAGE), &why));
    assert_string_equal(why.sqlstate, "08P01");

    memset(message, 'x', sizeof(message));
    memcpy(message, "n,,n=,r=", 8); /* 24 bytes of ours and the NUL go behind the client's nonce */
    assert_true(takes_first(slice_of(message, 8 + 512 - 25), NULL));
    assert_false(takes_first(slice_of(message, 8 + 512 - 24), &why));
}

/* Is the client's answer still good after CHANGE of its text? NULL: unchanged. */
static const char *
sqlstate_after(struct slice (*change)(struct text *final, size_t i), size_t i)
{
    static struct fault why;
    struct scram_server *s = server_for("secret");
    struct scram_client c;
    struct text final = { 0 }, out = { 0 };
    struct slice message;
    bool good;

    talk(s, &c, "secret", &final);
    message = exact(change(&final, i));
    good = scram_server_final(s, message, &out, &why);
    assert_true(good == (out.len > 0));
    exact_free(message);
    text_done(&final);
    text_done(&out);
    drop(s);
    return good ? "" : why.sqlstate;
}

static struct slice
cut_at(struct text *final, size_t i)
{
    return slice_head(text_slice(final), i);
}

static struct slice
flip_at(struct text *final, size_t i)
{
    final->data[i] ^= 1;
    return text_slice(final);
}

static struct slice
add_after(struct text *final, size_t i)
{
    text_add_char(final, (char)i);
    return text_slice(final);
}

#define FINAL_LEN (7 + 2 + 48 + 3 + 44) /* c=biws, r=<both nonces> ,p=<proof> */

static void
final_message_cut_or_changed_anywhere_is_refused(void **state)
{
    (void)state;
    assert_string_equal(sqlstate_after(cut_at, FINAL_LEN), "");
    for (size_t i = 0; i < FINAL_LEN; i++) {
        const char *sqlstate = sqlstate_after(flip_at, i);

        assert_string_equal(sqlstate_after(cut_at, i), "08P01");
        assert_true(strcmp(sqlstate, "08P01") == 0 || strcmp(sqlstate, "28P01") == 0);
    }
    for (size_t c = 0; c < 256; c++)
        assert_string_equal(sqlstate_after(add_after, c), "08P01");
}

static struct slice
insert_extension(struct text *final, size_t i)
{
    char *proof = mem_strdup(strstr(final->data, ",p="));

    final->len -= strlen(proof);
    text_add_str(final, i == 0 ? ",x=1" : ",x");
    text_add_str(final, proof);
    mem_free(proof);
    return text_slice(final);
}

static void
extensions_are_part_of_what_is_signed(void **state)
{
    (void)state;
    assert_string_equal(sqlstate_after(insert_extension, 0), "28P01");
    assert_string_equal(sqlstate_after(insert_extension, 1), "08P01");
}

static struct slice
claim_binding(struct text *final, size_t i)
{
    memcpy(final->data + 2, i == 0 ? "eSws" : "cCws", 4);
    return text_slice(final);
}

static void
header_of_the_first_message_must_come_again(void **state)
{
    (void)state;
    assert_string_equal(sqlstate_after(claim_binding, 0), "08P01");
    assert_string_equal(sqlstate_after(claim_binding, 1), "08P01");
}

static void
steps_come_once_and_in_order(void **state)
{
    struct scram_server *s = server_for("secret");
    struct scram_client c;
    struct text final = { 0 }, out = { 0 };
    struct fault why = { 0 };

    (void)state;
    assert_false(scram_server_final(s, SLICE("c=,r=,p="), &out, &why));
    assert_string_equal(why.sqlstate, "08P01");
    talk(s, &c, "wrong", &final);
    assert_false(scram_server_first(s, SLICE("n,,n=,r=abc"), NONCE, &out, NULL));
    assert_false(scram_server_final(s, text_slice(&final), &out, &why));
    assert_string_equal(why.sqlstate, "28P01");
    assert_false(scram_server_final(s, text_slice(&final), &out, &why));
    assert_string_equal(why.sqlstate, "08P01");
    assert_int_equal(out.len, 0);
    text_done(&final);
    text_done(&out);
    drop(s);
}

static void
refused_first_message_ends_the_exchange(void **state)
{
    struct scram_server *s = server_for("secret");
    struct text out = { 0 };

    (void)state;
    assert_false(scram_server_first(s, SLICE("p=x,,n=,r=abc"), NONCE, &out, NULL));
    assert_false(scram_server_first(s, SLICE("n,,n=,r=abc"), NONCE, &out, NULL));
    text_done(&out);
    drop(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_of_rfc_7677_is_let_in),
        cmocka_unit_test(right_password_is_let_in_and_both_sides_are_proven),
        cmocka_unit_test(client_key_of_one_login_serves_for_another),
        cmocka_unit_test(wrong_password_and_doomed_exchange_fail_alike),
        cmocka_unit_test(mock_secret_goes_through_all_steps_and_fails),
        cmocka_unit_test(first_messages_of_known_clients_are_taken),
        cmocka_unit_test(first_messages_against_the_grammar_are_refused),
        cmocka_unit_test(first_message_cut_before_the_nonce_is_refused),
        cmocka_unit_test(length_limits_hold_to_the_byte),
        cmocka_unit_test(final_message_cut_or_changed_anywhere_is_refused),
        cmocka_unit_test(extensions_are_part_of_what_is_signed),
        cmocka_unit_test(header_of_the_first_message_must_come_again),
        cmocka_unit_test(steps_come_once_and_in_order),
        cmocka_unit_test(refused_first_message_ends_the_exchange),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
