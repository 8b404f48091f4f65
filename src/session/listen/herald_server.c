/* SPDX-License-Identifier: ISC */
/* A herald's server: as whom and where it logs in (to the primary when the database is a cluster), and what
 * follows when it is lost. It is beyond every pool's size: a session that waits for it holds one of the pool's
 * servers. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "herald_private.h"

#define FIRST_PAUSE_US (50 * CLOCK_MS)

static void
try_later(struct herald *e)
{
    int64_t most = e->hall->setup.conf->general.server_login_retry;
    int64_t pause = e->failures > 10 ? most : FIRST_PAUSE_US << e->failures;

    e->failures++;
    if (pause > most)
        pause = most;
    e->retry_us = e->hall->worker.now_us + pause / 2 + (int64_t)(random_u64() % (uint64_t)(pause / 2 + 1));
}

/* ---- its server comes and goes ---- */

static void
on_ready(struct server *s)
{
    struct herald *e = s->pool;
    struct text sql = { 0 }, t = { 0 };

    server_lend(s, &herald_borrower, e);
    e->silent_us = e->hall->worker.now_us;
    topics_put_listen(&e->topics, &sql);
    wire_put_query(&t, text_slice(&sql));
    stream_put_copy(&s->stream, text_slice(&t));
    stream_flush(&e->hall->turn);
    text_done(&sql);
    text_done(&t);
    herald_arm(e);
}

/* What was on its way is asked again; what is heard next knows nothing of before. */
static void
take_back_sent(struct herald *e)
{
    while (!ring_is_empty(&e->sent)) {
        struct listen_ask *a = container_of(ring_last(&e->sent), struct listen_ask, entry);

        ring_remove(&a->entry);
        if (a->from == NULL || a->drop)
            listen_ask_free(a);
        else if (a->pid != 0)
            herald_send_home(a);
        else
            ring_insert(&e->waiting, &a->entry);
    }
    bylines_done(&e->bylines);
}

/* Another of those who ask may be let in. */
static void
failed(struct herald *e, const struct fault *why)
{
    e->why = *why;
    e->host_turn++;
    try_later(e);
    if (!welcome_is_final(why))
        return;
    e->at_who = (e->at_who + 1) % e->n_who;
    if (++e->n_final < e->n_who) {
        e->retry_us = e->hall->worker.now_us;
        return;
    }
    e->n_final = 0;
    herald_refuse_waiting(e);
}

static void
on_gone(struct server *s, const struct fault *why)
{
    struct herald *e = s->pool;

    herald_pass_on(e);
    if (e->up && !s->died)
        log_info("server=s%" PRIu64 " listens no more: %s", s->id, why->message);
    else
        log_warning("server=s%" PRIu64 " cannot listen: %s sqlstate=%s database=%s channels=%u", s->id,
                    why->message, why->sqlstate, e->database, e->topics.n);
    ring_append(&e->leaving, &s->in_pool);
    e->server = NULL;
    e->error.sqlstate[0] = '\0';
    take_back_sent(e);
    if (!e->up) {
        failed(e, why);
    } else {
        e->up = false;
        e->was_lost = e->topics.n > 0;
        e->n_lost += e->was_lost;
        e->retry_us = e->hall->worker.now_us;
    }
    herald_arm(e);
}

static void
free_target(const struct server_target *target)
{
    struct server_target *t = (struct server_target *)(uintptr_t)target;

    credential_drop(t->credential);
    tls_context_drop(t->tls);
    params_drop(t->startup);
    mem_free(t->host);
    mem_free(t->database);
    mem_free(t->user);
    mem_free(t->connect_query);
    mem_free(t);
}

static void
on_left(struct server *s)
{
    ring_remove(&s->in_pool);
    free_target(s->target);
}

static const struct server_keeper keeper = { on_ready, on_gone, on_left };

/* ---- connecting ---- */

/* Somebody who has a server waits for it: that transaction must be able to end. */
static bool
is_urgent(const struct herald *e)
{
    ring_each (r, &e->waiting)
        if (atomic_load(&container_of(r, struct listen_ask, entry)->holds))
            return true;
    return false;
}

static bool
is_paused(const struct herald *e)
{
    return (registry_flags(e->hall->registry, slice_str(e->database)) & DATABASE_PAUSED) != 0 && !is_urgent(e);
}

struct pool *
herald_pool(const struct herald *e, struct fault *why)
{
    const struct conf *conf = e->hall->setup.conf;
    struct pool_wanted want = { .database = conf_find_database(conf, slice_str(e->database)),
                                .name = slice_str(e->database),
                                .user = slice_str(e->who[e->at_who].user) };
    const struct conf_cluster *cluster = want.database == NULL ? NULL : conf_cluster_of(conf, want.database);
    const struct cluster *c;

    fault_set(why, "57P03", "database is paused or not there any more");
    if (want.database == NULL || is_paused(e))
        return NULL;
    if (cluster == NULL)
        return pools_find(&e->hall->pools, &want);
    fault_set(why, "57P03", "no node of cluster %.63s is the primary", cluster->name);
    c = e->hall->topology == NULL ? NULL : topology_find(e->hall->topology, slice_str(cluster->name));
    if (c == NULL || c->primary < 0)
        return NULL;
    want.node = conf_find_node(conf, slice_str(c->nodes[c->primary].name));
    return want.node == NULL ? NULL : pools_find(&e->hall->pools, &want);
}

/* The file's own secrets come first, as they do for pools. */
static struct credential *
credential_for(const struct herald *e, const struct pool *p)
{
    const struct conf_database *d = conf_find_database(e->hall->setup.conf, slice_str(e->database));
    const struct who *w = &e->who[e->at_who];
    bool of_file = p->forced_user || (d != NULL && d->password[0] != '\0') ||
                   secrets_find(e->hall->setup.secrets, slice_str(p->user)).data != NULL;

    return credential_hold(of_file || w->credential == NULL ? p->target.credential : w->credential);
}

/* A copy: a reload changes the pool's. */
static struct server_target *
target_of(struct herald *e, const struct pool *p)
{
    struct server_target *t = mem_dup(&p->target, sizeof(*t));
    struct params *startup = params_empty(e->hall->pools.sets);

    startup = params_with(startup, SLICE("client_encoding"), slice_str(e->encoding));
    t->startup = params_with(startup, SLICE("application_name"), SLICE("pgweir listen"));
    t->host = mem_strdup(t->host);
    t->database = mem_strdup(t->database);
    t->user = mem_strdup(t->user);
    t->connect_query = mem_strdup(t->connect_query);
    t->tls = tls_context_hold(t->tls);
    t->credential = credential_for(e, p);
    t->checker = NULL; /* it is no pool's */
    t->host_turn = t->host_turn == NULL ? NULL : &e->host_turn;
    return t;
}

void
herald_connect(struct herald *e)
{
    struct fault why;
    struct pool *p = herald_pool(e, &why);

    e->shut = p == NULL;
    if (e->shut) {
        e->why = why;
        try_later(e);
        return;
    }
    e->server = server_new(&e->hall->turn, target_of(e, p), &keeper, e, SLICE(""));
    e->server->id = atomic_fetch_add(e->hall->next_id, 1);
    e->checked_in = 0;
    if (!timer_is_started(&e->check))
        timer_start(&e->hall->worker, &e->check, HERALD_CHECK_US);
}
