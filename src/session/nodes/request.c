/* SPDX-License-Identifier: ISC */
/* What the request of a session is that choose.c finds a node for: a read or not, what it begins, what rules
 * and hints want for it. */
#include "choose_private.h"
#include "route/hint.h"

/* It neither reads nor writes: BEGIN, COMMIT, SET TRANSACTION, SET, RESET. */
bool
choose_is_neutral(const struct facts *f)
{
    if (f == NULL || !f->analysed)
        return false;
    if (f->tag != NULL || f->class == CLASS_EMPTY)
        return true;
    for (unsigned i = 0; i < f->n_effects; i++)
        if (f->effects[i].kind != EFFECT_SET && f->effects[i].kind != EFFECT_RESET)
            return false;
    return f->n_statements == 1 && f->n_effects > 0;
}

void
choose_start(struct session *s)
{
    struct routing *r = s->routing;

    r->rule = RULE_NONE;
    r->rule_counted = r->has_hints = r->ruled = r->begins = r->serializable = false;
    r->mode = BEGIN_DEFAULT;
    r->said = 0;
    if (s->opening != NULL)
        opening_route(s);
}

static void
note_opening(struct routing *r, const struct facts *f)
{
    enum begin_mode mode = f->class == CLASS_BEGIN ? f->begin : f->set_transaction;

    if (f->class != CLASS_BEGIN && f->class != CLASS_MODE)
        return;
    r->begins = r->begins || f->class == CLASS_BEGIN;
    r->serializable = r->serializable || f->serializable;
    if (mode != BEGIN_DEFAULT && r->mode != BEGIN_READ_WRITE) /* which a standby refuses to say */
        r->mode = mode;
}

/* The block that begins is READ ONLY, and a standby can run it. */
static bool
begins_reading(const struct session *s)
{
    const struct routing *r = s->routing;

    if (!r->begins || r->serializable || r->mode == BEGIN_READ_WRITE || choose_default_serializable(s))
        return false;
    return r->mode == BEGIN_READ_ONLY || choose_default_read_only(s);
}

/* ---- rules and hints ---- */

/* True: the request has a rule. */
static bool
find_rule(struct session *s, const struct facts *f, struct slice sql)
{
    struct routing *r = s->routing;
    int rule;

    choose_settings(s);
    rule = rules_find(s->hall->rules, &r->rules, f, sql);
    if (r->rule == RULE_NONE || (rule != RULE_NONE && rule < r->rule))
        r->rule = rule;
    return r->rule != RULE_NONE;
}

void
choose_count_rule(struct session *s)
{
    struct routing *r = s->routing;

    if (r->rule != RULE_NONE && !r->rule_counted)
        rules_count(s->hall->rules, r->rule);
    r->rule_counted = true;
}

/* What hints of the request said, of FROM, stays said. */
static void
copy_said(struct route_wishes *to, const struct route_wishes *from, unsigned said)
{
    if ((said & RULE_OWN_ROUTE) != 0) {
        to->wish = from->wish;
        memcpy(to->node, from->node, sizeof(to->node));
    }
    if ((said & RULE_OWN_CONSISTENCY) != 0)
        to->consistency = from->consistency;
    if ((said & RULE_OWN_MAX_LAG) != 0)
        to->max_lag_us = from->max_lag_us;
    if ((said & RULE_OWN_MIN_LSN) != 0)
        to->min_lsn = from->min_lsn;
}

static unsigned
difference(const struct route_wishes *a, const struct route_wishes *b)
{
    bool same_route = a->wish == b->wish && strcmp(a->node, b->node) == 0;

    return (same_route ? 0 : RULE_OWN_ROUTE) | (a->consistency == b->consistency ? 0 : RULE_OWN_CONSISTENCY) |
           (a->max_lag_us == b->max_lag_us ? 0 : RULE_OWN_MAX_LAG) |
           (a->min_lsn == b->min_lsn ? 0 : RULE_OWN_MIN_LSN);
}

/* The wishes as they are without hints of this request, and what those of its statements so far said. */
static void
start_hints(struct session *s, bool rule)
{
    struct routing *r = s->routing;
    struct route_wishes before;

    if (r->said != 0)
        before = r->hinted;
    r->hinted = r->wishes;
    r->ruled = rule && rules_apply(s->hall->rules, r->rule, r->own | r->said, &r->hinted);
    if (r->said != 0)
        copy_said(&r->hinted, &before, r->said);
}

static void
add_hints(struct session *s, struct slice sql)
{
    struct routing *r = s->routing;
    struct route_wishes without = r->hinted;
    struct fault warning;

    if (!hint_apply(sql, &r->hinted, &warning))
        return;
    r->has_hints = true;
    r->said |= difference(&without, &r->hinted);
    r->ruled = r->ruled && (r->said & RULE_OWN_ROUTE) == 0;
    if (warning.sqlstate[0] == '\0' || r->warned)
        return;
    session_say(s, WIRE_WARNING, &warning);
    r->warned = true;
}

void
choose_hints(struct session *s, const struct facts *f, struct slice sql)
{
    bool rule = find_rule(s, f, sql), may = s->hall->setup.conf->general.allow_hints && hint_is_possible(sql);

    if (!rule && !may)
        return;
    start_hints(s, rule);
    s->routing->has_hints = s->routing->has_hints || rule;
    if (may)
        add_hints(s, sql);
}

/* ---- it comes, and ends ---- */

/* Behind BEGIN READ ONLY, a statement that leaves the block before it writes is none for a replica. */
static bool
stays_reading(const struct facts *f)
{
    return f != NULL && f->analysed && (f->n_statements <= 1 || f->reads_by_grammar);
}

void
choose_request(struct session *s, const struct facts *f, struct slice sql)
{
    struct routing *r = s->routing;

    if (r->lent) /* it was looked at before it waited */
        return;
    r->is_read = f != NULL && choose_is_read(s, f);
    r->is_doubt = !r->is_read && f != NULL && (f->reads_by_grammar || choose_is_neutral(f));
    r->digest = f == NULL ? 0 : f->digest[0];
    choose_start(s);
    if (f != NULL)
        note_opening(r, f);
    choose_hints(s, f, sql);
    r->read_only = stays_reading(f) && begins_reading(s);
    r->looked = r->looked || r->is_read;
    if (!r->is_read && !choose_is_neutral(f))
        r->wrote = true;
}

void
choose_end_batch(struct session *s, bool stays)
{
    s->routing->read_only = stays && begins_reading(s);
}

void
choose_ended(struct session *s)
{
    struct routing *r = s->routing;

    seen_ended(s);
    if (r->ddl)
        known_ended(s);
    r->wrote = r->wrote && !pending_is_empty(s); /* what follows in the pipeline may be the write */
    r->looked = r->looked && !pending_is_empty(s);
    r->only_primary = r->warned = r->again = r->lent = false;
    r->n_told = r->n_skip = 0;
    choose_avoid(s, NULL);
    r->held_us = r->behind_us = r->failed_us = 0;
}
