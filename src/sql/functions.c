/* SPDX-License-Identifier: ISC */
/* What can leave state wherever it stands in a statement: functions of functions.def, set_config(), temporary
 * relations. Pure. Leaves statements that are an effect as a whole to effects. */
#include "effects_private.h"
#include "walk_private.h"

enum function_home { HOME_SYSTEM, HOME_EXTENSION };

static const struct {
    const char *name;
    enum function_home home;
    enum pin_reason pin;
    bool unpins;
} functions[] = {
#define FUNCTION(name, where, pin) { #name, HOME_##where, pin, false },
#define UNPINS(name, where, pin)   { #name, HOME_##where, pin, true },
#include "functions.def"
#undef FUNCTION
#undef UNPINS
};

const char *
effects_last_name(PgQuery__Node *const *parts, size_t n, const char **schema)
{
    const char *name = "";

    *schema = "";
    for (size_t i = 0; i < n; i++) {
        if (parts[i]->node_case != PG_QUERY__NODE__NODE_STRING)
            continue;
        *schema = name;
        name = parts[i]->string->sval;
    }
    return name;
}

bool
effects_is_system(const char *schema)
{
    return schema[0] == '\0' || strcmp(schema, "pg_catalog") == 0;
}

bool
effects_call_is(const PgQuery__FuncCall *call, const char *name)
{
    const char *schema, *last = effects_last_name(call->funcname, call->n_funcname, &schema);

    return strcmp(last, name) == 0 && effects_is_system(schema);
}

/* The first argument of CALL, with or without its name, is a call of NAME. */
static bool
is_called_with(const PgQuery__FuncCall *call, const char *name)
{
    const PgQuery__Node *first = call->n_args == 0 ? NULL : call->args[0];

    if (first != NULL && first->node_case == PG_QUERY__NODE__NODE_NAMED_ARG_EXPR)
        first = first->named_arg_expr->arg;
    return first != NULL && first->node_case == PG_QUERY__NODE__NODE_FUNC_CALL &&
           effects_call_is(first->func_call, name);
}

static void
on_call(struct effects *e, const PgQuery__FuncCall *call)
{
    const char *schema, *name = effects_last_name(call->funcname, call->n_funcname, &schema);

    if (effects_call_is(call, "set_config")) {
        effects_of_hidden_set_config(e, call);
        return;
    }
    e->notifies = e->notifies || effects_call_is(call, "pg_notify");
    if (effects_call_is(call, "pg_terminate_backend") && is_called_with(call, "pg_backend_pid"))
        effects_add(e, (struct effect){ .kind = EFFECT_QUIT });
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (strcmp(functions[i].name, name) != 0 ||
            (functions[i].home != HOME_EXTENSION && !effects_is_system(schema)))
            continue;
        if (functions[i].unpins)
            effects_may_unpin(e, functions[i].pin);
        else /* the name of PIN_SET would be a setting's */
            effects_pin(e, functions[i].pin, functions[i].pin == PIN_SET ? "" : name);
    }
}

/* pg_temp, or the true name of such a schema (pg_temp_3). */
static bool
schema_is_temp(const char *schema)
{
    return strncmp(schema, "pg_temp", strlen("pg_temp")) == 0;
}

/* Statements that make a relation: where its RangeVar is, and (or 0) its ON COMMIT. */
static const struct {
    const ProtobufCMessageDescriptor *type;
    size_t relation, on_commit;
} relation_makers[] = {
    { &pg_query__into_clause__descriptor, offsetof(PgQuery__IntoClause, rel),
      offsetof(PgQuery__IntoClause, on_commit) },
    { &pg_query__create_stmt__descriptor, offsetof(PgQuery__CreateStmt, relation),
      offsetof(PgQuery__CreateStmt, oncommit) },
    { &pg_query__create_seq_stmt__descriptor, offsetof(PgQuery__CreateSeqStmt, sequence), 0 },
    { &pg_query__view_stmt__descriptor, offsetof(PgQuery__ViewStmt, view), 0 },
    { &pg_query__composite_type_stmt__descriptor, offsetof(PgQuery__CompositeTypeStmt, typevar), 0 },
};

