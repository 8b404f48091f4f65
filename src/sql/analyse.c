/* SPDX-License-Identifier: ISC */
/* From an SQL string to its class and effects, by libpg_query. Pure but for the parser's memory, which
 * belongs to the thread and goes with it. Leaves the guards to digest, single statements to effects. */
#include "analyse_private.h"

#include <pg_query.h>

#include "base/mem.h"
#include "lexer_private.h"
#include "reads_private.h"

/* The statement at LEN bytes (0: all) from AT, without comments and white space at its ends. */
static struct slice
statement_text(struct slice sql, int32_t at, int32_t len)
{
    struct slice s = slice_tail(sql, at < 0 ? 0 : (size_t)at), token;
    const uint8_t *start = NULL, *end = NULL;
    struct lexer lexer;

    if (len > 0)
        s = slice_head(s, (size_t)len);
    lexer_init(&lexer, s);
    while (lexer_next(&lexer, &token) != TOKEN_END) {
        if (slice_is(token, ";"))
            break;
        start = start == NULL ? token.data : start;
        end = token.data + token.len;
    }
    return start == NULL ? slice_of("", 0) : slice_of(start, (size_t)(end - start));
}

static bool
is_begin(const PgQuery__TransactionStmt *t)
{
    return t->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN ||
           t->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START;
}

static void
classify_transaction(struct analysis *a, const PgQuery__TransactionStmt *t)
{
    static const struct {
        enum statement_class class;
        const char *tag;
    } kinds[] = {
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN] = { CLASS_BEGIN, "BEGIN" },
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START] = { CLASS_BEGIN, "START TRANSACTION" },
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT] = { CLASS_END, "COMMIT" },
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK] = { CLASS_END, "ROLLBACK" },
    };
    size_t kind = (size_t)t->kind;

    if (t->chain || kind >= sizeof(kinds) / sizeof(kinds[0]) || kinds[kind].tag == NULL)
        return;
    a->class = kinds[kind].class;
    a->tag = kinds[kind].tag;
}

static char *
lower_dup(const char *s)
{
    char *copy = mem_strdup(s);

    for (char *p = copy; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 0x20);
    return copy;
}

/* The class of a string that is one statement. */
static void
classify(struct analysis *a, const PgQuery__Node *stmt)
{
    a->class = CLASS_OTHER;
    if (stmt->node_case == PG_QUERY__NODE__NODE_TRANSACTION_STMT) {
        classify_transaction(a, stmt->transaction_stmt);
    } else if (transaction_is_mode(stmt)) {
        a->class = CLASS_MODE;
        a->tag = "SET";
    } else if (stmt->node_case == PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT) {
        a->class = CLASS_SHOW;
        a->show_name = lower_dup(stmt->variable_show_stmt->name);
    } else if (stmt->node_case == PG_QUERY__NODE__NODE_EXPLAIN_STMT) {
        a->class = CLASS_EXPLAIN;
    }
}

/* ALONE: it is all of SQL. */
static void
add_statement(struct analysis *a, struct slice sql, const PgQuery__RawStmt *raw, bool alone)
{
    const PgQuery__Node *stmt = raw->stmt;
    struct effects *e = &a->effects;

    if (stmt->node_case == PG_QUERY__NODE__NODE_TRANSACTION_STMT)
        a->transaction_block |= is_begin(stmt->transaction_stmt) || stmt->transaction_stmt->chain;
    a->ends_block |= transaction_is_ended(stmt);
    a->in_steps |= transaction_is_in_steps(stmt);
    a->reads_only = (a->reads_only || a->n_statements == 0) && reads_only(stmt);
    a->reads_by_grammar = (a->reads_by_grammar || a->n_statements == 0) && reads_by_grammar(stmt);
    names_of_statement(&a->names, stmt);
    transaction_note(&a->mode, stmt);
    e->has_literals |= a->mode.by_value && e->sql_has_literals;
    e->statement = a->n_statements++;
    if (stmt->node_case == PG_QUERY__NODE__NODE_PREPARE_STMT && alone)
        e->text = sql; /* as pg_prepared_statements shows it, with its semicolon */
    else if (stmt->node_case == PG_QUERY__NODE__NODE_VARIABLE_SET_STMT ||
             stmt->node_case == PG_QUERY__NODE__NODE_PREPARE_STMT)
        e->text = statement_text(sql, raw->stmt_location, raw->stmt_len);
    effects_of_statement(e, stmt);
}

static bool
read_tree(struct analysis *a, struct slice sql, const PgQuery__ParseResult *tree)
{
    for (size_t i = 0; i < tree->n_stmts; i++) {
        if (tree->stmts[i]->stmt == NULL)
            return false;
        add_statement(a, sql, tree->stmts[i], tree->n_stmts == 1);
    }
    if (a->n_statements == 1)
        classify(a, tree->stmts[0]->stmt);
    else
        a->class = a->n_statements == 0 ? CLASS_EMPTY : CLASS_OTHER;
    return true;
}

void
analysis_done(struct analysis *a)
{
    effects_done(&a->effects);
    name_list_done(&a->names);
    mem_free(a->show_name);
    *a = (struct analysis){ 0 };
}

void
analyse(struct slice sql, bool has_literals, struct analysis *out)
{
    char *text = slice_dup(sql);
    PgQueryProtobufParseResult result = pg_query_parse_protobuf(text);
    PgQuery__ParseResult *tree = NULL;

    *out = (struct analysis){ .effects.sql_has_literals = has_literals };
    if (result.error == NULL)
        tree = pg_query__parse_result__unpack(NULL, result.parse_tree.len, (uint8_t *)result.parse_tree.data);
    if (tree != NULL && !(out->analysed = read_tree(out, sql, tree)))
        analysis_done(out);
    if (tree != NULL)
        pg_query__parse_result__free_unpacked(tree, NULL);
    pg_query_free_protobuf_parse_result(result);
    mem_free(text);
}
