/* SPDX-License-Identifier: ISC */
/* Random bytes from the kernel. */
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void
random_bytes(void *out, size_t len)
{
    char *at = out;

    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);

        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            abort();
        at += n;
        len -= (size_t)n;
    }
}

uint64_t
random_u64(void)
{
    uint64_t v;

    random_bytes(&v, sizeof(v));
    return v;
}
