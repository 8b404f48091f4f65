/* SPDX-License-Identifier: ISC */
/* Collects names. A CTE hides a relation only where its name is in scope, so that scopes are carried down the
 * tree: each is a CTE and what was in scope before it. Pure. Leaves the meaning of the names to room catalog.
 */
#include "names_private.h"

#include <xxhash.h>

#include "base/mem.h"
#include "effects_private.h"
#include "walk_private.h"

struct scope {
    const struct scope *outer;
    const PgQuery__CommonTableExpr *cte;
    bool recursive;
    struct scope *made_before; /* all of a walk, so that they can be freed */
};

struct walk {
    struct names *names;
    struct scope *made;
};

uint16_t
facts_field_mark(struct slice name)
{
    return (uint16_t)XXH3_64bits(name.data, name.len);
}

/* A mark is two bits of a set of 256. */
static bool
has_bit(const uint64_t *fields, unsigned bit)
{
    return (fields[bit / 64] >> bit % 64 & 1) != 0;
}

bool
facts_may_have_field(const struct facts *f, uint16_t mark)
{
    return has_bit(f->fields, mark & 0xff) && has_bit(f->fields, mark >> 8);
}

static void
add_field(struct names *names, const PgQuery__Node *part)
{
    unsigned mark;

    if (part->node_case != PG_QUERY__NODE__NODE_STRING)
        return;
    mark = facts_field_mark(slice_str(part->string->sval));
    names->fields[(mark & 0xff) / 64] |= UINT64_C(1) << (mark & 0xff) % 64;
    names->fields[(mark >> 8) / 64] |= UINT64_C(1) << (mark >> 8) % 64;
}

static void
add_fields(struct names *names, PgQuery__Node *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_field(names, parts[i]);
}

static void
add_name(struct name_list *list, const char *schema, const char *name)
{
    struct slice s = slice_str(schema), n = slice_str(name);

    for (unsigned i = 0; i < list->n; i++)
        if (slice_equal(list->items[i].name, n) && slice_equal(list->items[i].schema, s))
            return;
    if (list->n == FACTS_MAX_NAMES) {
        list->cut = true;
        return;
    }
    list->items[list->n++] = (struct facts_name){ .schema = slice_of(mem_dup(s.data, s.len), s.len),
                                                  .name = slice_of(mem_dup(n.data, n.len), n.len) };
}

static void
add_function(struct names *names, PgQuery__Node *const *parts, size_t n)
{
    const char *schema, *name = effects_last_name(parts, n, &schema);

    if (name[0] != '\0')
        add_name(&names->functions, schema, name);
}

/* The same of an operator or type: what PostgreSQL brings is harmless. */
static void
add_if_foreign(struct names *names, PgQuery__Node *const *parts, size_t n)
{
    static const char *const implied[] = { "=", "<>", "<", ">", "<=", ">=" };
    const char *schema, *name = effects_last_name(parts, n, &schema);

    if (strcmp(schema, "pg_catalog") == 0)
        return;
    for (size_t i = 0; i < sizeof(implied) / sizeof(implied[0]); i++)
        if (strcmp(name, implied[i]) == 0)
            return;
    add_function(names, parts, n);
}

/* BETWEEN has no operator's name; it means <= and >=. */
static void
on_expression(struct names *names, const PgQuery__AExpr *e)
{
    if (e->kind < PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN ||
        e->kind > PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM)
        add_if_foreign(names, e->name, e->n_name);
}

static void
on_relation(struct names *names, const PgQuery__RangeVar *r, const struct scope *scope)
{
    if (r->schemaname[0] == '\0')
        for (; scope != NULL; scope = scope->outer)
            if (strcmp(scope->cte->ctename, r->relname) == 0)
                return;
    add_name(&names->relations, r->schemaname, r->relname);
}

static const PgQuery__WithClause *
with_of(const ProtobufCMessage *m)
{
    if (m->descriptor == &pg_query__select_stmt__descriptor)
        return ((const PgQuery__SelectStmt *)(const void *)m)->with_clause;
    if (m->descriptor == &pg_query__insert_stmt__descriptor)
        return ((const PgQuery__InsertStmt *)(const void *)m)->with_clause;
    if (m->descriptor == &pg_query__update_stmt__descriptor)
        return ((const PgQuery__UpdateStmt *)(const void *)m)->with_clause;
    if (m->descriptor == &pg_query__delete_stmt__descriptor)
        return ((const PgQuery__DeleteStmt *)(const void *)m)->with_clause;
    if (m->descriptor == &pg_query__merge_stmt__descriptor)
        return ((const PgQuery__MergeStmt *)(const void *)m)->with_clause;
    return NULL;
}

