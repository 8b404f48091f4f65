/* SPDX-License-Identifier: ISC */
/* One thread with one libev loop and a mailbox. The control thread is a worker
 * too. A struct worker belongs to its thread; mail_post() alone may be called
 * from others. */
#ifndef LOOP_WORKER_H
#define LOOP_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/io.h"

/* A message between threads, embedded in a larger struct that it hands over. */
struct mail {
    struct mail *next;
    void (*deliver)(struct worker *w,
                    struct mail *m); /* runs on the receiver's thread, which owns M from then on */
};

/* Something to free at the end of the turn, embedded in it. */
struct grave {
    struct grave *next;
    void (*dig)(struct grave *g);
};

#define WORKER_CONTROL UINT32_MAX
#define WORKER_STACK   (64u << 20) /* address space: libpg_query recurses (FACTS 19) */

struct worker {
    struct ev_loop *loop;
    int epoll_fd;   /* libev's own, or -1 */
    uint32_t index; /* from 0; WORKER_CONTROL for the control thread */
    int64_t now_us; /* clock_now_us() at the start of this turn */
    struct grave *graves;
    ev_async wake;
    ev_prepare before_wait;
    ev_check after_wait;
    pthread_t thread;
    void (*at_end)(struct worker *w); /* runs on the thread after the loop ended; may be NULL */
    struct {
        _Atomic(struct mail *) mail; /* last posted first */
        _Atomic int64_t turned_us;   /* when the loop last turned */
    } shared;
};

/* A loop of its own; the control thread's handles child and signal watchers (the default loop). */
void worker_init(struct worker *w, uint32_t index);
void worker_done(struct worker *w);
/* Run the loop in a new thread until worker_stop(). */
void worker_start(struct worker *w);
void worker_join(struct worker *w);
/* Run the loop in this thread. */
void worker_run(struct worker *w);
/* End the loop at the end of this turn. From W's own thread. */
void worker_stop(struct worker *w);
/* DIG frees G at the end of this turn. */
void worker_bury(struct worker *w, struct grave *g, void (*dig)(struct grave *g));
/* Any thread. One wake-up for all that was posted since W last looked. */
void mail_post(struct worker *to, struct mail *m);

/* A message that calls AT_EACH on every worker in turn, then HOME on the one that sent it. */
struct visit {
    struct mail mail;
    struct worker *from;
    struct worker *const *workers;
    unsigned n, at;
    void (*at_each)(struct worker *w, struct visit *v);
    void (*home)(struct worker *w, struct visit *v);
};
/* The caller has filled all but mail and at; V stays alive until HOME ran. */
void visit_start(struct visit *v);

#endif
