/* SPDX-License-Identifier: ISC */
/* The line of figures that is logged every stats_period. */
#include <inttypes.h>

#include "app_private.h"
#include "base/clock.h"
#include "base/log.h"

static void
at_each(struct worker *w, struct visit *v)
{
    struct app *a = container_of(v, struct app, stats_visit);
    struct pool_stats *sum = &a->stats_now;

    for (const struct pool_database *d = hall_of(w)->pools.databases; d != NULL; d = d->next) {
        sum->xacts += d->stats.xacts;
        sum->queries += d->stats.queries;
        sum->received += d->stats.received;
        sum->sent += d->stats.sent;
        sum->xact_us += d->stats.xact_us;
        sum->query_us += d->stats.query_us;
        sum->wait_us += d->stats.wait_us;
        sum->client_parses += d->stats.client_parses;
        sum->server_parses += d->stats.server_parses;
        sum->binds += d->stats.binds;
    }
}

static int64_t
share(int64_t total, int64_t n)
{
    return n > 0 ? total / n : 0;
}

static void
say(const struct pool_stats *now, const struct pool_stats *then, int64_t period_us)
{
    int64_t s = period_us < CLOCK_S ? 1 : period_us / CLOCK_S;
    int64_t xacts = now->xacts - then->xacts, queries = now->queries - then->queries;

    log_info("stats: %" PRId64 " xacts/s, %" PRId64 " queries/s, %" PRId64 " client parses/s, %" PRId64
             " server parses/s, %" PRId64 " binds/s, in %" PRId64 " B/s, out %" PRId64 " B/s, xact %" PRId64
             " us, query %" PRId64 " us, wait %" PRId64 " us",
             xacts / s, queries / s, (now->client_parses - then->client_parses) / s,
             (now->server_parses - then->server_parses) / s, (now->binds - then->binds) / s,
             (now->received - then->received) / s, (now->sent - then->sent) / s,
             share(now->xact_us - then->xact_us, xacts), share(now->query_us - then->query_us, queries),
             (now->wait_us - then->wait_us) / s);
}

static void
home(struct worker *w, struct visit *v)
{
    struct app *a = app_of_control(w);
    const struct conf_general *g = &a->loaded.setup.conf->general;

    (void)v;
    if (g->log_stats)
        say(&a->stats_now, &a->stats_then, g->stats_period);
    a->stats_then = a->stats_now;
    if (a->drain.stage != DRAIN_ENDING)
        timer_start(w, &a->stats_timer, g->stats_period);
}

static void
on_period(struct timer *t)
{
    struct app *a = container_of(t, struct app, stats_timer);

    a->stats_now = (struct pool_stats){ 0 };
    a->stats_visit = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = at_each, .home = home
    };
    visit_start(&a->stats_visit);
}

void
stats_start(struct app *a)
{
    timer_init(&a->stats_timer, on_period);
    timer_start(&a->control, &a->stats_timer, a->loaded.setup.conf->general.stats_period);
}
