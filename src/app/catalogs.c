/* SPDX-License-Identifier: ISC */
/* A catalog for each database that is a cluster: loaded from its primary, again when it changed, and given
 * to every hall. Whether it did is asked from time to time, and at once after a statement that came through us
 * and changes catalogs. One of a database that only the line for all others names ends when nobody uses it. On
 * the control thread. */
#include "base/log.h"
#include "catalog/catalog.h"
#include "nodes_private.h"

#define AGAIN_US  (10 * CLOCK_S)      /* how old a catalog may become */
#define WHOLE_US  (10 * 60 * CLOCK_S) /* the same for what marks do not tell, as types of columns */
#define FAILED_US (5 * CLOCK_S)
#define SOON_US   (CLOCK_S / 10) /* after a change that we saw: more of them may follow */
#define UNUSED_US (2 * AGAIN_US)
#define SHARE     20 /* most of the time goes by without a load, however long one takes */

struct catalog_job {
    struct catalog_job *next;
    struct app *app;
    char *database;
    uint64_t reign; /* that it was loaded under */
    struct catalog_marks marks;
    int64_t began_us, whole_us; /* the last look; the last load */
    int64_t used_us;            /* when it was last seen to have clients, or asked for */
    bool changed;               /* since that look */
    bool over;                  /* the halls are told to forget it; it is freed then */
    struct catalog_loader *loader;
    struct catalog *under_way; /* on its way to the halls */
    struct timer again;
    struct visit visit;
};

static void
at_hall(struct worker *w, struct visit *v)
{
    struct catalog_job *j = container_of(v, struct catalog_job, visit);

    hall_set_catalog(hall_of(w), j->database, catalog_hold(j->under_way));
}

static void
given(struct worker *w, struct visit *v)
{
    struct catalog_job *j = container_of(v, struct catalog_job, visit);

    (void)w;
    catalog_drop(j->under_way);
    j->under_way = NULL;
}

/* When to look again. */
static int64_t
next_us(const struct catalog_job *j, const struct fault *why)
{
    int64_t took_us = clock_now_us() - j->began_us, rest_us = took_us * SHARE;

    if (why != NULL)
        return FAILED_US;
    if (j->changed)
        return SOON_US + rest_us;
    return rest_us > AGAIN_US ? rest_us : AGAIN_US;
}

static void
on_loaded(void *owner, struct catalog *c, const struct fault *why)
{
    struct catalog_job *j = owner;
    struct app *a = j->app;

    j->loader = NULL;
    timer_start(&a->control, &j->again, next_us(j, why));
    if (why != NULL) {
        log_warning("database=%s its catalog could not be read, so only plain reads go to replicas: %s",
                    j->database, why->message);
        return;
    }
    if (c == NULL)
        return;
    j->whole_us = j->began_us;
    if (j->under_way != NULL) { /* the halls are slow: they get the next one */
        j->marks = (struct catalog_marks){ .counts = "" };
        catalog_drop(c);
        return;
    }
    j->under_way = c;
    j->visit = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = at_hall, .home = given
    };
    visit_start(&j->visit);
}

static const struct node *
primary_of(const struct topology *t, const struct conf_cluster *c, uint64_t *reign)
{
    const struct cluster *seen = t == NULL ? NULL : topology_find(t, slice_str(c->name));

    if (seen == NULL || seen->primary < 0)
        return NULL;
    *reign = seen->reign;
    return &seen->nodes[seen->primary];
}

/* Marks are those of one server. */
static enum catalog_effort
effort_of(struct catalog_job *j, uint64_t reign)
{
    enum catalog_effort effort = j->changed ? CATALOG_IF_CHANGED : CATALOG_IF_COUNTED;

    j->began_us = clock_now_us();
    if (reign != j->reign || j->began_us - j->whole_us > WHOLE_US)
        effort = CATALOG_WHOLE;
    j->reign = reign;
    j->changed = false;
    return effort;
}

static void
job_free(struct catalog_job *j)
{
    timer_stop(&j->app->control, &j->again);
    catalog_load_cancel(j->loader);
    catalog_drop(j->under_way);
    mem_free(j->database);
    mem_free(j);
}

static void
forget_at_hall(struct worker *w, struct visit *v)
{
    struct catalog_job *j = container_of(v, struct catalog_job, visit);

    hall_set_catalog(hall_of(w), j->database, NULL);
}

static void
forgotten(struct worker *w, struct visit *v)
{
    struct catalog_job *j = container_of(v, struct catalog_job, visit), **at = &j->app->catalogs;

    (void)w;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    job_free(j);
}

static bool
is_unused(struct catalog_job *j, const struct conf_database *d)
{
    unsigned n_servers, n_clients;

    if (d != NULL && strcmp(d->name, "*") != 0)
        return false;
    registry_counts(j->app->registry, 'd', slice_str(j->database), &n_servers, &n_clients);
    if (n_clients > 0)
        j->used_us = clock_now_us();
    return clock_now_us() - j->used_us > UNUSED_US;
}

