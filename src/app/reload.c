/* SPDX-License-Identifier: ISC */
/* Publishing a configuration: everything is parsed and loaded first, then each hall takes
 * it over on its own thread. On the control thread. */
#include "actions_private.h"
#include "base/log.h"
#include "log_private.h"
#include "nodes_private.h"

struct publication {
    struct visit visit;
    struct hall_setup setup; /* held */
    struct task *task;       /* who waits for it, or NULL */
};

static void
configure(struct worker *w, struct visit *v)
{
    struct hall *h = hall_of(w);

    hall_configure(h, &container_of(v, struct publication, visit)->setup);
    stream_flush(&h->turn);
}

static void
published(struct worker *w, struct visit *v)
{
    struct publication *p = container_of(v, struct publication, visit);

    (void)w;
    hall_setup_drop(&p->setup);
    if (p->task != NULL)
        task_home(p->task, task_arrive);
    mem_free(p);
}

static void
publish(struct app *a, struct task *e)
{
    struct publication *p = mem_new(struct publication);

    hall_setup_hold(&p->setup, &a->loaded.setup);
    p->task = e;
    p->visit = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = configure, .home = published
    };
    visit_start(&p->visit);
    naming_configure(a);
    nodes_configure(a);
}

/* CONF is taken over. False with WHY, which is logged: nothing changed. */
static bool
take_over(struct app *a, struct conf *conf, enum loading how, struct task *e, struct fault *why)
{
    struct loaded next;
    int log;

    if (conf == NULL || !loaded_make(&next, conf, &a->loaded, how, why)) {
        log_error("configuration refused, nothing is changed: %s", why->message);
        return false;
    }
    if (!applog_open(&next.setup.conf->general, &log, why)) {
        log_error("configuration refused, nothing is changed: %s", why->message);
        loaded_done(&next);
        return false;
    }
    applog_use(&next.setup.conf->general, log);
    loaded_done(&a->loaded);
    a->loaded = next;
    publish(a, e);
    return true;
}

/* The files as they are now; NULL: WHY says what is wrong. */
static struct conf *
read_again(const struct conf *before, struct fault *why)
{
    struct conf *c =
        conf_load(before->general.conffile[0] != '\0' ? before->general.conffile : before->file, why);

    if (c != NULL && !conf_follows(c, before, why)) {
        conf_drop(c);
        c = NULL;
    }
    if (c != NULL)
        conf_carry(c, before);
    return c;
}

bool
reload_files(struct app *a, struct task *e, struct fault *why)
{
    bool ok;

    notify_reloading();
    ok = take_over(a, read_again(a->loaded.setup.conf, why), LOAD_ALL, e, why);
    if (ok)
        log_info("configuration reloaded");
    notify_ready();
    return ok;
}

bool
reload_set(struct app *a, struct slice key, struct slice value, struct task *e, struct fault *why)
{
    return take_over(a, conf_with(a->loaded.setup.conf, key, value, why), LOAD_CHANGED, e, why);
}
