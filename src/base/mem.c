/* SPDX-License-Identifier: ISC */
/* Memory that cannot fail. Leaves limits to the callers. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *p)
{
    if (p == NULL) {
        fputs("pgweir: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *
mem_alloc(size_t len)
{
    return checked(malloc(len == 0 ? 1 : len));
}

void *
mem_zalloc(size_t len)
{
    return checked(calloc(1, len == 0 ? 1 : len));
}

void *
mem_realloc(void *p, size_t len)
{
    return checked(realloc(p, len == 0 ? 1 : len));
}

void *
mem_dup(const void *p, size_t len)
{
    char *copy = mem_alloc(len + 1);

    if (len > 0)
        memcpy(copy, p, len);
    copy[len] = '\0';
    return copy;
}

char *
mem_strdup(const char *s)
{
    return s == NULL ? NULL : mem_dup(s, strlen(s));
}

char *
mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    return checked(text);
}

void
mem_free(void *p)
{
    free(p);
}

void
mem_wipe(void *p, size_t len)
{
    if (len > 0)
        explicit_bzero(p, len);
}
