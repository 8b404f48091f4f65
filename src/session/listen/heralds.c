/* SPDX-License-Identifier: ISC */
/* The heralds of a hall: what the halls ask of them, what operators see of them and do with them. */
#include "base/clock.h"
#include "base/mem.h"
#include "herald_private.h"
#include "pool/vacate.h"

#define VACATED "the database is to be left"

/* ---- mail from the halls ---- */

static struct herald *
find(const struct hall *h, const struct listen_ask *a)
{
    struct herald *e;

    for (e = h->heralds; e != NULL; e = e->next)
        if (strcmp(e->database, a->database) == 0 && strcmp(e->encoding, a->encoding) == 0)
            break;
    return e;
}

static struct herald *
herald_of(struct hall *h, const struct listen_ask *a)
{
    struct herald *e = find(h, a);

    if (e != NULL)
        return e;
    e = mem_new(struct herald);
    e->hall = h;
    e->database = mem_strdup(a->database);
    e->encoding = mem_strdup(a->encoding);
    ring_init(&e->leaving);
    ring_init(&e->waiting);
    ring_init(&e->sent);
    timer_init(&e->timer, herald_on_timer);
    timer_init(&e->check, herald_on_check);
    e->next = h->heralds;
    h->heralds = e;
    return e;
}

/* Remember A's user among those that it may log in as. */
static void
note_who(struct herald *e, struct listen_ask *a)
{
    struct who *w = NULL;

    for (unsigned i = 0; i < e->n_who && w == NULL; i++)
        if (strcmp(e->who[i].user, a->user) == 0)
            w = &e->who[i];
    if (w == NULL && e->n_who < MOST_WHO)
        w = &e->who[e->n_who++];
    else if (w == NULL)
        w = &e->who[(e->at_who + 1) % MOST_WHO];
    mem_free(w->user);
    credential_drop(w->credential);
    *w = (struct who){ a->user, a->credential };
    a->user = NULL;
    a->credential = NULL;
}

/* Somebody is being told that it listens to NAME. */
static bool
is_asked(const struct herald *e, const char *name)
{
    ring_each (r, &e->sent) {
        const struct listen_ask *a = container_of(r, struct listen_ask, entry);

        if (!a->drop && strcmp(a->name, name) == 0)
            return true;
    }
    return false;
}

static void
reconnect(struct herald *e, const char *because)
{
    struct fault why;

    fault_set(&why, "57P01", "%s", because);
    e->retry_us = e->hall->worker.now_us;
    e->failures = 0;
    if (e->server != NULL)
        server_close(e->server, &why);
    herald_arm(e);
}

/* It listens for nobody in a database that is to be left. */
static bool
is_vacated(const struct herald *e)
{
    return e->server != NULL && e->topics.n == 0 && ring_is_empty(&e->waiting) &&
           e->hall->worker.now_us < e->vacate_us;
}

static void
drop(struct herald *e, struct listen_ask *a)
{
    if (!topics_drop(&e->topics, a->name, a->from->index) || !e->up || is_asked(e, a->name)) {
        listen_ask_free(a);
        return;
    }
    herald_send(e, a);
}

/* Whose the notifications of a server are. Nobody cares when nobody listens. */
static void
sign(struct hall *h, struct listen_ask *a)
{
    struct herald *e = find(h, a);

    if (e == NULL || !e->up || e->topics.n == 0) {
        herald_send_home(a);
        return;
    }
    a->patience_us = CLOCK_S;
    herald_send(e, a);
    stream_flush(&h->turn);
    herald_arm(e);
}

