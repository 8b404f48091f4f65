/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <pthread.h>

#include "server/credential.h"

#define SALT ((const uint8_t *)"0123456789abcdef")

static struct credential *
of_scram_secret(struct scram_secret *secret)
{
    struct text printed = { 0 };
    struct credential *c;

    scram_secret_derive(SLICE("pencil"), slice_of(SALT, 16), 10, secret);
    scram_secret_print(secret, &printed);
    c = credential_new(text_slice(&printed));
    text_done(&printed);
    return c;
}

static void
the_kind_is_that_of_the_secret(void **state)
{
    static const struct {
        struct slice secret;
        enum secret_kind kind;
    } cases[] = { { { (const uint8_t *)"", 0 }, SECRET_NONE },
                  { { (const uint8_t *)"pencil", 6 }, SECRET_PLAIN },
                  { { (const uint8_t *)"md54a0a68b43b6cd5cf266fa02f196e2371", 35 }, SECRET_MD5 },
                  { { (const uint8_t *)"SCRAM-SHA-256$no", 16 }, SECRET_PLAIN } };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice s = exact(cases[i].secret);
        struct credential *c = credential_new(s);

        exact_free(s);
        assert_int_equal(credential_kind(c), cases[i].kind);
        assert_true(slice_equal(credential_secret(c), cases[i].secret));
        assert_true(credential_is(c, cases[i].secret));
        assert_false(credential_is(c, SLICE("another")));
        credential_drop(c);
    }
    assert_null(credential_hold(NULL));
    credential_drop(NULL);
}

/* What a client showed opens servers with the same salt and iterations, and no others. */
static void
a_key_that_was_learned_fits_its_own_salt_only(void **state)
{
    struct scram_secret secret;
    struct credential *c = of_scram_secret(&secret);
    struct scram_keys keys, out;
    uint8_t other[16] = "0123456789abcdeX";

    (void)state;
    scram_keys_derive(SLICE("pencil"), SALT, 16, 10, &keys);
    assert_int_equal(credential_kind(c), SECRET_SCRAM);
    assert_false(credential_keys(c, SALT, 16, 10, &out));
    credential_learn(c, keys.client_key);
    assert_true(credential_keys(c, SALT, 16, 10, &out));
    assert_memory_equal(&out, &keys, sizeof(keys));
    assert_false(credential_keys(c, SALT, 15, 10, &out));
    assert_false(credential_keys(c, SALT, 16, 11, &out));
    assert_false(credential_keys(c, other, 16, 10, &out));
    credential_drop(c);
}

static void
keys_of_a_password_are_remembered_with_what_made_them(void **state)
{
    struct credential *c = credential_new(SLICE("pencil"));
    struct scram_keys keys = { .client_key = { 1 } }, newer = { .client_key = { 2 } }, out;

    (void)state;
    assert_false(credential_keys(c, SALT, 16, 4096, &out));
    credential_remember(c, SALT, 16, 4096, &keys);
    assert_true(credential_keys(c, SALT, 16, 4096, &out));
    assert_memory_equal(&out, &keys, sizeof(keys));
    credential_remember(c, SALT, 8, 4096, &newer);
    assert_false(credential_keys(c, SALT, 16, 4096, &out));
    assert_true(credential_keys(c, SALT, 8, 4096, &out));
    assert_memory_equal(&out, &newer, sizeof(newer));
    credential_drop(c);
}

static void
no_salt_is_too_long_to_be_safe(void **state)
{
    uint8_t salt[65] = { 0 };
    struct credential *c = credential_new(SLICE("pencil"));
    struct scram_keys keys = { .client_key = { 1 } }, out;

    (void)state;
    credential_remember(c, salt, sizeof(salt), 1, &keys);
    assert_false(credential_keys(c, salt, sizeof(salt), 1, &out));
    credential_remember(c, salt, sizeof(salt) - 1, 1, &keys);
    assert_true(credential_keys(c, salt, sizeof(salt) - 1, 1, &out));
    credential_drop(c);
}

static void
learning_does_not_make_keys_for_other_kinds(void **state)
{
    static const struct slice secrets[] = { { (const uint8_t *)"", 0 },
                                            { (const uint8_t *)"pencil", 6 },
                                            { (const uint8_t *)"md54a0a68b43b6cd5cf266fa02f196e2371", 35 } };
    uint8_t key[SCRAM_KEY_LEN] = { 1 };
    struct scram_keys out;

    (void)state;
    for (size_t i = 0; i < COUNT(secrets); i++) {
        struct credential *c = credential_new(secrets[i]);

        credential_learn(c, key);
        assert_false(credential_keys(c, SALT, 0, 0, &out));
        credential_drop(c);
    }
}

static void
logins_are_checked_against_what_was_derived(void **state)
{
    struct scram_secret secret, out;
    struct credential *c = of_scram_secret(&secret), *plain = credential_new(SLICE("pencil"));

    (void)state;
    assert_true(credential_scram(c, &out));
    assert_memory_equal(out.stored_key, secret.stored_key, SCRAM_KEY_LEN);
    assert_false(credential_scram(plain, &out));
    credential_set_scram(plain, &secret);
    assert_true(credential_scram(plain, &out));
    assert_memory_equal(out.server_key, secret.server_key, SCRAM_KEY_LEN);
    credential_drop(c);
    credential_drop(plain);
}

static void *
use_it(void *arg)
{
    struct credential *c = arg;
    uint8_t key[SCRAM_KEY_LEN] = { 7 };
    struct scram_keys out;

    for (int i = 0; i < 1000; i++) {
        credential_learn(c, key);
        assert_true(credential_keys(c, SALT, 16, 10, &out));
        credential_drop(credential_hold(c));
    }
    credential_drop(c);
    return NULL;
}

static void
many_threads_may_share_one(void **state)
{
    struct scram_secret secret;
    struct credential *c = of_scram_secret(&secret);
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_it, credential_hold(c)), 0);
    credential_drop(c);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kind_is_that_of_the_secret),
        cmocka_unit_test(a_key_that_was_learned_fits_its_own_salt_only),
        cmocka_unit_test(keys_of_a_password_are_remembered_with_what_made_them),
        cmocka_unit_test(no_salt_is_too_long_to_be_safe),
        cmocka_unit_test(learning_does_not_make_keys_for_other_kinds),
        cmocka_unit_test(logins_are_checked_against_what_was_derived),
        cmocka_unit_test(many_threads_may_share_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
