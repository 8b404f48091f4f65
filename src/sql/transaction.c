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
