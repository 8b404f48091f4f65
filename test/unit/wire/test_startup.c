/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <stdio.h>

#include "wire/startup.h"
#include "wire/writer.h"

/* A packet with CODE and BODY and a length word that is right. */
static struct slice
packet(uint32_t code, struct slice body)
{
    struct text t = { 0 };
    size_t start = wire_begin(&t, 0);
    struct slice s;

    wire_put_u32(&t, code);
    wire_put_bytes(&t, body);
    wire_end(&t, start, 0);
    s = exact(text_slice(&t));
    text_done(&t);
    return s;
}

#define V3(minor)   (3u << 16 | (minor))
#define CODE_CANCEL 80877102
#define CODE_SSL    80877103
#define CODE_GSS    80877104

struct reading {
    enum wire_answer answer;
    struct startup startup;
    size_t len;
    struct fault why;
};

static struct reading
read_bytes(struct slice bytes)
{
    struct reading r = { .why = { .sqlstate = "" } };

    r.answer = startup_read(bytes, &r.startup, &r.len, &r.why);
    if (r.answer == WIRE_BAD)
        assert_true(strlen(r.why.sqlstate) == 5 && r.why.message[0] != '\0');
    return r;
}

static enum wire_answer
answer_to(uint32_t code, struct slice body)
{
    struct slice s = packet(code, body);
    struct reading r = read_bytes(s);

    exact_free(s);
    return r.answer;
}

#define FULL                                                                                                \
    SLICE("user\0alice\0database\0app\0options\0-c a=1\0replication\0database\0TimeZone\0UTC\0_pq_.x\0on\0" \
          "application_name\0\0\0")

static void
every_field_of_a_login_is_found(void **state)
{
    struct slice s = packet(V3(2), FULL);
    struct reading r = read_bytes(s);
    const struct startup *p = &r.startup;

    (void)state;
    assert_int_equal(r.answer, WIRE_MESSAGE);
    assert_int_equal(r.len, s.len);
    assert_int_equal(p->kind, STARTUP_LOGIN);
    assert_int_equal(p->minor, 2);
    assert_true(p->unknown_options);
    assert_slice(p->user, "alice");
    assert_slice(p->database, "app");
    assert_slice(p->options, "-c a=1");
    assert_slice(p->replication, "database");
    assert_int_equal(p->n_params, 2);
    assert_slice(p->params[0].name, "TimeZone");
    assert_slice(p->params[0].value, "UTC");
    assert_slice(p->params[1].name, "application_name");
    assert_slice(p->params[1].value, "");
    exact_free(s);
}

static void
a_login_is_whole_only_at_its_last_byte(void **state)
{
    struct slice s = packet(V3(0), FULL);

    (void)state;
    for (size_t cut = 0; cut < s.len; cut++) {
        struct slice head = exact(slice_head(s, cut));

        assert_int_equal(read_bytes(head).answer, WIRE_MORE);
        exact_free(head);
    }
    exact_free(s);
}

/* The same bytes with a length word that says less: never a login, never a read behind the end. */
static void
a_login_cut_short_by_its_own_length_is_refused(void **state)
{
    struct slice body = FULL;

    (void)state;
    for (size_t cut = 0; cut < body.len; cut++)
        assert_int_equal(answer_to(V3(0), slice_head(body, cut)), WIRE_BAD);
    assert_int_equal(answer_to(V3(0), body), WIRE_MESSAGE);
}

static void
the_terminator_must_be_the_last_byte(void **state)
{
    (void)state;
    assert_int_equal(answer_to(V3(0), SLICE("user\0a\0\0")), WIRE_MESSAGE);
    assert_int_equal(answer_to(V3(0), SLICE("user\0a\0\0\0")), WIRE_BAD);
    assert_int_equal(answer_to(V3(0), SLICE("user\0a\0\0database\0b\0\0")), WIRE_BAD);
    assert_int_equal(answer_to(V3(0), SLICE("user\0a\0x\0\0")), WIRE_BAD);
    assert_int_equal(answer_to(V3(0), SLICE("user\0a\0x\0")), WIRE_BAD);
    assert_int_equal(answer_to(V3(0), SLICE("user\0a")), WIRE_BAD);
    assert_int_equal(answer_to(V3(0), SLICE("")), WIRE_BAD);
}

static void
a_login_needs_a_user_and_takes_its_name_for_the_database(void **state)
{
    struct slice s = packet(V3(0), SLICE("database\0\0user\0bob\0\0")), none = packet(V3(0), SLICE("\0"));
    struct reading r = read_bytes(s);

    (void)state;
    assert_int_equal(r.answer, WIRE_MESSAGE);
    assert_slice(r.startup.database, "bob");
    assert_int_equal(r.startup.replication.len, 0);
    assert_false(r.startup.unknown_options);
    exact_free(s);
    r = read_bytes(none);
    assert_int_equal(r.answer, WIRE_BAD);
    assert_string_equal(r.why.sqlstate, "28000");
    exact_free(none);
    assert_int_equal(answer_to(V3(0), SLICE("user\0\0database\0a\0\0")), WIRE_BAD);
}

