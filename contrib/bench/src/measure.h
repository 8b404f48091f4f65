/* SPDX-License-Identifier: ISC */
/* Clocks, CPU time of other processes, and a histogram of latencies. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdint.h>

uint64_t now_ns(void);
/* CPU time of processes ("pid,pid,..."), all their threads, in ns. */
uint64_t cpu_ns(const char *pids);

/* Nanoseconds in buckets of 1/32 of their power of two. All zeroes is empty. */
struct histogram {
    uint64_t buckets[64 * 64], count, max;
    double sum;
};
void histogram_add(struct histogram *h, uint64_t ns);
/* In microseconds: the value below which the share PART of all lies. */
double histogram_us(const struct histogram *h, double part);

#endif
