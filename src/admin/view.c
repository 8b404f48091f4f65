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
#include "admin/views.def"
#undef VIEW
#undef COLUMN
#undef STATS
#undef ADMIN
};

/* All columns of all views, and beside each the view that it belongs to. */
static const struct wire_column columns[] = {
#define VIEW(...)
#define COLUMN(view, name, type) { #name, WIRE_##type },
#include "admin/views.def"
#undef COLUMN
    { NULL, 0 }
};
static const uint8_t owners[] = {
#define COLUMN(view, name, type) ADMIN_VIEW_##view,
#include "admin/views.def"
#undef COLUMN
#undef VIEW
    ADMIN_NVIEWS
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
admin_view_columns(enum admin_view v, unsigned *n)
{
    unsigned first = 0, end;

    while (owners[first] < v)
        first++;
    for (end = first; owners[end] == v;)
        end++;
    *n = end - first;
    return &columns[first];
}

int
admin_view_column(enum admin_view v, struct slice name)
{
    unsigned n;
    const struct wire_column *c = admin_view_columns(v, &n);

    for (unsigned i = 0; i < n; i++)
        if (slice_is_nocase(name, c[i].name))
            return (int)i;
    return -1;
}
