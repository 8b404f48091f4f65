/* SPDX-License-Identifier: ISC */
/* Gathering writes and back-pressure. */
#include "net/streams.h"

#define SOURCE  (1 << 20)
#define LARGEST 30000

/* Two streams that are written to in turn, and what was put into each. */
struct writers {
    struct place *place;
    struct end *to[2];
    int fds[2][2];
    struct text sent[2];
    uint8_t *source;
    size_t at; /* where in SOURCE the next piece comes from, if it follows on */
};

static void
writers_init(struct writers *w, struct place *p)
{
    *w = (struct writers){ .place = p, .to = { &p->a, &p->b }, .source = mem_alloc(SOURCE) };
    fill(w->source, 0, SOURCE);
    for (int i = 0; i < 2; i++) {
        socket_pair(w->fds[i]);
        stream_open(&w->to[i]->stream, &p->turn, w->fds[i][0], &end_events);
    }
}

/* One piece of a size, kind and place that R says. Copied bytes are overwritten at once. */
static void
put_piece(struct writers *w, uint64_t r)
{
    static uint8_t copied[STREAM_STAGE];
    int who = r % 7 == 0;
    bool copy = r / 128 % 2 == 0, follows = r % 3 != 0;
    size_t len = r / 8 % (r % 5 == 0 ? LARGEST : r % 5 == 1 ? sizeof(copied) : 300);

    if (!follows || w->at + LARGEST > SOURCE)
        w->at = r / 64 % (SOURCE - LARGEST);
    if (copy)
        len %= sizeof(copied);
    text_add(&w->sent[who], slice_of(w->source + w->at, len));
    if (copy) {
        memcpy(copied, w->source + w->at, len);
        stream_put_copy(&w->to[who]->stream, slice_of(copied, len));
        memset(copied, 0xee, len);
    } else {
        stream_put(&w->to[who]->stream, slice_of(w->source + w->at, len));
    }
    w->at += len;
}

/* Read what came of stream WHO and compare it. */
static void
drain_one(struct writers *w, int who)
{
    static uint8_t buf[1 << 16];
    struct text *got = &w->to[who]->got;
    ssize_t n;

    while ((n = read(w->fds[who][1], buf, sizeof(buf))) > 0) {
        text_add(got, slice_of(buf, (size_t)n));
        assert_true(got->len <= w->sent[who].len);
        assert_memory_equal(buf, w->sent[who].data + got->len - (size_t)n, (size_t)n);
    }
}

/* Puts of every size and kind, from places that lie side by side or apart, to two streams in turn. */
static void
what_comes_out_is_what_was_put_in_order(void **state)
{
    struct place *p = *state;
    struct writers w;
    uint64_t seed = 31;

    writers_init(&w, p);
    for (size_t step = 0; step < 1500; step++) {
        uint64_t r = draw(&seed);

        put_piece(&w, r);
        if (r / 256 % 8 == 0)
            stream_flush(&p->turn);
        if (r / 4096 % 16 != 0)
            continue;
        if (r / 65536 % 2 == 0) /* else the socket may take bytes before what is gathered is flushed */
            stream_flush(&p->turn);
        turn_once(p);
        drain_one(&w, r % 2 == 0);
    }
    stream_flush(&p->turn);
    for (int i = 0; i < 2; i++) {
        while (w.to[i]->got.len < w.sent[i].len) {
            drain_one(&w, i);
            turn_once(p);
        }
        turn_until(p, !stream_is_blocked(&w.to[i]->stream));
        assert_int_equal(w.to[i]->stream.n_out, w.sent[i].len);
        assert_int_equal(stream_memory(&w.to[i]->stream), 0);
        close(w.fds[i][1]);
        text_done(&w.sent[i]);
    }
    mem_free(w.source);
}

