/* SPDX-License-Identifier: ISC */
/* SET, RESET and set_config(): which setting of the session they change, and the SQL that does it again. Pure.
 */
#include "effects_private.h"

#include <strings.h>

#include "base/mem.h"
#include "base/text.h"

/* What is done with a setting. */
enum setting_rule { RULE_REPLAY, RULE_ROLE, RULE_AUTHORIZATION, RULE_TRANSACTION };

static const struct {
    const char *name;
    enum setting_rule rule;
} special_settings[] = {
    { "role", RULE_ROLE },
    { "session_authorization", RULE_AUTHORIZATION },
    { "transaction_isolation", RULE_TRANSACTION },
    { "transaction_read_only", RULE_TRANSACTION },
    { "transaction_deferrable", RULE_TRANSACTION },
    { "seed", RULE_TRANSACTION }, /* not of a transaction, but to set it again would start its numbers anew */
};

static enum setting_rule
rule_of(const char *name)
{
    for (size_t i = 0; i < sizeof(special_settings) / sizeof(special_settings[0]); i++)
        if (strcasecmp(special_settings[i].name, name) == 0)
            return special_settings[i].rule;
    return RULE_REPLAY;
}

/* An effect on the setting NAME, whose case does not matter. */
static void
add(struct effects *e, enum effect_kind kind, const char *name, struct slice replay)
{
    char *folded = mem_strdup(name);

    for (char *p = folded; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 0x20);
    effects_add(e, (struct effect){ .kind = kind, .name = slice_str(folded), .replay = replay });
    mem_free(folded);
}

static void
on_reset(struct effects *e, const char *name)
{
    enum setting_rule rule = rule_of(name);

    if (rule == RULE_AUTHORIZATION)
        effects_unpin(e, PIN_AUTHORIZATION);
    else if (rule != RULE_TRANSACTION)
        add(e, EFFECT_RESET, name, SLICE(""));
}

/* A string constant that reads the same whatever standard_conforming_strings is. */
static void
add_literal(struct text *t, const char *s)
{
    bool escapes = strchr(s, '\\') != NULL;

    text_add_str(t, escapes ? "E'" : "'");
    for (; *s != '\0'; s++) {
        if (*s == '\'' || *s == '\\')
            text_add_char(t, *s);
        text_add_char(t, *s);
    }
    text_add_char(t, '\'');
}

/* The role is VALUE. Always in the same words: sessions with the same role are told by them. */
static void
add_role(struct effects *e, enum effect_kind kind, const char *value)
{
    struct text t = { 0 };

    text_add_str(&t, "SET \"role\" TO ");
    add_literal(&t, value);
    add(e, kind, "role", text_slice(&t));
    text_done(&t);
}

/* NAME gets VALUE (NULL: not a single string), which REPLAY does again. */
static void
on_value(struct effects *e, struct effect effect, const char *name, const char *value)
{
    enum setting_rule rule = rule_of(name);

    e->has_literals |= e->sql_has_literals;
    if (rule == RULE_ROLE && value != NULL)
        add_role(e, effect.kind, value);
    else if (rule == RULE_AUTHORIZATION)
        effects_pin(e, PIN_AUTHORIZATION, value == NULL ? "" : value);
    else if (rule != RULE_TRANSACTION)
        add(e, effect.kind, name, effect.replay);
}

/* The same, until the transaction ends: what the rest of it has to do with. */
static void
on_local_value(struct effects *e, const char *name, const char *value)
{
    enum setting_rule rule = rule_of(name);

    if (rule == RULE_ROLE && value != NULL) {
        e->has_literals |= e->sql_has_literals;
        add_role(e, EFFECT_SET_LOCAL, value);
    } else if (rule == RULE_AUTHORIZATION) {
        effects_may_unpin(e, PIN_AUTHORIZATION);
    }
}

/* The constant that NODE is, also with a cast to TYPE ("text", "bool") around it; else NULL. */
static const PgQuery__AConst *
constant(const PgQuery__Node *node, const char *type)
{
    const char *schema;

    if (node != NULL && node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
        const PgQuery__TypeCast *cast = node->type_cast;

        if (cast->type_name == NULL || cast->type_name->n_array_bounds > 0 ||
            strcmp(effects_last_name(cast->type_name->names, cast->type_name->n_names, &schema), type) != 0)
            return NULL;
        node = cast->arg;
    }
    return node != NULL && node->node_case == PG_QUERY__NODE__NODE_A_CONST ? node->a_const : NULL;
}

/* The text of a string constant, else NULL. */
static const char *
string_of(const PgQuery__Node *node)
{
    const PgQuery__AConst *c = constant(node, "text");

    return c != NULL && c->val_case == PG_QUERY__A__CONST__VAL_SVAL ? c->sval->sval : NULL;
}

static bool
is_null(const PgQuery__Node *node)
{
    const PgQuery__AConst *c = constant(node, "text");

    return c != NULL && c->isnull;
}

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNKNOWN };

