/* SPDX-License-Identifier: ISC */
/* Streams of the tests of room net: ends that collect what comes, on one worker whose loop the test turns. */
#ifndef TEST_UNIT_NET_STREAMS_H
#define TEST_UNIT_NET_STREAMS_H

#include "base/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "net/stream.h"

struct end {
    struct stream stream;
    struct text got;                                  /* what was used up */
    size_t (*use)(struct end *e, struct slice bytes); /* NULL: all of it */
    void *owner;
    bool ended, closes_on_end;
    unsigned opened, quiet, hellos, calls;
    struct fault why; /* of on_end; empty for an orderly end */
};

static inline size_t
end_bytes(struct stream *s, struct slice bytes)
{
    struct end *e = container_of(s, struct end, stream);
    size_t used = e->use == NULL ? bytes.len : 0;

    e->calls++;
    assert_true(bytes.len > 0);
    assert_false(e->ended);
    if (e->use != NULL)
        return e->use(e, bytes);
    text_add(&e->got, bytes);
    return used;
}

/* A use of struct end: one byte, and the rest after a pause. */
static inline size_t
use_one_and_pause(struct end *e, struct slice bytes)
{
    text_add(&e->got, slice_head(bytes, 1));
    stream_pause(&e->stream, STREAM_PAUSE_OWNER);
    return 1;
}

static inline void
end_end(struct stream *s, const struct fault *why)
{
    struct end *e = container_of(s, struct end, stream);

    assert_false(e->ended);
    e->ended = true;
    if (why != NULL)
        e->why = *why;
    if (e->closes_on_end)
        stream_close(s);
}

static inline void
end_open(struct stream *s)
{
    container_of(s, struct end, stream)->opened++;
}

static inline void
end_quiet(struct stream *s)
{
    container_of(s, struct end, stream)->quiet++;
}

static inline void
end_hello(struct stream *s)
{
    struct end *e = container_of(s, struct end, stream);

    e->hellos++;
    stream_pause(s, STREAM_PAUSE_OWNER);
}

static const struct stream_events end_events = { end_bytes, end_end, end_open, end_quiet, end_hello };

struct place {
    struct worker worker;
    struct net_turn turn;
    struct end a, b; /* the two ends of a pair, or one end and FD */
    int fd;          /* the other end of A where the test plays it; -1 */
};

static inline int
place_set_up(void **state)
{
    struct place *p = mem_new(struct place);

    worker_init(&p->worker, 0);
    net_turn_init(&p->turn, &p->worker);
    p->fd = -1;
    *state = p;
    return 0;
}

static inline int
place_tear_down(void **state)
{
    struct place *p = *state;

    stream_close(&p->a.stream);
    stream_close(&p->b.stream);
    if (p->fd != -1)
        close(p->fd);
    text_done(&p->a.got);
    text_done(&p->b.got);
    net_turn_done(&p->turn);
    worker_done(&p->worker);
    mem_free(p);
    return 0;
}

static inline void
socket_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

/* A against a descriptor of the test's. */
static inline void
open_one(struct place *p)
{
    int fds[2];

    socket_pair(fds);
    p->fd = fds[1];
    stream_open(&p->a.stream, &p->turn, fds[0], &end_events);
}

/* A against B. */
static inline void
open_both(struct place *p)
{
    int fds[2];

    socket_pair(fds);
    stream_open(&p->a.stream, &p->turn, fds[0], &end_events);
    stream_open(&p->b.stream, &p->turn, fds[1], &end_events);
}

/* One turn of the loop without waiting. */
static inline void
turn_once(struct place *p)
{
    ev_run(p->worker.loop, EVRUN_NOWAIT);
}

/* Turn the loop until CONDITION; a test that waits for ten seconds has failed. */
#define turn_until(p, condition)                                            \
    for (int64_t until_us = clock_now_us() + 10 * CLOCK_S; !(condition);) { \
        turn_once(p);                                                       \
        assert_true(clock_now_us() < until_us);                             \
    }

static inline void
write_all(int fd, struct slice bytes)
{
    assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
}

/* Byte number AT of a stream that never repeats in a way that a fault could hide behind. */
static inline uint8_t
pattern(size_t at)
{
    return (uint8_t)(at * 31 + at / 251);
}

static inline void
fill(uint8_t *out, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = pattern(at + i);
}

static inline void
expect_pattern(const uint8_t *bytes, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != pattern(at + i))
            fail_msg("byte %zu is wrong", at + i);
}

#define PLACED(f) cmocka_unit_test_setup_teardown(f, place_set_up, place_tear_down)

#endif