static void
small_pieces_of_one_turn_leave_in_one_write(void **state)
{
    struct place *p = *state;
    char got[64];
    int fds[2];

    /* A socket that keeps the bounds of writes shows how many there were. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
    p->fd = fds[1];
    stream_open(&p->a.stream, &p->turn, fds[0], &end_events);
    stream_put_copy(&p->a.stream, SLICE("one "));
    stream_put(&p->a.stream, SLICE("two "));
    stream_put_copy(&p->a.stream, SLICE("three "));
    stream_put(&p->a.stream, SLICE("four"));
    assert_int_equal(read(p->fd, got, sizeof(got)), -1);
    stream_flush(&p->turn);
    assert_int_equal(read(p->fd, got, sizeof(got)), 18);
    assert_memory_equal(got, "one two three four", 18);
    assert_int_equal(read(p->fd, got, sizeof(got)), -1);
}

/* ---- back-pressure ---- */

/* Everything that comes to A goes out of B: a server and its client. */
static size_t
pass_on(struct end *e, struct slice bytes)
{
    struct end *to = e->owner;

    stream_put(&to->stream, bytes);
    return bytes.len;
}

struct relay {
    int from, to; /* the far ends */
    size_t sent, got;
};

static void
relay_init(struct place *p, struct relay *r)
{
    int fds[2][2];

    socket_pair(fds[0]);
    socket_pair(fds[1]);
    stream_open(&p->a.stream, &p->turn, fds[0][0], &end_events);
    stream_open(&p->b.stream, &p->turn, fds[1][0], &end_events);
    p->a.use = pass_on;
    p->a.owner = &p->b;
    *r = (struct relay){ .from = fds[0][1], .to = fds[1][1] };
}

static void
relay_push(struct place *p, struct relay *r)
{
    uint8_t piece[4096];
    int idle = 0;

    while (idle < 8) {
        ssize_t n;

        fill(piece, r->sent, sizeof(piece));
        n = write(r->from, piece, sizeof(piece));
        idle = n > 0 ? 0 : idle + 1;
        r->sent += n > 0 ? (size_t)n : 0;
        turn_once(p);
    }
}

static void
relay_pull(struct place *p, struct relay *r, size_t most)
{
    static uint8_t buf[1 << 16];

    while (r->got < r->sent && most > 0) {
        ssize_t n = read(r->to, buf, most < sizeof(buf) ? most : sizeof(buf));

        turn_once(p);
        if (n <= 0)
            continue;
        expect_pattern(buf, r->got, (size_t)n);
        r->got += (size_t)n;
        most -= (size_t)n;
    }
}

static void
relay_done(struct relay *r)
{
    close(r->from);
    close(r->to);
}

static void
a_reader_that_does_not_read_costs_at_most_64_kib(void **state)
{
    struct place *p = *state;
    struct relay r;

    relay_init(p, &r);
    stream_link(&p->a.stream, &p->b.stream);
    for (int round = 0; round < 3; round++) {
        relay_push(p, &r);
        assert_true(stream_is_blocked(&p->b.stream));
        assert_true(p->b.stream.blocked_us > 0);
        assert_true(stream_memory(&p->a.stream) + stream_memory(&p->b.stream) <= 64 * 1024);
        relay_pull(p, &r, 100000);
    }
    relay_pull(p, &r, SIZE_MAX);
    turn_until(p, !stream_is_blocked(&p->b.stream));
    assert_int_equal(r.got, r.sent);
    assert_int_equal(p->b.stream.blocked_us, 0);
    assert_int_equal(stream_memory(&p->a.stream) + stream_memory(&p->b.stream), 0);
    relay_done(&r);
}

static void
a_link_made_late_holds_back_at_once_and_one_undone_lets_go(void **state)
{
    struct place *p = *state;
    struct relay r;
    size_t before;

    relay_init(p, &r);
    while (!stream_is_blocked(&p->b.stream)) {
        stream_put_copy(&p->b.stream, SLICE("0123456789"));
        stream_flush(&p->turn);
    }
    stream_link(&p->b.stream, &p->a.stream);
    write_all(r.from, SLICE("x"));
    for (int i = 0; i < 5; i++)
        turn_once(p);
    assert_int_equal(p->a.calls, 0);
    before = p->b.stream.out_len;
    stream_unlink(&p->a.stream);
    turn_until(p, p->a.calls == 1);
    assert_int_equal(p->b.stream.out_len, before + 1);
    assert_null(p->b.stream.peer);
    relay_done(&r);
}

static void
closing_one_of_two_lets_the_other_read(void **state)
{
    struct place *p = *state;
    struct relay r;

    relay_init(p, &r);
    stream_link(&p->a.stream, &p->b.stream);
    relay_push(p, &r);
    p->a.use = NULL;
    stream_close(&p->b.stream);
    assert_null(p->a.stream.peer);
    turn_until(p, p->a.got.len > 0);
    relay_done(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(what_comes_out_is_what_was_put_in_order),
        PLACED(small_pieces_of_one_turn_leave_in_one_write),
        PLACED(a_reader_that_does_not_read_costs_at_most_64_kib),
        PLACED(a_link_made_late_holds_back_at_once_and_one_undone_lets_go),
        PLACED(closing_one_of_two_lets_the_other_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
