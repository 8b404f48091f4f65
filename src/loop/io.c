/* SPDX-License-Identifier: ISC */
/* Descriptors and timers on a worker's loop. */
#include "loop/io.h"

#include <sys/epoll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/worker.h"

static void
on_io(struct ev_loop *loop, ev_io *ev, int events)
{
    struct io *io = container_of(ev, struct io, ev);

    (void)loop;
    (void)events;
    io->on_ready(io);
}

void
io_init(struct io *io, int fd, enum io_direction direction, io_ready *on_ready)
{
    ev_io_init(&io->ev, on_io, fd, (int)direction);
    io->on_ready = on_ready;
}

void
io_start(struct worker *w, struct io *io)
{
    ev_io_start(w->loop, &io->ev);
}

void
io_stop(struct worker *w, struct io *io)
{
    ev_io_stop(w->loop, &io->ev);
}

void
io_forget(struct worker *w, int fd)
{
    struct epoll_event none = { 0 };

    if (w->epoll_fd != -1)
        epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, &none);
}

void
io_again(struct worker *w, struct io *io)
{
    ev_feed_event(w->loop, &io->ev, io->ev.events & (EV_READ | EV_WRITE));
}

static void
on_timer(struct ev_loop *loop, ev_timer *ev, int events)
{
    struct timer *t = container_of(ev, struct timer, ev);

    (void)loop;
    (void)events;
    t->on_due(t);
}

void
timer_init(struct timer *t, timer_due *on_due)
{
    ev_timer_init(&t->ev, on_timer, 0., 0.);
    t->on_due = on_due;
}

void
timer_start(struct worker *w, struct timer *t, int64_t delay_us)
{
    ev_timer_stop(w->loop, &t->ev);
    ev_timer_set(&t->ev, delay_us <= 0 ? 0. : (double)delay_us / (double)CLOCK_S, 0.);
    ev_timer_start(w->loop, &t->ev);
}

void
timer_stop(struct worker *w, struct timer *t)
{
    ev_timer_stop(w->loop, &t->ev);
}
