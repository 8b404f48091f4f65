/* SPDX-License-Identifier: ISC */
/* Asking one node: when, where, as whom, and what came of it. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "watch_private.h"

#define SPACING_US    CLOCK_MS        /* between two samples that somebody waits for */
#define RESOLVE_US    (15 * CLOCK_S)  /* a name is looked up again after this time, */
#define RE_RESOLVE_US CLOCK_S         /* and sooner when its address does not answer */
#define SUSPECT_US    CLOCK_S         /* a suspect is checked often for this long */
#define UNPLACED_US   (60 * CLOCK_S)  /* as a replica whose lag is not known, after a change of the primary */
#define LEAST_US      (10 * CLOCK_MS) /* of what the configuration sets */

static void check(struct watch_node *n);

/* ---- when ---- */

static int64_t
at_least(int64_t us)
{
    return us > LEAST_US ? us : LEAST_US;
}

void
check_rules(const struct watch_cluster *c, struct health_rules *rules)
{
    *rules = (struct health_rules){ .interval_us = at_least(c->conf->check_interval),
                                    .fast_us = at_least(c->conf->check_interval_fast),
                                    .unhealthy = (unsigned)c->conf->unhealthy_threshold,
                                    .healthy = (unsigned)c->conf->healthy_threshold };
    if (rules->fast_us > rules->interval_us)
        rules->fast_us = rules->interval_us;
}

int64_t
check_timeout_us(const struct watch_cluster *c)
{
    return c->conf->check_timeout > 0 ? at_least(c->conf->check_timeout) : CLOCK_S;
}

static void
ask_in(struct watch_node *n, int64_t delay_us)
{
    timer_start(n->cluster->watch->control, &n->timer, delay_us > 0 ? delay_us : 0);
}

/* After the question sent last, so that many who wait do not become a storm of questions. */
static int64_t
spacing_us(const struct watch_node *n)
{
    int64_t since_us = clock_now_us() - n->sent_us;

    return since_us < SPACING_US ? SPACING_US - since_us : 0;
}

/* Its lag is not known yet, or it has not followed a new primary yet: both will change soon. */
static bool
is_unplaced(const struct watch_node *n, int64_t now_us)
{
    return n->lag.behind && n->lag.us < 0 && now_us - n->cluster->reign_since_us < UNPLACED_US;
}

static void
schedule(struct watch_node *n, int64_t now_us)
{
    struct health_rules rules;
    bool hurry = cluster_hurries(n->cluster, now_us) ||
                 (n->suspect_us != 0 && now_us - n->suspect_us < SUSPECT_US) || is_unplaced(n, now_us);

    check_rules(n->cluster, &rules);
    if (n->health.up && n->health.n_bad == 0 && (n->again || n->anew))
        ask_in(n, spacing_us(n));
    else
        ask_in(n, health_delay_us(&n->health, &rules, hurry, random_u64()));
}

void
check_at_once(struct watch_node *n)
{
    if (n->look_up != NULL && n->address == NULL)
        return;
    if (n->ask != NULL && ask_is_busy(n->ask))
        n->again = true;
    else if (!n->health.up || n->health.n_bad == 0)
        ask_in(n, spacing_us(n));
}

/* ---- where, and as whom ---- */

static char *
find_password(const struct watch *w, const struct conf_cluster *c, const char *user)
{
    if (c->monitor_password[0] != '\0')
        return mem_strdup(c->monitor_password);
    return w->find_password == NULL ? NULL : w->find_password(w->owner, slice_str(user));
}

void
check_target(const struct watch_node *n, struct ask_target *target, char **password)
{
    const struct watch *w = n->cluster->watch;
    const struct conf_cluster *c = n->cluster->conf;
    const struct conf_general *g = &w->conf->general;
    const char *user = c->monitor_user[0] != '\0' ? c->monitor_user : g->auth_user;

    *password = find_password(w, c, user);
    *target = (struct ask_target){ .host = n->named ? n->conf->host : n->address,
                                   .address = n->named ? n->address : NULL,
                                   .port = (uint16_t)n->conf->port,
                                   .database = c->monitor_dbname,
                                   .user = user,
                                   .password = *password == NULL ? "" : *password,
                                   .sslmode = conf_word("sslmode", g->server_tls_sslmode),
                                   .ca_file = conf_server_ca(g),
                                   .options = "-c search_path=pg_catalog" };
}

/* A question that we gave up is to end there too. */
static void
link_up(struct watch_node *n)
{
    long long limit_ms = check_timeout_us(n->cluster) / CLOCK_MS + 1;
    char *options = mem_printf("-c search_path=pg_catalog -c statement_timeout=%lld", limit_ms);
    struct ask_target target;
    char *password;

    check_target(n, &target, &password);
    target.options = options;
    n->ask = ask_new(n->cluster->watch->control, &target);
    if (password != NULL)
        mem_wipe(password, strlen(password));
    mem_free(password);
    mem_free(options);
}

/* What it would have answered is not wanted any more. */
static void
link_down(struct watch_node *n)
{
    bool was_closing = n->closing;

    n->closing = true;
    ask_free(n->ask);
    n->closing = was_closing;
    n->ask = NULL;
    n->linked = false;
}

/* ---- what came of it ---- */

static void
on_good(struct watch_node *n, int64_t now_us)
{
    struct health_rules rules;

    check_rules(n->cluster, &rules);
    health_good(&n->health, &rules, (struct health_moment){ now_us, random_u64() },
                n->probe.role == NODE_REPLICA);
    if (n->linked)
        n->rtt_us += (now_us - n->sent_us - n->rtt_us) / (n->rtt_us == 0 ? 1 : 8);
    n->linked = true;
    if (n->anew)
        return; /* what is known is what was known before */
    n->sampled_us = n->sent_us;
    if (n->asks_all)
        n->full_us = n->sent_us;
}

