/* SPDX-License-Identifier: ISC */
/* SWITCHOVER: the primary hands over to a replica while both live. One phase after the other, each bounded by
 * time. Until PROMOTE any trouble ends it, and everything goes on with the old primary.
 *
 * What was acknowledged lies before the mark, a small committed message in the WAL, and the heir has replayed
 * the mark before it is promoted. The insert position would not do instead of it: what was inserted and belongs
 * to no commit may stay unwritten for seconds. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "topo/lsn.h"
#include "watch_private.h"

#define TICK_US    (10 * CLOCK_MS)
#define LEAST_US   CLOCK_S       /* to come near, however short switchover_wait is */
#define REPLAY_US  (2 * CLOCK_S) /* writes are held */
#define PROMOTE_US (5 * CLOCK_S)

enum phase {
    ASK,     /* whether the heir may be promoted */
    NEAR,    /* it replays what was written so far; nothing is held yet */
    WAIT,    /* for transactions on the old primary; new ones are held from here on */
    CLOSE,   /* the links that are left */
    REPLAY,  /* the heir has everything then */
    PROMOTE, /* until the election finds it */
};

struct switchover {
    struct watch_cluster *cluster;
    struct watch_switch order; /* without its names */
    struct watch_node *from, *to;
    struct ask *from_ask, *to_ask;
    struct timer timer;
    enum phase phase;
    bool over, looking;
    int64_t until_us; /* of the phase */
    int64_t held_us;  /* since when writes are held; 0: they are not */
    uint64_t mark;
};

static const char may_sql[] =
    "SELECT pg_catalog.pg_is_in_recovery(),"
    " pg_catalog.has_function_privilege('pg_catalog.pg_promote(boolean,integer)', 'EXECUTE'),"
    " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() END";
static const char mark_sql[] = "SELECT pg_catalog.pg_logical_emit_message(true, 'pgweir', 'switchover')";
static const char replayed_sql[] = "SELECT COALESCE(pg_catalog.pg_last_wal_replay_lsn(), '0/0')";

/* ---- the end ---- */

static void
end(struct switchover *s, const struct fault *why)
{
    struct watch_cluster *c = s->cluster;
    struct watch_switched how = { .from = s->from->conf->name,
                                  .to = s->to->conf->name,
                                  .held_us = s->held_us == 0 ? 0 : clock_now_us() - s->held_us };

    s->over = true;
    c->switchover = NULL;
    timer_stop(c->watch->control, &s->timer);
    ask_free(s->from_ask);
    ask_free(s->to_ask);
    if (why == NULL)
        watch_tell(c, how.to, true, "switchover from %.40s is done: writes were held for %" PRId64 " ms",
                   how.from, how.held_us / CLOCK_MS);
    else
        watch_tell(c, how.to, false, "switchover given up: %s", why->message);
    cluster_publish_soon(c->watch);
    s->order.done(s->order.owner, &how, why);
    mem_free(s);
}

static void
give_up(struct switchover *s, const struct watch_node *n, const char *what)
{
    struct fault why;

    fault_set(&why, "55000", "node \"%.63s\" %s", n->conf->name, what);
    fault_detail(&why, "The primary is \"%.63s\" as before.", s->from->conf->name);
    end(s, &why);
}

/* An answer with a field. False: S is over, now or before. */
static bool
is_answer(struct switchover *s, const struct watch_node *n, const struct ask_answer *answer,
          const struct fault *why)
{
    struct fault fault;

    if (s->over)
        return false;
    if (why == NULL && answer->n_rows == 1 && answer->field[0] != NULL)
        return true;
    if (why != NULL)
        fault = *why;
    else
        fault_set(&fault, "08P01", "the answer is not one of PostgreSQL");
    fault_prefix(&fault, "node \"%.63s\"", n->conf->name);
    end(s, &fault);
    return false;
}

/* ---- asking ---- */

/* The mark is on disk when it is answered, whatever standbys the others wait for. */
static struct ask *
link_to(const struct watch_node *n)
{
    long long limit_ms = check_timeout_us(n->cluster) / CLOCK_MS + 1;
    char *options =
        mem_printf("-c search_path=pg_catalog -c synchronous_commit=local -c statement_timeout=%lld", limit_ms);
    struct ask_target target;
    struct ask *a;
    char *password;

    check_target(n, &target, &password);
    target.options = options;
    a = ask_new(n->cluster->watch->control, &target);
    if (password != NULL)
        mem_wipe(password, strlen(password));
    mem_free(password);
    mem_free(options);
    return a;
}

