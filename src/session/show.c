/* SPDX-License-Identifier: ISC */
/* SHOW pgweir.x: answered here. No server knows of them, but for what a session set. */
#include "choose_private.h"
#include "route/units.h"
#include "wire/rows.h"

/* The value of pgweir.NAME for S; false: there is no such thing. */
static bool
value_of(struct session *s, struct slice name, struct text *out)
{
    const struct routing *r = s->routing;

    if (r != NULL)
        choose_resolve(s);

    if (slice_is(name, "pgweir.last_node"))
        text_add_str(out, r != NULL && r->last != NULL && r->last->node != NULL ? r->last->node : "");
    else if (slice_is(name, "pgweir.last_route_reason"))
        text_add_str(out, route_reason_text(r == NULL ? ROUTE_BECAUSE_SINGLE : r->reason));
    else if (slice_is(name, "pgweir.lsn") && r != NULL && r->token.unresolved_us > 0)
        text_add_str(out, "unresolved");
    else if (slice_is(name, "pgweir.lsn"))
        route_lsn_print(r == NULL ? 0 : r->token.lsn, out);
    else
        return wishes_print(choose_wishes(s), name, out);
    return true;
}

bool
show_answer(struct session *s, const struct facts *f, struct text *t)
{
    struct text value = { 0 }, name = { 0 };
    struct wire_column column = { .type = WIRE_TEXT };
    bool ours = f->class == CLASS_SHOW && slice_is_nocase(slice_head(f->show_name, 7), "pgweir.") &&
                value_of(s, f->show_name, &value);

    if (ours) {
        struct wire_row row;

        text_add(&name, f->show_name);
        column.name = text_str(&name);
        wire_put_columns(t, &column, 1);
        row = wire_row_begin(t);
        wire_row_slice(&row, text_slice(&value));
        wire_row_end(&row);
        wire_put_complete(t, "SHOW");
    }
    text_done(&value);
    text_done(&name);
    return ours;
}

/* ---- EXPLAIN (PGWEIR) ---- */

/* The statement behind EXPLAIN (PGWEIR); false: that is not what SQL says. */
static bool
explained(struct slice sql, struct slice *statement)
{
    struct slice rest = slice_trim(slice_tail(slice_trim(sql), 7));

    if (!slice_is_nocase(slice_head(slice_trim(sql), 7), "explain") || rest.len == 0 || rest.data[0] != '(')
        return false;
    rest = slice_trim(slice_tail(rest, 1));
    if (!slice_is_nocase(slice_head(rest, 6), "pgweir"))
        return false;
    rest = slice_trim(slice_tail(rest, 6));
    if (rest.len == 0 || rest.data[0] != ')')
        return false;
    *statement = slice_trim(slice_tail(rest, 1));
    return true;
}

static void
put_line(struct text *t, const char *key, struct text *value)
{
    struct wire_row row = wire_row_begin(t);

    wire_row_str(&row, key);
    wire_row_slice(&row, text_slice(value));
    wire_row_end(&row);
    text_clear(value);
}

static void
add_names(struct text *out, const struct facts_name *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        text_add_str(out, i == 0 ? "" : ", ");
        text_add(out, names[i].schema);
        text_add_str(out, names[i].schema.len > 0 ? "." : "");
        text_add(out, names[i].name);
    }
}

static void
put_facts(struct session *s, const struct facts *f, struct slice sql, struct text *t, struct text *v)
{
    uint64_t digest[2];
    struct slice because = SLICE("");
    bool read = choose_judge(s, f, &because);

    if (rules_digest(sql, digest)) /* not the seeded one of the facts: people write it into rules */
        text_printf(v, "%016llx%016llx", (unsigned long long)digest[0], (unsigned long long)digest[1]);
    put_line(t, "digest", v);
    text_add_str(v, !f->analysed          ? "unknown"
                    : read                ? "read"
                    : f->reads_by_grammar ? "not surely a read"
                                          : "not a read");
    put_line(t, "class", v);
    text_add(v, because);
    put_line(t, "decided by", v);
    add_names(v, f->relations, f->n_relations);
    put_line(t, "relations", v);
    add_names(v, f->functions, f->n_functions);
    put_line(t, "functions", v);
}

static void
put_route(struct session *s, const struct facts *f, struct slice sql, struct text *t, struct text *v)
{
    struct explained e = { .node = "", .rule = "", .reason = ROUTE_BECAUSE_SINGLE };

    if (s->routing != NULL)
        choose_explain(s, f, sql, &e);
    text_add_str(v, e.rule);
    put_line(t, "rule", v);
    text_add_str(v, e.node);
    put_line(t, "node", v);
    text_add_str(v, route_reason_text(e.reason));
    put_line(t, "reason", v);
    value_of(s, SLICE("pgweir.lsn"), v);
    put_line(t, "token", v);
}

bool
explain_answer(struct session *s, struct slice sql, struct text *t)
{
    static const struct wire_column columns[] = { { "fact", WIRE_TEXT }, { "value", WIRE_TEXT } };
    struct text v = { 0 };
    const struct facts *f;
    struct slice statement;

    if (!explained(sql, &statement))
        return false;
    f = take_facts(s, statement);
    wire_put_columns(t, columns, 2);
    put_facts(s, f, statement, t, &v);
    put_route(s, f, statement, t, &v);
    wire_put_complete(t, "EXPLAIN");
    facts_drop(f);
    text_done(&v);
    return true;
}
