/* SPDX-License-Identifier: ISC */
/* The DNS zones of the names in use. */
#include "server/zones.h"

#include <pthread.h>
#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"

struct zone {
    struct resolve_serial question;
    struct zones *zones;
    struct zone *next;
    bool asked; /* the question is under way */
    bool known; /* its serial is */
    uint32_t serial;
    unsigned n_hosts; /* names in use; 0: it is not shown */
};

struct zones {
    struct worker *control;
    struct names_cache *names;
    const struct resolver *by;
    struct timer timer;
    int64_t period_us;
    struct {
        pthread_mutex_t lock;
        struct zone *first; /* in the order in which they came */
    } shared;
};

static void
on_serial(struct worker *w, struct mail *m)
{
    struct zone *zone = container_of(m, struct zone, question.job.done);
    struct zones *z = zone->zones;
    bool changed;

    zone->asked = false;
    if (!zone->question.found || z->period_us == 0)
        return;
    pthread_mutex_lock(&z->shared.lock);
    changed = zone->known && zone->serial != zone->question.serial;
    zone->known = true;
    zone->serial = zone->question.serial;
    pthread_mutex_unlock(&z->shared.lock);
    if (!changed)
        return;
    log_info("dns zone=%s serial=%u: its names are looked up anew", zone->question.zone, zone->serial);
    names_cache_renew(z->names, zone->question.zone, w);
}

/* ---- which there are ---- */

static void
count_host(void *owner, const struct names_shown *s)
{
    struct zones *z = owner;
    const char *name = names_zone_of(s->host);
    struct zone **at = &z->shared.first;

    if (name == NULL)
        return;
    while (*at != NULL && strcasecmp((*at)->question.zone, name) != 0)
        at = &(*at)->next;
    if (*at == NULL) {
        *at = mem_new(struct zone);
        (*at)->zones = z;
        (*at)->question.job.from = z->control;
        (*at)->question.job.done.deliver = on_serial;
        snprintf((*at)->question.zone, sizeof((*at)->question.zone), "%s", name);
    }
    (*at)->n_hosts++;
}

static void
count_hosts(struct zones *z)
{
    pthread_mutex_lock(&z->shared.lock);
    for (struct zone *zone = z->shared.first; zone != NULL; zone = zone->next)
        zone->n_hosts = 0;
    if (z->period_us > 0)
        names_cache_each(z->names, count_host, z);
    pthread_mutex_unlock(&z->shared.lock);
}

static void
on_due(struct timer *t)
{
    struct zones *z = container_of(t, struct zones, timer);

    count_hosts(z);
    for (struct zone *zone = z->shared.first; zone != NULL; zone = zone->next)
        if (!zone->asked && zone->n_hosts > 0)
            zone->asked = resolve_serial_start(z->by, &zone->question);
    timer_start(z->control, &z->timer, z->period_us);
}

void
zones_set_period(struct zones *z, int64_t period_us)
{
    if (z->period_us == period_us)
        return;
    z->period_us = period_us;
    if (period_us > 0) {
        timer_start(z->control, &z->timer, 0);
        return;
    }
    timer_stop(z->control, &z->timer);
    count_hosts(z);
    for (struct zone *zone = z->shared.first; zone != NULL; zone = zone->next)
        zone->known = false; /* what changes from now on, nobody sees */
}

void
zones_each(struct zones *z, void (*each)(void *owner, const struct zones_shown *s), void *owner)
{
    pthread_mutex_lock(&z->shared.lock);
    for (const struct zone *zone = z->shared.first; zone != NULL; zone = zone->next) {
        const struct zones_shown s = { zone->question.zone, zone->serial, zone->n_hosts };

        if (zone->n_hosts > 0)
            each(owner, &s);
    }
    pthread_mutex_unlock(&z->shared.lock);
}

/* ---- making and freeing ---- */

struct zones *
zones_new(struct worker *control, struct names_cache *names, const struct resolver *by)
{
    struct zones *z = mem_new(struct zones);

    z->control = control;
    z->names = names;
    z->by = by;
    timer_init(&z->timer, on_due);
    pthread_mutex_init(&z->shared.lock, NULL);
    return z;
}

void
zones_free(struct zones *z)
{
    if (z == NULL)
        return;
    timer_stop(z->control, &z->timer);
    for (struct zone *zone = z->shared.first, *next; zone != NULL; zone = next) {
        next = zone->next;
        mem_free(zone);
    }
    pthread_mutex_destroy(&z->shared.lock);
    mem_free(z);
}
