/* SPDX-License-Identifier: ISC */
/* auto_failover: promoting a replica when the primary is gone and most replicas have lost it too. Once for each
 * time that nobody is the primary: what did not help then needs a person. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "topo/lsn.h"
#include "watch_private.h"

/* The answer says that it was asked for; that it happened, the checks see. */
static void
on_promoted(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct watch_cluster *c = owner;
    struct ask *promoter = c->promoter;

    if (promoter == NULL)
        return; /* the cluster is being forgotten */
    c->promoter = NULL;
    if (why != NULL)
        watch_tell(c, c->heir, false, "promotion failed: %s", why->message);
    else if (answer->n_rows != 1 || answer->field[0] == NULL || strcmp(answer->field[0], "t") != 0)
        watch_tell(c, c->heir, false, "promotion failed");
    ask_free(promoter);
}

static void
promote(struct watch_cluster *c, const struct watch_node *heir)
{
    struct ask_query query = { .sql = probe_promote_sql, .timeout_us = check_timeout_us(c) };
    struct ask_target target;
    struct text received = { 0 };
    char *password;

    lsn_print(heir->probe.received, &received);
    watch_tell(c, heir->conf->name, false, "promoting it: %.40s is gone, it has WAL up to %s",
               c->lost->conf->name, text_str(&received));
    text_done(&received);
    snprintf(c->heir, sizeof(c->heir), "%s", heir->conf->name);
    check_target(heir, &target, &password);
    c->promoter = ask_new(c->watch->control, &target);
    if (password != NULL)
        mem_wipe(password, strlen(password));
    mem_free(password);
    ask_question(c->promoter, &query, on_promoted, c);
}

/* So many checks failed, and for as long as so many would take: refusals come faster. */
static bool
is_surely_gone(const struct watch_cluster *c, const struct watch_node *n, int64_t now_us)
{
    int64_t since_us = n->health.down_since_us;
    struct health_rules rules;

    if (since_us < c->watch->elects_since_us)
        since_us = c->watch->elects_since_us;
    check_rules(c, &rules);
    return !n->health.up && n->health.n_down >= rules.unhealthy &&
           now_us - since_us >= rules.unhealthy * rules.interval_us;
}

void
failover_consider(struct watch_cluster *c, int64_t now_us)
{
    int lost = -1, heir;

    if (!c->conf->auto_failover || c->watch->stands_back || c->elected.primary != -1 || c->lost == NULL ||
        c->promoter != NULL || c->switchover != NULL || c->promoted_reign == c->reign ||
        !is_surely_gone(c, c->lost, now_us))
        return;
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (c->nodes[i] == c->lost)
            lost = (int)i;
    heir = elect_heir(&c->elected, c->ballot, c->n_nodes, lost);
    if (heir == -1)
        return;
    c->promoted_reign = c->reign;
    promote(c, c->nodes[heir]);
}
