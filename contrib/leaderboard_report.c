/* SPDX-License-Identifier: ISC */
/* The figures of one run of the leaderboard, and whether they are in order. */
#include "leaderboard.h"

#include <stdio.h>

#define MOVED_US (1000 * 1000) /* by then a paused replica must have no reads */

struct sums {
    int64_t acknowledged, unknown, in_table, lost, extra;
    int most_servers, servers;
};

static struct sums
add_up(const struct run *r)
{
    struct sums s = { 0 };

    for (int i = 1; i <= PLAYERS; i++) {
        int64_t missing = r->acknowledged[i] - (r->after[i] - r->before[i]);

        s.acknowledged += r->acknowledged[i];
        s.unknown += r->unknown[i];
        s.in_table += r->after[i] - r->before[i];
        s.lost += missing > 0 ? missing : 0;
        s.extra += -missing > r->unknown[i] ? -missing - r->unknown[i] : 0;
    }
    for (int i = 0; i < r->n_nodes; i++) {
        s.servers = r->nodes[i].servers > s.servers ? r->nodes[i].servers : s.servers;
        s.most_servers = r->nodes[i].most_servers > s.most_servers ? r->nodes[i].most_servers : s.most_servers;
    }
    return s;
}

static int
in_order(const struct run *r, const struct sums *s)
{
    int spread = 0;

    for (int i = 0; i < r->n_nodes; i++)
        spread += r->nodes[i].n_reads > 0;
    return s->lost == 0 && s->extra == 0 && s->most_servers <= r->most_servers && r->n_stale == 0 &&
           r->n_errors <= (uint64_t)r->allowed_errors && r->killed == r->kill_one &&
           (r->failover || r->n_unknown <= (uint64_t)r->kill_one) &&
           (r->kill_one || r->n_lost_connections == 0) && (!r->tell_reads || spread == r->n_nodes) &&
           (r->paused == NULL || (r->moved_us >= 0 && r->moved_us < MOVED_US && r->back_us >= 0)) &&
           r->failover == (r->first_primary != r->last_primary);
}

static double
percentile_ms(const struct run *r, double part)
{
    uint64_t want = (uint64_t)((double)r->n_queries * part), seen = 0;

    for (int us = 0; us < MAX_LATENCY; us++)
        if ((seen += r->latencies[us]) > want)
            return us / 1000.0;
    return MAX_LATENCY / 1000.0;
}

static void
tell_reads(const struct run *r)
{
    uint64_t n_reads = r->n_queries - r->n_updates;

    printf(", reads");
    for (int i = 0; i < r->n_nodes; i++)
        printf(" %s %.0f %%", r->nodes[i].name,
               n_reads == 0 ? 0.0 : 100.0 * (double)r->nodes[i].n_reads / (double)n_reads);
}

static void
tell_event(const struct run *r, const struct sums *s)
{
    if (r->paused != NULL)
        printf(", no read on %s %lld ms after the pause, again %lld ms after it ended", r->paused->name,
               (long long)r->moved_us / 1000, (long long)(r->back_us < 0 ? -1 : r->back_us / 1000));
    else if (r->failover)
        printf(
            ", without a write %lld ms, without a read %lld ms, connections lost %llu (ended with 08007: %llu)",
            (long long)r->writes.longest_us / 1000, (long long)r->reads.longest_us / 1000,
            (unsigned long long)r->n_lost_connections, (unsigned long long)r->n_unknown);
    else if (r->tell_reads)
        tell_reads(r);
    else
        printf(", servers %d (%d at the end)", s->most_servers, s->servers);
}

int
leaderboard_report(const struct run *r, double seconds)
{
    struct sums s = add_up(r);
    int good = in_order(r, &s);

    printf("%-24s %llu queries, %.0f TPS, p50 %.1f ms, p99 %.1f ms, errors %llu%s, retried %llu", r->name,
           (unsigned long long)r->n_queries, (double)r->n_queries / seconds, percentile_ms(r, 0.5),
           percentile_ms(r, 0.99), (unsigned long long)r->n_errors, r->errors,
           (unsigned long long)r->n_retries);
    tell_event(r, &s);
    printf(", stale reads %llu of %llu, %llu updates: acknowledged %lld, in the table %lld, lost %lld%s\n",
           (unsigned long long)r->n_stale, (unsigned long long)r->n_looks, (unsigned long long)r->n_updates,
           (long long)s.acknowledged, (long long)s.in_table, (long long)s.lost, good ? "" : " << NOT IN ORDER");
    if (r->n_unknown > 0)
        printf("%-24s and %llu updates of unknown outcome (08007): %lld points, of which the table has %lld\n",
               "", (unsigned long long)r->n_unknown, (long long)s.unknown,
               (long long)(s.in_table - s.acknowledged));
    return good ? 0 : 1;
}
