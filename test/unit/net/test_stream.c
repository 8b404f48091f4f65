/* SPDX-License-Identifier: ISC */
/* Reading, ending, dialling and moving. Writing is in test_output.c. */
#include "net/streams.h"

#include "net/listener.h"

/* ---- kept input ---- */

struct appetite {
    uint64_t seed;
    size_t at;   /* bytes used so far */
    bool greedy; /* uses all from now on */
};

/* Uses a random part, often nothing. */
static size_t
use_some(struct end *e, struct slice bytes)
{
    struct appetite *a = e->owner;
    uint64_t r = draw(&a->seed);
    size_t n = a->greedy ? bytes.len : r % 3 == 0 ? 0 : r / 3 % (bytes.len + 1);

    expect_pattern(bytes.data, a->at, bytes.len);
    a->at += n;
    return n;
}

/* Pieces of random sizes go in; whatever the owner leaves comes again, in front of what follows. */
static void
what_is_not_used_is_shown_again_before_what_follows(void **state)
{
    struct place *p = *state;
    struct appetite a = { .seed = 17 };
    uint8_t piece[9000];
    uint64_t seed = 23;
    size_t sent = 0;

    open_one(p);
    p->a.use = use_some;
    p->a.owner = &a;
    for (int i = 0; i < 600; i++) {
        size_t len = 1 + draw(&seed) % (i % 10 == 0 ? sizeof(piece) : 200);
        unsigned calls = p->a.calls;

        if (sent + len - a.at > 50000) {
            a.greedy = true;
            stream_again(&p->a.stream);
            a.greedy = false;
            assert_int_equal(a.at, sent);
        }
        fill(piece, sent, len);
        write_all(p->fd, slice_of(piece, len));
        sent += len;
        turn_until(p, p->a.calls > calls);
    }
    a.greedy = true;
    stream_again(&p->a.stream);
    assert_int_equal(a.at, sent);
    assert_int_equal(p->a.stream.in_len, 0);
    assert_int_equal(stream_memory(&p->a.stream), 0);
    assert_int_equal(p->a.stream.n_in, sent);
}

/* How often a stream with 3 reads' worth of input is read in one event, by the limit. */
static void
a_stream_with_more_to_read_has_its_rounds(void **state)
{
    static const struct {
        unsigned rounds, calls;
    } cases[] = { { 1, 1 }, { 2, 2 }, { 9, 3 }, { 0, 3 } };
    struct place *p = *state;
    uint8_t *piece = mem_zalloc(STREAM_RECV);
    int room = 1 << 20;

    open_one(p);
    setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned before = p->a.calls;
        uint64_t had = p->a.stream.n_in;

        for (int k = 0; k < 2; k++)
            write_all(p->fd, slice_of(piece, STREAM_RECV));
        write_all(p->fd, slice_of(piece, 100));
        p->turn.rounds = cases[i].rounds;
        turn_until(p, p->a.calls > before);
        assert_int_equal(p->a.calls - before, cases[i].calls);
        turn_until(p, p->a.stream.n_in == had + 2 * STREAM_RECV + 100);
        text_clear(&p->a.got);
    }
    mem_free(piece);
}

static void
more_is_read_at_once_where_that_is_asked_for(void **state)
{
    struct place *p = *state;
    uint8_t *piece = mem_zalloc(2 * STREAM_RECV);
    int room = 1 << 20;

    net_turn_widen(&p->turn, 4096);
    assert_int_equal(p->turn.recv_len, STREAM_RECV);
    net_turn_widen(&p->turn, INT64_MAX);
    assert_int_equal(p->turn.recv_len, STREAM_RECV_MOST);
    open_one(p);
    setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    write_all(p->fd, slice_of(piece, 2 * STREAM_RECV));
    turn_until(p, p->a.stream.n_in > 0);
    assert_int_equal(p->a.calls, 1);
    assert_int_equal(p->a.stream.n_in, 2 * STREAM_RECV);
    mem_free(piece);
}

static size_t
use_whole_message(struct end *e, struct slice bytes)
{
    size_t len = *(size_t *)e->owner;

    if (bytes.len < len)
        return 0;
    text_add(&e->got, slice_head(bytes, len));
    return len;
}

/* A message of 63 KiB is held until it is whole, and costs no more than itself and one read. */
static void
a_message_may_be_held_until_it_is_whole(void **state)
{
    struct place *p = *state;
    size_t len = 63 * 1024;
    uint8_t *message = mem_alloc(len);

    open_one(p);
    p->a.use = use_whole_message;
    p->a.owner = &len;
    fill(message, 0, len);
    for (size_t at = 0; at < len; at += 1024) {
        write_all(p->fd, slice_of(message + at, 1024));
        turn_once(p);
        assert_true(stream_memory(&p->a.stream) <= 2 * len);
    }
    turn_until(p, p->a.got.len == len);
    assert_memory_equal(p->a.got.data, message, len);
    assert_int_equal(stream_memory(&p->a.stream), 0);
    mem_free(message);
}

static size_t
use_nothing(struct end *e, struct slice bytes)
{
    (void)e;
    (void)bytes;
    return 0;
}

