/* SPDX-License-Identifier: ISC */
/* When the primary's WAL had come how far: samples of what it had flushed, by which the lag of a replica is
 * told in time without a clock of another machine. Bounded: what is old is kept more coarsely. Pure: time is an
 * argument. */
#ifndef TOPO_HISTORY_PRIVATE_H
#define TOPO_HISTORY_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_SAMPLES 1024

struct history {
    struct history_sample {
        int64_t at_us;
        uint64_t lsn;
    } sample[HISTORY_SAMPLES]; /* oldest first */
    unsigned n;
};

/* The primary was at LSN at AT_US. Neither falls: a sample that would is not kept. */
void history_add(struct history *h, int64_t at_us, uint64_t lsn);
void history_clear(struct history *h);

/* How long before AT_US the primary passed REPLAYED, between two samples in proportion; 0 when it is not known
 * to have passed it. -1: nothing is known. AT_LEAST: it was passed before the first sample, so it is longer. */
int64_t history_lag(const struct history *h, uint64_t replayed, int64_t at_us, bool *at_least);

#endif
