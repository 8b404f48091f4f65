/* SPDX-License-Identifier: ISC */
/* The state machine of one node's checks. */
#include "health_private.h"

#include <stdio.h>

#include "base/clock.h"

#define MAX_DELAY_US   CLOCK_S
#define HURRY_DELAY_US (200 * CLOCK_MS)
#define MAX_DOUBLING   10

/* The circuit breaker: so many falls within WINDOW_US make a pause, each twice as long as the one before. */
#define FALLS_US     (60 * CLOCK_S)
#define MAX_FALLS    3
#define PAUSE_US     CLOCK_S
#define MAX_PAUSE_US (30 * CLOCK_S)
#define FORGIVE_US   (10 * FALLS_US)

void
health_init(struct health *h)
{
    *h = (struct health){ .reason = "not checked yet" };
}

/* 3/4 to all of US. */
static int64_t
jitter(int64_t us, uint64_t random)
{
    return us - (int64_t)(random % (uint64_t)(us / 4 + 1));
}

/* ---- the circuit breaker ---- */

static void
count_fall(struct health *h, int64_t now_us)
{
    if (now_us - h->falls_since_us > FORGIVE_US)
        h->n_pauses = 0;
    if (h->n_falls == 0 || now_us - h->falls_since_us > FALLS_US) {
        h->falls_since_us = now_us;
        h->n_falls = 0;
    }
    h->n_falls++;
}

static void
maybe_pause(struct health *h, struct health_moment at)
{
    int64_t pause_us = PAUSE_US << (h->n_pauses < MAX_DOUBLING ? h->n_pauses : MAX_DOUBLING);

    if (h->n_falls < MAX_FALLS)
        return;
    h->open_until_us = at.now_us + jitter(pause_us < MAX_PAUSE_US ? pause_us : MAX_PAUSE_US, at.random);
    h->n_pauses++;
    h->n_falls = 0;
}

/* ---- checks ---- */

void
health_good(struct health *h, const struct health_rules *r, struct health_moment at, bool breaks)
{
    h->tried = true;
    h->doubted = false;
    h->n_bad = 0;
    if (h->up)
        return;
    if (++h->n_good < r->healthy)
        return;
    h->up = true;
    h->up_since_us = at.now_us;
    h->reason[0] = '\0';
    if (breaks)
        maybe_pause(h, at);
}

static void
fall(struct health *h, int64_t now_us)
{
    if (h->up) {
        count_fall(h, now_us);
        h->down_since_us = now_us;
    } else if (h->down_since_us == 0) {
        h->down_since_us = now_us;
    }
    h->n_down = h->up ? 1 : h->n_down + 1;
    h->up = false;
}

void
health_bad(struct health *h, const struct health_rules *r, struct health_moment at, enum health_trouble what,
           const char *why)
{
    h->tried = true;
    h->n_good = 0;
    if (what == HEALTH_FULL && h->up)
        return;
    h->n_bad++;
    if (what == HEALTH_ENDED && h->up && !h->doubted) {
        h->doubted = true;
        return;
    }
    if (h->doubted || what != HEALTH_SLOW)
        h->n_bad = h->n_bad > r->unhealthy ? h->n_bad : r->unhealthy;
    h->doubted = false;
    if (h->up && h->n_bad < r->unhealthy)
        return;
    fall(h, at.now_us);
    snprintf(h->reason, sizeof(h->reason), "%s", why);
}

int64_t
health_delay_us(const struct health *h, const struct health_rules *r, bool hurry, uint64_t random)
{
    unsigned n = h->n_down < MAX_DOUBLING ? h->n_down : MAX_DOUBLING;
    int64_t most = hurry ? HURRY_DELAY_US : MAX_DELAY_US;
    int64_t delay_us = r->fast_us << (n > 0 ? n - 1 : 0);

    if (h->up && h->doubted)
        return 0;
    if (h->up && h->n_bad == 0 && !hurry)
        return r->interval_us;
    if (h->up || h->n_good > 0)
        return r->fast_us;
    return jitter(delay_us < most ? delay_us : most, random);
}

enum node_state
health_state(const struct health *h, int64_t now_us, bool fenced, bool lagging)
{
    if (!h->up)
        return NODE_DOWN;
    if (fenced)
        return NODE_FENCED;
    if (h->banned || h->open_until_us > now_us)
        return NODE_BANNED;
    if (h->draining)
        return NODE_DRAINING;
    return lagging ? NODE_LAGGING : NODE_UP;
}