static const struct scope *
scope_of_with(struct walk *w, const PgQuery__WithClause *with, const struct scope *outer)
{
    for (size_t i = 0; i < with->n_ctes; i++) {
        struct scope *s;

        if (with->ctes[i]->node_case != PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR)
            continue;
        s = mem_new(struct scope);
        *s = (struct scope){ outer, with->ctes[i]->common_table_expr, with->recursive, w->made };
        w->made = s;
        outer = s;
    }
    return outer;
}

/* A CTE sees those before it; with RECURSIVE also itself and those behind it. */
static const struct scope *
scope_in_cte(const ProtobufCMessage *m, const struct scope *scope)
{
    const struct scope *own = scope;

    while (own != NULL && &own->cte->base != m)
        own = own->outer;
    return own == NULL || own->recursive ? scope : own->outer;
}

/* What is called without being a FuncCall. */
static void
on_other(struct names *names, const ProtobufCMessage *m)
{
    if (m->descriptor == &pg_query__range_table_sample__descriptor) {
        const PgQuery__RangeTableSample *sample = (const PgQuery__RangeTableSample *)(const void *)m;

        add_function(names, sample->method, sample->n_method);
    } else if (m->descriptor == &pg_query__sort_by__descriptor) {
        const PgQuery__SortBy *sort = (const PgQuery__SortBy *)(const void *)m;

        add_if_foreign(names, sort->use_op, sort->n_use_op);
    } else if (m->descriptor == &pg_query__sub_link__descriptor) {
        const PgQuery__SubLink *link = (const PgQuery__SubLink *)(const void *)m;

        add_if_foreign(names, link->oper_name, link->n_oper_name);
    } else if (m->descriptor == &pg_query__a__indirection__descriptor) {
        const PgQuery__AIndirection *a = (const PgQuery__AIndirection *)(const void *)m;

        add_fields(names, a->indirection, a->n_indirection);
    }
}

static const void *
on_message(void *arg, const ProtobufCMessage *m, const void *scope)
{
    struct walk *w = arg;
    const PgQuery__WithClause *with = with_of(m);

    if (with != NULL)
        return scope_of_with(w, with, scope);
    if (m->descriptor == &pg_query__common_table_expr__descriptor)
        return scope_in_cte(m, scope);
    if (m->descriptor == &pg_query__range_var__descriptor) {
        on_relation(w->names, (const PgQuery__RangeVar *)(const void *)m, scope);
    } else if (m->descriptor == &pg_query__func_call__descriptor) {
        const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)(const void *)m;

        add_function(w->names, call->funcname, call->n_funcname);
    } else if (m->descriptor == &pg_query__a__expr__descriptor) {
        on_expression(w->names, (const PgQuery__AExpr *)(const void *)m);
    } else if (m->descriptor == &pg_query__type_name__descriptor) {
        const PgQuery__TypeName *type = (const PgQuery__TypeName *)(const void *)m;

        add_if_foreign(w->names, type->names, type->n_names);
    } else if (m->descriptor == &pg_query__column_ref__descriptor) {
        const PgQuery__ColumnRef *column = (const PgQuery__ColumnRef *)(const void *)m;

        if (column->n_fields > 1)
            add_fields(w->names, column->fields + 1, column->n_fields - 1);
    } else {
        on_other(w->names, m);
    }
    return scope;
}

void
names_of_statement(struct names *names, const PgQuery__Node *stmt)
{
    struct walk w = { .names = names };

    walk_scoped(&stmt->base, on_message, &w, NULL);
    while (w.made != NULL) {
        struct scope *s = w.made;

        w.made = s->made_before;
        mem_free(s);
    }
}

static void
free_items(struct name_list *list)
{
    for (unsigned i = 0; i < list->n; i++) {
        mem_free((void *)(uintptr_t)list->items[i].schema.data);
        mem_free((void *)(uintptr_t)list->items[i].name.data);
    }
}

void
name_list_done(struct names *names)
{
    free_items(&names->functions);
    free_items(&names->relations);
}
