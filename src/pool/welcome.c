/* SPDX-License-Identifier: ISC */
/* Welcomes and greetings of a pool. Owned by its worker; the shared part is the registry's. */
#include "base/mem.h"
#include "pool/pool.h"

static void
forget_greeting(struct pool_greeting *g)
{
    params_drop(g->settings);
    params_drop(g->reports);
    mem_free((void *)(uintptr_t)g->messages.data);
    *g = (struct pool_greeting){ 0 };
}

void
pool_forget_welcomes(struct pool *p)
{
    for (unsigned i = 0; i < POOL_GREETINGS; i++)
        forget_greeting(&p->greeting[i]);
    for (unsigned i = 0; i < p->n_welcomes; i++) {
        params_drop(p->welcome[i].settings);
        params_drop(p->welcome[i].reports);
    }
    p->n_welcomes = 0;
}

static void
remember_welcome(struct pool *p, struct params *settings, struct params *reports)
{
    struct pool_welcome *w;

    if (p->n_welcomes == POOL_WELCOMES)
        pool_forget_welcomes(p);
    w = &p->welcome[p->n_welcomes++];
    w->settings = params_hold(settings);
    w->reports = params_hold(reports);
}

struct params *
pool_find_welcome(struct pool *p, struct params *settings)
{
    struct params *reports;

    for (unsigned i = 0; i < p->n_welcomes; i++)
        if (p->welcome[i].settings == settings)
            return p->welcome[i].reports;
    reports = shared_welcome_find(p->shared, p->pools->sets, settings);
    if (reports == NULL)
        return NULL;
    remember_welcome(p, settings, reports);
    params_drop(reports);
    return reports;
}

void
pool_add_welcome(struct pool *p, struct params *settings, struct params *reports)
{
    if (pool_find_welcome(p, settings) != NULL)
        return;
    remember_welcome(p, settings, reports);
    shared_welcome_add(p->shared, settings, reports);
}

/* Sets are interned: where one lies tells which it is. */
static unsigned
greeting_slot(const struct params *settings)
{
    return (unsigned)((uintptr_t)settings >> 5 ^ (uintptr_t)settings >> 9) & (POOL_GREETINGS - 1);
}

const struct pool_greeting *
pool_find_greeting(const struct pool *p, const struct params *settings)
{
    const struct pool_greeting *g = &p->greeting[greeting_slot(settings)];

    return g->settings == settings ? g : NULL;
}

const struct pool_greeting *
pool_add_greeting(struct pool *p, struct params *settings, struct params *reports, struct slice messages)
{
    struct pool_greeting *g = &p->greeting[greeting_slot(settings)];

    forget_greeting(g);
    g->settings = params_hold(settings);
    g->reports = params_hold(reports);
    g->messages = slice_of(slice_dup(messages), messages.len);
    return g;
}
