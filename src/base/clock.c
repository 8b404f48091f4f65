/* SPDX-License-Identifier: ISC */
/* Time from the system. */
#include "base/clock.h"

#include <time.h>

static int64_t
read_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * CLOCK_S + t.tv_nsec / 1000;
}

int64_t
clock_now_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}
