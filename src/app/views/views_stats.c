/* SPDX-License-Identifier: ISC */
/* STATS, STATS_TOTALS, STATS_AVERAGES, TOTALS: counters of databases, added up over the halls. */
#include "base/clock.h"
#include "views_private.h"

enum average { PER_S, PER_XACT, PER_QUERY };

static const struct {
    size_t offset;
    enum average average;
    const char *name;
} stats[] = {
#define STAT(field, average, name) { offsetof(struct pool_stats, field), average, name },
#include "stats.def"
#undef STAT
};
enum {
#define STAT(field, ...) AT_##field,
#include "stats.def"
#undef STAT
    N_STATS
};
_Static_assert(2 * N_STATS <= TALLY_FIGURES, "a tally holds totals and what the last window added");

static int64_t
figure(const struct pool_stats *s, unsigned i)
{
    int64_t value;

    memcpy(&value, (const char *)s + stats[i].offset, sizeof(value));
    return value;
}

static void
add(int64_t n[TALLY_FIGURES], const struct pool_database *d)
{
    for (unsigned i = 0; i < N_STATS; i++) {
        n[i] += figure(&d->stats, i);
        n[N_STATS + i] += figure(&d->window_to, i) - figure(&d->window_from, i);
    }
}

void
stats_each(struct hall *h, struct task *e)
{
    for (const struct pool_database *d = h->pools.databases; d != NULL; d = d->next) {
        add(gather_at(&e->gather, slice_str(d->name), slice_of(NULL, 0))->n, d);
        add(e->gather.n, d);
    }
}

static int64_t
average(const struct task *e, const int64_t n[TALLY_FIGURES], unsigned i)
{
    const int64_t *window = n + N_STATS;
    int64_t period = e->hall->setup.conf->general.stats_period, by;

    if (stats[i].average == PER_S)
        return period > 0 ? (int64_t)((double)window[i] * (double)CLOCK_S / (double)period) : 0;
    by = window[stats[i].average == PER_XACT ? AT_xacts : AT_queries];
    return by > 0 ? window[i] / by : 0;
}

static void
show(struct task *e, bool totals, bool averages)
{
    struct admin_table *t = &e->table;

    for (const struct tally *a = e->gather.first; a != NULL; a = a->next) {
        admin_put_slice(t, a->first);
        for (unsigned i = 0; totals && i < N_STATS; i++)
            admin_put_int(t, a->n[i]);
        for (unsigned i = 0; averages && i < N_STATS; i++)
            admin_put_int(t, average(e, a->n, i));
        admin_row_end(t);
    }
}

void
stats_home(struct task *e)
{
    show(e, true, true);
}

void
stats_totals_home(struct task *e)
{
    show(e, true, false);
}

void
stats_averages_home(struct task *e)
{
    show(e, false, true);
}

static void
put_total(struct task *e, const char *prefix, unsigned i, int64_t value)
{
    struct text name = { 0 };

    text_printf(&name, "%s%s", prefix, stats[i].name);
    admin_put_slice(&e->table, text_slice(&name));
    admin_put_int(&e->table, value);
    admin_row_end(&e->table);
    text_done(&name);
}

void
totals_home(struct task *e)
{
    for (unsigned i = 0; i < N_STATS; i++)
        put_total(e, "total_", i, e->gather.n[i]);
    for (unsigned i = 0; i < N_STATS; i++)
        put_total(e, "avg_", i, average(e, e->gather.n, i));
}
