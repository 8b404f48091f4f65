/* SPDX-License-Identifier: ISC */
#include "measure.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static uint64_t
ns_of(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return ns_of(&t);
}

uint64_t
cpu_ns(const char *pids)
{
    struct timespec t;
    uint64_t sum = 0;
    clockid_t clock;
    char *end;

    for (;; pids = end + 1) {
        long pid = strtol(pids, &end, 10);

        if (clock_getcpuclockid((pid_t)pid, &clock) == 0 && clock_gettime(clock, &t) == 0)
            sum += ns_of(&t);
        if (*end != ',')
            return sum;
    }
}

/* Below 64 ns each value has a bucket; above, each power of two has 32. */
static int
shift_of(uint64_t ns)
{
    return ns < 64 ? 0 : 63 - __builtin_clzll(ns) - 5;
}

void
histogram_add(struct histogram *h, uint64_t ns)
{
    int shift = shift_of(ns);

    h->buckets[shift == 0 ? (int)ns : shift * 32 + 32 + (int)((ns >> shift) & 31)]++;
    h->count++;
    h->sum += (double)ns;
    if (ns > h->max)
        h->max = ns;
}

static double
middle_us(int bucket)
{
    int shift = (bucket - 32) / 32;
    uint64_t low = ((uint64_t)((bucket - 32) % 32) | 32) << shift;

    return bucket < 64 ? bucket / 1e3 : (double)(low + (1ull << shift) / 2) / 1e3;
}

double
histogram_us(const struct histogram *h, double part)
{
    uint64_t want = (uint64_t)ceil(part * (double)h->count), seen = 0;

    for (int i = 0; i < 64 * 64; i++)
        if ((seen += h->buckets[i]) >= want && seen > 0)
            return middle_us(i);
    return (double)h->max / 1e3;
}
