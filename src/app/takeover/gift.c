/* SPDX-License-Identifier: ISC */
/* Descriptors along with the rows of SHOW FDS, PgBouncer's way: each beside the first byte of its row, one row
 * for each write. They are copied where their owners live, and sent from the console's thread, as fast as the
 * receiver reads. */
#include <fcntl.h>
#include <unistd.h>

#include "actions_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "session/passing.h"

#define AGAIN_US CLOCK_MS /* the socket was full: look again so soon */

struct gift {
    struct gift_row {
        size_t end; /* in the task's OUT */
        int fd;     /* ours; -1: none, or sent */
    } * rows;
    unsigned n, at;
    size_t sent;       /* of OUT */
    bool failed;       /* a descriptor could not be copied */
    uint64_t receiver; /* 0: for a look only */
    unsigned n_clients, n_stay;
};

static void
add_row(struct task *e, int fd)
{
    struct gift *g = e->gift;

    if ((g->n & (g->n - 1)) == 0) /* doubles at powers of two */
        g->rows = mem_realloc(g->rows, (g->n == 0 ? 1 : g->n * 2) * sizeof(*g->rows));
    g->rows[g->n++] = (struct gift_row){ e->out.len, fd };
}

static void
on_again(struct timer *t)
{
    gift_send(container_of(t, struct task, again));
}

void
gift_begin(struct task *e)
{
    const struct session *s = e->console->session;

    if (!e->console->simple || e->command.where >= 0 || e->command.json || e->hall->handing_over ||
        !session_is_ours(s))
        return;
    e->gift = mem_new(struct gift);
    add_row(e, -1); /* the head */
    timer_init(&e->again, on_again);
    if (!atomic_load(&e->app->suspended))
        return;
    e->gift->receiver = s->id;
    atomic_store(&e->app->receiver, s->id);
}

bool
gift_is_for_good(const struct task *e)
{
    return e->gift->receiver != 0 && atomic_load(&e->app->receiver) == e->gift->receiver;
}

void
gift_add(struct task *e, int fd)
{
    int copy;

    if (e->gift == NULL)
        return;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    e->gift->failed = e->gift->failed || copy == -1;
    add_row(e, copy);
}

void
gift_count(struct task *e, bool goes)
{
    e->gift->n_clients += goes;
    e->gift->n_stay += !goes;
}

void
gift_free(struct task *e)
{
    struct gift *g = e->gift;

    if (g == NULL)
        return;
    for (unsigned i = g->at; i < g->n; i++)
        if (g->rows[i].fd != -1)
            close(g->rows[i].fd);
    mem_free(g->rows);
    mem_free(g);
    mem_wipe(e->table.row.data, e->table.row.cap); /* there were secrets in them */
    mem_wipe(e->out.data, e->out.cap);
    e->gift = NULL;
}

/* False: the socket takes no more now. */
static bool
send_some(struct task *e)
{
    struct gift *g = e->gift;
    struct gift_row *r = &g->rows[g->at];
    size_t n = console_send(e->console, slice_of(e->out.data + g->sent, r->end - g->sent), r->fd);

    if (n == 0)
        return false;
    if (r->fd != -1)
        close(r->fd);
    r->fd = -1;
    g->sent += n;
    g->at += g->sent == r->end;
    e->since_us = e->hall->worker.now_us;
    return true;
}

static void
give_up(struct task *e, const char *why)
{
    struct console *c = e->console;

    log_warning("client=c%llu cannot be given our descriptors: %s", (unsigned long long)c->session->id, why);
    c->job = NULL;
    e->console = NULL;
    console_hang_up(c);
    task_end(e, NULL);
}

static bool
is_late(const struct task *e)
{
    int64_t limit = e->hall->setup.conf->general.suspend_timeout;

    return limit > 0 && e->hall->worker.now_us - e->since_us >= limit;
}

void
gift_send(struct task *e)
{
    struct gift *g = e->gift;

    if (e->console == NULL) {
        task_end(e, NULL);
        return;
    }
    if (g->failed) {
        give_up(e, "too many files are open");
        return;
    }
    if (e->since_us == 0)
        e->since_us = e->hall->worker.now_us;
    while (g->at < g->n && send_some(e))
        ;
    if (g->at < g->n && is_late(e)) {
        give_up(e, "it does not read");
    } else if (g->at < g->n) {
        timer_start(&e->hall->worker, &e->again, AGAIN_US);
    } else {
        if (gift_is_for_good(e))
            log_info("client=c%llu was given our sockets and those of %u clients; %u clients cannot go along",
                     (unsigned long long)g->receiver, g->n_clients, g->n_stay);
        gift_free(e);
        text_clear(&e->out);
        task_end(e, NULL);
    }
}

/* ---- what becomes of it ---- */

bool
gift_is_received(struct app *a, const struct console *c)
{
    uint64_t id = c->session->id;

    return atomic_compare_exchange_strong(&a->receiver, &id, 0);
}

static void
resume(struct worker *w, struct mail *m)
{
    struct app *a = app_of_control(w);

    mem_free(m);
    if (a->drain.stage != DRAIN_NONE)
        return;
    log_warning("who was given our sockets is gone: this process goes on");
    actions_resume_all(a);
}

void
gift_abandon(struct app *a, const struct console *c)
{
    struct mail *m;

    if (!gift_is_received(a, c))
        return;
    m = mem_new(struct mail);
    m->deliver = resume;
    mail_post(&a->control, m);
}
