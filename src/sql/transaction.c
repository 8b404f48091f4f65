/* SPDX-License-Identifier: ISC */
/* BEGIN, SET TRANSACTION and the settings behind them. Pure. A value that is not understood is taken as
 * READ WRITE and as SERIALIZABLE: those go to the primary. */
#include "transaction_private.h"

#include <string.h>
#include <strings.h>

static const PgQuery__AConst *
constant(const PgQuery__Node *node)
{
    return node != NULL && node->node_case == PG_QUERY__NODE__NODE_A_CONST ? node->a_const : NULL;
}

static bool
is_serializable(const PgQuery__Node *value)
{
    static const char *const others[] = { "read uncommitted", "read committed", "repeatable read" };
    const PgQuery__AConst *c = constant(value);

    if (c == NULL || c->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcasecmp(c->sval->sval, others[i]) == 0)
            return false;
    return true;
}

/* Spellings of true that PostgreSQL takes for a setting, at least those that people use. */
static enum begin_mode
mode_of(const PgQuery__Node *value)
{
    static const char *const yes[] = { "on", "true", "yes", "t", "y", "1" };
    const PgQuery__AConst *c = constant(value);

    if (c == NULL)
        return BEGIN_READ_WRITE;
    if (c->val_case == PG_QUERY__A__CONST__VAL_IVAL)
        return c->ival->ival == 1 ? BEGIN_READ_ONLY : BEGIN_READ_WRITE;
    if (c->val_case == PG_QUERY__A__CONST__VAL_SVAL)
        for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
            if (strcasecmp(c->sval->sval, yes[i]) == 0)
                return BEGIN_READ_ONLY;
    return BEGIN_READ_WRITE;
}

static void
note_modes(PgQuery__Node *const *options, size_t n, enum begin_mode *mode, bool *serializable)
{
    for (size_t i = 0; i < n; i++) {
        const PgQuery__DefElem *option = options[i]->def_elem;

        if (options[i]->node_case != PG_QUERY__NODE__NODE_DEF_ELEM)
            continue;
        if (strcmp(option->defname, "transaction_read_only") == 0)
            *mode = mode_of(option->arg);
        else if (strcmp(option->defname, "transaction_isolation") == 0)
            *serializable = is_serializable(option->arg);
    }
}

static void
note_value(struct transaction_mode *mode, const PgQuery__VariableSetStmt *set)
{
    const PgQuery__Node *value = set->n_args == 1 ? set->args[0] : NULL;

    if (strcasecmp(set->name, "transaction_read_only") == 0)
        mode->set_transaction = mode_of(value);
    else if (strcasecmp(set->name, "default_transaction_read_only") == 0)
        mode->set_session = mode_of(value);
    else if (strcasecmp(set->name, "transaction_isolation") == 0)
        mode->serializable = is_serializable(value);
    else
        return;
    mode->by_value = true;
}

bool
transaction_is_mode(const PgQuery__Node *stmt)
{
    const PgQuery__VariableSetStmt *set = stmt->variable_set_stmt;

    return stmt->node_case == PG_QUERY__NODE__NODE_VARIABLE_SET_STMT &&
           set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI && strcmp(set->name, "TRANSACTION") == 0;
}

bool
transaction_is_ended(const PgQuery__Node *stmt)
{
    if (stmt->node_case != PG_QUERY__NODE__NODE_TRANSACTION_STMT)
        return false;
    switch (stmt->transaction_stmt->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE:
        return true;
    default:
        return false;
    }
}

static bool
detaches_concurrently(const PgQuery__AlterTableStmt *stmt)
{
    const PgQuery__Node *def;

    for (size_t i = 0; i < stmt->n_cmds; i++) {
        def = stmt->cmds[i]->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_CMD
                  ? stmt->cmds[i]->alter_table_cmd->def
                  : NULL;
        if (def != NULL && def->node_case == PG_QUERY__NODE__NODE_PARTITION_CMD &&
            def->partition_cmd->concurrent)
            return true;
    }
    return false;
}

bool
transaction_is_in_steps(const PgQuery__Node *stmt)
{
    switch (stmt->node_case) {
    case PG_QUERY__NODE__NODE_CALL_STMT:
    case PG_QUERY__NODE__NODE_DO_STMT:
    case PG_QUERY__NODE__NODE_VACUUM_STMT:
    case PG_QUERY__NODE__NODE_CLUSTER_STMT:
    case PG_QUERY__NODE__NODE_REINDEX_STMT:
    case PG_QUERY__NODE__NODE_CREATEDB_STMT:
    case PG_QUERY__NODE__NODE_DROPDB_STMT:
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_STMT:
    case PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT:
    case PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT:
    case PG_QUERY__NODE__NODE_CREATE_SUBSCRIPTION_STMT:
    case PG_QUERY__NODE__NODE_ALTER_SUBSCRIPTION_STMT:
    case PG_QUERY__NODE__NODE_DROP_SUBSCRIPTION_STMT:
        return true;
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        return stmt->index_stmt->concurrent;
    case PG_QUERY__NODE__NODE_DROP_STMT:
        return stmt->drop_stmt->concurrent;
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        return detaches_concurrently(stmt->alter_table_stmt);
    default:
        return false;
    }
}

static void
note_set(struct transaction_mode *mode, const PgQuery__VariableSetStmt *set)
{
    bool ignored;

    if (set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE)
        note_value(mode, set);
    if (set->kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI)
        return;
    if (strcmp(set->name, "TRANSACTION") == 0)
        note_modes(set->args, set->n_args, &mode->set_transaction, &mode->serializable);
    else if (strcmp(set->name, "SESSION CHARACTERISTICS") == 0)
        note_modes(set->args, set->n_args, &mode->set_session, &ignored);
}

void
transaction_note(struct transaction_mode *mode, const PgQuery__Node *stmt)
{
    if (stmt->node_case == PG_QUERY__NODE__NODE_TRANSACTION_STMT)
        note_modes(stmt->transaction_stmt->options, stmt->transaction_stmt->n_options, &mode->begin,
                   &mode->serializable);
    else if (stmt->node_case == PG_QUERY__NODE__NODE_VARIABLE_SET_STMT)
        note_set(mode, stmt->variable_set_stmt);
}
