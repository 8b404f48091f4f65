/* SPDX-License-Identifier: ISC */
/* Why something failed. */
#include "base/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
fault_set(struct fault *why, const char *sqlstate, const char *fmt, ...)
{
    va_list ap;

    if (why == NULL)
        return false;
    memset(why, 0, sizeof(*why));
    snprintf(why->sqlstate, sizeof(why->sqlstate), "%s", sqlstate);
    va_start(ap, fmt);
    vsnprintf(why->message, sizeof(why->message), fmt, ap);
    va_end(ap);
    return false;
}

bool
fault_errno(struct fault *why, const char *fmt, ...)
{
    char reason[64];
    int saved = errno;
    va_list ap;
    size_t len;

    if (why == NULL)
        return false;
    memset(why, 0, sizeof(*why));
    strcpy(why->sqlstate, "58030");
    va_start(ap, fmt);
    vsnprintf(why->message, sizeof(why->message), fmt, ap);
    va_end(ap);
    len = strlen(why->message);
    snprintf(why->message + len, sizeof(why->message) - len, ": %s", strerror_r(saved, reason, sizeof(reason)));
    errno = saved;
    return false;
}

bool
fault_detail(struct fault *why, const char *fmt, ...)
{
    va_list ap;

    if (why == NULL)
        return false;
    va_start(ap, fmt);
    vsnprintf(why->detail, sizeof(why->detail), fmt, ap);
    va_end(ap);
    return false;
}

bool
fault_hint(struct fault *why, const char *fmt, ...)
{
    va_list ap;

    if (why == NULL)
        return false;
    va_start(ap, fmt);
    vsnprintf(why->hint, sizeof(why->hint), fmt, ap);
    va_end(ap);
    return false;
}

bool
fault_prefix(struct fault *why, const char *fmt, ...)
{
    char old[sizeof(why->message)];
    va_list ap;
    size_t len;

    if (why == NULL)
        return false;
    memcpy(old, why->message, sizeof(old));
    va_start(ap, fmt);
    vsnprintf(why->message, sizeof(why->message), fmt, ap);
    va_end(ap);
    len = strlen(why->message);
    snprintf(why->message + len, sizeof(why->message) - len, ": %s", old);
    return false;
}
