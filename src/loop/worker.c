/* SPDX-License-Identifier: ISC */
/* One thread with one libev loop and a mailbox. */
#include "loop/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static void
dig_graves(struct worker *w)
{
    while (w->graves != NULL) {
        struct grave *g = w->graves;

        w->graves = g->next;
        g->dig(g);
    }
}

static void
on_before_wait(struct ev_loop *loop, ev_prepare *ev, int events)
{
    (void)loop;
    (void)events;
    dig_graves(container_of(ev, struct worker, before_wait));
}

static void
on_after_wait(struct ev_loop *loop, ev_check *ev, int events)
{
    struct worker *w = container_of(ev, struct worker, after_wait);

    (void)loop;
    (void)events;
    w->now_us = clock_now_us();
    atomic_store_explicit(&w->shared.turned_us, w->now_us, memory_order_relaxed);
}

/* The list is last in, first out: turn it round, so that mail arrives in the order in which it was posted. */
static void
on_wake(struct ev_loop *loop, ev_async *ev, int events)
{
    struct worker *w = container_of(ev, struct worker, wake);
    struct mail *got = atomic_exchange_explicit(&w->shared.mail, NULL, memory_order_acquire), *first = NULL;

    (void)loop;
    (void)events;
    while (got != NULL) {
        struct mail *next = got->next;

        got->next = first;
        first = got;
        got = next;
    }
    while (first != NULL) {
        struct mail *m = first;

        first = m->next;
        m->deliver(w, m);
    }
}

/* libev does not tell which descriptor its epoll set is: it is the highest one of that kind, made just now. */
static int
last_epoll_fd(void)
{
    int last = -1;

    for (int fd = 0; fd < 1024; fd++) {
        char path[32], kind[32] = "";

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, kind, sizeof(kind) - 1) > 0 && strcmp(kind, "anon_inode:[eventpoll]") == 0)
            last = fd;
    }
    return last;
}

void
worker_init(struct worker *w, uint32_t index)
{
    int before = last_epoll_fd();

    *w = (struct worker){ .index = index, .now_us = clock_now_us() };
    w->loop = index == WORKER_CONTROL ? ev_default_loop(EVFLAG_NOENV | EVBACKEND_EPOLL)
                                      : ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
    if (w->loop == NULL)
        abort();
    w->epoll_fd = last_epoll_fd();
    if (w->epoll_fd == before)
        w->epoll_fd = -1;
    ev_async_init(&w->wake, on_wake);
    ev_async_start(w->loop, &w->wake);
    ev_prepare_init(&w->before_wait, on_before_wait);
    ev_prepare_start(w->loop, &w->before_wait);
    ev_check_init(&w->after_wait, on_after_wait);
    ev_set_priority(&w->after_wait, EV_MAXPRI);
    ev_check_start(w->loop, &w->after_wait);
}

void
worker_done(struct worker *w)
{
    dig_graves(w);
    if (w->loop == NULL)
        return;
    ev_async_stop(w->loop, &w->wake);
    ev_prepare_stop(w->loop, &w->before_wait);
    ev_check_stop(w->loop, &w->after_wait);
    ev_loop_destroy(w->loop);
    w->loop = NULL;
}

void
worker_run(struct worker *w)
{
    ev_run(w->loop, 0);
    if (w->at_end != NULL)
        w->at_end(w);
    dig_graves(w);
}

static void *
thread_main(void *arg)
{
    worker_run(arg);
    return NULL;
}

void
worker_start(struct worker *w)
{
    pthread_attr_t attr;

    if (pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, WORKER_STACK) != 0 ||
        pthread_create(&w->thread, &attr, thread_main, w) != 0)
        abort();
    pthread_attr_destroy(&attr);
}

void
worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}

void
worker_stop(struct worker *w)
{
    ev_break(w->loop, EVBREAK_ALL);
}

void
worker_bury(struct worker *w, struct grave *g, void (*dig)(struct grave *g))
{
    g->dig = dig;
    g->next = w->graves;
    w->graves = g;
}

void
mail_post(struct worker *to, struct mail *m)
{
    struct mail *head = atomic_load_explicit(&to->shared.mail, memory_order_relaxed);

    do
        m->next = head;
    while (!atomic_compare_exchange_weak_explicit(&to->shared.mail, &head, m, memory_order_release,
                                                  memory_order_relaxed));
    if (head == NULL)
        ev_async_send(to->loop, &to->wake);
}

static void
visit_deliver(struct worker *w, struct mail *m)
{
    struct visit *v = container_of(m, struct visit, mail);

    if (v->at == v->n) {
        v->home(w, v);
        return;
    }
    v->at_each(w, v);
    v->at++;
    mail_post(v->at == v->n ? v->from : v->workers[v->at], m);
}

void
visit_start(struct visit *v)
{
    v->at = 0;
    v->mail.deliver = visit_deliver;
    mail_post(v->n == 0 ? v->from : v->workers[0], &v->mail);
}