void
herald_hear(struct worker *w, struct mail *m)
{
    struct listen_ask *a = container_of(m, struct listen_ask, mail);
    struct hall *h = hall_of(w);
    struct herald *e;

    if (a->pid != 0) {
        sign(h, a);
        return;
    }
    e = herald_of(h, a);
    if (a->drop) {
        drop(e, a);
        if (is_vacated(e))
            reconnect(e, VACATED);
    } else {
        note_who(e, a);
        a->due_us = a->patience_us > 0 ? w->now_us + a->patience_us : INT64_MAX;
        if (e->up)
            herald_send(e, a);
        else
            ring_append(&e->waiting, &a->entry);
        if (e->shut && atomic_load(&a->holds)) /* for whom it may be open */
            e->retry_us = w->now_us;
    }
    stream_flush(&h->turn);
    herald_arm(e);
}

/* ---- what operators see and do ---- */

void
hall_reconnect_listeners(struct hall *h, struct slice database)
{
    for (struct herald *e = h->heralds; e != NULL; e = e->next)
        if (e->server != NULL && (database.len == 0 || slice_is(database, e->database)))
            reconnect(e, "terminating connection due to administrator command");
}

void
hall_vacate_listeners(struct hall *h, struct slice target)
{
    audiences_forget_unused(h);
    for (struct herald *e = h->heralds; e != NULL; e = e->next) {
        if (e->server == NULL || !slice_is(target, e->server->target->database))
            continue;
        e->vacate_us = h->worker.now_us + POOL_VACATE_US;
        if (is_vacated(e))
            reconnect(e, VACATED);
    }
}

static bool
is_same_place(const struct herald *e, const struct pool *p)
{
    const struct server_target *is = e->server->target, *is_to_be = &p->target;

    return is->port == is_to_be->port && is->sslmode == is_to_be->sslmode && is->tls == is_to_be->tls &&
           strcmp(is->host, is_to_be->host) == 0 && strcmp(is->database, is_to_be->database) == 0 &&
           strcmp(is->user, is_to_be->user) == 0;
}

void
hall_move_listeners(struct hall *h)
{
    for (struct herald *e = h->heralds; e != NULL; e = e->next) {
        struct fault why;
        struct pool *p = e->n_who == 0 ? NULL : herald_pool(e, &why);

        if (p != NULL && (e->server == NULL || !is_same_place(e, p)))
            reconnect(e, "the server to listen to is another one now");
    }
}

void
hall_each_listener(struct hall *h, void (*each)(void *owner, const struct listener_figures *f), void *owner)
{
    for (const struct audience *a = h->audiences; a != NULL; a = a->next) {
        struct listener_figures f = { .database = a->database,
                                      .encoding = a->encoding,
                                      .n_delivered = a->n_delivered,
                                      .n_closed = a->n_closed };

        ring_each (r, &a->listeners)
            f.n_clients++;
        each(owner, &f);
    }
    for (const struct herald *e = h->heralds; e != NULL; e = e->next) {
        struct listener_figures f = { .database = e->database,
                                      .encoding = e->encoding,
                                      .is_up = e->up,
                                      .n_channels = e->topics.n,
                                      .n_heard = e->n_heard,
                                      .n_lost = e->n_lost,
                                      .remote_pid = e->up ? e->server->pid : 0 };

        each(owner, &f);
    }
}

void
heralds_done(struct hall *h)
{
    struct fault why;

    fault_set(&why, "57P01", "server shutting down");
    while (h->heralds != NULL) {
        struct herald *e = h->heralds;

        h->heralds = e->next;
        topics_done(&e->topics); /* nobody is told any more */
        if (e->server != NULL)
            server_close(e->server, &why);
        while (!ring_is_empty(&e->leaving))
            server_abandon(container_of(ring_first(&e->leaving), struct server, in_pool));
        while (!ring_is_empty(&e->waiting))
            listen_ask_free(container_of(ring_first(&e->waiting), struct listen_ask, entry));
        timer_stop(&h->worker, &e->timer);
        timer_stop(&h->worker, &e->check);
        for (unsigned i = 0; i < e->n_who; i++) {
            mem_free(e->who[i].user);
            credential_drop(e->who[i].credential);
        }
        bylines_done(&e->bylines);
        text_done(&e->heard);
        mem_free(e->database);
        mem_free(e->encoding);
        mem_free(e);
    }
}
