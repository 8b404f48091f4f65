/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <semaphore.h>

#include "base/mem.h"
#include "loop/helper.h"

#define JOBS 200

struct work {
    struct job job;
    pthread_t ran_on;
    unsigned answer;
    sem_t *gate, *begun; /* waits, when set */
};

struct boss {
    struct worker worker;
    unsigned done, stop_after, sum;
    bool wrong_thread;
};

static void
run(struct job *j)
{
    struct work *w = container_of(j, struct work, job);

    if (w->begun != NULL)
        sem_post(w->begun);
    if (w->gate != NULL)
        sem_wait(w->gate);
    w->ran_on = pthread_self();
    w->answer++;
}

static void
on_done(struct worker *worker, struct mail *m)
{
    struct boss *b = (struct boss *)(void *)worker;
    struct work *w = container_of(m, struct work, job.done);

    b->wrong_thread = b->wrong_thread || pthread_equal(w->ran_on, pthread_self());
    b->sum += w->answer;
    if (++b->done == b->stop_after)
        worker_stop(worker);
}

static void
prepare(struct work *w, struct boss *b)
{
    w->job.run = run;
    w->job.from = &b->worker;
    w->job.done.deliver = on_done;
}

static void
every_job_runs_once_elsewhere_and_comes_back(void **state)
{
    struct boss b = { .stop_after = JOBS };
    struct helper *h = helper_new(3, JOBS);
    struct work *w = mem_zalloc(JOBS * sizeof(*w));

    (void)state;
    worker_init(&b.worker, 0);
    for (unsigned i = 0; i < JOBS; i++) {
        prepare(&w[i], &b);
        assert_true(helper_submit(h, &w[i].job));
    }
    worker_run(&b.worker);
    assert_int_equal(b.sum, JOBS);
    assert_false(b.wrong_thread);
    helper_free(h);
    worker_done(&b.worker);
    mem_free(w);
}

/* One job holds the only thread; exactly MAX_JOBS more may wait. */
static void
exactly_so_many_jobs_may_wait(void **state)
{
    enum { MAX = 5 };
    struct boss b = { .stop_after = 1 };
    struct helper *h = helper_new(1, MAX);
    struct work w[MAX + 2] = { 0 };
    sem_t gate, begun;

    (void)state;
    sem_init(&gate, 0, 0);
    sem_init(&begun, 0, 0);
    worker_init(&b.worker, 0);
    for (int i = 0; i < MAX + 2; i++) {
        prepare(&w[i], &b);
        w[i].gate = &gate;
        w[i].begun = &begun;
    }
    assert_true(helper_submit(h, &w[0].job));
    sem_wait(&begun);
    for (int i = 1; i <= MAX; i++)
        assert_true(helper_submit(h, &w[i].job));
    assert_false(helper_submit(h, &w[MAX + 1].job));
    sem_post(&gate);
    worker_run(&b.worker);
    sem_wait(&begun); /* the second one runs: there is room for one more */
    assert_true(helper_submit(h, &w[MAX + 1].job));
    assert_false(helper_submit(h, &w[0].job));
    b.stop_after = MAX + 2;
    for (int i = 0; i < MAX + 1; i++)
        sem_post(&gate);
    worker_run(&b.worker);
    assert_int_equal(b.sum, MAX + 2);
    helper_free(h);
    worker_done(&b.worker);
    sem_destroy(&gate);
    sem_destroy(&begun);
}

static sem_t lost;

static void
lose(struct job *j)
{
    (void)j;
    sem_post(&lost);
}

/* One job runs and does not end, one waits: nobody waits for the first. */
static void
work_that_does_not_end_is_left_behind(void **state)
{
    struct boss b = { .stop_after = 1 };
    struct helper *h = helper_new(1, 5);
    struct work w[2] = { 0 };
    sem_t gate, begun;

    (void)state;
    sem_init(&gate, 0, 0);
    sem_init(&begun, 0, 0);
    sem_init(&lost, 0, 0);
    worker_init(&b.worker, 0);
    for (int i = 0; i < 2; i++) {
        prepare(&w[i], &b);
        w[i].gate = &gate;
        w[i].begun = &begun;
        w[i].job.lose = lose;
        assert_true(helper_submit(h, &w[i].job));
    }
    sem_wait(&begun);
    assert_true(helper_abandon(h));
    worker_run(&b.worker);
    assert_true(w[1].job.dropped);
    assert_false(w[0].job.dropped);
    worker_done(&b.worker); /* no mail comes any more */
    sem_post(&gate);
    sem_wait(&lost);
    assert_int_equal(w[0].answer, 1);
    assert_false(helper_abandon(helper_new(3, 1)));
    sem_destroy(&gate);
    sem_destroy(&begun);
}

static void
an_idle_helper_can_be_freed(void **state)
{
    (void)state;
    helper_free(helper_new(4, 10));
    helper_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_runs_once_elsewhere_and_comes_back),
        cmocka_unit_test(exactly_so_many_jobs_may_wait),
        cmocka_unit_test(work_that_does_not_end_is_left_behind),
        cmocka_unit_test(an_idle_helper_can_be_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
