/* SPDX-License-Identifier: ISC */
/* The expected secrets were computed with Python: its stringprep and unicodedata modules in the
 * order of steps of PostgreSQL's pg_saslprep(), its hashlib for the rest. */
#include "base/unit.h"

#include "auth/scram.h"
#include "saslprep_private.h"

static const struct {
    const char *password, *keys; /* salt "salt", 1 iteration */
} as_postgresql[] = {
    /* empty */
    { "", "ZLuasIkXZj0o2fqXcPLYzzpuBYpt3tJtvx/2hUNTwXo=:F4IbwS68ORUj5EQrkiAz/2EVcQ4SbxB346aV8BbbDbk=" },
    /* ASCII is not touched, control bytes neither */
    { "secret\x01",
      "rgMgzFMMK0ekRrtunwIHHd3J0iKIjuBocdAa+43vUMY=:Ina/NYBkh5IZJu0J3Aa3lpzJvGnQSgDFx2I028jJ92Q=" },
    /* a soft hyphen is mapped to nothing */
    { "I\xc2\xadX",
      "bmjmmtVhKoqdPBhFrdI1uUeTHb9rPoL3fY6+dh3tLu0=:QT1heQfD5iFkfx5kSNpQGHAWdD4iJiVvVbGQutlMU90=" },
    /* compatibility forms */
    { "\xc2\xaa", "dKydK+bpM5f287h3Ga4XhnXS6ILm9UGWrKHFvr6pex0=:f4LKQvxcUs6ZuPZfp+ok44CSJt/uWmpyjCy1f0/Pg/A=" },
    /* the same as the one before last */
    { "\xe2\x85\xa8",
      "bmjmmtVhKoqdPBhFrdI1uUeTHb9rPoL3fY6+dh3tLu0=:QT1heQfD5iFkfx5kSNpQGHAWdD4iJiVvVbGQutlMU90=" },
    /* a space is a space */
    { "a\xc2\xa0"
      "b",
      "n+MtsQjDy31ZwoGac/pVh9yYNUiwaL/Thvh0/Fghnho=:UohWw5Um4sHErghf6I80yGPuS2oio5ijHpQy+bKzuz0=" },
    /* nothing is left: as it is */
    { "\xc2\xad", "tF+Yc5vWxb8nsWsRu9z+KBEOMi54sIhKprsOsjwidPs=:zPFfx0VJUzk1jO7whMvkOLx+S1HUrxWjRjNHlBQHI2U=" },
    /* prohibited, although its normal form is not: as it is */
    { "a\xcd\x80",
      "13ycXbsvRoGbpxE9WVl5gIfHl2cxBk6uDerdPh+XvzQ=:Ij0CNQEssXAA4wjQEaMQhUlSZekfXozvNK+vwuZB4lo=" },
    /* composed */
    { "a\xcc\x80",
      "Lsn4Owq/CVvFGT2vabaRpAbmQbve72IwTPxLD1sRd10=:juBcx0P+tffJBBxc1PYEZa5VoXF0uV114UKnkThz6FQ=" },
    /* does not end from right to left: as it is */
    { "\xd7\x90"
      "1",
      "GXgo+ff8gcpVNvin+LLRWcG88iEz2/w8tgdIMjnKWaw=:6A0MoeXGxbG+vmCiX7SAt5HvvWCN/BX+UDj9bIfIiT0=" },
    /* both directions: as it is */
    { "\xd7\x90"
      "a",
      "KLxCrcPma/xJJMp7WyTaNJ7MHfBxjYtOqAPzd1vaa30=:PW7/kAnYP+HXEUu3ZP/iBl3boXiZCdBKFLy3dTfxLNQ=" },
    /* from right to left */
    { "\xd7\x90 \xd7\x90",
      "56+dB2LYdBt2OsMRaKziQZIVMCEqvxRdDwGnzz/Xbi8=:zExg4qgyjCIVrgnpf7FrnWBBTF9d0rH8AFDOzYNqB+c=" },
    /* unassigned in Unicode 3.2: as it is */
    { "\xc8\xa1", "AQ5rPohLxe3QexDH7tAi8KnVG96iasJ8nZPF4ga/SRg=:X3T7SRNi5oNuuk/856lzdHKcbvtlwR079T9KiutvLKw=" },
    /* private use: as it is */
    { "\xee\x80\x80",
      "Lj6EShgRzMe4Gtb1IopMUpfoELJXA9RtPgw7/dzZLFs=:8uw0GUWsOYc5ZEL4SbOp/I+r3NPgah3DQZWRUNmW1SM=" },
    /* Corrigendum 4 */
    { "\xf0\xaf\xa1\xa8",
      "tF+3cEaw2sq9oGCG/Y54O6m7Yk/EXOV8aNFv4Q9kxm8=:GPH2dLNcFJ6oy8Bht20GWQ0EJ+WuJaRKBNYazT42Y2I=" },
    /* a ligature */
    { "\xef\xac\x81",
      "ms/VcOH9AqYVS8G1qzkAFyf+ttfXmOOKmkb89GWzNa4=:HQ6IVkKcX2u06ODsX3QscpYY3UsNfeQoPL8wm6CuBdc=" },
    /* not UTF-8 */
    { "\xff\xfe", "kxlSsFysKRtH9DVw6LJcpAcble0EJFaqbKhbK1XF6Lw=:xiXwLPn2Rpsj4CqqSi0B0FnjRwOhSp2ohisgH2y9/NI=" },
    /* cut */
    { "\xc3", "/mw88Zep8Eme3sQCm9JCT0XccCjkBNkhiffOrYOFZIs=:Lutf9HS4DpUiCYdNUI/5awJkjydFmnvTkVxkZUwBb8g=" },
    /* a surrogate */
    { "\xed\xa0\x80",
      "d7aAyvn7Pzk02SgUVz6DTIz+AGEmVCHzhm49PEa9sis=:h4+UOSQrqY9m2RmRGpHEzTFk/ZOx2+AQKOKE+qWberI=" },
    /* overlong */
    { "\xc0\x80", "y2hUxU3qx0FjzytuL69bfkxSYwn+QdRFDzc/eDkgapA=:hfQmBqR/PZ+UWWd9pSQ8/mUhO//IQ0xgjaaQEE3Q/Ow=" },
    /* beyond Unicode */
    { "\xf4\x90\x80\x80",
      "I54Sj9C5geG9cEOyWznJ4zXnfazp5auuocff9LwtqWs=:S3LywOsaYlwHbQzHu/6ETRIQ/omuNW/t5bvDBPx4Hi4=" },
};

