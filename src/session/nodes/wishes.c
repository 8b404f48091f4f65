/* SPDX-License-Identifier: ISC */
/* What a session wishes for its routes: pgweir.* among its settings, as they stand in the SQL that
 * replays them. */
#include "choose_private.h"

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The value in SQL that a setting is replayed by: the last literal of set_config(name, value, false), or the
 * word after TO or =. */
static struct slice
value_of(struct slice sql, struct text *copy)
{
    const char *at = (const char *)sql.data, *end = at + sql.len, *start;

    if (sql.len > 6 && memcmp(end - 6, "false)", 6) == 0)
        end -= 6;
    while (end > at && (is_space(end[-1]) || end[-1] == ';' || end[-1] == ','))
        end--;
    if (end == at || end[-1] != '\'') {
        for (start = end; start > at && !is_space(start[-1]) && start[-1] != '='; start--)
            ;
        return slice_of(start, (size_t)(end - start));
    }
    for (start = end - 1; start > at && (start[-1] != '\'' || (start - 1 > at && start[-2] == '\'')); start--)
        if (start[-1] == '\'')
            start--;
    for (const char *c = start; c < end - 1; c++) {
        text_add_char(copy, *c);
        c += *c == '\'';
    }
    return text_slice(copy);
}

static void
database_wishes(struct route_wishes *w, const struct conf_database *d)
{
    static const enum route_wish wish[] = { ROUTE_AUTO, ROUTE_PRIMARY, ROUTE_REPLICA, ROUTE_PREFER_REPLICA };

    wishes_init(w);
    if (d == NULL)
        return;
    w->wish = d->route < 0 ? ROUTE_AUTO : wish[d->route];
    w->consistency = d->consistency;
    w->max_lag_us = d->max_lag;
}

/* The member of enum rule_own that NAME is, or 0. */
static unsigned
own_of(struct slice name)
{
    if (slice_is_nocase(name, "pgweir.route"))
        return RULE_OWN_ROUTE;
    if (slice_is_nocase(name, "pgweir.consistency"))
        return RULE_OWN_CONSISTENCY;
    return slice_is_nocase(name, "pgweir.max_lag") ? RULE_OWN_MAX_LAG : 0;
}

static void
fit_rules(struct session *s)
{
    const struct param *p = s->settings == NULL ? NULL : params_find(s->settings, SLICE("application_name"));
    struct text copy = { 0 };
    struct rule_who who = { .user = slice_str(s->user), .database = slice_str(s->database) };

    if (s->hall->rules != NULL && p != NULL)
        who.application = value_of(p->value, &copy);
    rules_of_session(s->hall->rules, &who, &s->routing->rules);
    text_done(&copy);
}

void
choose_configure(struct hall *h)
{
    struct rules *before = h->rules;

    h->rules = rules_new(h->setup.conf, before, h->seed);
    rules_free(before);
    ring_each (r, &h->sessions) {
        struct routing *g = container_of(r, struct session, in_hall)->routing;

        if (g == NULL)
            continue;
        g->wishes_known = false;
        g->rule = RULE_NONE;
    }
}

/* What the database, then the session itself wishes, and the rules in between: the database's line < a rule <
 * SET and start-up options < a hint. */
void
choose_read_settings(struct session *s)
{
    struct routing *r = s->routing;
    struct params *set = s->settings;

    r->wishes_known = true;
    database_wishes(&r->wishes, conf_find_database(s->hall->setup.conf, slice_str(s->database)));
    params_drop(r->wishes_of);
    r->wishes_of = set == NULL ? NULL : params_hold(set);
    r->own = 0;
    fit_rules(s);
    for (unsigned i = 0; set != NULL && i < set->n; i++) {
        struct text copy = { 0 };
        struct fault why;

        if (slice_is_nocase(slice_head(set->at[i].name, 7), "pgweir.") &&
            wishes_set(&r->wishes, set->at[i].name, value_of(set->at[i].value, &copy), &why))
            r->own |= own_of(set->at[i].name);
        text_done(&copy);
    }
}

/* The session has set NAME to one of WORDS. */
static bool
is_set_to(const struct session *s, struct slice name, const char *const *words)
{
    const struct param *p = params_find(s->settings, name);
    struct text copy = { 0 };
    struct slice value = p == NULL ? SLICE("") : value_of(p->value, &copy);
    bool found = false;

    for (; !found && *words != NULL; words++)
        found = slice_is_nocase(value, *words);
    text_done(&copy);
    return found;
}

bool
choose_default_read_only(const struct session *s)
{
    static const char *const yes[] = { "on", "true", "yes", "t", "y", "1", NULL };

    return is_set_to(s, SLICE("default_transaction_read_only"), yes);
}

bool
choose_default_serializable(const struct session *s)
{
    static const char *const word[] = { "serializable", NULL };

    return is_set_to(s, SLICE("default_transaction_isolation"), word);
}

bool
choose_own_wishes(const struct session *s, struct route_wishes *out, struct fault *why)
{
    const struct params *set = s->settings;
    bool ok = true;

    wishes_init(out);
    for (unsigned i = 0; ok && set != NULL && i < set->n; i++) {
        struct text copy = { 0 };

        if (slice_is_nocase(slice_head(set->at[i].name, 7), "pgweir."))
            ok = wishes_set(out, set->at[i].name, value_of(set->at[i].value, &copy), why);
        text_done(&copy);
    }
    return ok;
}

const struct route_wishes *
choose_wishes(struct session *s, struct route_wishes *own)
{
    if (s->routing == NULL) {
        choose_own_wishes(s, own, NULL);
        return own;
    }
    choose_settings(s);
    return &s->routing->wishes;
}

bool
choose_may_set(const struct facts *f, struct fault *why)
{
    struct route_wishes trial;
    bool ok = true;

    if (f->n_effects == 0)
        return true;
    wishes_init(&trial);
    for (unsigned i = 0; ok && i < f->n_effects; i++) {
        const struct effect *e = &f->effects[i];
        struct text copy = { 0 };

        if ((e->kind == EFFECT_SET || e->kind == EFFECT_SET_CONFIG) &&
            slice_is_nocase(slice_head(e->name, 7), "pgweir."))
            ok = wishes_set(&trial, e->name, value_of(e->replay, &copy), why);
        text_done(&copy);
    }
    return ok;
}
