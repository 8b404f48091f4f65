/* SPDX-License-Identifier: ISC */
/* What a whole statement leaves behind in a session: one function per kind of statement. Pure.
 * Leaves settings to settings, and what can stand anywhere in a statement to functions. */
#include "effects_private.h"

#include "base/mem.h"
#include "suspect_private.h"

/* Of nodes/parsenodes.h. */
#define CURSOR_OPT_HOLD 0x0020

const char *
pin_reason_name(enum pin_reason reason)
{
    static const char *const names[PIN_N] = {
        [PIN_NONE] = "none",
        [PIN_PREPARE] = "prepare",
        [PIN_LISTEN] = "listen",
        [PIN_TEMP_TABLE] = "temp_table",
        [PIN_HOLD_CURSOR] = "hold_cursor",
        [PIN_ADVISORY_LOCK] = "advisory_lock",
        [PIN_LOAD] = "load",
        [PIN_ROLE] = "role",
        [PIN_AUTHORIZATION] = "authorization",
        [PIN_SEQUENCE] = "sequence",
        [PIN_SET] = "set",
        [PIN_FUNCTION] = "function",
    };

    return (unsigned)reason < PIN_N ? names[reason] : "unknown";
}

void
effects_done(struct effects *e)
{
    for (unsigned i = 0; i < e->n; i++) {
        mem_free((void *)(uintptr_t)e->list[i].name.data);
        mem_free((void *)(uintptr_t)e->list[i].replay.data);
    }
    mem_free(e->list);
    *e = (struct effects){ 0 };
}

void
effects_add(struct effects *e, struct effect effect)
{
    if (e->n == e->cap) {
        e->cap = e->cap == 0 ? 4 : e->cap * 2;
        e->list = mem_realloc(e->list, e->cap * sizeof(e->list[0]));
    }
    effect.statement = e->statement;
    effect.name.data = mem_dup(effect.name.data, effect.name.len);
    effect.replay.data = mem_dup(effect.replay.data, effect.replay.len);
    e->list[e->n++] = effect;
}

void
effects_pin(struct effects *e, enum pin_reason reason, const char *name)
{
    if ((e->pinned & 1u << reason) != 0 && reason != PIN_SET) /* whose names are asked about */
        return;
    e->pinned |= 1u << reason;
    effects_add(e, (struct effect){ .kind = EFFECT_PIN, .pin = reason, .name = slice_str(name) });
}

void
effects_unpin(struct effects *e, enum pin_reason reason)
{
    effects_add(e, (struct effect){ .kind = EFFECT_UNPIN, .pin = reason });
}

void
effects_may_unpin(struct effects *e, enum pin_reason reason)
{
    effects_add(e, (struct effect){ .kind = EFFECT_MAY_UNPIN, .pin = reason });
}

static void
add_named(struct effects *e, enum effect_kind kind, const char *name)
{
    effects_add(e, (struct effect){ .kind = kind, .name = slice_str(name) });
}

static void
on_transaction(struct effects *e, const PgQuery__TransactionStmt *t)
{
    if (t->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT)
        add_named(e, EFFECT_SAVEPOINT, t->savepoint_name);
    else if (t->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO)
        add_named(e, EFFECT_ROLLBACK_TO, t->savepoint_name);
    else if (t->kind == PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE)
        add_named(e, EFFECT_RELEASE, t->savepoint_name);
}

/* DISCARD PLANS leaves prepared statements alone. */
static void
on_discard(struct effects *e, PgQuery__DiscardMode what)
{
    if (what == PG_QUERY__DISCARD_MODE__DISCARD_ALL)
        add_named(e, EFFECT_DISCARD_ALL, NULL);
    else if (what == PG_QUERY__DISCARD_MODE__DISCARD_TEMP)
        effects_unpin(e, PIN_TEMP_TABLE);
    else if (what == PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES)
        effects_unpin(e, PIN_SEQUENCE);
}

static void
on_declare(struct effects *e, const PgQuery__DeclareCursorStmt *declare)
{
    if ((declare->options & CURSOR_OPT_HOLD) != 0)
        effects_pin(e, PIN_HOLD_CURSOR, declare->portalname);
    effects_of_tree(e, &declare->base);
}

