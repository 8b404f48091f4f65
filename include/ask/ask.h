/* SPDX-License-Identifier: ISC */
/* One libpq connection on our loop, for our own questions to PostgreSQL: never in
 * the data path. Owned by the worker that made it. Connects when first asked, again after it broke. */
#ifndef ASK_ASK_H
#define ASK_ASK_H

#include "base/fault.h"
#include "loop/worker.h"

struct ask;
struct ask_target {
    const char *host;    /* what a certificate must name; a folder */
    const char *address; /* where HOST is, as a numeric address; NULL: it is one, or a folder (libpq would look
                            a name up, and that blocks) */
    const char *database, *user, *password;
    uint16_t port;
    const char *sslmode, *ca_file; /* libpq's words */
    const char *options;           /* e.g. "-c search_path=pg_catalog" */
};

/* TARGET is copied. */
struct ask *ask_new(struct worker *w, const struct ask_target *target);
/* A question under way is answered with a fault first. NULL is fine. */
void ask_free(struct ask *a);
bool ask_is_busy(const struct ask *a);

/* One row with up to ASK_MAX_FIELDS text fields; NULL fields are NULL. */
#define ASK_MAX_FIELDS 8
struct ask_answer {
    unsigned n_rows, n_fields;         /* of the whole answer */
    const char *field[ASK_MAX_FIELDS]; /* of the first row; valid during the call */
};
/* WHY is NULL when ANSWER is good. */
typedef void ask_on_answer(void *owner, const struct ask_answer *answer, const struct fault *why);
/* Copied. */
struct ask_query {
    const char *sql;
    const char *const *params; /* text; N of them */
    int n;
    int64_t timeout_us; /* connecting included */
};
/* One question at a time (ask_is_busy()). ON_ANSWER is called exactly once, never before this returns; it may
 * ask again or free A. After a fault the connection is gone; the next question makes a new one. */
void ask_question(struct ask *a, const struct ask_query *query, ask_on_answer *on_answer, void *owner);

#endif
