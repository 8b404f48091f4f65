/* SPDX-License-Identifier: ISC */
/* Which functions are reads. A user's function is what its volatility says: PostgreSQL lets none but volatile
 * ones write. Of PostgreSQL's own, those that people have looked at (sql/harmless.def) are. Pure. */
#include <string.h>

#include "catalog_private.h"

static const char *const local[] = {
#define LOCAL(pattern) pattern,
#include "local.def"
#undef LOCAL
};

static bool
matches(struct slice name, const char *pattern)
{
    size_t len = strlen(pattern);

    if (pattern[len - 1] == '*')
        return name.len >= len - 1 && memcmp(name.data, pattern, len - 1) == 0;
    return slice_is(name, pattern);
}

static bool
is_local(struct slice name)
{
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
        if (matches(name, local[i]))
            return true;
    return false;
}

/* log() is not in harmless.def because users have one too; here theirs is known. */
static bool
is_checked(struct slice name)
{
    return facts_is_harmless(name) || slice_is(name, "log");
}

enum severity
catalog_function_severity(struct slice schema, struct slice name, char volatility)
{
    if (!slice_is(schema, "pg_catalog"))
        return volatility == 'v' ? SEVERITY_WRITE : SEVERITY_NONE;
    if (is_local(name))
        return SEVERITY_DOUBT;
    if (is_checked(name))
        return SEVERITY_NONE;
    return volatility == 'v' ? SEVERITY_WRITE : SEVERITY_DOUBT;
}