/* Write until the socket is full and stays so; returns how much went in. */
static size_t
stuff(struct place *p, int fd, size_t at)
{
    uint8_t piece[4096];
    int idle = 0;

    while (idle < 5) {
        ssize_t n;

        fill(piece, at, sizeof(piece));
        n = write(fd, piece, sizeof(piece));
        idle = n > 0 ? 0 : idle + 1;
        at += n > 0 ? (size_t)n : 0;
        turn_once(p);
    }
    return at;
}

/* As sessions do while they wait for a server. */
static size_t
use_nothing_until_full(struct end *e, struct slice bytes)
{
    if (bytes.len >= 64 * 1024)
        stream_pause(&e->stream, STREAM_PAUSE_FULL);
    return 0;
}

static void
an_owner_that_waits_holds_no_more_than_it_allows_and_one_read(void **state)
{
    struct place *p = *state;
    struct appetite a = { .seed = 1, .greedy = true };
    size_t sent;

    open_one(p);
    p->a.use = use_nothing_until_full;
    sent = stuff(p, p->fd, 0);
    assert_true(p->a.stream.in_len >= 64 * 1024 && p->a.stream.in_len <= 64 * 1024 + STREAM_RECV);
    assert_true(stream_memory(&p->a.stream) <= 2 * (64 * 1024 + STREAM_RECV));
    p->a.use = use_some;
    p->a.owner = &a;
    stream_again(&p->a.stream);
    stream_resume(&p->a.stream, STREAM_PAUSE_FULL);
    turn_until(p, a.at == sent);
}

/* ---- pausing ---- */

static void
a_paused_stream_reads_nothing_until_it_resumes(void **state)
{
    struct place *p = *state;

    open_one(p);
    stream_pause(&p->a.stream, STREAM_PAUSE_OWNER);
    stream_pause(&p->a.stream, STREAM_PAUSE_PEER);
    write_all(p->fd, SLICE("hello"));
    for (int i = 0; i < 5; i++)
        turn_once(p);
    stream_resume(&p->a.stream, STREAM_PAUSE_PEER);
    for (int i = 0; i < 5; i++)
        turn_once(p);
    assert_int_equal(p->a.calls, 0);
    stream_resume(&p->a.stream, STREAM_PAUSE_OWNER);
    turn_until(p, p->a.got.len > 0);
    assert_string_equal(text_str(&p->a.got), "hello");
    assert_int_equal(p->a.quiet, 1);
}

static void
pausing_inside_the_event_keeps_the_rest(void **state)
{
    struct place *p = *state;

    open_one(p);
    p->a.use = use_one_and_pause;
    write_all(p->fd, SLICE("abc"));
    turn_until(p, p->a.calls > 0);
    for (int i = 0; i < 5; i++)
        turn_once(p);
    assert_string_equal(text_str(&p->a.got), "a");
    assert_int_equal(p->a.stream.in_len, 2);
    p->a.use = NULL;
    stream_resume(&p->a.stream, STREAM_PAUSE_OWNER);
    stream_again(&p->a.stream);
    assert_string_equal(text_str(&p->a.got), "abc");
}

static size_t
use_one_and_ask_again(struct end *e, struct slice bytes)
{
    unsigned depth = e->opened++;

    assert_int_equal(depth, 0);
    text_add(&e->got, slice_head(bytes, 1));
    stream_again(&e->stream);
    e->opened--;
    return 1;
}

static void
asking_again_inside_the_event_does_not_nest(void **state)
{
    struct place *p = *state;

    open_one(p);
    p->a.use = use_one_and_ask_again;
    write_all(p->fd, SLICE("abcdef"));
    turn_until(p, p->a.got.len == 6);
    assert_string_equal(text_str(&p->a.got), "abcdef");
}

/* ---- the end ---- */

static void
an_orderly_end_comes_after_the_last_byte(void **state)
{
    struct place *p = *state;

    open_one(p);
    write_all(p->fd, SLICE("last words"));
    close(p->fd);
    p->fd = -1;
    turn_until(p, p->a.ended);
    assert_string_equal(text_str(&p->a.got), "last words");
    assert_string_equal(p->a.why.sqlstate, "");
}

static void
a_broken_connection_says_why(void **state)
{
    struct place *p = *state;

    open_one(p);
    p->a.closes_on_end = true;
    stream_put(&p->a.stream, SLICE("unread"));
    stream_flush(&p->turn);
    close(p->fd); /* with bytes unread: a reset */
    p->fd = -1;
    turn_until(p, p->a.ended);
    assert_string_equal(p->a.why.sqlstate, "58030");
    assert_non_null(strstr(p->a.why.message, strerror(ECONNRESET)));
    assert_int_equal(p->a.stream.stage, STREAM_CLOSED);
}

/* Writing to a peer that is gone must not call back from inside the put. */
static void
a_write_that_fails_is_told_from_the_loop(void **state)
{
    struct place *p = *state;

    open_one(p);
    close(p->fd);
    p->fd = -1;
    for (int i = 0; i < 3; i++) {
        stream_put_copy(&p->a.stream, SLICE("into the void"));
        stream_flush(&p->turn);
        assert_false(p->a.ended);
    }
    turn_until(p, p->a.ended);
}

