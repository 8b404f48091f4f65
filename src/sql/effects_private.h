/* SPDX-License-Identifier: ISC */
/* The effects of one SQL string while they are being found. One thread. */
#ifndef SQL_EFFECTS_PRIVATE_H
#define SQL_EFFECTS_PRIVATE_H

#include <pg_query/pg_query.pb-c.h>

#include "sql/facts.h"

struct effects {
    struct slice text;     /* of the statement at hand, without comments and semicolon at its ends */
    unsigned statement;    /* its number */
    bool sql_has_literals; /* the string has literals at all */
    bool has_literals;     /* an effect depends on one */
    bool notifies;
    unsigned pinned;     /* bits of pin_reason already found in this statement */
    struct effect *list; /* slices are on the heap, of their own */
    unsigned n, cap;
};

void effects_done(struct effects *e);
/* NAME and REPLAY are copied. An effect PIN for a reason is added once per statement, but for settings. */
void effects_add(struct effects *e, struct effect effect);
void effects_pin(struct effects *e, enum pin_reason reason, const char *name);
void effects_unpin(struct effects *e, enum pin_reason reason);
void effects_may_unpin(struct effects *e, enum pin_reason reason);

/* All effects of STMT, which is the statement that e->text is the text of. */
void effects_of_statement(struct effects *e, const PgQuery__Node *stmt);

/* settings.c: SET, RESET and set_config(). */
void effects_of_set(struct effects *e, const PgQuery__VariableSetStmt *set);
/* CALL is the whole of an item of a plain SELECT's list, so that it runs once and for sure. */
void effects_of_set_config(struct effects *e, const PgQuery__FuncCall *call);
/* CALL stands anywhere else. */
void effects_of_hidden_set_config(struct effects *e, const PgQuery__FuncCall *call);

/* functions.c: the tree from ROOT, which runs, is searched for what leaves state: functions, INTO TEMP, ... */
void effects_of_tree(struct effects *e, const ProtobufCMessage *root);
/* The same of ROOT alone: what is below does not run. */
void effects_of_root(struct effects *e, const ProtobufCMessage *root);
/* Whether CALL calls the function NAME of PostgreSQL, not one of another schema. */
bool effects_call_is(const PgQuery__FuncCall *call, const char *name);
/* Whether a name of pg_catalog may be meant when SCHEMA, "" for none, stands before it. */
bool effects_is_system(const char *schema);
/* Whether EXPLAIN runs its statement; ANALYZE FALSE counts as yes. */
bool effects_explain_runs(const PgQuery__ExplainStmt *explain);
/* The last part of a name made of String nodes, "" when there is none; *SCHEMA is the part before it or "". */
const char *effects_last_name(PgQuery__Node *const *parts, size_t n, const char **schema);

#endif
