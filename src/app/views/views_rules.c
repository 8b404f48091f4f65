/* SPDX-License-Identifier: ISC */
/* RULES: as the configuration has them, and what they matched, added up over the halls. */
#include "base/clock.h"
#include "session/rules.h"
#include "views_private.h"

void
rules_each(struct hall *h, struct task *e)
{
    const struct conf *c = h->setup.conf;

    for (size_t i = 0; i < c->n_rules; i++)
        gather_at(&e->gather, slice_str(c->rules[i].name), slice_of(NULL, 0))->n[0] +=
            rules_matches(h->rules, (unsigned)i);
}

/* The options of R before route, as they stand in the file. */
static void
put_conditions(struct admin_table *t, const struct conf_rule *r)
{
    struct text all = { 0 }, one = { 0 };

    for (const struct conf_option *o = conf_rule_options(); strcmp(o->name, "route") != 0; o++) {
        text_clear(&one);
        conf_print(o, r, &one);
        if (one.len == 0)
            continue;
        text_printf(&all, "%s%s=", all.len > 0 ? " " : "", o->name);
        if (strcspn(text_str(&one), " \t'\"") < one.len)
            text_add_quoted(&all, text_slice(&one), '\'');
        else
            text_add(&all, text_slice(&one));
    }
    admin_put_slice(t, text_slice(&all));
    text_done(&all);
    text_done(&one);
}

static void
put_word(struct admin_table *t, const char *option, const struct conf_rule *r)
{
    struct text word = { 0 };

    for (const struct conf_option *o = conf_rule_options(); o->name != NULL; o++)
        if (strcmp(o->name, option) == 0)
            conf_print(o, r, &word);
    admin_put_str(t, word.len == 0 ? NULL : text_str(&word));
    text_done(&word);
}

void
rules_home(struct task *e)
{
    const struct conf *c = e->hall->setup.conf;
    struct admin_table *t = &e->table;

    for (size_t i = 0; i < c->n_rules; i++) {
        const struct conf_rule *r = &c->rules[i];

        admin_put_str(t, r->name);
        put_conditions(t, r);
        put_word(t, "route", r);
        put_word(t, "node", r);
        put_word(t, "consistency", r);
        if (r->max_lag < 0)
            admin_put_null(t);
        else
            admin_put_int(t, r->max_lag / CLOCK_MS);
        admin_put_int(t, gather_at(&e->gather, slice_str(r->name), slice_of(NULL, 0))->n[0]);
        admin_row_end(t);
    }
}
