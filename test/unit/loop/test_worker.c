/* SPDX-License-Identifier: ISC */
/* Workers on threads of their own; run under ThreadSanitizer too. */
#include "base/unit.h"

#include <unistd.h>

#include "base/mem.h"
#include "loop/worker.h"

/* ---- mail ---- */

#define POSTERS 4
#define LETTERS 500

struct letter {
    struct mail mail;
    unsigned poster, number;
};

/* What the receiver's thread alone touches while it runs. */
struct receiver {
    struct worker worker; /* first: a receiver is its worker */
    unsigned next[POSTERS], n, turns;
    bool out_of_order;
    ev_check turn;
};

static void
on_letter(struct worker *w, struct mail *m)
{
    struct receiver *r = (struct receiver *)(void *)w;
    struct letter *l = container_of(m, struct letter, mail);

    r->out_of_order = r->out_of_order || l->number != r->next[l->poster];
    r->next[l->poster]++;
    mem_free(l);
    if (++r->n == POSTERS * LETTERS)
        worker_stop(w);
}

struct poster {
    pthread_t thread;
    unsigned index;
    struct worker *to;
};

static void *
post_all(void *arg)
{
    struct poster *p = arg;

    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *l = mem_new(struct letter);

        l->mail.deliver = on_letter;
        l->poster = p->index;
        l->number = i;
        mail_post(p->to, &l->mail);
    }
    return NULL;
}

static void
mail_of_many_threads_arrives_whole_and_in_the_order_of_each(void **state)
{
    struct receiver r = { .n = 0 };
    struct poster posters[POSTERS];

    (void)state;
    worker_init(&r.worker, 0);
    worker_start(&r.worker);
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ .index = i, .to = &r.worker };
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    worker_join(&r.worker);
    assert_int_equal(r.n, POSTERS * LETTERS);
    assert_false(r.out_of_order);
    worker_done(&r.worker);
}

static void
on_turn(struct ev_loop *loop, ev_check *ev, int events)
{
    (void)loop;
    (void)events;
    container_of(ev, struct receiver, turn)->turns++;
}

static void
a_batch_of_mail_costs_one_wake_up(void **state)
{
    struct receiver r = { .n = 0 };
    struct poster p[POSTERS];

    (void)state;
    worker_init(&r.worker, 0);
    ev_check_init(&r.turn, on_turn);
    ev_check_start(r.worker.loop, &r.turn);
    for (unsigned i = 0; i < POSTERS; i++) {
        p[i] = (struct poster){ .index = i, .to = &r.worker };
        post_all(&p[i]);
    }
    worker_run(&r.worker);
    assert_int_equal(r.n, POSTERS * LETTERS);
    assert_int_equal(r.turns, 1);
    assert_false(r.out_of_order);
    ev_check_stop(r.worker.loop, &r.turn);
    worker_done(&r.worker);
}

/* ---- visits ---- */

#define HALLS 3

struct tour {
    struct visit visit;
    struct worker *expected[HALLS];
    unsigned seen;
    bool wrong_place;
};

static void
at_each(struct worker *w, struct visit *v)
{
    struct tour *t = container_of(v, struct tour, visit);

    t->wrong_place = t->wrong_place || w != t->expected[t->seen] || !pthread_equal(w->thread, pthread_self());
    t->seen++;
}

static void
stop_it(struct worker *w, struct mail *m)
{
    mem_free(m);
    worker_stop(w);
}

static void
post_stop(struct worker *w)
{
    struct mail *m = mem_new(struct mail);

    m->deliver = stop_it;
    mail_post(w, m);
}

static void
at_home(struct worker *w, struct visit *v)
{
    for (unsigned i = 0; i < v->n; i++)
        post_stop(v->workers[i]);
    worker_stop(w);
}

