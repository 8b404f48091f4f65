/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/worker.h"

struct fixture {
    struct worker worker;
    int fds[2];
    struct io io;
    struct timer timers[3];
    unsigned n_ready, stop_after, fired[3], n_fired;
    bool reads;
};

static int
set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    worker_init(&f->worker, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->fds), 0);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    io_stop(&f->worker, &f->io);
    close(f->fds[0]);
    close(f->fds[1]);
    worker_done(&f->worker);
    mem_free(f);
    return 0;
}

static void
on_ready(struct io *io)
{
    struct fixture *f = container_of(io, struct fixture, io);
    char byte;

    if (f->reads)
        assert_int_equal(read(f->fds[0], &byte, 1), 1);
    if (++f->n_ready == f->stop_after)
        worker_stop(&f->worker);
    else if (!f->reads)
        io_again(&f->worker, io);
}

static void
interest_is_told_once_for_each_turn_while_bytes_are_there(void **state)
{
    struct fixture *f = *state;

    f->reads = true;
    f->stop_after = 3;
    assert_int_equal(write(f->fds[1], "abc", 3), 3);
    io_init(&f->io, f->fds[0], IO_READ, on_ready);
    assert_false(io_is_started(&f->io));
    io_start(&f->worker, &f->io);
    io_start(&f->worker, &f->io);
    assert_true(io_is_started(&f->io));
    worker_run(&f->worker);
    assert_int_equal(f->n_ready, 3);
    io_stop(&f->worker, &f->io);
    io_stop(&f->worker, &f->io);
    assert_false(io_is_started(&f->io));
}

/* Nothing is to be read: only io_again() makes it run. */
static void
asking_again_calls_even_when_the_descriptor_is_quiet(void **state)
{
    struct fixture *f = *state;

    f->stop_after = 3;
    io_init(&f->io, f->fds[0], IO_READ, on_ready);
    io_start(&f->worker, &f->io);
    io_again(&f->worker, &f->io);
    worker_run(&f->worker);
    assert_int_equal(f->n_ready, 3);
}

static void
an_empty_socket_is_writable(void **state)
{
    struct fixture *f = *state;

    f->stop_after = 1;
    io_init(&f->io, f->fds[0], IO_WRITE, on_ready);
    io_start(&f->worker, &f->io);
    worker_run(&f->worker);
    assert_int_equal(f->n_ready, 1);
}

static void
note(struct fixture *f, struct timer *t)
{
    f->fired[f->n_fired++] = (unsigned)(t - f->timers);
    if (f->n_fired == f->stop_after)
        worker_stop(&f->worker);
}

static struct fixture *timed; /* whose timers run */

static void
on_due(struct timer *t)
{
    assert_false(timer_is_started(t));
    note(timed, t);
}

static void
timers_fire_once_in_the_order_of_their_times(void **state)
{
    struct fixture *f = timed = *state;
    int64_t begin;

    begin = f->worker.now_us; /* delays count from the start of a turn */
    f->stop_after = 3;
    for (int i = 0; i < 3; i++)
        timer_init(&f->timers[i], on_due);
    timer_start(&f->worker, &f->timers[0], 30 * CLOCK_MS);
    timer_start(&f->worker, &f->timers[1], 10 * CLOCK_MS);
    timer_start(&f->worker, &f->timers[2], -5);
    assert_true(timer_is_started(&f->timers[0]));
    worker_run(&f->worker);
    assert_int_equal(f->fired[0], 2);
    assert_int_equal(f->fired[1], 1);
    assert_int_equal(f->fired[2], 0);
    assert_true(clock_now_us() - begin >= 25 * CLOCK_MS);
}

static void
a_started_timer_moves_and_a_stopped_one_is_silent(void **state)
{
    struct fixture *f = timed = *state;

    f->stop_after = 2;
    for (int i = 0; i < 3; i++) {
        timer_init(&f->timers[i], on_due);
        timer_start(&f->worker, &f->timers[i], 0);
    }
    timer_start(&f->worker, &f->timers[0], 20 * CLOCK_MS);
    timer_stop(&f->worker, &f->timers[1]);
    timer_stop(&f->worker, &f->timers[1]);
    worker_run(&f->worker);
    assert_int_equal(f->fired[0], 2);
    assert_int_equal(f->fired[1], 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(interest_is_told_once_for_each_turn_while_bytes_are_there),
        TEST(asking_again_calls_even_when_the_descriptor_is_quiet),
        TEST(an_empty_socket_is_writable),
        TEST(timers_fire_once_in_the_order_of_their_times),
        TEST(a_started_timer_moves_and_a_stopped_one_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
