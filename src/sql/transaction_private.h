/* SPDX-License-Identifier: ISC */
/* What a statement says about the mode of transactions. Pure; any thread. */
#ifndef SQL_TRANSACTION_PRIVATE_H
#define SQL_TRANSACTION_PRIVATE_H

#include <pg_query/pg_query.pb-c.h>

#include "sql/facts.h"

struct transaction_mode {
    enum begin_mode begin, set_transaction, set_session;
    bool serializable; /* of BEGIN or SET TRANSACTION */
    bool by_value;     /* SET name TO value: a literal decides */
};

/* SET TRANSACTION, but for its SNAPSHOT. */
bool transaction_is_mode(const PgQuery__Node *stmt);
/* COMMIT, ROLLBACK, PREPARE TRANSACTION. */
bool transaction_is_ended(const PgQuery__Node *stmt);
/* It may commit a part of what it does, and go on. */
bool transaction_is_in_steps(const PgQuery__Node *stmt);
/* Changes what STMT says something about. */
void transaction_note(struct transaction_mode *mode, const PgQuery__Node *stmt);

#endif
