/* SPDX-License-Identifier: ISC */
/* A stream that goes to and fro between two workers on threads of their own. */
#include "net/streams.h"

#define ROUNDS 200

struct traveller;
struct hall {
    struct worker worker; /* first: a hall is its worker */
    struct net_turn turn;
};

struct traveller {
    struct stream stream;
    struct mail mail;
    struct hall *halls;
    unsigned at;     /* in which hall */
    unsigned served; /* bytes, by whichever worker had it */
    bool lost;
};

static size_t
on_bytes(struct stream *s, struct slice bytes)
{
    struct traveller *t = container_of(s, struct traveller, stream);

    t->served += (unsigned)bytes.len;
    stream_put_copy(s, bytes);
    return bytes.len;
}

static void
on_arrival(struct worker *w, struct mail *m)
{
    struct traveller *t = container_of(m, struct traveller, mail);

    stream_join(&t->stream, &((struct hall *)(void *)w)->turn);
}

static void
on_quiet(struct stream *s)
{
    struct traveller *t = container_of(s, struct traveller, stream);

    stream_leave(s);
    t->at = 1 - t->at;
    t->mail.deliver = on_arrival;
    mail_post(&t->halls[t->at].worker, &t->mail);
}

static void
on_end(struct stream *s, const struct fault *why)
{
    struct traveller *t = container_of(s, struct traveller, stream);

    t->lost = why != NULL;
    stream_close(s);
    worker_stop(s->turn->worker);
}

static const struct stream_events events = { on_bytes, on_end, NULL, on_quiet, NULL };

static void
stop(struct worker *w, struct mail *m)
{
    (void)m;
    worker_stop(w);
}

/* After each byte the stream leaves; its next byte may come before it has arrived. */
static void
a_stream_that_moves_loses_nothing(void **state)
{
    struct hall halls[2];
    struct traveller t = { .halls = halls };
    struct mail last = { .deliver = stop };
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    for (unsigned i = 0; i < 2; i++) {
        worker_init(&halls[i].worker, i);
        net_turn_init(&halls[i].turn, &halls[i].worker);
    }
    stream_open(&t.stream, &halls[0].turn, fds[0], &events);
    for (unsigned i = 0; i < 2; i++)
        worker_start(&halls[i].worker);
    for (unsigned i = 0; i < ROUNDS; i++) {
        char out = (char)i, in;

        assert_int_equal(write(fds[1], &out, 1), 1);
        assert_int_equal(read(fds[1], &in, 1), 1);
        assert_int_equal(in, out);
    }
    close(fds[1]);
    worker_join(&halls[ROUNDS % 2].worker); /* on_end stops the one that has it */
    mail_post(&halls[1 - ROUNDS % 2].worker, &last);
    worker_join(&halls[1 - ROUNDS % 2].worker);
    assert_int_equal(t.served, ROUNDS);
    assert_int_equal(t.at, ROUNDS % 2);
    assert_false(t.lost);
    for (unsigned i = 0; i < 2; i++) {
        net_turn_done(&halls[i].turn);
        worker_done(&halls[i].worker);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_stream_that_moves_loses_nothing) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
