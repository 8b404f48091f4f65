/* SPDX-License-Identifier: ISC */
/* The tables that SHOW knows. */
#include "admin/view.h"

static const struct {
    const char *name;
    bool admin;
} views[] = {
#define STATS            false
#define ADMIN            true
#define VIEW(name, role) { #name, role },
#define COLUMN(...)
#define OURS(...)
#include "admin/views.def"
#undef VIEW
#undef COLUMN
#undef OURS
#undef STATS
#undef ADMIN
};

/* All columns of all views, and beside each the view that it belongs to and whether PgBouncer has it. */
static const struct wire_column columns[] = {
#define VIEW(...)
#define COLUMN(view, name, type) { #name, WIRE_##type },
#define OURS                     COLUMN
#include "admin/views.def"
#undef COLUMN
    { NULL, 0 }
};
static const struct {
    uint8_t view;
    bool ours;
} owners[] = {
#undef OURS
#define COLUMN(view, name, type) { ADMIN_VIEW_##view, false },
#define OURS(view, name, type)   { ADMIN_VIEW_##view, true },
#include "admin/views.def"
#undef COLUMN
#undef OURS
#undef VIEW
    { ADMIN_NVIEWS, false }
};

enum admin_view
admin_view_find(struct slice name)
{
    for (unsigned v = 0; v < ADMIN_NVIEWS; v++)
        if (slice_is_nocase(name, views[v].name))
            return v;
    return ADMIN_NVIEWS;
}

const char *
admin_view_name(enum admin_view v)
{
    return views[v].name;
}

bool
admin_view_needs_admin(enum admin_view v)
{
    return views[v].admin;
}

const struct wire_column *
admin_view_columns(enum admin_view v, bool compat, unsigned *n)
{
    unsigned first = 0, end;

    while (owners[first].view < v)
        first++;
    for (end = first; owners[end].view == v && !(compat && owners[end].ours);)
        end++;
    *n = end - first;
    return &columns[first];
}

int
admin_view_column(enum admin_view v, bool compat, struct slice name)
{
    unsigned n;
    const struct wire_column *c = admin_view_columns(v, compat, &n);

    for (unsigned i = 0; i < n; i++)
        if (slice_is_nocase(name, c[i].name))
            return (int)i;
    return -1;
}
