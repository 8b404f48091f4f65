/* SPDX-License-Identifier: ISC */
/* Samples of the primary's position. The last one is always the newest; two that stand closer together than
 * SPACING_US become one, and a full history gives up some: the older, the more of them. */
#include "history_private.h"

#include <string.h>

#define SPACING_US 20000
#define SHARE      24 /* of the age */

/* Gaps may be a small share of their age, so that the answer is wrong by no more than that share. */
static void
thin(struct history *h)
{
    struct history_sample *s = h->sample;
    int64_t now_us = s[h->n - 1].at_us;
    unsigned kept = 1;

    for (unsigned i = 1; i < h->n; i++)
        if (i == h->n - 1 || s[i + 1].at_us - s[kept - 1].at_us > (now_us - s[i + 1].at_us) / SHARE)
            s[kept++] = s[i];
    h->n = kept;
    if (kept <= HISTORY_SAMPLES / 4 * 3)
        return;
    h->n -= HISTORY_SAMPLES / 4;
    memmove(s, s + HISTORY_SAMPLES / 4, h->n * sizeof(*s));
}

/* The last sample says nothing that the one before it and the new one would not. */
static bool
may_replace_last(const struct history *h, int64_t at_us, uint64_t lsn)
{
    const struct history_sample *last = &h->sample[h->n - 1];

    if (h->n < 2)
        return false;
    return at_us - last[-1].at_us < SPACING_US || (last[-1].lsn == lsn && last->lsn == lsn);
}

void
history_add(struct history *h, int64_t at_us, uint64_t lsn)
{
    if (h->n > 0 && (at_us < h->sample[h->n - 1].at_us || lsn < h->sample[h->n - 1].lsn))
        return;
    if (h->n > 0 && may_replace_last(h, at_us, lsn))
        h->n--;
    if (h->n == HISTORY_SAMPLES)
        thin(h);
    h->sample[h->n++] = (struct history_sample){ at_us, lsn };
}

void
history_clear(struct history *h)
{
    h->n = 0;
}

/* The first sample past LSN; h->n when there is none. */
static unsigned
first_past(const struct history *h, uint64_t lsn)
{
    unsigned low = 0, high = h->n;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (h->sample[middle].lsn > lsn)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

int64_t
history_lag(const struct history *h, uint64_t replayed, int64_t at_us, bool *at_least)
{
    unsigned i = first_past(h, replayed);
    const struct history_sample *past = &h->sample[i];
    int64_t passed_us;

    *at_least = false;
    if (h->n == 0)
        return -1;
    if (i == h->n)
        return 0;
    passed_us = past->at_us;
    if (i == 0)
        *at_least = true;
    else
        passed_us =
            past[-1].at_us + (int64_t)((double)(past->at_us - past[-1].at_us) *
                                       (double)(replayed - past[-1].lsn) / (double)(past->lsn - past[-1].lsn));
    return at_us > passed_us ? at_us - passed_us : 0;
}
