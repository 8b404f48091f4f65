/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include "base/text.h"
#include "crypto_private.h"

static bool
decodes(const char *text, size_t cap, const char *expected)
{
    uint8_t out[64];
    size_t len = 0;
    struct slice in = exact(slice_str(text));
    bool good = crypto_base64_decode(in, out, cap, &len);

    exact_free(in);
    return good && slice_equal(slice_of(out, len), slice_str(expected));
}

static void
base64_of_rfc_4648_decodes(void **state)
{
    (void)state;
    assert_true(decodes("", 64, ""));
    assert_true(decodes("Zg==", 64, "f"));
    assert_true(decodes("Zm8=", 64, "fo"));
    assert_true(decodes("Zm9v", 64, "foo"));
    assert_true(decodes("Zm9vYmFy", 6, "foobar"));
    assert_true(decodes("+/+/", 64, "\xfb\xff\xbf"));
}

static void
base64_that_nobody_would_print_is_refused(void **state)
{
    static const char *const bad[] = {
        "Z",    "Zg",       "Zg=",    "Zh==",  "Zm9=", "=",        "==",   "===",  "====", "Zg===",
        "Z===", "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm 9", "Zm9v====", "Z=g=", "Zm9-", "Zm9_", "\xff\xff\xff\xff",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t out[64];
        size_t len;

        if (crypto_base64_decode(slice_str(bad[i]), out, sizeof(out), &len))
            fail_msg("\"%s\" was taken", bad[i]);
    }
}

static void
base64_never_writes_past_its_room(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 6; cap++) {
        uint8_t *out = malloc(cap == 0 ? 1 : cap);
        size_t len;

        assert_false(crypto_base64_decode(SLICE("Zm9vYmFy"), out, cap, &len));
        free(out);
    }
}

static void
base64_of_any_length_comes_back(void **state)
{
    uint8_t data[48], back[48];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof(data); n++) {
        struct text t = { 0 };
        size_t len = 99;

        crypto_base64_add(&t, data, n);
        assert_int_equal(t.len, (n + 2) / 3 * 4);
        assert_true(crypto_base64_decode(text_slice(&t), back, sizeof(back), &len));
        assert_int_equal(len, n);
        assert_memory_equal(back, data, n);
        text_done(&t);
    }
}

static void
hashes_are_those_of_the_standards(void **state)
{
    uint8_t out[32], key[32] = { 0 };
    struct text hex = { 0 };

    (void)state;
    crypto_sha256((const uint8_t *)"abc", 3, out);
    crypto_base64_add(&hex, out, 32);
    assert_string_equal(text_str(&hex), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    text_clear(&hex);
    crypto_hmac_sha256(key, slice_of(NULL, 0), out); /* HMAC with an empty key and no data */
    crypto_base64_add(&hex, out, 32);
    assert_string_equal(text_str(&hex), "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0=");
    text_done(&hex);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_of_rfc_4648_decodes),
        cmocka_unit_test(base64_that_nobody_would_print_is_refused),
        cmocka_unit_test(base64_never_writes_past_its_room),
        cmocka_unit_test(base64_of_any_length_comes_back),
        cmocka_unit_test(hashes_are_those_of_the_standards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