/* Its body is not analysed. */
static void
on_do(struct effects *e, const PgQuery__DoStmt *stmt)
{
    e->has_literals = true;
    for (size_t i = 0; i < stmt->n_args; i++) {
        const PgQuery__Node *arg =
            stmt->args[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM ? stmt->args[i]->def_elem->arg : NULL;

        if (arg != NULL && arg->node_case == PG_QUERY__NODE__NODE_STRING &&
            suspect_words(slice_str(arg->string->sval))) {
            effects_add(e, (struct effect){ .kind = EFFECT_MAY_LEAVE });
            return;
        }
    }
}

/* CREATE DATABASE: of the one that is copied. */
static const char *
template_of(const PgQuery__CreatedbStmt *stmt)
{
    for (size_t i = 0; i < stmt->n_options; i++) {
        const PgQuery__DefElem *option =
            stmt->options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM ? stmt->options[i]->def_elem : NULL;

        if (option != NULL && strcmp(option->defname, "template") == 0 && option->arg != NULL &&
            option->arg->node_case == PG_QUERY__NODE__NODE_STRING)
            return option->arg->string->sval;
    }
    return "template1";
}

/* One whose statement leaves something must stay where it is: EXECUTE does not show what. */
static void
on_prepare(struct effects *e, const PgQuery__PrepareStmt *stmt)
{
    unsigned n = e->n;

    effects_of_tree(e, &stmt->base);
    if (e->n > n)
        effects_pin(e, PIN_PREPARE, stmt->name);
    else
        effects_add(
            e, (struct effect){ .kind = EFFECT_PREPARE, .name = slice_str(stmt->name), .replay = e->text });
    e->has_literals |= e->sql_has_literals;
}

/* A SELECT of nothing but a list: each item runs once and for sure. */
static bool
is_plain(const PgQuery__SelectStmt *s)
{
    size_t lists = s->n_distinct_clause + s->n_from_clause + s->n_group_clause + s->n_window_clause +
                   s->n_values_lists + s->n_sort_clause + s->n_locking_clause;

    return lists == 0 && s->op == PG_QUERY__SET_OPERATION__SETOP_NONE && s->into_clause == NULL &&
           s->where_clause == NULL && s->having_clause == NULL && s->limit_offset == NULL &&
           s->limit_count == NULL && s->with_clause == NULL;
}

static const PgQuery__FuncCall *
call_of_item(const PgQuery__Node *item)
{
    const PgQuery__Node *value;

    if (item->node_case != PG_QUERY__NODE__NODE_RES_TARGET)
        return NULL;
    value = item->res_target->val;
    return value != NULL && value->node_case == PG_QUERY__NODE__NODE_FUNC_CALL ? value->func_call : NULL;
}

static void
on_select(struct effects *e, const PgQuery__SelectStmt *s)
{
    const PgQuery__FuncCall *call;

    if (!is_plain(s)) {
        effects_of_tree(e, &s->base);
        return;
    }
    for (size_t i = 0; i < s->n_target_list; i++) {
        call = call_of_item(s->target_list[i]);
        if (call != NULL && effects_call_is(call, "set_config"))
            effects_of_set_config(e, call);
        else if (call != NULL && s->n_target_list == 1 && effects_call_is(call, "pg_advisory_unlock_all"))
            effects_unpin(e, PIN_ADVISORY_LOCK);
        else
            effects_of_tree(e, &s->target_list[i]->base);
    }
}

bool
effects_explain_runs(const PgQuery__ExplainStmt *explain)
{
    for (size_t i = 0; i < explain->n_options; i++)
        if (explain->options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM &&
            strcmp(explain->options[i]->def_elem->defname, "analyze") == 0)
            return true;
    return false;
}

static void
on_channel(struct effects *e, const PgQuery__Node *stmt)
{
    if (stmt->node_case == PG_QUERY__NODE__NODE_LISTEN_STMT)
        add_named(e, EFFECT_LISTEN, stmt->listen_stmt->conditionname);
    else if (stmt->node_case == PG_QUERY__NODE__NODE_UNLISTEN_STMT)
        add_named(e, EFFECT_UNLISTEN, stmt->unlisten_stmt->conditionname);
    else
        e->notifies = true;
}

/* Statements whose effect is another one than that of the functions in them. */
static bool
on_session_statement(struct effects *e, const PgQuery__Node *stmt)
{
    switch (stmt->node_case) {
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
        effects_of_set(e, stmt->variable_set_stmt);
        return true;
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
        on_transaction(e, stmt->transaction_stmt);
        return true;
    case PG_QUERY__NODE__NODE_DISCARD_STMT:
        on_discard(e, stmt->discard_stmt->target);
        return true;
    case PG_QUERY__NODE__NODE_LISTEN_STMT:
    case PG_QUERY__NODE__NODE_UNLISTEN_STMT:
    case PG_QUERY__NODE__NODE_NOTIFY_STMT:
        on_channel(e, stmt);
        return true;
    case PG_QUERY__NODE__NODE_CLOSE_PORTAL_STMT:
        if (stmt->close_portal_stmt->portalname[0] == '\0')
            effects_unpin(e, PIN_HOLD_CURSOR);
        else
            effects_may_unpin(e, PIN_HOLD_CURSOR);
        return true;
    case PG_QUERY__NODE__NODE_DROP_STMT:
    case PG_QUERY__NODE__NODE_DROP_OWNED_STMT:
        effects_may_unpin(e, PIN_TEMP_TABLE);
        return true;
    case PG_QUERY__NODE__NODE_DO_STMT:
        on_do(e, stmt->do_stmt);
        return true;
    case PG_QUERY__NODE__NODE_PREPARE_STMT:
        on_prepare(e, stmt->prepare_stmt);
        return true;
    case PG_QUERY__NODE__NODE_DEALLOCATE_STMT:
        if (stmt->deallocate_stmt->name[0] == '\0')
            add_named(e, EFFECT_DEALLOCATE_ALL, NULL);
        else
            add_named(e, EFFECT_DEALLOCATE, stmt->deallocate_stmt->name);
        return true;
    case PG_QUERY__NODE__NODE_CREATEDB_STMT:
        add_named(e, EFFECT_VACATE, template_of(stmt->createdb_stmt));
        return true;
    case PG_QUERY__NODE__NODE_DROPDB_STMT:
        add_named(e, EFFECT_VACATE, stmt->dropdb_stmt->dbname);
        return true;
    case PG_QUERY__NODE__NODE_ALTER_DATABASE_STMT:
        add_named(e, EFFECT_VACATE, stmt->alter_database_stmt->dbname);
        return true;
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        if (stmt->rename_stmt->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE)
            add_named(e, EFFECT_VACATE, stmt->rename_stmt->subname);
        return true;
    case PG_QUERY__NODE__NODE_LOAD_STMT:
        effects_pin(e, PIN_LOAD, stmt->load_stmt->filename);
        e->has_literals = true;
        return true;
    default:
        return false;
    }
}

void
effects_of_statement(struct effects *e, const PgQuery__Node *stmt)
{
    e->pinned = 0;
    if (on_session_statement(e, stmt))
        return;
    switch (stmt->node_case) {
    case PG_QUERY__NODE__NODE__NOT_SET:
        return;
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        on_select(e, stmt->select_stmt);
        return;
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
        on_declare(e, stmt->declare_cursor_stmt);
        return;
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        if (effects_explain_runs(stmt->explain_stmt))
            effects_of_tree(e, &stmt->explain_stmt->base);
        else if (stmt->explain_stmt->query != NULL)
            effects_of_root(e, &stmt->explain_stmt->query->alias->base);
        return;
    case PG_QUERY__NODE__NODE_CREATE_STMT:
    case PG_QUERY__NODE__NODE_VIEW_STMT:
    case PG_QUERY__NODE__NODE_RULE_STMT:
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT:
        effects_of_root(e, &stmt->alias->base); /* every member of the union is a message */
        return;
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT: /* a script that is not seen */
    case PG_QUERY__NODE__NODE_ALTER_EXTENSION_STMT:
        effects_add(e, (struct effect){ .kind = EFFECT_MAY_LEAVE });
        return;
    default:
        effects_of_tree(e, &stmt->base);
    }
}
