/* SPDX-License-Identifier: ISC */
/* What a database knows that a text does not show: which functions may write, which
 * relations cannot be read on a replica (DESIGN section 6). A counted, immutable snapshot for each database of
 * a cluster; loaded on the control thread, read by any. */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "base/fault.h"
#include "loop/worker.h"
#include "sql/facts.h"

struct catalog;

struct catalog *catalog_hold(struct catalog *c);
void catalog_drop(struct catalog *c);

/* READ: a replica can run it. WRITE: it writes, locks, or is no read by its grammar. DOUBT: not known, or
 * nothing that a replica can answer (unlogged and foreign relations, what tells about the server). Both go to
 * the primary. */
enum catalog_verdict { CATALOG_READ, CATALOG_WRITE, CATALOG_DOUBT };
/* The verdict on a statement with facts F. A user's function is a read unless it is volatile, one of
 * PostgreSQL's when it is in sql/harmless.def and not in catalog/local.def; a name without a schema means all
 * of that name, and the worst counts. What is not in C was made after it was loaded: DOUBT. While a volatile
 * function can run without a name in the text (an operator called =, an operator class, an implicit cast, input
 * or output of a type), everything but SHOW is in DOUBT. C may be NULL: DOUBT, unless the text alone is enough.
 * *BECAUSE (may be NULL) names the function or relation that decided, "" when none did; valid while F lives. */
enum catalog_verdict catalog_judge(const struct catalog *c, const struct facts *f, struct slice *because);

/* ---- loading, on the control thread ---- */

struct catalog_loader;
typedef void
catalog_on_loaded(void *owner, struct catalog *c, const struct fault *why); /* C is held for the callee;
                                                                               NULL with WHY, or when the
                                                                               marks say that it is as before */
struct catalog_target {
    const char *host, *address, *database, *user, *password, *sslmode, *ca_file;
    uint16_t port;
};
/* By what a catalog was recognized when it was last read; all zero: it was not. Good for one server only. */
#define CATALOG_MARK 320
struct catalog_marks {
    char counts[CATALOG_MARK], rows[CATALOG_MARK];
};
/* How hard to look for a change: by counters, which are a second late; by every row; or read it all anyway. */
enum catalog_effort { CATALOG_IF_COUNTED, CATALOG_IF_CHANGED, CATALOG_WHOLE };
struct catalog_wanted {
    struct catalog_target target;
    enum catalog_effort effort;
    struct catalog_marks
        *marks; /* must live until ON_LOADED or the cancel; changed: to those of what was read */
};
struct catalog_loader *catalog_load(struct worker *control, const struct catalog_wanted *wanted,
                                    catalog_on_loaded *on_loaded, void *owner);
/* Before on_loaded: it is not called then. NULL is fine. */
void catalog_load_cancel(struct catalog_loader *l);

#endif