static void
passwords_are_prepared_as_postgresql_prepares_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(as_postgresql) / sizeof(as_postgresql[0]); i++) {
        struct slice password = exact(slice_str(as_postgresql[i].password));
        struct scram_secret secret;
        struct text printed = { 0 }, expected = { 0 };

        scram_secret_derive(password, SLICE("salt"), 1, &secret);
        scram_secret_print(&secret, &printed);
        text_printf(&expected, "SCRAM-SHA-256$1:c2FsdA==$%s", as_postgresql[i].keys);
        if (strcmp(text_str(&printed), text_str(&expected)) != 0)
            fail_msg("row %zu: %s", i, text_str(&printed));
        text_done(&printed);
        text_done(&expected);
        exact_free(password);
    }
}

static bool
prepares_to(struct slice password, struct slice expected)
{
    struct slice prepared = saslprep(password);
    bool same = prepared.data != NULL && slice_equal(prepared, expected);

    saslprep_done(prepared);
    return same;
}

static void
prepared_bytes_are_those_of_nfkc(void **state)
{
    (void)state;
    assert_true(prepares_to(slice_of(NULL, 0), SLICE("")));
    assert_true(prepares_to(SLICE("\xe2\x85\xa8"), SLICE("IX")));
    assert_true(prepares_to(SLICE("a\xcc\x80"), SLICE("\xc3\xa0")));
    assert_true(prepares_to(SLICE("a\0\xc2\xaa"), SLICE("a\0\xc2\xaa"))); /* no password has a NUL: as it is */
}

static void
long_passwords_are_prepared_whole(void **state)
{
    size_t len = 65530;
    uint8_t *bytes = malloc(len);

    (void)state;
    for (size_t i = 0; i < len; i += 2) { /* feminine ordinal indicator: becomes a */
        bytes[i] = 0xC2;
        bytes[i + 1] = 0xAA;
    }
    struct slice prepared = saslprep(slice_of(bytes, len));

    assert_int_equal(prepared.len, len / 2);
    assert_int_equal(prepared.data[0], 'a');
    assert_int_equal(prepared.data[len / 2 - 1], 'a');
    saslprep_done(prepared);
    free(bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_prepared_as_postgresql_prepares_them),
        cmocka_unit_test(prepared_bytes_are_those_of_nfkc),
        cmocka_unit_test(long_passwords_are_prepared_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
