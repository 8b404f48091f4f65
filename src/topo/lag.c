/* SPDX-License-Identifier: ISC */
/* Lag of one replica. */
#include "lag_private.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

void
lag_init(struct lag *l)
{
    *l = (struct lag){ .bytes = -1, .us = -1 };
}

static void
measure(struct lag *l, const struct lag_question *q)
{
    const struct history *h = q->history;
    uint64_t lsn = h->n == 0 ? 0 : h->sample[h->n - 1].lsn;
    bool at_least = false;

    l->bytes = h->n == 0 ? -1 : lsn > q->replayed ? (int64_t)(lsn - q->replayed) : 0;
    l->us = history_lag(h, q->replayed, q->at_us, &at_least);
    if (at_least && (q->max_us == 0 || l->us <= q->max_us))
        l->us = -1; /* longer than we look back, and that is too short to judge */
}

/* Over MAX, or not yet below three quarters of it. */
static bool
is_over(int64_t lag, int64_t max, bool was_behind)
{
    return max > 0 && lag >= 0 && lag > (was_behind ? max - max / 4 : max);
}

void
lag_judge(struct lag *l, const struct lag_question *q)
{
    bool was_behind = l->behind;

    l->behind = true;
    l->elsewhere = q->timeline < q->primary_timeline;
    if (l->elsewhere) {
        l->bytes = l->us = -1;
        snprintf(l->reason, sizeof(l->reason),
                 "not known to follow timeline %" PRIu32 " of the primary: it is on timeline %" PRIu32,
                 q->primary_timeline, q->timeline);
        return;
    }
    measure(l, q);
    if (is_over(l->us, q->max_us, was_behind)) {
        snprintf(l->reason, sizeof(l->reason), "%" PRId64 " ms behind the primary", l->us / CLOCK_MS);
    } else if (is_over(l->bytes, q->max_bytes, was_behind)) {
        snprintf(l->reason, sizeof(l->reason), "%" PRId64 " bytes behind the primary", l->bytes);
    } else if (q->max_us > 0 && l->us < 0 && l->bytes > 0) {
        snprintf(l->reason, sizeof(l->reason), "behind the primary, not known yet for how long");
    } else {
        l->behind = false;
        l->reason[0] = '\0';
    }
}
