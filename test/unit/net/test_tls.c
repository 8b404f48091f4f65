/* SPDX-License-Identifier: ISC */
/* Both sides of TLS in one process: A connects, B accepts. */
#include <signal.h>

#include "net/certs.h"
#include "net/streams.h"

static struct certs made;

static int
make_certs(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as app does: OpenSSL writes without MSG_NOSIGNAL */
    return certs_make(&made) ? 0 : -1;
}

static int
remove_certs(void **state)
{
    (void)state;
    certs_remove(&made);
    return 0;
}

static struct tls_context *
server_context(bool verify)
{
    struct tls_files f = certs_files(made.key, made.cert, verify ? made.other_cert : "");
    struct fault why;
    struct tls_context *c = tls_context_server(&f, verify, &why);

    assert_non_null(c);
    return c;
}

static struct tls_context *
client_context(const char *key, const char *cert, const char *ca)
{
    struct tls_files f = certs_files(key, cert, ca);
    struct fault why;
    struct tls_context *c = tls_context_client(&f, ca[0] != '\0', &why);

    assert_non_null(c);
    return c;
}

/* The contexts live on in what was made from them. HOST is also checked when it is not empty. */
static void
start_both(struct place *p, struct tls_context *client, struct tls_context *server, const char *host)
{
    open_both(p);
    stream_start_tls(&p->b.stream, tls_accept(server, p->b.stream.fd));
    stream_start_tls(&p->a.stream, tls_connect(client, p->a.stream.fd, host, host[0] != '\0'));
    tls_context_drop(client);
    tls_context_drop(server);
}

static void
shake_hands(struct place *p)
{
    start_both(p, client_context("", "", made.cert), server_context(false), "localhost");
    turn_until(p, p->a.opened == 1 && p->b.opened == 1);
}

static void
two_streams_shake_hands_and_talk(void **state)
{
    struct place *p = *state;
    char text[100];

    shake_hands(p);
    stream_put(&p->a.stream, SLICE("hello"));
    stream_flush(&p->turn);
    stream_put_copy(&p->b.stream, SLICE("welcome"));
    stream_flush(&p->turn);
    turn_until(p, p->a.got.len == 7 && p->b.got.len == 5);
    assert_string_equal(text_str(&p->b.got), "hello");
    assert_string_equal(text_str(&p->a.got), "welcome");
    assert_true(tls_alpn_is_postgresql(p->b.stream.tls));
    tls_describe(p->b.stream.tls, text, sizeof(text));
    assert_int_equal(strncmp(text, "TLSv1.3/TLS_", 12), 0);
    stream_close(&p->a.stream);
    turn_until(p, p->b.ended);
    assert_string_equal(p->b.why.sqlstate, "");
}

/* Records, partial writes and the queue: 3 MB in pieces of random sizes, both ways at once. */
static void
much_data_arrives_unchanged_both_ways(void **state)
{
    struct place *p = *state;
    size_t most = 3 << 20, sent[2] = { 0, 0 };
    struct end *end[2] = { &p->a, &p->b };
    uint8_t *piece = mem_alloc(100000);
    uint64_t seed = 41;

    shake_hands(p);
    while (end[0]->got.len < sent[1] || end[1]->got.len < sent[0] || sent[0] < most || sent[1] < most) {
        int i = draw(&seed) % 2;
        size_t len = draw(&seed) % (draw(&seed) % 4 == 0 ? 100000 : 500);

        turn_once(p);
        if (stream_is_blocked(&end[i]->stream) || sent[i] >= most)
            continue;
        fill(piece, sent[i], len);
        if (len % 2 == 0)
            stream_put(&end[i]->stream, slice_of(piece, len));
        else
            stream_put_copy(&end[i]->stream, slice_of(piece, len));
        stream_flush(&p->turn);
        sent[i] += len;
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(end[i]->got.len, sent[1 - i]);
        expect_pattern((const uint8_t *)end[i]->got.data, 0, end[i]->got.len);
    }
    mem_free(piece);
}

/* Bytes that OpenSSL has read ahead make no event of the socket: resuming must find them. */
static void
a_paused_stream_finds_what_tls_holds_when_it_resumes(void **state)
{
    struct place *p = *state;

    shake_hands(p);
    p->b.use = use_one_and_pause;
    for (int i = 0; i < 4; i++) {
        stream_put(&p->a.stream, SLICE("x"));
        stream_flush(&p->turn); /* a record of its own */
    }
    for (unsigned n = 1; n <= 4; n++) {
        turn_until(p, p->b.got.len > n - 1);
        for (int i = 0; i < 3; i++)
            turn_once(p);
        assert_int_equal(p->b.got.len, n);
        stream_resume(&p->b.stream, STREAM_PAUSE_OWNER);
    }
}

/* CLIENT and SERVER must not get together; both hear why. */
static void
expect_refusal(struct place *p, const char *why)
{
    turn_until(p, p->a.ended || p->b.ended);
    if (why != NULL)
        assert_non_null(strstr(p->a.why.message, why));
}

static void
a_certificate_that_is_not_trusted_is_refused(void **state)
{
    struct place *p = *state;

    start_both(p, client_context("", "", made.other_cert), server_context(false), "localhost");
    turn_until(p, p->a.ended);
    assert_int_equal(p->a.opened, 0);
    expect_refusal(p, "certificate verify failed");
}