static size_t
use_and_close(struct end *e, struct slice bytes)
{
    stream_put(&e->stream, SLICE("bye"));
    stream_close(&e->stream);
    expect_pattern(bytes.data, 0, bytes.len); /* they are valid until we return */
    return 1;
}

static void
closing_inside_the_event_is_the_last_that_is_heard(void **state)
{
    struct place *p = *state;
    uint8_t bytes[6000];
    char got[8] = "";

    fill(bytes, 0, sizeof(bytes));
    open_one(p);
    p->a.use = use_nothing; /* first time: from the kept input, in a block of its own */
    write_all(p->fd, slice_of(bytes, 5000));
    turn_until(p, p->a.calls == 1);
    p->a.use = use_and_close;
    write_all(p->fd, slice_of(bytes + 5000, 1000));
    turn_until(p, p->a.calls == 2);
    for (int i = 0; i < 5; i++)
        turn_once(p);
    assert_int_equal(p->a.calls, 2);
    assert_false(p->a.ended);
    assert_int_equal(p->a.quiet, 1);
    assert_int_equal(stream_memory(&p->a.stream), 0);
    assert_int_equal(read(p->fd, got, sizeof(got)), 3);
    assert_string_equal(got, "bye");
    stream_close(&p->a.stream);
}

/* Unread input must not destroy what we said last. */
static void
the_last_message_arrives_although_input_was_left_unread(void **state)
{
    struct place *p = *state;
    char got[16] = "";

    open_one(p);
    write_all(p->fd, SLICE("more than anybody wants to read"));
    stream_put(&p->a.stream, SLICE("sorry"));
    p->a.stream.last_words = true;
    stream_close(&p->a.stream);
    assert_int_equal(read(p->fd, got, sizeof(got)), 5);
    assert_string_equal(got, "sorry");
    assert_int_equal(read(p->fd, got, sizeof(got)), 0);
}

/* ---- dialling ---- */

static int
listen_somewhere(struct net_address *a)
{
    struct fault why;
    int fd;

    assert_true(net_address_numeric(a, "127.0.0.1", 0));
    fd = listener_socket(a, 10, false, &why);
    assert_true(fd >= 0);
    net_address_local(a, fd);
    return fd;
}

static void
a_dial_opens_from_the_loop_and_then_carries_bytes(void **state)
{
    struct place *p = *state;
    struct net_address a;
    struct fault why;
    int fd = listen_somewhere(&a);

    assert_true(stream_dial(&p->a.stream, &p->turn, &a, &end_events, &why));
    assert_int_equal(p->a.opened, 0);
    turn_until(p, p->a.opened == 1);
    p->fd = accept(fd, NULL, NULL);
    assert_true(p->fd >= 0);
    stream_put_copy(&p->a.stream, SLICE("x"));
    stream_flush(&p->turn);
    write_all(p->fd, SLICE("y"));
    turn_until(p, p->a.got.len == 1);
    close(fd);
}

static void
a_dial_that_is_refused_ends_from_the_loop(void **state)
{
    struct place *p = *state;
    struct net_address a;
    struct fault why = { .sqlstate = "" };
    int fd = listen_somewhere(&a);

    close(fd);
    p->a.closes_on_end = true;
    if (!stream_dial(&p->a.stream, &p->turn, &a, &end_events, &why))
        p->a.why = why;
    else
        turn_until(p, p->a.ended);
    assert_non_null(strstr(p->a.why.message, strerror(ECONNREFUSED)));
    assert_int_equal(p->a.opened, 0);
    assert_true(net_address_unix(&a, "/nonexistent/folder", 1));
    assert_false(stream_dial(&p->b.stream, &p->turn, &a, &end_events, &why));
    assert_non_null(strstr(why.message, strerror(ENOENT)));
    assert_int_equal(p->b.stream.stage, STREAM_CLOSED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(what_is_not_used_is_shown_again_before_what_follows),
        PLACED(a_stream_with_more_to_read_has_its_rounds),
        PLACED(more_is_read_at_once_where_that_is_asked_for),
        PLACED(a_message_may_be_held_until_it_is_whole),
        PLACED(an_owner_that_waits_holds_no_more_than_it_allows_and_one_read),
        PLACED(a_paused_stream_reads_nothing_until_it_resumes),
        PLACED(pausing_inside_the_event_keeps_the_rest),
        PLACED(asking_again_inside_the_event_does_not_nest),
        PLACED(an_orderly_end_comes_after_the_last_byte),
        PLACED(a_broken_connection_says_why),
        PLACED(a_write_that_fails_is_told_from_the_loop),
        PLACED(closing_inside_the_event_is_the_last_that_is_heard),
        PLACED(the_last_message_arrives_although_input_was_left_unread),
        PLACED(a_dial_opens_from_the_loop_and_then_carries_bytes),
        PLACED(a_dial_that_is_refused_ends_from_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