static void
question(struct switchover *s, struct ask *a, const char *sql, ask_on_answer *on_answer)
{
    struct ask_query query = { .sql = sql, .timeout_us = check_timeout_us(s->cluster) };

    ask_question(a, &query, on_answer, s);
}

static void
enter(struct switchover *s, enum phase phase, int64_t most_us)
{
    s->phase = phase;
    s->until_us = clock_now_us() + most_us;
}

/* Who is held hears 57P03 after failover_wait: it is to be over by then, well or not. */
static int64_t
while_held(const struct switchover *s, int64_t us, int64_t share)
{
    int64_t most_us = s->cluster->conf->failover_wait / share;

    return most_us > 0 && us > most_us ? most_us : us;
}

static void
look(struct switchover *s, bool close)
{
    s->looking = true;
    s->order.look(s->order.owner, s->cluster->conf->name, s->from->conf->name, close);
}

/* ---- phase after phase ---- */

/* What is not known to have failed may have happened: the checks will see, or time runs out. */
static void
on_promoted(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct switchover *s = owner;

    if (s->over || (why != NULL && strncmp(why->sqlstate, "08", 2) == 0))
        return;
    if (is_answer(s, s->to, answer, why) && strcmp(answer->field[0], "t") != 0)
        give_up(s, s->to, "could not be promoted");
}

static void
promote(struct switchover *s)
{
    watch_tell(s->cluster, s->to->conf->name, true, "promoting it: it has everything that %.40s wrote",
               s->from->conf->name);
    enter(s, PROMOTE, PROMOTE_US);
    question(s, s->to_ask, probe_promote_sql, on_promoted);
}

/* Everybody hears that the primary gets nothing new, then is asked what is still at work there. */
static void
hold(struct switchover *s)
{
    s->held_us = clock_now_us();
    enter(s, WAIT, while_held(s, s->cluster->conf->switchover_wait, 2));
    watch_tell(s->cluster, s->from->conf->name, true, "switchover to %.40s: writes are held",
               s->to->conf->name);
    cluster_publish(s->cluster->watch);
    look(s, false);
}

static void
on_replayed(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct switchover *s = owner;
    uint64_t lsn = 0;

    if (!is_answer(s, s->to, answer, why) || !lsn_parse(slice_str(answer->field[0]), &lsn) || lsn < s->mark)
        return;
    if (s->phase == NEAR)
        hold(s);
    else
        promote(s);
}

static void
on_mark(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct switchover *s = owner;

    if (!is_answer(s, s->from, answer, why))
        return;
    if (lsn_parse(slice_str(answer->field[0]), &s->mark))
        question(s, s->to_ask, replayed_sql, on_replayed);
    else
        give_up(s, s->from, "gave no position in its WAL");
}

static void
mark(struct switchover *s, enum phase phase, int64_t most_us)
{
    s->mark = 0;
    enter(s, phase, most_us);
    question(s, s->from_ask, mark_sql, on_mark);
}

static void
on_may(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct switchover *s = owner;
    const char *const *f = answer == NULL ? NULL : answer->field;
    int64_t most_us = s->cluster->conf->switchover_wait;
    struct fault fault;

    if (!is_answer(s, s->to, answer, why))
        return;
    if (strcmp(f[0], "t") != 0) {
        give_up(s, s->to, "is not a replica");
    } else if (f[2] != NULL && strcmp(f[2], "t") == 0) {
        give_up(s, s->to, "has paused its replay");
    } else if (f[1] == NULL || strcmp(f[1], "t") != 0) {
        fault_set(&fault, "42501", "the role of the checks may not call pg_promote()");
        fault_detail(&fault, "It was asked on node \"%.63s\" in database \"%.63s\".", s->to->conf->name,
                     s->cluster->conf->monitor_dbname);
        fault_hint(&fault,
                   "In that database: GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO that role.");
        end(s, &fault);
    } else {
        mark(s, NEAR, most_us > LEAST_US ? most_us : LEAST_US);
    }
}

/* ---- time ---- */

static void
on_late(struct switchover *s)
{
    switch (s->phase) {
    case NEAR:
    case REPLAY:
        give_up(s, s->to, "did not replay in time what the primary has written");
        break;
    case WAIT:
        watch_tell(s->cluster, s->from->conf->name, false, "switchover: open transactions are ended");
        enter(s, CLOSE, 0);
        look(s, true);
        break;
    case PROMOTE:
        give_up(s, s->to, "was not promoted in time");
        break;
    default: /* the question has its own limit, and the workers turn */
        break;
    }
}