static enum answer
truth_of(const PgQuery__Node *node)
{
    const PgQuery__AConst *c = constant(node, "bool");

    if (c != NULL && c->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL)
        return c->boolval->boolval ? ANSWER_YES : ANSWER_NO;
    if (c == NULL || c->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return ANSWER_UNKNOWN;
    if (strcasecmp(c->sval->sval, "true") == 0 || strcasecmp(c->sval->sval, "t") == 0)
        return ANSWER_YES;
    if (strcasecmp(c->sval->sval, "false") == 0 || strcasecmp(c->sval->sval, "f") == 0)
        return ANSWER_NO;
    return ANSWER_UNKNOWN;
}

/* SET SESSION CHARACTERISTICS AS TRANSACTION: one setting per mode. */
static void
on_characteristic(struct effects *e, const PgQuery__Node *mode)
{
    const PgQuery__AConst *c;
    const char *value = NULL;
    char *name, *replay;

    if (mode->node_case != PG_QUERY__NODE__NODE_DEF_ELEM)
        return;
    c = constant(mode->def_elem->arg, "");
    if (c != NULL && c->val_case == PG_QUERY__A__CONST__VAL_SVAL)
        value = c->sval->sval;
    else if (c != NULL && c->val_case == PG_QUERY__A__CONST__VAL_IVAL)
        value = c->ival->ival != 0 ? "on" : "off";
    if (value == NULL) {
        effects_pin(e, PIN_SET, mode->def_elem->defname);
        return;
    }
    name = mem_printf("default_%s", mode->def_elem->defname);
    replay = mem_printf("SET %s TO '%s'", name, value);
    add(e, EFFECT_SET, name, slice_str(replay));
    mem_free(name);
    mem_free(replay);
}

static void
on_several(struct effects *e, const PgQuery__VariableSetStmt *set)
{
    if (strcmp(set->name, "SESSION CHARACTERISTICS") != 0)
        return;
    for (size_t i = 0; i < set->n_args; i++)
        on_characteristic(e, set->args[i]);
}

void
effects_of_set(struct effects *e, const PgQuery__VariableSetStmt *set)
{
    const char *value = set->n_args == 1 ? string_of(set->args[0]) : NULL;

    if (set->is_local) {
        on_local_value(e, set->name, value);
        return;
    }
    switch (set->kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE:
        on_value(e, (struct effect){ .kind = EFFECT_SET, .replay = e->text }, set->name, value);
        return;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET:
        on_reset(e, set->name);
        return;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI:
        on_several(e, set);
        return;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL:
        effects_add(e, (struct effect){ .kind = EFFECT_RESET_ALL });
        return;
    default: /* SET x FROM CURRENT */
        effects_pin(e, PIN_SET, set->name);
    }
}

static void
add_set_config(struct effects *e, const char *name, const char *value)
{
    struct text t = { 0 };

    text_add_str(&t, "SELECT pg_catalog.set_config(");
    add_literal(&t, name);
    text_add_str(&t, ", ");
    add_literal(&t, value);
    text_add_str(&t, ", false)");
    on_value(e, (struct effect){ .kind = EFFECT_SET_CONFIG, .replay = text_slice(&t) }, name, value);
    text_done(&t);
}

/* Three plain arguments and nothing else around them. */
static bool
is_simple(const PgQuery__FuncCall *call)
{
    return call->n_args == 3 && call->n_agg_order == 0 && call->agg_filter == NULL && call->over == NULL &&
           !call->agg_within_group && !call->agg_distinct && !call->func_variadic;
}

void
effects_of_set_config(struct effects *e, const PgQuery__FuncCall *call)
{
    const char *name, *value;
    enum answer local;

    e->has_literals |= e->sql_has_literals;
    if (!is_simple(call) || (name = string_of(call->args[0])) == NULL ||
        (local = truth_of(call->args[2])) == ANSWER_UNKNOWN) {
        effects_of_tree(e, &call->base);
        return;
    }
    value = string_of(call->args[1]);
    if (local == ANSWER_YES && value != NULL)
        on_local_value(e, name, value);
    else if (local == ANSWER_NO && value != NULL)
        add_set_config(e, name, value);
    else if (local == ANSWER_NO && is_null(call->args[1]))
        on_reset(e, name);
    else
        effects_of_tree(e, &call->base);
}

void
effects_of_hidden_set_config(struct effects *e, const PgQuery__FuncCall *call)
{
    const char *name;
    enum setting_rule rule;

    e->has_literals |= e->sql_has_literals;
    if (is_simple(call) && truth_of(call->args[2]) == ANSWER_YES)
        return;
    name = call->n_args > 0 ? string_of(call->args[0]) : NULL;
    rule = name == NULL ? RULE_REPLAY : rule_of(name);
    if (rule == RULE_AUTHORIZATION)
        effects_pin(e, PIN_AUTHORIZATION, name);
    else if (rule != RULE_TRANSACTION)
        effects_pin(e, PIN_SET, name == NULL ? "" : name);
}