static void
tour_of(unsigned n)
{
    struct worker home, others[HALLS], *list[HALLS];
    struct tour t = { .seen = 0 };

    worker_init(&home, WORKER_CONTROL);
    for (unsigned i = 0; i < n; i++) {
        list[i] = t.expected[i] = &others[i];
        worker_init(&others[i], i);
        worker_start(&others[i]);
    }
    t.visit = (struct visit){ .from = &home, .workers = list, .n = n, .at_each = at_each, .home = at_home };
    visit_start(&t.visit);
    worker_run(&home);
    assert_int_equal(t.seen, n);
    assert_false(t.wrong_place);
    for (unsigned i = 0; i < n; i++) {
        worker_join(&others[i]);
        worker_done(&others[i]);
    }
    worker_done(&home);
}

static void
a_visit_sees_every_worker_in_turn_on_its_own_thread(void **state)
{
    (void)state;
    tour_of(HALLS);
    tour_of(1);
}

static void
a_visit_of_nobody_comes_home(void **state)
{
    (void)state;
    tour_of(0);
}

/* ---- graves and the end ---- */

struct buried {
    struct grave grave;
    unsigned *dug;
    struct worker *worker;
    bool again; /* buries another while it is dug */
};

static void
dig(struct grave *g)
{
    struct buried *b = container_of(g, struct buried, grave);

    ++*b->dug;
    if (b->again) {
        struct buried *next = mem_new(struct buried);

        next->dug = b->dug;
        worker_bury(b->worker, &next->grave, dig);
    }
    mem_free(b);
}

static void
bury_some(struct worker *w, unsigned *dug, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct buried *b = mem_new(struct buried);

        *b = (struct buried){ .dug = dug, .worker = w, .again = i % 2 == 0 };
        worker_bury(w, &b->grave, dig);
    }
}

struct undertaker {
    struct worker worker;
    struct mail mail, later;
    unsigned dug, dug_in_turn, dug_later, dug_at_end;
};

static void
on_later(struct worker *w, struct mail *m)
{
    struct undertaker *u = container_of(m, struct undertaker, later);

    u->dug_later = u->dug;
    worker_stop(w);
}

static void
on_bury(struct worker *w, struct mail *m)
{
    struct undertaker *u = container_of(m, struct undertaker, mail);

    bury_some(w, &u->dug, 4);
    u->dug_in_turn = u->dug;
    u->later.deliver = on_later;
    mail_post(w, &u->later);
}

static void
at_end(struct worker *w)
{
    struct undertaker *u = (struct undertaker *)(void *)w;

    u->dug_at_end = u->dug;
    bury_some(w, &u->dug, 2);
}

static void
what_is_buried_goes_at_the_end_of_the_turn_and_not_before(void **state)
{
    struct undertaker u = { .dug = 0 };

    (void)state;
    worker_init(&u.worker, 0);
    u.worker.at_end = at_end;
    u.mail.deliver = on_bury;
    mail_post(&u.worker, &u.mail);
    worker_run(&u.worker);
    assert_int_equal(u.dug_in_turn, 0);
    assert_int_equal(u.dug_later, 6);
    assert_int_equal(u.dug_at_end, 6);
    assert_int_equal(u.dug, 9);
    bury_some(&u.worker, &u.dug, 1);
    worker_done(&u.worker);
    assert_int_equal(u.dug, 11);
}

/* A worker's time moves with its turns, and others may see that it turns. */
static void
the_time_of_a_turn_is_no_older_than_the_turn(void **state)
{
    struct undertaker u = { .dug = 0 };
    int64_t before;

    (void)state;
    worker_init(&u.worker, 0);
    before = u.worker.now_us;
    u.later.deliver = on_later;
    mail_post(&u.worker, &u.later);
    worker_run(&u.worker);
    assert_true(u.worker.now_us >= before);
    assert_true(atomic_load(&u.worker.shared.turned_us) == u.worker.now_us);
    worker_done(&u.worker);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_of_many_threads_arrives_whole_and_in_the_order_of_each),
        cmocka_unit_test(a_batch_of_mail_costs_one_wake_up),
        cmocka_unit_test(a_visit_sees_every_worker_in_turn_on_its_own_thread),
        cmocka_unit_test(a_visit_of_nobody_comes_home),
        cmocka_unit_test(what_is_buried_goes_at_the_end_of_the_turn_and_not_before),
        cmocka_unit_test(the_time_of_a_turn_is_no_older_than_the_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
