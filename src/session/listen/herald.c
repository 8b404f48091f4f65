/* SPDX-License-Identifier: ISC */
/* The connection that listens for all sessions of a database, whichever halls they are in. It is beyond every
 * pool's size: a session that waits for it holds one of the pool's servers. It logs in as one of those who ask,
 * to the primary when the database is a cluster. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "herald_private.h"

#define MOST_MESSAGE   (1 << 20)
#define FIRST_PAUSE_US (50 * CLOCK_MS)
#define LEAST_WAIT_US  CLOCK_S        /* for an answer that is on its way, however impatient who asks is */
#define CHECK_US       (30 * CLOCK_S) /* an idle one is asked for a sign of life so often; an unused one closed */

/* ---- mail to the halls ---- */

static void
tell(struct herald *e, bool missed)
{
    for (uint32_t i = 0; i < registry_n_workers(e->hall->registry); i++) {
        struct listen_news *n;

        if (e->topics.n_of_hall[i] == 0)
            continue;
        n = mem_new(struct listen_news);
        n->missed = missed;
        n->database = mem_strdup(e->database);
        n->encoding = mem_strdup(e->encoding);
        text_add(&n->messages, text_slice(&e->heard));
        n->mail.deliver = audience_news;
        mail_post(registry_worker(e->hall->registry, i), &n->mail);
    }
}

static void
pass_on(struct herald *e)
{
    if (e->heard.len > 0)
        tell(e, false);
    text_done(&e->heard);
}

void
herald_send_home(struct listen_ask *a)
{
    ring_remove(&a->entry);
    a->mail.deliver = audience_answer;
    mail_post(a->from, &a->mail);
}

/* A is answered or, when nobody asked, done with. WHY is NULL when it is granted. */
static void
answer(struct herald *e, struct listen_ask *a, const struct fault *why)
{
    if (a->from == NULL || a->drop) {
        listen_ask_free(a);
        return;
    }
    a->ok = why == NULL;
    if (a->pid != 0)
        bylines_set(&e->bylines, a->pid, a->told);
    else if (a->ok)
        topics_want(&e->topics, a->name, a->from->index);
    else
        a->why = *why;
    herald_send_home(a);
}

static void
refuse(struct herald *e, struct listen_ask *a)
{
    struct fault why;

    fault_set(&why, "57P03", "no server is available to LISTEN in database \"%.63s\"", e->database);
    fault_detail(&why, "%s", e->why.message);
    fault_hint(&why, "Check that PostgreSQL lets in one connection more than the pools use.");
    answer(e, a, &why);
}

/* ---- when to do what ---- */

static struct listen_ask *
first(const struct ring *asks)
{
    struct ring *r = ring_first(asks);

    return r == NULL ? NULL : container_of(r, struct listen_ask, entry);
}

static bool
is_needed(const struct herald *e)
{
    return e->topics.n > 0 || !ring_is_empty(&e->waiting);
}

/* It has been asked something, and has not answered yet. */
static bool
owes(const struct herald *e)
{
    return e->server != NULL && e->server->state == SERVER_LENT && (!e->up || !ring_is_empty(&e->sent));
}

/* When to give A up, which was sent. While PostgreSQL has many notifications to tell, it answers after them:
 * its silence is what counts. */