static void
parameters_are_counted_to_their_limit(void **state)
{
    struct text body = { 0 };

    (void)state;
    text_add(&body, SLICE("user\0a\0"));
    for (unsigned n = 0; n <= STARTUP_MAX_PARAMS + 1; n++) {
        struct slice s;
        struct reading r;

        text_add(&body, SLICE("\0"));
        s = packet(V3(0), text_slice(&body));
        r = read_bytes(s);
        assert_int_equal(r.answer, n <= STARTUP_MAX_PARAMS ? WIRE_MESSAGE : WIRE_BAD);
        if (r.answer == WIRE_MESSAGE)
            assert_int_equal(r.startup.n_params, n);
        exact_free(s);
        body.len--;
        text_add(&body, SLICE("a\0b\0"));
    }
    text_done(&body);
}

static void
hostile_lengths_are_refused_as_soon_as_they_are_there(void **state)
{
    static const uint32_t bad[] = { 0, 1, 4, 7, STARTUP_MAX_LEN + 1, 0x7fffffff, 0x80000000, 0xffffffff };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint32_t n = htonl(bad[i]);
        struct slice s = exact(slice_of(&n, sizeof(n)));

        assert_int_equal(read_bytes(s).answer, WIRE_BAD);
        exact_free(s);
    }
    for (uint32_t good = 8; good <= STARTUP_MAX_LEN; good += 999) {
        uint32_t n = htonl(good);

        assert_int_equal(read_bytes(slice_of(&n, sizeof(n))).answer, WIRE_MORE);
    }
}

static void
other_protocols_are_refused_before_their_body_comes(void **state)
{
    static const uint32_t codes[] = { 2u << 16, 4u << 16, 0, 0xffffffff, 80877101, 80877105 };

    (void)state;
    for (size_t i = 0; i < COUNT(codes); i++) {
        uint32_t words[2] = { htonl(1000), htonl(codes[i]) };
        struct slice s = exact(slice_of(words, sizeof(words)));
        struct reading r = read_bytes(s);

        assert_int_equal(r.answer, WIRE_BAD);
        assert_string_equal(r.why.sqlstate, "0A000");
        exact_free(s);
    }
    assert_int_equal(answer_to(V3(9999), SLICE("user\0a\0\0")), WIRE_MESSAGE);
}

static void
requests_for_encryption_have_no_body(void **state)
{
    struct slice ssl = packet(CODE_SSL, SLICE("")), gss = packet(CODE_GSS, SLICE(""));
    struct reading r = read_bytes(ssl);

    (void)state;
    assert_true(r.answer == WIRE_MESSAGE && r.startup.kind == STARTUP_SSL && r.len == 8);
    r = read_bytes(gss);
    assert_true(r.answer == WIRE_MESSAGE && r.startup.kind == STARTUP_GSS && r.len == 8);
    assert_int_equal(answer_to(CODE_SSL, SLICE("x")), WIRE_BAD);
    assert_int_equal(answer_to(CODE_GSS, SLICE("\0")), WIRE_BAD);
    exact_free(ssl);
    exact_free(gss);
}

static void
a_cancel_request_carries_a_pid_and_a_key_of_4_to_256_bytes(void **state)
{
    uint8_t body[4 + STARTUP_MAX_KEY + 1] = { 1, 2, 3, 4, 0, 'k' };

    (void)state;
    for (size_t len = 0; len <= sizeof(body); len++) {
        struct slice s = packet(CODE_CANCEL, slice_of(body, len));
        struct reading r = read_bytes(s);
        bool good = len >= 8 && len <= 4 + STARTUP_MAX_KEY;

        assert_int_equal(r.answer, good ? WIRE_MESSAGE : WIRE_BAD);
        if (good) {
            assert_int_equal(r.startup.kind, STARTUP_CANCEL);
            assert_int_equal(r.startup.pid, 0x01020304);
            assert_true(slice_equal(r.startup.key, slice_of(body + 4, len - 4)));
        }
        exact_free(s);
    }
}

static void
a_cancel_request_reads_as_it_was_written(void **state)
{
    static const uint8_t key[STARTUP_MAX_KEY] = { 9, 0, 255, 'k' };
    static const size_t lens[] = { 4, 32, STARTUP_MAX_KEY };

    (void)state;
    for (size_t i = 0; i < COUNT(lens); i++) {
        struct text t = { 0 };
        struct slice s;
        struct reading r;

        startup_put_cancel(&t, 0x01020304, slice_of(key, lens[i]));
        s = exact(text_slice(&t));
        r = read_bytes(s);
        assert_int_equal(r.answer, WIRE_MESSAGE);
        assert_int_equal(r.len, s.len);
        assert_int_equal(r.startup.kind, STARTUP_CANCEL);
        assert_int_equal(r.startup.pid, 0x01020304);
        assert_true(slice_equal(r.startup.key, slice_of(key, lens[i])));
        exact_free(s);
        text_done(&t);
    }
}

