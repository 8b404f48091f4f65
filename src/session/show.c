/* SPDX-License-Identifier: ISC */
/* SHOW pgweir.x: answered here. No server knows of them, but for what a session set. */
#include "choose_private.h"
#include "topo/lsn.h"
#include "wire/rows.h"

/* The value of pgweir.NAME for S; false: there is no such thing. */
static bool
value_of(struct session *s, struct slice name, struct text *out)
{
    const struct routing *r = s->routing;
    struct route_wishes own;

    if (r != NULL)
        choose_resolve(s);

    if (slice_is(name, "pgweir.last_node"))
        text_add_str(out, r != NULL && r->last != NULL && r->last->node != NULL ? r->last->node : "");
    else if (slice_is(name, "pgweir.last_route_reason"))
        text_add_str(out, route_reason_text(r == NULL ? ROUTE_BECAUSE_SINGLE : r->reason));
    else if (slice_is(name, "pgweir.lsn") && r != NULL && (r->token.unresolved_us > 0 || r->token.seen_us > 0))
        text_add_str(out, "unresolved");
    else if (slice_is(name, "pgweir.lsn"))
        lsn_print(r == NULL ? 0 : r->token.lsn, out);
    else
        return wishes_print(choose_wishes(s, &own), name, out);
    return true;
}

static void
put_shown(struct session *s, const struct facts *f, struct text *t)
{
    struct text value = { 0 };
    struct wire_row row = wire_row_begin(t);

    value_of(s, f->show_name, &value);
    wire_row_slice(&row, text_slice(&value));
    wire_row_end(&row);
    wire_put_complete(t, "SHOW");
    text_done(&value);
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
    struct explained e = { .node = "", .rule = "", .lag_us = -1, .reason = ROUTE_BECAUSE_SINGLE };

    if (s->routing != NULL)
        choose_explain(s, f, sql, &e);
    text_add_str(v, e.rule);
    put_line(t, "rule", v);
    text_add_str(v, e.node);
    put_line(t, "node", v);
    text_add_str(v, route_reason_text(e.reason));
    put_line(t, "reason", v);
    if (e.lag_us >= 0)
        text_printf(v, "%lld ms", (long long)(e.lag_us / 1000));
    put_line(t, "lag", v);
    value_of(s, SLICE("pgweir.lsn"), v);
    put_line(t, "token", v);
}

static void
put_explained(struct session *s, struct slice statement, struct text *t)
{
    const struct facts *f = take_facts(s, statement);
    struct text v = { 0 };

    put_facts(s, f, statement, t, &v);
    put_route(s, f, statement, t, &v);
    wire_put_complete(t, "EXPLAIN");
    facts_drop(f);
    text_done(&v);
}

/* ---- both, by both protocols ---- */

/* What is neither is told by its first letter, or its class. */
static bool
is_ours(struct session *s, const struct facts *f, struct slice sql)
{
    struct text value = { 0 };
    struct slice statement;
    bool ours;

    if (f->class != CLASS_SHOW)
        return sql.len > 16 && (sql.data[0] | 0x20) == 'e' && explained(sql, &statement);
    ours = slice_is_nocase(slice_head(f->show_name, 7), "pgweir.") && value_of(s, f->show_name, &value);
    text_done(&value);
    return ours;
}

static void
put_columns(const struct facts *f, struct text *t)
{
    static const struct wire_column facts[] = { { "fact", WIRE_TEXT }, { "value", WIRE_TEXT } };
    struct wire_column shown = { .type = WIRE_TEXT };
    struct text name = { 0 };

    if (f->class != CLASS_SHOW) {
        wire_put_columns(t, facts, 2);
        return;
    }
    text_add(&name, f->show_name);
    shown.name = text_str(&name);
    wire_put_columns(t, &shown, 1);
    text_done(&name);
}

static void
put_rows(struct session *s, const struct facts *f, struct slice sql, struct text *t)
{
    struct slice statement;

    if (f->class == CLASS_SHOW)
        put_shown(s, f, t);
    else if (explained(sql, &statement))
        put_explained(s, statement, t);
}

/* T is taken over. */
static void
answer(struct session *s, struct text *t, unsigned flags)
{
    pending_push(s, PENDING_ANSWER, PENDING_LOCAL | flags)->answer = mem_dup(t, sizeof(*t));
    pending_answer_local(s);
}

bool
show_query(struct session *s, const struct facts *f, struct slice sql)
{
    struct text t = { 0 };

    if (!is_ours(s, f, sql))
        return false;
    put_columns(f, &t);
    put_rows(s, f, sql, &t);
    answer(s, &t, PENDING_READY);
    return true;
}

bool
show_parse(struct session *s, struct slice name, struct statement *st)
{
    return is_ours(s, st->facts, statement_sql(st)) && parse_here(s, name, st);
}

bool
show_bind(struct session *s, const struct taken *m, struct slice portal, struct statement *st)
{
    return st != NULL && is_ours(s, st->facts, statement_sql(st)) && ahead_runs(m->ahead, portal, true) &&
           bind_here(s, st);
}

bool
show_describe(struct session *s, uint8_t what, const struct statement *st)
{
    struct text t = { 0 };

    if (what == 'P')
        st = s->next_run;
    if (st == NULL || !is_ours(s, st->facts, statement_sql(st)))
        return false;
    if (what == 'S') /* its parameters, as they were declared */
        wire_put_message(&t, 't', slice_tail(slice_of(st->bytes, st->len), st->sql_len + 1));
    put_columns(st->facts, &t);
    answer(s, &t, 0);
    return true;
}

bool
show_execute(struct session *s)
{
    struct statement *st = s->next_run;
    struct text t = { 0 };

    if (st == NULL)
        return false;
    s->next_run = NULL;
    put_rows(s, st->facts, statement_sql(st), &t);
    answer(s, &t, 0);
    statement_drop(st);
    return true;
}
