/* SPDX-License-Identifier: ISC */
/* From a loaded configuration to running halls, and back. On the control thread, which is the main one. */
#include <unistd.h>

#include "actions_private.h"
#include "base/log.h"
#include "base/random.h"
#include "nodes_private.h"

#define HELPER_THREADS  2
#define HELPER_JOBS     10000
#define OUTSIDE_THREADS 4 /* that wait for others */
#define OUTSIDE_JOBS    100

unsigned
app_workers_wanted(const struct conf *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return c->general.workers > 0 ? (unsigned)c->general.workers : cores > 0 ? (unsigned)cores : 1;
}

static void
make_halls(struct app *a)
{
    a->n_halls = app_workers_wanted(a->loaded.setup.conf);
    a->halls = mem_zalloc(a->n_halls * sizeof(*a->halls));
    a->workers = mem_zalloc(a->n_halls * sizeof(struct worker *));
    for (unsigned i = 0; i < a->n_halls; i++) {
        hall_init(&a->halls[i], i);
        a->workers[i] = &a->halls[i].worker;
    }
}

void
app_build(struct app *a)
{
    struct hall_shared shared;

    worker_init(&a->control, WORKER_CONTROL);
    console_init(&a->console);
    atomic_init(&a->next_id, a->takeover.next_id + 1);
    make_halls(a);
    naming_open(a);
    a->helper = helper_new(HELPER_THREADS, HELPER_JOBS);
    for (unsigned i = 0; i < HALL_N_OUTSIDE; i++)
        a->outside[i] = helper_new(OUTSIDE_THREADS, OUTSIDE_JOBS);
    a->lookups = lookups_new(&a->control);
    nodes_open(a);
    shared = (struct hall_shared){ .registry = a->registry,
                                   .helper = a->helper,
                                   .outside = a->outside,
                                   .lookups = a->lookups,
                                   .watch = a->watch,
                                   .want_catalog = catalogs_want,
                                   .control = &a->control,
                                   .elsewhere = takeover_elsewhere,
                                   .last_write = &a->last_write,
                                   .last_change = &a->last_change,
                                   .console = &a->console,
                                   .next_id = &a->next_id,
                                   .seed = random_u64() };
    random_bytes(shared.mock_key, sizeof(shared.mock_key));
    for (unsigned i = 0; i < a->n_halls; i++) {
        hall_open(&a->halls[i], &shared, &a->loaded.setup);
        if (a->takeover.elder == NULL)
            listening_give(&a->listening, &a->halls[i]);
    }
    mem_wipe(&shared, sizeof(shared));
}

void
app_run(struct app *a)
{
    signals_start(a);
    stats_start(a);
    watchdog_start(a);
    for (unsigned i = 0; i < a->n_halls; i++)
        worker_start(&a->halls[i].worker);
    nodes_configure(a);
    log_info("process up: pgweir " APP_VERSION ", %u workers", a->n_halls);
    takeover_start(a);
    if (a->takeover.begun)
        app_tell_started(a);
    worker_run(&a->control);
    for (unsigned i = 0; i < a->n_halls; i++)
        worker_join(&a->halls[i].worker);
    log_info("process down");
}

void
app_done(struct app *a)
{
    a->joined = true;
    signals_stop(a);
    for (unsigned i = 0; i < a->n_halls; i++)
        hall_done(&a->halls[i]);
    catalogs_done(a);
    nodes_done(a);
    naming_done(a);
    worker_done(&a->control);
    mem_free(a->halls);
    mem_free(a->workers);
}
