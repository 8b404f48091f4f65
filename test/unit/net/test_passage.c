/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/passage.h"

struct pair {
    struct passage *a, *b;
    int raw; /* B's end when the test plays B */
};

static void
make(struct pair *p, bool raw)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    p->a = passage_new(fds[0], NULL);
    p->b = raw ? NULL : passage_new(fds[1], NULL);
    p->raw = raw ? fds[1] : -1;
}

static void
done(struct pair *p)
{
    passage_free(p->a);
    passage_free(p->b);
    if (p->raw != -1)
        close(p->raw);
}

static void
frames_come_in_order_each_with_its_descriptor(void **state)
{
    struct pair p;
    struct passage_frame f;
    struct fault why;
    int ends[2];
    char byte;

    (void)state;
    make(&p, false);
    assert_int_equal(pipe(ends), 0);
    passage_put(p.a, 1, SLICE("first"), -1);
    passage_put(p.a, 2, SLICE("second"), ends[1]);
    passage_put(p.a, 3, SLICE(""), -1);
    assert_true(passage_wait(p.b, 5, &f, &why));
    assert_true(f.type == 1 && slice_is(f.body, "first") && f.fd == -1);
    assert_true(passage_wait(p.b, 5, &f, &why));
    assert_true(f.type == 2 && slice_is(f.body, "second") && f.fd != -1);
    assert_true((fcntl(f.fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(write(f.fd, "x", 1), 1);
    close(f.fd);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* the sender has closed its own */
    close(ends[0]);
    assert_true(passage_wait(p.b, 5, &f, &why));
    assert_true(f.type == 3 && f.body.len == 0 && f.fd == -1);
    done(&p);
}

static void
a_peer_that_is_gone_or_silent_is_a_fault(void **state)
{
    struct pair p;
    struct passage_frame f;
    struct fault why;

    (void)state;
    make(&p, true);
    assert_false(passage_wait(p.a, 1, &f, &why));
    assert_string_equal(why.message, "no answer in time");
    close(p.raw);
    p.raw = -1;
    assert_false(passage_wait(p.a, 1, &f, &why));
    assert_string_equal(why.message, "the other process hung up");
    done(&p);
}

static void
nonsense_is_a_fault(void **state)
{
    static const uint8_t cases[][6] = {
        { 0, 0, 0, 5, 1, 0 },             /* shorter than its header */
        { 0xff, 0xff, 0xff, 0xff, 1, 0 }, /* longer than any frame */
        { 0, 0, 0, 6, 1, 1 },             /* a descriptor that did not come */
        { 0, 0, 0, 6, 1, 2 },             /* two of them */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pair p;
        struct passage_frame f;
        struct fault why;

        make(&p, true);
        assert_int_equal(write(p.raw, cases[i], 6), 6);
        assert_false(passage_wait(p.a, 5, &f, &why));
        assert_string_equal(why.sqlstate, "08P01");
        done(&p);
    }
}

/* ---- on a loop ---- */

struct seen {
    struct worker worker;
    unsigned frames, fds, ends;
    size_t bytes;
};

static void
on_frame(struct passage *p, const struct passage_frame *f)
{
    struct seen *s = passage_owner(p);

    assert_int_equal(f->type, s->frames % 200);
    s->frames++;
    s->bytes += f->body.len;
    s->fds += f->fd != -1;
    if (f->fd != -1)
        close(f->fd);
}

static void
on_end(struct passage *p)
{
    struct seen *s = passage_owner(p);

    s->ends++;
    worker_stop(&s->worker);
    (void)p;
}

static const struct passage_events events = { on_frame, on_end };

/* Far more than a socket takes at once, both ends on one loop: nothing blocks, nothing is lost. */
static void
a_flood_passes_without_blocking(void **state)
{
    struct seen got = { 0 }, sent = { 0 };
    struct passage *a, *b;
    uint8_t *body = mem_zalloc(70000);
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    worker_init(&got.worker, WORKER_CONTROL);
    a = passage_new(fds[0], &sent);
    b = passage_new(fds[1], &got);
    passage_start(a, &got.worker, &events);
    passage_start(b, &got.worker, &events);
    for (unsigned i = 0; i < 400; i++)
        passage_put(a, (uint8_t)(i % 200), slice_of(body, i * 170), i % 3 == 0 ? dup(0) : -1);
    while (got.frames < 400)
        ev_run(got.worker.loop, EVRUN_ONCE);
    assert_int_equal(got.bytes, 170 * 400 * 399 / 2);
    assert_int_equal(got.fds, 134);
    passage_free(a);
    worker_run(&got.worker);
    assert_int_equal(got.ends, 1);
    passage_free(b);
    worker_done(&got.worker);
    mem_free(body);
}

static void *
read_slowly(void *at)
{
    struct pair *p = at;
    struct fault why;
    struct passage_frame f;

    for (unsigned i = 0; i < 300; i++)
        if (!passage_wait(p->b, 10, &f, &why) || f.type != i % 200)
            return NULL;
    return p;
}

/* What is left when a process ends arrives all the same. */
static void
the_rest_is_sent_before_the_end(void **state)
{
    struct seen seen = { 0 };
    struct pair p;
    uint8_t *body = mem_zalloc(10000);
    pthread_t reader;
    void *fine;

    (void)state;
    make(&p, false);
    worker_init(&seen.worker, WORKER_CONTROL);
    passage_start(p.a, &seen.worker, &events);
    for (unsigned i = 0; i < 300; i++)
        passage_put(p.a, (uint8_t)(i % 200), slice_of(body, 10000), -1);
    assert_int_not_equal(passage_count(p.a, 99), 0);
    pthread_create(&reader, NULL, read_slowly, &p);
    passage_finish(p.a, 10);
    passage_free(p.a);
    pthread_join(reader, &fine);
    assert_non_null(fine);
    passage_free(p.b);
    worker_done(&seen.worker);
    mem_free(body);
}

static void
frames_that_the_socket_did_not_take_are_counted(void **state)
{
    struct seen seen = { 0 };
    struct pair p;

    (void)state;
    make(&p, true);
    worker_init(&seen.worker, WORKER_CONTROL);
    passage_start(p.a, &seen.worker, &events);
    assert_int_equal(passage_count(p.a, 7), 0);
    while (passage_count(p.a, 8) == 0)
        passage_put(p.a, 8, slice_of(&seen, sizeof(seen)), -1);
    for (unsigned i = 1; i < 4; i++) {
        passage_put(p.a, 7, SLICE("x"), -1);
        assert_int_equal(passage_count(p.a, 7), i);
    }
    done(&p);
    worker_done(&seen.worker);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_in_order_each_with_its_descriptor),
        cmocka_unit_test(a_peer_that_is_gone_or_silent_is_a_fault),
        cmocka_unit_test(nonsense_is_a_fault),
        cmocka_unit_test(a_flood_passes_without_blocking),
        cmocka_unit_test(frames_that_the_socket_did_not_take_are_counted),
        cmocka_unit_test(the_rest_is_sent_before_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