/* Statements that make something with a name of parts: where the parts and their number are. */
static const struct {
    const ProtobufCMessageDescriptor *type;
    size_t parts, n_parts;
} name_makers[] = {
    { &pg_query__create_function_stmt__descriptor, offsetof(PgQuery__CreateFunctionStmt, funcname),
      offsetof(PgQuery__CreateFunctionStmt, n_funcname) },
    { &pg_query__create_domain_stmt__descriptor, offsetof(PgQuery__CreateDomainStmt, domainname),
      offsetof(PgQuery__CreateDomainStmt, n_domainname) },
    { &pg_query__create_enum_stmt__descriptor, offsetof(PgQuery__CreateEnumStmt, type_name),
      offsetof(PgQuery__CreateEnumStmt, n_type_name) },
    { &pg_query__create_range_stmt__descriptor, offsetof(PgQuery__CreateRangeStmt, type_name),
      offsetof(PgQuery__CreateRangeStmt, n_type_name) },
    { &pg_query__define_stmt__descriptor, offsetof(PgQuery__DefineStmt, defnames),
      offsetof(PgQuery__DefineStmt, n_defnames) },
};

static const void *
member(const ProtobufCMessage *m, size_t offset)
{
    return (const char *)m + offset;
}

static void
on_relation(struct effects *e, const ProtobufCMessage *m, size_t relation, size_t on_commit)
{
    const PgQuery__RangeVar *rel = *(PgQuery__RangeVar *const *)member(m, relation);

    if (rel == NULL || (strcmp(rel->relpersistence, "t") != 0 && !schema_is_temp(rel->schemaname)))
        return;
    if (on_commit == 0 ||
        *(const PgQuery__OnCommitAction *)member(m, on_commit) != PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DROP)
        effects_pin(e, PIN_TEMP_TABLE, rel->relname);
}

static void
on_name(struct effects *e, PgQuery__Node *const *parts, size_t n)
{
    const char *schema, *name = effects_last_name(parts, n, &schema);

    if (schema_is_temp(schema))
        effects_pin(e, PIN_TEMP_TABLE, name);
}

/* UPDATE pg_settings is a SET of each row (PostgreSQL manual, "pg_settings"). */
static void
on_update(struct effects *e, const PgQuery__UpdateStmt *u)
{
    if (u->relation != NULL && strcmp(u->relation->relname, "pg_settings") == 0 &&
        effects_is_system(u->relation->schemaname))
        effects_pin(e, PIN_SET, "");
}

static void
on_message(void *arg, const ProtobufCMessage *m)
{
    struct effects *e = arg;

    if (m->descriptor == &pg_query__func_call__descriptor) {
        on_call(e, (const PgQuery__FuncCall *)(const void *)m);
        return;
    }
    if (m->descriptor == &pg_query__update_stmt__descriptor) {
        on_update(e, (const PgQuery__UpdateStmt *)(const void *)m);
        return;
    }
    if (m->descriptor == &pg_query__execute_stmt__descriptor) {
        effects_add(
            e, (struct effect){ .kind = EFFECT_EXECUTE,
                                .name = slice_str(((const PgQuery__ExecuteStmt *)(const void *)m)->name) });
        return;
    }
    for (size_t i = 0; i < sizeof(relation_makers) / sizeof(relation_makers[0]); i++)
        if (m->descriptor == relation_makers[i].type)
            on_relation(e, m, relation_makers[i].relation, relation_makers[i].on_commit);
    for (size_t i = 0; i < sizeof(name_makers) / sizeof(name_makers[0]); i++)
        if (m->descriptor == name_makers[i].type)
            on_name(e, *(PgQuery__Node *const *const *)member(m, name_makers[i].parts),
                    *(const size_t *)member(m, name_makers[i].n_parts));
}

void
effects_of_tree(struct effects *e, const ProtobufCMessage *root)
{
    walk_tree(root, on_message, e);
}

void
effects_of_root(struct effects *e, const ProtobufCMessage *root)
{
    on_message(e, root);
}