static void
a_certificate_for_another_host_is_refused(void **state)
{
    struct place *p = *state;

    start_both(p, client_context("", "", made.cert), server_context(false), "db.example");
    turn_until(p, p->a.ended);
    assert_int_equal(p->a.opened, 0);
    expect_refusal(p, "certificate verify failed");
}

static void
an_address_in_the_certificate_is_a_good_host(void **state)
{
    struct place *p = *state;

    start_both(p, client_context("", "", made.cert), server_context(false), "127.0.0.1");
    turn_until(p, p->a.opened == 1 && p->b.opened == 1);
}

static void
a_client_must_show_a_certificate_when_it_is_asked_for(void **state)
{
    struct place *p = *state;

    start_both(p, client_context("", "", made.cert), server_context(true), "localhost");
    turn_until(p, p->b.ended);
    assert_int_equal(p->b.opened, 0);
    assert_string_not_equal(p->b.why.sqlstate, "");
}

static void
a_client_with_the_right_certificate_is_let_in(void **state)
{
    struct place *p = *state;

    start_both(p, client_context(made.other_key, made.other_cert, made.cert), server_context(true),
               "localhost");
    turn_until(p, p->a.opened == 1 && p->b.opened == 1);
}

/* Whatever comes instead of a handshake, cut anywhere: an end with a reason, never an open stream. */
static void
bytes_that_are_no_handshake_end_the_stream(void **state)
{
    struct place *p = *state;
    struct tls_context *c = server_context(false);

    open_one(p);
    stream_start_tls(&p->a.stream, tls_accept(c, p->a.stream.fd));
    tls_context_drop(c);
    write_all(p->fd, SLICE("\0\0\0\10\0\3\0\0user"));
    turn_until(p, p->a.ended);
    assert_int_equal(p->a.opened, 0);
    assert_string_equal(p->a.why.sqlstate, "08006");
    assert_int_equal(p->a.calls, 0);
}

static void
a_peer_that_goes_in_the_handshake_ends_the_stream(void **state)
{
    struct place *p = *state;
    struct tls_context *c = server_context(false);

    open_one(p);
    stream_start_tls(&p->a.stream, tls_accept(c, p->a.stream.fd));
    tls_context_drop(c);
    write_all(p->fd, SLICE("\26\3\1\2"));
    turn_once(p);
    close(p->fd);
    p->fd = -1;
    turn_until(p, p->a.ended);
    assert_int_equal(p->a.opened, 0);
    assert_true(p->a.why.message[0] != '\0');
}

static void
the_first_byte_of_a_handshake_is_seen_and_left_where_it_is(void **state)
{
    struct place *p = *state;
    char byte;

    open_one(p);
    p->a.stream.peek = true;
    write_all(p->fd, SLICE("\26\3\1"));
    turn_until(p, p->a.hellos == 1);
    assert_int_equal(p->a.calls, 0);
    assert_int_equal(read(p->a.stream.fd, &byte, 1), 1);
    assert_int_equal(byte, 0x16);
}

static void
any_other_first_byte_is_ordinary_input(void **state)
{
    struct place *p = *state;

    open_one(p);
    p->a.stream.peek = true;
    write_all(p->fd, SLICE("\0\26\26"));
    turn_until(p, p->a.got.len == 3);
    assert_int_equal(p->a.hellos, 0);
}

static void
bad_files_and_words_are_refused_with_their_name(void **state)
{
    const struct {
        struct tls_files files;
        const char *said;
    } cases[] = {
        { certs_files(made.key, "/nonexistent/cert", ""), "/nonexistent/cert" },
        { certs_files("/nonexistent/key", made.cert, ""), "/nonexistent/key" },
        { certs_files(made.key, made.cert, "/nonexistent/ca"), "/nonexistent/ca" },
        { certs_files(made.other_key, made.cert, ""), made.other_key },
        { { made.key, made.cert, "", "tlsv9", "", "", NULL, NULL }, "tlsv9" },
        { { made.key, made.cert, "", "", "no such cipher", "", NULL, NULL }, "no such cipher" },
        { { made.key, made.cert, "", "", "", "NO_SUCH", NULL, NULL }, "NO_SUCH" },
        { { made.key, made.cert, "", "", "", "", "no_such_curve", NULL }, "no_such_curve" },
        { { made.key, made.cert, "", "", "", "", "auto", "2048" }, "2048" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fault why = { .sqlstate = "" };

        assert_null(tls_context_server(&cases[i].files, false, &why));
        assert_non_null(strstr(why.message, cases[i].said));
    }
    tls_context_drop(NULL);
    assert_null(tls_context_hold(NULL));
    tls_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(two_streams_shake_hands_and_talk),
        PLACED(much_data_arrives_unchanged_both_ways),
        PLACED(a_paused_stream_finds_what_tls_holds_when_it_resumes),
        PLACED(a_certificate_that_is_not_trusted_is_refused),
        PLACED(a_certificate_for_another_host_is_refused),
        PLACED(an_address_in_the_certificate_is_a_good_host),
        PLACED(a_client_must_show_a_certificate_when_it_is_asked_for),
        PLACED(a_client_with_the_right_certificate_is_let_in),
        PLACED(bytes_that_are_no_handshake_end_the_stream),
        PLACED(a_peer_that_goes_in_the_handshake_ends_the_stream),
        PLACED(the_first_byte_of_a_handshake_is_seen_and_left_where_it_is),
        PLACED(any_other_first_byte_is_ordinary_input),
        cmocka_unit_test(bad_files_and_words_are_refused_with_their_name),
    };

    return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
