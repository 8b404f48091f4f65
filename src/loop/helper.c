/* SPDX-License-Identifier: ISC */
/* Threads for work that would stall a loop. */
#include "loop/helper.h"

#include "base/mem.h"

struct helper {
    unsigned n_threads, max_jobs;
    pthread_t *threads;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t more;
        struct job *first, **last;
        unsigned n_jobs, n_started, n_idle;
        bool ending, abandoned;
    } shared;
};

static struct job *
take_locked(struct helper *h)
{
    struct job *j;

    h->shared.n_idle++;
    while (h->shared.first == NULL && !h->shared.ending)
        pthread_cond_wait(&h->shared.more, &h->shared.lock);
    h->shared.n_idle--;
    if (h->shared.ending)
        return NULL;
    j = h->shared.first;
    h->shared.first = j->next;
    if (h->shared.first == NULL)
        h->shared.last = &h->shared.first;
    h->shared.n_jobs--;
    return j;
}

static void
free_memory(struct helper *h)
{
    pthread_cond_destroy(&h->shared.more);
    pthread_mutex_destroy(&h->shared.lock);
    mem_free(h->threads);
    mem_free(h);
}

/* Whom J is for lives as long as H is not abandoned. */
static void
send_home(struct helper *h, struct job *j)
{
    bool lost;

    pthread_mutex_lock(&h->shared.lock);
    lost = h->shared.abandoned;
    if (!lost)
        mail_post(j->from, &j->done);
    pthread_mutex_unlock(&h->shared.lock);
    if (lost)
        j->lose(j);
}

static void
leave(struct helper *h)
{
    bool last;

    pthread_mutex_lock(&h->shared.lock);
    last = h->shared.abandoned && --h->shared.n_started == 0;
    pthread_mutex_unlock(&h->shared.lock);
    if (last)
        free_memory(h);
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
            break;
        j->run(j);
        send_home(h, j);
    }
    leave(h);
    return NULL;
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
    return h;
}

/* No job is begun any more. */
static void
end_locked(struct helper *h)
{
    h->shared.ending = true;
    pthread_cond_broadcast(&h->shared.more);
    for (struct job *j = h->shared.first, *next; j != NULL; j = next) {
        next = j->next;
        j->dropped = true;
        mail_post(j->from, &j->done);
    }
    h->shared.first = NULL;
}

bool
helper_abandon(struct helper *h)
{
    bool empty, busy;

    if (h == NULL)
        return false;
    pthread_mutex_lock(&h->shared.lock);
    end_locked(h);
    h->shared.abandoned = true;
    empty = h->shared.n_started == 0;
    busy = h->shared.n_idle < h->shared.n_started;
    for (unsigned i = 0; i < h->shared.n_started; i++)
        pthread_detach(h->threads[i]);
    pthread_mutex_unlock(&h->shared.lock);
    if (empty)
        free_memory(h);
    return busy;
}

void
helper_free(struct helper *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->shared.lock);
    end_locked(h);
    pthread_mutex_unlock(&h->shared.lock);
    for (unsigned i = 0; i < h->shared.n_started; i++)
        pthread_join(h->threads[i], NULL);
    free_memory(h);
}

/* False: there is no thread at all. */
static bool
staff_locked(struct helper *h)
{
    if (h->shared.n_idle > h->shared.n_jobs || h->shared.n_started == h->n_threads)
        return true;
    if (pthread_create(&h->threads[h->shared.n_started], NULL, helper_main, h) == 0)
        h->shared.n_started++;
    return h->shared.n_started > 0;
}

bool
helper_submit(struct helper *h, struct job *j)
{
    bool room;

    pthread_mutex_lock(&h->shared.lock);
    room = h->shared.n_jobs < h->max_jobs && staff_locked(h);
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
