/* SPDX-License-Identifier: ISC */
/* From what PostgreSQL answered to a snapshot.
 *
 * The text is lines that end in CATALOG_LINE, of fields between CATALOG_FIELD; an id is a letter and an OID.
 *   f ID SCHEMA NAME VOLATILITY   a function; VOLATILITY is i, s or v
 *   o ID SCHEMA NAME              an operator
 *   t ID SCHEMA NAME              a type
 *   r ID SCHEMA NAME KIND         a relation; KIND is p (ordinary), u (unlogged), f (foreign), v (view), l
 * (view that locks rows) u ID ID                       whoever uses the first uses the second h ID what runs
 * without being named: it spoils everything when it is no read c ID                          a function of one
 * row: t.name calls it */
#ifndef CATALOG_CATALOG_PRIVATE_H
#define CATALOG_CATALOG_PRIVATE_H

#include "base/slice.h"
#include "catalog/catalog.h"

#define CATALOG_LINE  '\x1e'
#define CATALOG_FIELD '\x1f'

/* How bad a thing is; the worst of all that a statement uses decides. */
enum severity { SEVERITY_NONE, SEVERITY_DOUBT, SEVERITY_WRITE };

/* Whether SCHEMA.NAME, a function of VOLATILITY, is a read. */
enum severity catalog_function_severity(struct slice schema, struct slice name, char volatility);

enum name_kind { NAME_CALL, NAME_RELATION };

/* A snapshot while it grows. */
struct catalog *catalog_new(uint64_t seed);
/* Of several things with one name the worst counts, also for the name without its schema. */
void
catalog_add(struct catalog **c, enum name_kind kind, const struct facts_name *name, enum severity severity);
void catalog_add_field(struct catalog *c, struct slice function);
void catalog_set_hidden(struct catalog *c, enum severity severity);

/* NULL with WHY: a line is not as above. */
struct catalog *catalog_read(struct slice text, struct fault *why);

#endif