static void
go_on(struct switchover *s)
{
    if (s->phase == WAIT)
        look(s, false);
    else if (s->phase == PROMOTE)
        check_at_once(s->to);
    else if ((s->phase == NEAR || s->phase == REPLAY) && s->mark != 0 && !ask_is_busy(s->to_ask))
        question(s, s->to_ask, replayed_sql, on_replayed);
}

static void
on_tick(struct timer *t)
{
    struct switchover *s = container_of(t, struct switchover, timer);
    struct fault why;

    timer_start(s->cluster->watch->control, t, TICK_US);
    if (s->phase < PROMOTE && s->order.is_cancelled(s->order.owner)) {
        fault_set(&why, "57014", "canceling statement due to user request");
        end(s, &why);
    } else if (s->looking) {
        return;
    } else if (clock_now_us() >= s->until_us) {
        on_late(s);
    } else {
        go_on(s);
    }
}

/* ---- what happens meanwhile ---- */

static struct watch_node *
primary_of(const struct watch_cluster *c)
{
    return c->elected.primary == -1 ? NULL : c->nodes[c->elected.primary];
}

void
switchover_see(struct watch_cluster *c)
{
    struct switchover *s = c->switchover;
    const struct watch_node *primary = primary_of(c);

    if (s == NULL)
        return;
    if (primary == s->to)
        end(s, NULL);
    else if (primary != s->from && (primary != NULL || s->phase != PROMOTE))
        give_up(s, s->from, "is not the primary any more");
    else if (s->phase != PROMOTE && (!s->to->health.up || s->to->probe.role != NODE_REPLICA))
        give_up(s, s->to, "went down");
}

void
switchover_forget(struct watch_cluster *c, const struct watch_node *n)
{
    struct switchover *s = c->switchover;
    struct fault why;

    if (s == NULL || (n != NULL && n != s->from && n != s->to))
        return;
    fault_set(&why, "55000", "the configuration of the nodes changed");
    end(s, &why);
}

bool
switchover_holds(const struct watch_cluster *c)
{
    const struct switchover *s = c->switchover;

    return s != NULL && s->phase >= WAIT && primary_of(c) == s->from;
}

/* ---- the beginning ---- */

static struct watch_cluster *
find(struct watch *w, struct slice name)
{
    for (unsigned i = 0; i < w->n_clusters; i++)
        if (slice_is(name, w->clusters[i]->conf->name))
            return w->clusters[i];
    return NULL;
}

static void
begin(struct watch_cluster *c, const struct watch_switch *order, int heir)
{
    struct switchover *s = mem_new(struct switchover);

    s->cluster = c;
    s->order = *order;
    s->order.cluster = s->order.to = slice_of(NULL, 0);
    s->from = primary_of(c);
    s->to = c->nodes[heir];
    s->from_ask = link_to(s->from);
    s->to_ask = link_to(s->to);
    c->switchover = s;
    timer_init(&s->timer, on_tick);
    timer_start(c->watch->control, &s->timer, TICK_US);
    enter(s, ASK, 2 * check_timeout_us(c));
    question(s, s->to_ask, may_sql, on_may);
}

bool
watch_switch(struct watch *w, const struct watch_switch *order, struct fault *why)
{
    struct watch_cluster *c = find(w, order->cluster);
    struct ballot ballot;
    int heir;

    if (c == NULL)
        return fault_set(why, "42704", "there is no cluster \"%.*s\"",
                         (int)slice_head(order->cluster, NODE_NAME).len, (const char *)order->cluster.data);
    if (c->switchover != NULL)
        return fault_set(why, "55000", "a switchover to node \"%.63s\" is already under way",
                         c->switchover->to->conf->name);
    ballot = (struct ballot){ &c->elected, c->ballot, c->n_nodes };
    heir = elect_successor(&ballot, order->to, why);
    if (heir == -1)
        return false;
    begin(c, order, heir);
    return true;
}

bool
watch_is_switching(const struct watch *w)
{
    for (unsigned i = 0; i < w->n_clusters; i++)
        if (w->clusters[i]->switchover != NULL)
            return true;
    return false;
}

void
watch_switch_seen(struct watch *w, const char *cluster, unsigned n_busy)
{
    struct watch_cluster *c = find(w, slice_str(cluster));
    struct switchover *s = c == NULL ? NULL : c->switchover;

    if (s == NULL || !s->looking)
        return;
    s->looking = false;
    if (s->phase == CLOSE) {
        mark(s, REPLAY, while_held(s, REPLAY_US, 4));
    } else if (s->phase == WAIT && n_busy == 0) {
        enter(s, CLOSE, 0);
        look(s, true);
    }
}