/* A client may come at any moment: it asks for a new one. */
static void
end(struct catalog_job *j)
{
    struct app *a = j->app;

    log_info("database=%s nobody uses it: its catalog is forgotten", j->database);
    j->over = true;
    j->visit = (struct visit){ .from = &a->control,
                               .workers = a->workers,
                               .n = a->n_halls,
                               .at_each = forget_at_hall,
                               .home = forgotten };
    visit_start(&j->visit);
}

static void
load(struct catalog_job *j)
{
    const struct conf *conf = j->app->loaded.setup.conf;
    const struct conf_database *d = conf_find_database(conf, slice_str(j->database));
    const struct conf_cluster *c = d == NULL ? NULL : conf_cluster_of(conf, d);
    uint64_t reign = 0;
    const struct node *n = c == NULL ? NULL : primary_of(j->app->topology, c, &reign);
    struct catalog_wanted wanted = { .marks = &j->marks };
    const char *user;
    char *password;

    if (n == NULL && d != NULL && j->loader == NULL) /* wait for a primary */
        timer_start(&j->app->control, &j->again, FAILED_US);
    if (n == NULL || j->loader != NULL)
        return;
    user = c->monitor_user[0] != '\0' ? c->monitor_user : conf->general.auth_user;
    password = c->monitor_password[0] != '\0' ? mem_strdup(c->monitor_password)
                                              : nodes_password(j->app, slice_str(user));
    wanted.effort = effort_of(j, reign);
    wanted.target = (struct catalog_target){
        .host = n->host,
        .address = n->address,
        .port = n->port,
        .database = d->dbname[0] != '\0' ? d->dbname : j->database,
        .user = user,
        .password = password == NULL ? "" : password,
        .sslmode = conf_word("sslmode", conf->general.server_tls_sslmode),
        .ca_file = conf_server_ca(&conf->general),
    };
    j->loader = catalog_load(&j->app->control, &wanted, on_loaded, j);
    if (password != NULL)
        mem_wipe(password, strlen(password));
    mem_free(password);
}

static void
on_again(struct timer *t)
{
    struct catalog_job *j = container_of(t, struct catalog_job, again);

    if (j->loader == NULL && j->under_way == NULL &&
        is_unused(j, conf_find_database(j->app->loaded.setup.conf, slice_str(j->database))))
        end(j);
    else
        load(j);
}

static struct catalog_job *
job_of(struct app *a, const char *database)
{
    struct catalog_job *j;

    for (j = a->catalogs; j != NULL; j = j->next)
        if (strcmp(j->database, database) == 0 && !j->over)
            return j;
    j = mem_new(struct catalog_job);
    j->app = a;
    j->database = mem_strdup(database);
    timer_init(&j->again, on_again);
    j->next = a->catalogs;
    a->catalogs = j;
    return j;
}

/* ---- wanted by a hall: the database of a line for all others ---- */

struct wanted {
    struct mail mail;
    char *database;
    bool changed;
};

static void
on_wanted(struct worker *w, struct mail *m)
{
    struct wanted *wanted = container_of(m, struct wanted, mail);
    struct app *a = app_of_control(w);
    struct catalog_job *j = job_of(a, wanted->database);

    j->used_us = clock_now_us();
    if (j->loader == NULL && !timer_is_started(&j->again))
        timer_start(&a->control, &j->again, 0);
    else if (j->loader == NULL && wanted->changed && !j->changed)
        timer_start(&a->control, &j->again, SOON_US);
    j->changed = j->changed || wanted->changed;
    mem_free(wanted->database);
    mem_free(wanted);
}

void
catalogs_want(struct hall *h, const char *database, bool changed)
{
    struct wanted *wanted = mem_new(struct wanted);

    wanted->database = mem_strdup(database);
    wanted->changed = changed;
    wanted->mail.deliver = on_wanted;
    mail_post(h->control, &wanted->mail);
}

void
catalogs_look(struct app *a)
{
    const struct conf *conf = a->loaded.setup.conf;

    for (size_t i = 0; i < conf->n_databases; i++) {
        const struct conf_database *d = &conf->databases[i];
        const struct conf_cluster *c = conf_cluster_of(conf, d);
        struct catalog_job *j;
        uint64_t reign = 0;

        if (c == NULL || strcmp(d->name, "*") == 0 || primary_of(a->topology, c, &reign) == NULL)
            continue;
        j = job_of(a, d->name);
        if (j->reign != reign && j->loader == NULL)
            timer_start(&a->control, &j->again, 0);
    }
}

void
catalogs_done(struct app *a)
{
    while (a->catalogs != NULL) {
        struct catalog_job *j = a->catalogs;

        a->catalogs = j->next;
        job_free(j);
    }
}