static int64_t
sent_due(const struct herald *e, const struct listen_ask *a)
{
    if (a->patience_us == 0)
        return INT64_MAX;
    return e->silent_us + (a->patience_us < LEAST_WAIT_US ? LEAST_WAIT_US : a->patience_us);
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void
herald_arm(struct herald *e)
{
    int64_t now = e->hall->worker.now_us, due = owes(e) ? e->silent_us + HERALD_ANSWER_US : INT64_MAX;

    ring_each (r, &e->waiting)
        due = earlier(due, container_of(r, struct listen_ask, entry)->due_us);
    ring_each (r, &e->sent)
        due = earlier(due, sent_due(e, container_of(r, struct listen_ask, entry)));
    if (e->server == NULL && is_needed(e) && e->retry_us < due)
        due = e->retry_us;
    if (due == INT64_MAX)
        timer_stop(&e->hall->worker, &e->timer);
    else
        timer_start(&e->hall->worker, &e->timer, due > now ? due - now : 1);
}

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

/* ---- requests ---- */

void
herald_send(struct herald *e, struct listen_ask *a)
{
    struct text sql = { 0 }, t = { 0 };

    if (a->mark[0] != '\0') {
        text_add_str(&sql, "NOTIFY ");
        text_add_quoted(&sql, slice_str(a->name), '"');
        text_printf(&sql, ", '%s'", a->mark);
    } else if (a->name[0] != '\0') {
        text_add_str(&sql, a->drop ? "UNLISTEN " : "LISTEN ");
        text_add_quoted(&sql, slice_str(a->name), '"');
    }
    wire_put_query(&t, text_slice(&sql));
    stream_put_copy(&e->server->stream, text_slice(&t));
    text_done(&sql);
    text_done(&t);
    if (ring_is_empty(&e->sent))
        e->silent_us = e->hall->worker.now_us;
    ring_remove(&a->entry);
    ring_append(&e->sent, &a->entry);
}

static void
became_up(struct herald *e)
{
    e->up = true;
    e->failures = e->n_final = 0;
    log_info("server=s%" PRIu64 " listens for database=%s channels=%u remote_pid=%u", e->server->id,
             e->database, e->topics.n, e->server->pid);
    if (e->was_lost)
        tell(e, true);
    e->was_lost = false;
    while (!ring_is_empty(&e->waiting))
        herald_send(e, first(&e->waiting));
}

/* ReadyForQuery. What was heard before it was sent before the request took effect. */
static void
done(struct herald *e)
{
    struct fault error = e->error;
    struct listen_ask *a = first(&e->sent);

    e->error.sqlstate[0] = '\0';
    pass_on(e);
    if (e->up && a != NULL)
        answer(e, a, error.sqlstate[0] == '\0' ? NULL : &error);
    else if (error.sqlstate[0] == '\0')
        became_up(e);
    else
        server_close(e->server, &error);
}

static void
keep(struct herald *e, struct slice message)
{
    struct wire_cursor body = wire_cursor(slice_tail(message, WIRE_HEADER));
    uint32_t pid = bylines_find(e->bylines, wire_get_u32(&body));
    struct slice rest = slice_tail(message, WIRE_HEADER + sizeof(pid));

    text_add(&e->heard, slice_head(message, WIRE_HEADER));
    wire_put_u32(&e->heard, pid);
    text_add(&e->heard, rest);
    e->n_heard++;
}

static void
hear(struct herald *e, uint8_t type, struct slice message)
{
    struct slice body = slice_tail(message, WIRE_HEADER);
    struct wire_error error;
    struct fault why;

    if (type == 'A' && body.len > sizeof(uint32_t)) {
        keep(e, message);
    } else if (type == 'Z') {
        done(e);
    } else if (type == 'N' && server_is_leaving(body)) {
        fault_set(&why, "57P01", "PostgreSQL ends the connection");
        server_close(e->server, &why);
    } else if (type == 'E') {
        wire_error_read(body, &error);
        wire_error_fault(&error, &e->error);
        if (slice_is(error.severity, "ERROR"))
            return;
        why = e->error;
        e->server->died = true;
        server_close(e->server, &why);
    }
}

static size_t
on_bytes(struct server *s, struct slice bytes)
{
    struct herald *e = s->session;
    size_t used = 0;
    struct wire_frame f;
    struct fault why;

    e->silent_us = e->hall->worker.now_us;
    while (s->state == SERVER_LENT) {
        struct slice rest = slice_tail(bytes, used);
        enum wire_answer a = wire_frame_read(rest.data, rest.len, MOST_MESSAGE, &f);

        if (a == WIRE_BAD) {
            fault_set(&why, "08P01", "the server sent a message with a bad length");
            server_close(s, &why);
            return bytes.len;
        }
        if (a == WIRE_MORE || f.len > rest.len)
            break;
        used += f.len;
        hear(e, f.type, slice_head(rest, f.len));
    }
    return used;
}

static void
on_quiet(struct server *s)
{
    struct herald *e = s->session;

    pass_on(e);
    herald_arm(e);
}

static void
on_nothing(struct server *s)
{
    (void)s;
}

/* The keeper is told next. */
static void
on_loss(struct server *s, const struct fault *why)
{
    (void)s;
    (void)why;
}

static const struct server_borrower borrower = { on_bytes, on_loss, on_nothing, on_quiet };

/* ---- its server comes and goes ---- */

static void
on_ready(struct server *s)
{
    struct herald *e = s->pool;
    struct text sql = { 0 }, t = { 0 };

    server_lend(s, &borrower, e);
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
    while (!ring_is_empty(&e->waiting))
        refuse(e, first(&e->waiting));
}

static void
on_gone(struct server *s, const struct fault *why)
{
    struct herald *e = s->pool;

    pass_on(e);
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
    t->host_turn = t->host_turn == NULL ? NULL : &e->host_turn;
    return t;
}

static void
connect_now(struct herald *e)
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
        timer_start(&e->hall->worker, &e->check, CHECK_US);
}

/* An ask of nobody's. */
static struct listen_ask *
new_blank(void)
{
    struct listen_ask *a = mem_zalloc(sizeof(*a) + 1);

    ring_init(&a->entry);
    return a;
}

/* Who asked for A, which was sent, does not wait any longer; its answer is still to come. */
static void
give_up(struct herald *e, struct listen_ask *a)
{
    ring_append(&a->entry, &new_blank()->entry); /* before it */
    refuse(e, a);
}

void
herald_on_timer(struct timer *t)
{
    struct herald *e = container_of(t, struct herald, timer);
    int64_t now = e->hall->worker.now_us;
    struct fault why;

    fault_set(&why, "08006", "PostgreSQL did not answer in time");
    if (owes(e))
        e->why = why;
    if (owes(e) && e->silent_us + HERALD_ANSWER_US <= now)
        server_close(e->server, &why);
    ring_each_safe (r, &e->sent) {
        struct listen_ask *a = container_of(r, struct listen_ask, entry);

        if (sent_due(e, a) <= now)
            give_up(e, a);
    }
    ring_each_safe (r, &e->waiting) {
        struct listen_ask *a = container_of(r, struct listen_ask, entry);

        if (a->due_us <= now)
            refuse(e, a);
    }
    if (e->server == NULL && is_needed(e) && e->retry_us <= now)
        connect_now(e);
    herald_arm(e);
}

/* One that is silent may be dead, and nobody would know. */
void
herald_on_check(struct timer *t)
{
    struct herald *e = container_of(t, struct herald, check);
    struct fault why;

    if (e->server == NULL)
        return;
    timer_start(&e->hall->worker, &e->check, CHECK_US);
    if (!is_needed(e)) {
        fault_set(&why, "57P01", "nobody listens");
        server_close(e->server, &why);
    } else if (e->up && ring_is_empty(&e->sent) && e->server->stream.n_in == e->checked_in) {
        herald_send(e, new_blank());
        stream_flush(&e->hall->turn);
        herald_arm(e);
    }
    if (e->server != NULL)
        e->checked_in = e->server->stream.n_in;
}
