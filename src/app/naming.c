/* SPDX-License-Identifier: ISC */
/* How names of servers are looked up. On the control thread. */
#include "app_private.h"

#define THREADS 4 /* of their own: a name server that does not answer holds up names, and nothing else */
#define JOBS    10000

/* Zones are only seen to change by asking name servers; what lies between would answer from its memory. */
void
naming_configure(struct app *a)
{
    int64_t period = resolve_has_cares() ? a->loaded.setup.conf->general.dns_zone_check_period : 0;

    atomic_store(&a->resolver.direct,
                 resolve_has_cares() && (period > 0 || a->resolver.resolv_conf[0] != '\0'));
    zones_set_period(a->zones, period);
}

void
naming_open(struct app *a)
{
    a->resolver.resolv_conf = mem_strdup(a->loaded.setup.conf->general.resolv_conf);
    a->resolver.helper = helper_new(THREADS, JOBS);
    a->registry = registry_new(a->workers, a->n_halls, &a->resolver);
    a->zones = zones_new(&a->control, registry_names(a->registry), &a->resolver);
    naming_configure(a); /* before anybody asks */
}

void
naming_end(struct app *a)
{
    zones_set_period(a->zones, 0);
    atomic_store(&a->resolver.ending, true);
    helper_free(a->resolver.helper);
    a->resolver.helper = NULL;
}

void
naming_done(struct app *a)
{
    zones_free(a->zones);
    registry_free(a->registry);
    mem_free(a->resolver.resolv_conf);
}
