/* SPDX-License-Identifier: ISC */
/* Whether a statement only reads, judged by what stands in it: known kinds of statements, and functions of
 * harmless.def. Pure. What is not known is not a read. */
#include "reads_private.h"

#include <stdlib.h>
#include <string.h>

#include "effects_private.h"
#include "sql/facts.h"
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

bool
facts_is_harmless(struct slice name)
{
    size_t low = 0, high = sizeof(harmless) / sizeof(harmless[0]);

    while (low < high) {
        size_t middle = (low + high) / 2, len = strlen(harmless[middle]);
        int order = memcmp(name.data, harmless[middle], name.len < len ? name.len : len);

        if (order == 0 && name.len == len)
            return true;
        if (order < 0 || (order == 0 && name.len < len))
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* That nothing writes or locks. */
static void
check_grammar(void *arg, const ProtobufCMessage *m)
{
    bool *clean = arg;

    if (m->descriptor == &pg_query__into_clause__descriptor ||
        m->descriptor == &pg_query__locking_clause__descriptor)
        *clean = false;
    else if (m->descriptor == &pg_query__common_table_expr__descriptor) {
        const PgQuery__Node *query = ((const PgQuery__CommonTableExpr *)(const void *)m)->ctequery;

        *clean &= query != NULL && query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT;
    }
}

static void
check_message(void *arg, const ProtobufCMessage *m)
{
    check_grammar(arg, m);
    check_function(arg, m);
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

/* What is planned but not run reads, whatever it is; EXECUTE needs the session that prepared it. */
static bool
explain_reads_by_grammar(const PgQuery__ExplainStmt *explain)
{
    if (explain->query == NULL)
        return false;
    switch (explain->query->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        return !effects_explain_runs(explain) || tree_is_clean(&explain->base, check_grammar);
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
    case PG_QUERY__NODE__NODE_MERGE_STMT:
        return !effects_explain_runs(explain);
    default:
        return false;
    }
}

/* TO STDOUT, of a table or a query. */
static bool
copy_reads(const PgQuery__CopyStmt *copy)
{
    if (copy->is_from || copy->is_program || copy->filename[0] != '\0')
        return false;
    return copy->query == NULL || (copy->query->node_case == PG_QUERY__NODE__NODE_SELECT_STMT &&
                                   tree_is_clean(&copy->base, check_grammar));
}

bool
reads_by_grammar(const PgQuery__Node *stmt)
{
    switch (stmt->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        return tree_is_clean(&stmt->select_stmt->base, check_grammar);
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        return explain_reads_by_grammar(stmt->explain_stmt);
    case PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT:
        return true;
    case PG_QUERY__NODE__NODE_COPY_STMT:
        return copy_reads(stmt->copy_stmt);
    default:
        return false;
    }
}