/* libpq says where it connected to, which everybody sees, then why it could not, and what one could ask
 * oneself. */
static void
shorten(const char *message, char out[NODE_REASON])
{
    const char *start = strstr(message, " failed: "), *end;

    start = start == NULL ? message : start + strlen(" failed: ");
    end = strstr(start, " Is the server running");
    snprintf(out, NODE_REASON, "%.*s", end == NULL ? NODE_REASON : (int)(end - start), start);
    for (char *p = out; *p != '\0'; p++)
        if (*p == '"')
            *p = '\''; /* it is quoted in the log */
}

static void
on_bad(struct watch_node *n, int64_t now_us, const struct fault *why)
{
    enum health_trouble what = HEALTH_GONE;
    struct health_rules rules;
    char reason[NODE_REASON];

    if (now_us - n->sent_us >=
        check_timeout_us(n->cluster) / 10 * 9) /* timers count from the start of a turn */
        what = HEALTH_SLOW;
    else if (strncmp(why->sqlstate, "53", 2) == 0)
        what = HEALTH_FULL;
    else if (n->linked)
        what = HEALTH_ENDED;
    n->linked = false;
    shorten(why->message, reason);
    check_rules(n->cluster, &rules);
    health_bad(&n->health, &rules, (struct health_moment){ now_us, random_u64() }, what, reason);
}

/* False: WHY is set. */
static bool
read_answer(struct watch_node *n, const struct ask_answer *answer, struct fault *why)
{
    if (!n->asks_all)
        return probe_read_sample(&n->probe, answer, &n->anew, why);
    n->anew = false;
    return probe_read(&n->probe, answer, why);
}

static void
on_answer(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct watch_node *n = owner;
    int64_t now_us = clock_now_us();
    struct fault fault;
    bool good;

    if (n->closing)
        return;
    good = why == NULL && read_answer(n, answer, &fault);
    if (good)
        on_good(n, now_us);
    else
        on_bad(n, now_us, why != NULL ? why : &fault);
    cluster_judge(n->cluster, n, good && !n->anew);
    schedule(n, now_us);
}

/* ---- asking ---- */

static void
on_address(void *owner, const char *address, const char *why)
{
    struct watch_node *n = owner;
    struct fault fault;

    n->look_up = NULL;
    if (address == NULL && n->address != NULL)
        return; /* better the last one that was known than none */
    if (address == NULL) {
        fault_set(&fault, "08006", "cannot look up \"%.100s\": %s", n->conf->host, why);
        n->sent_us = clock_now_us();
        on_bad(n, n->sent_us, &fault);
        cluster_judge(n->cluster, n, false);
        schedule(n, n->sent_us);
        return;
    }
    if (n->address != NULL && strcmp(n->address, address) == 0)
        return;
    mem_free(n->address);
    n->address = mem_strdup(address);
    link_down(n);
    ask_in(n, 0);
}

static bool
wants_address(const struct watch_node *n, int64_t now_us)
{
    bool failing = !n->health.up || n->health.n_bad > 0;

    if (!n->named || n->look_up != NULL)
        return false;
    return n->address == NULL || now_us - n->looked_up_us >= (failing ? RE_RESOLVE_US : RESOLVE_US);
}

static void
look_up(struct watch_node *n, int64_t now_us)
{
    struct watch *w = n->cluster->watch;
    struct look_up_question q = { .host = n->conf->host,
                                  .last = n->address,
                                  .failed = n->health.tried && !n->health.up };

    n->looked_up_us = now_us;
    n->look_up = node_look_up(w->resolver, w->control, &q, on_address, n);
    if (n->look_up == NULL)
        on_address(n, NULL, "too many look-ups wait");
}

static void
check(struct watch_node *n)
{
    struct health_rules rules;
    struct ask_query query = { .timeout_us = check_timeout_us(n->cluster) };

    check_rules(n->cluster, &rules);
    n->sent_us = clock_now_us();
    if (n->ask == NULL)
        link_up(n);
    n->asks_all = !n->linked || n->anew || n->lag.elsewhere || n->probe.role == NODE_ROLE_UNKNOWN ||
                  n->sent_us - n->full_us >= rules.interval_us - CLOCK_MS;
    n->again = false;
    query.sql = n->asks_all ? probe_sql : probe_sample_sql;
    ask_question(n->ask, &query, on_answer, n);
}

static void
on_due(struct timer *t)
{
    struct watch_node *n = container_of(t, struct watch_node, timer);

    if (wants_address(n, clock_now_us()))
        look_up(n, clock_now_us());
    if (n->address != NULL && (n->ask == NULL || !ask_is_busy(n->ask)))
        check(n);
}

/* ---- making and freeing ---- */

struct watch_node *
check_new(struct watch_cluster *c, const struct conf_node *conf)
{
    struct watch_node *n = mem_new(struct watch_node);

    n->cluster = c;
    n->conf = conf;
    n->shown = NODE_DOWN;
    health_init(&n->health);
    lag_init(&n->lag);
    timer_init(&n->timer, on_due);
    if (conf->host[0] == '\0')
        n->address = mem_strdup("/var/run/postgresql");
    else if (node_host_is_plain(conf->host))
        n->address = mem_strdup(conf->host);
    n->named = n->address == NULL;
    ask_in(n, 0);
    return n;
}

void
check_relink(struct watch_node *n)
{
    link_down(n);
    ask_in(n, 0);
}

void
check_free(struct watch_node *n)
{
    n->closing = true;
    node_look_up_forget(n->look_up);
    timer_stop(n->cluster->watch->control, &n->timer);
    link_down(n);
    mem_free(n->address);
    mem_free(n);
}
