/* SPDX-License-Identifier: ISC */
/* Positions of rows by name, in O(1): a growing table with open addressing. The rows are an
 * array of structs whose first member is char *name; it may move between calls. */
#ifndef CONF_NAMES_PRIVATE_H
#define CONF_NAMES_PRIVATE_H

#include <stdint.h>

#include "base/slice.h"

#define NAMES_NONE SIZE_MAX

struct names {
    uint32_t *slots; /* position + 1; 0 is free */
    size_t n, cap;   /* cap is 0 or a power of two */
};

/* Rows of any struct that starts with its name. */
struct names_rows {
    const void *first;
    size_t size;
};
#define names_rows(array) ((struct names_rows){ (array), sizeof(*(array)) })

/* The position of NAME, or NAMES_NONE. */
size_t names_find(const struct names *t, struct names_rows rows, struct slice name);
/* The row at AT is new; its name must not be in the table yet. */
void names_add(struct names *t, struct names_rows rows, size_t at);
void names_copy(struct names *to, const struct names *from);
void names_done(struct names *t);

#endif
