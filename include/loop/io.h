/* SPDX-License-Identifier: ISC */
/* Descriptors and timers on a worker's loop: libev under our names, so that no
 * other room includes ev.h. All calls: only from the thread of the worker. */
#ifndef LOOP_IO_H
#define LOOP_IO_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct worker;
struct io;
struct timer;
typedef void io_ready(struct io *io);
typedef void timer_due(struct timer *t);

/* Interest in one direction of a descriptor. Embedded by its owner. */
struct io {
    ev_io ev;
    io_ready *on_ready;
};

enum io_direction { IO_READ = EV_READ, IO_WRITE = EV_WRITE };

void io_init(struct io *io, int fd, enum io_direction direction, io_ready *on_ready);
void io_start(struct worker *w, struct io *io); /* no effect when started */
/* Take FD out of the kernel's set of W at once: another thread may close it (libev would do it later). */
void io_forget(struct worker *w, int fd);
void io_stop(struct worker *w, struct io *io); /* no effect when stopped; before the descriptor is closed */
/* Call on_ready in this turn even if the descriptor is quiet (bytes that TLS holds). Needs a started io. */
void io_again(struct worker *w, struct io *io);
static inline bool
io_is_started(const struct io *io)
{
    return ev_is_active(&io->ev);
}

/* A single shot. Embedded by its owner. */
struct timer {
    ev_timer ev;
    timer_due *on_due;
};

void timer_init(struct timer *t, timer_due *on_due);
/* Due in DELAY_US microseconds from the start of this turn; a started timer moves. */
void timer_start(struct worker *w, struct timer *t, int64_t delay_us);
void timer_stop(struct worker *w, struct timer *t);
static inline bool
timer_is_started(const struct timer *t)
{
    return ev_is_active(&t->ev);
}

#endif
