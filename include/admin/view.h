/* SPDX-License-Identifier: ISC */
/* The tables that SHOW knows, with PgBouncer's columns in its order; ours come after them. Any thread. */
#ifndef ADMIN_VIEW_H
#define ADMIN_VIEW_H

#include "wire/rows.h"

enum admin_view {
#define VIEW(name, role) ADMIN_VIEW_##name,
#define COLUMN(...)
#define OURS(...)
#include "admin/views.def"
#undef VIEW
#undef COLUMN
#undef OURS
    ADMIN_NVIEWS
};

#define ADMIN_MAX_COLUMNS 40

/* The view of that name, without regard to case; ADMIN_NVIEWS when there is none. */
enum admin_view admin_view_find(struct slice name);
const char *admin_view_name(enum admin_view v);
bool admin_view_needs_admin(enum admin_view v);
/* N of them; COMPAT leaves out those that PgBouncer does not have. */
const struct wire_column *admin_view_columns(enum admin_view v, bool compat, unsigned *n);
/* The place of column NAME among those, or -1. */
int admin_view_column(enum admin_view v, bool compat, struct slice name);

#endif