static void
what_follows_a_packet_is_left_alone(void **state)
{
    struct slice s = exact(SLICE("\0\0\0\10\4\322\26\57\26\3\1"));
    struct reading r = read_bytes(s);

    (void)state;
    assert_int_equal(r.answer, WIRE_MESSAGE);
    assert_int_equal(r.len, 8);
    exact_free(s);
}

static void
negotiation_names_each_unknown_option_once_and_nothing_else(void **state)
{
    struct slice s = packet(V3(7), SLICE("user\0_pq_.no\0_pq_.a\0_pq_.v\0x\0y\0_pq_.b\0\0\0")),
                 plain = packet(V3(7), SLICE("user\0a\0\0"));
    struct text t = { 0 };

    (void)state;
    startup_put_negotiate(&t, 2, s);
    assert_slice(text_slice(&t), "v\0\0\0\32\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0");
    text_clear(&t);
    startup_put_negotiate(&t, 0, plain);
    assert_slice(text_slice(&t), "v\0\0\0\14\0\3\0\0\0\0\0\0");
    text_done(&t);
    exact_free(s);
    exact_free(plain);
}

/* ---- options ---- */

struct seen {
    struct text pairs; /* "name=value;" */
};

static void
on_setting(void *owner, struct slice name, struct slice value)
{
    struct seen *seen = owner;

    text_add(&seen->pairs, name);
    text_add_char(&seen->pairs, '=');
    text_add(&seen->pairs, value);
    text_add_char(&seen->pairs, ';');
}

static void
options_read_as_postgresql_reads_them(void **state)
{
    static const struct {
        const char *options, *pairs; /* NULL: refused */
    } cases[] = {
        { "", "" },
        { " \t\n\f\v\r ", "" },
        { "-c a=1", "a=1;" },
        { "-ca=1", "a=1;" },
        { "--a=1", "a=1;" },
        { "  -c\ta=1  --b-c=2\n-cd.e=f ", "a=1;b_c=2;d.e=f;" },
        { "-c a=x\\ y", "a=x y;" },
        { "-c a=\\\\", "a=\\;" },
        { "-c a=\\-x\\=", "a=-x=;" },
        { "\\-c a=1", "a=1;" },
        { "-c a=b=c", "a=b=c;" },
        { "-c a=", "a=;" },
        { "-c a-b=-c-d", "a_b=-c-d;" },
        { "-c a=b\\", "a=b;" },
        { "-c", NULL },
        { "-c ", NULL },
        { "-c a", NULL },
        { "-c =1", NULL },
        { "--", NULL },
        { "--=", NULL },
        { "-d 5", NULL },
        { "a=1", NULL },
        { "-c a=1 -e", NULL },
        { "-c -c a=1", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice s = exact(slice_str(cases[i].options));
        struct seen seen = { 0 };
        struct text copy = { 0 };
        struct fault why = { 0 };
        bool ok = startup_options(s, &copy, on_setting, &seen, &why);

        if (ok != (cases[i].pairs != NULL))
            fail_msg("%s: %d", cases[i].options, ok);
        if (ok)
            assert_string_equal(text_str(&seen.pairs), cases[i].pairs);
        else
            assert_string_equal(why.sqlstate, "42601");
        text_done(&seen.pairs);
        text_done(&copy);
        exact_free(s);
    }
}

static void
names_of_options_have_a_limit(void **state)
{
    (void)state;
    for (size_t len = 1; len < 200; len++) {
        struct seen seen = { 0 };
        struct text copy = { 0 }, options = { 0 };
        struct fault why;
        bool ok;

        text_add_str(&options, "-c ");
        for (size_t i = 0; i < len; i++)
            text_add_char(&options, 'n');
        text_add_str(&options, "=v");
        ok = startup_options(text_slice(&options), &copy, on_setting, &seen, &why);
        assert_int_equal(ok, len < 64);
        assert_int_equal(seen.pairs.len, ok ? len + 3 : 0);
        text_done(&seen.pairs);
        text_done(&copy);
        text_done(&options);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_login_is_found),
        cmocka_unit_test(a_login_is_whole_only_at_its_last_byte),
        cmocka_unit_test(a_login_cut_short_by_its_own_length_is_refused),
        cmocka_unit_test(the_terminator_must_be_the_last_byte),
        cmocka_unit_test(a_login_needs_a_user_and_takes_its_name_for_the_database),
        cmocka_unit_test(parameters_are_counted_to_their_limit),
        cmocka_unit_test(hostile_lengths_are_refused_as_soon_as_they_are_there),
        cmocka_unit_test(other_protocols_are_refused_before_their_body_comes),
        cmocka_unit_test(requests_for_encryption_have_no_body),
        cmocka_unit_test(a_cancel_request_carries_a_pid_and_a_key_of_4_to_256_bytes),
        cmocka_unit_test(a_cancel_request_reads_as_it_was_written),
        cmocka_unit_test(what_follows_a_packet_is_left_alone),
        cmocka_unit_test(negotiation_names_each_unknown_option_once_and_nothing_else),
        cmocka_unit_test(options_read_as_postgresql_reads_them),
        cmocka_unit_test(names_of_options_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
