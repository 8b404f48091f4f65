/* SPDX-License-Identifier: ISC */
/* Whether a statement only reads, judged by what stands in it: known kinds of statements, and functions of
 * harmless.def. Pure. What is not known is not a read. */
#include "reads_private.h"

#include <stdlib.h>
#include <string.h>

#include "effects_private.h"
#include "walk_private.h"

/* In the order of strcmp(). */
static const char *const harmless[] = {
#define HARMLESS(name) #name,
#define VOLATILE(name) #name,
#include "harmless.def"
#undef HARMLESS
#undef VOLATILE
};

static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
is_harmless(PgQuery__Node *const *parts, size_t n)
{
    const char *schema, *name = effects_last_name(parts, n, &schema);

    return effects_is_system(schema) && bsearch(&name, harmless, sizeof(harmless) / sizeof(harmless[0]),
                                                sizeof(harmless[0]), compare) != NULL;
}

static void
check_function(void *arg, const ProtobufCMessage *m)
{
    bool *clean = arg;

    if (m->descriptor == &pg_query__func_call__descriptor) {
        const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)(const void *)m;

        *clean &= is_harmless(call->funcname, call->n_funcname);
    } else if (m->descriptor == &pg_query__range_table_sample__descriptor) {
        const PgQuery__RangeTableSample *sample = (const PgQuery__RangeTableSample *)(const void *)m;

        *clean &= is_harmless(sample->method, sample->n_method);
    }
}

/* The same, and that nothing writes or locks. */
static void
check_message(void *arg, const ProtobufCMessage *m)
{
    bool *clean = arg;

    if (m->descriptor == &pg_query__into_clause__descriptor ||
        m->descriptor == &pg_query__locking_clause__descriptor)
        *clean = false;
    else if (m->descriptor == &pg_query__common_table_expr__descriptor) {
        const PgQuery__Node *query = ((const PgQuery__CommonTableExpr *)(const void *)m)->ctequery;

        *clean &= query != NULL && query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT;
    } else {
        check_function(arg, m);
    }
}

static bool
tree_is_clean(const ProtobufCMessage *root, walk_visitor *check)
{
    bool clean = true;

    walk_tree(root, check, &clean);
    return clean;
}

/* The planner may run functions, but nothing else happens when the plan is only shown. */
static bool
explain_reads(const PgQuery__ExplainStmt *explain)
{
    if (!effects_explain_runs(explain))
        return tree_is_clean(&explain->base, check_function);
    return explain->query != NULL && explain->query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT &&
           tree_is_clean(&explain->base, check_message);
}

bool
reads_only(const PgQuery__Node *stmt)
{
    switch (stmt->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        return tree_is_clean(&stmt->select_stmt->base, check_message);
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        return explain_reads(stmt->explain_stmt);
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
        return true;
    default:
        return false;
    }
}
