/* SPDX-License-Identifier: ISC */
/* Figures by name, added up while a visit goes from hall to hall. */
#ifndef APP_GATHER_PRIVATE_H
#define APP_GATHER_PRIVATE_H

#include "base/slice.h"

#define TALLY_FIGURES 28

struct tally {
    struct tally *next;
    struct slice first, second; /* its name: a database, or a database and a user */
    int64_t n[TALLY_FIGURES];
};

struct gather {
    struct tally *first, **last; /* in the order in which they were first seen */
    void *index;
    int64_t n[TALLY_FIGURES];
};

void gather_init(struct gather *g);
void gather_done(struct gather *g);
/* Made when new. */
struct tally *gather_at(struct gather *g, struct slice first, struct slice second);

#endif
