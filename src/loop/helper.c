/* SPDX-License-Identifier: ISC */
/* Threads for work that would stall a loop. */
#include "loop/helper.h"

#include <stdlib.h>

#include "base/mem.h"

struct helper {
    unsigned n_threads, max_jobs;
    pthread_t *threads;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t more;
        struct job *first, **last;
        unsigned n_jobs;
        bool ending;
    } shared;
};

static struct job *
take_locked(struct helper *h)
{
    struct job *j;

    while (h->shared.first == NULL && !h->shared.ending)
        pthread_cond_wait(&h->shared.more, &h->shared.lock);
    if (h->shared.ending)
        return NULL;
    j = h->shared.first;
    h->shared.first = j->next;
    if (h->shared.first == NULL)
        h->shared.last = &h->shared.first;
    h->shared.n_jobs--;
    return j;
}

static void *
helper_main(void *arg)
{
    struct helper *h = arg;

    for (;;) {
        struct job *j;

        pthread_mutex_lock(&h->shared.lock);
        j = take_locked(h);
        pthread_mutex_unlock(&h->shared.lock);
        if (j == NULL)
            return NULL;
        j->run(j);
        mail_post(j->from, &j->done);
    }
}

struct helper *
helper_new(unsigned threads, unsigned max_jobs)
{
    struct helper *h = mem_new(struct helper);

    h->n_threads = threads;
    h->max_jobs = max_jobs;
    h->threads = mem_zalloc(threads * sizeof(*h->threads));
    pthread_mutex_init(&h->shared.lock, NULL);
    pthread_cond_init(&h->shared.more, NULL);
    h->shared.last = &h->shared.first;
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&h->threads[i], NULL, helper_main, h) != 0)
            abort();
    return h;
}

void
helper_free(struct helper *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->shared.lock);
    h->shared.ending = true;
    pthread_cond_broadcast(&h->shared.more);
    pthread_mutex_unlock(&h->shared.lock);
    for (unsigned i = 0; i < h->n_threads; i++)
        pthread_join(h->threads[i], NULL);
    for (struct job *j = h->shared.first, *next; j != NULL; j = next) {
        next = j->next;
        j->dropped = true;
        mail_post(j->from, &j->done);
    }
    pthread_cond_destroy(&h->shared.more);
    pthread_mutex_destroy(&h->shared.lock);
    mem_free(h->threads);
    mem_free(h);
}

bool
helper_submit(struct helper *h, struct job *j)
{
    bool room;

    pthread_mutex_lock(&h->shared.lock);
    room = h->shared.n_jobs < h->max_jobs;
    if (room) {
        j->next = NULL;
        *h->shared.last = j;
        h->shared.last = &j->next;
        h->shared.n_jobs++;
        pthread_cond_signal(&h->shared.more);
    }
    pthread_mutex_unlock(&h->shared.lock);
    return room;
}
