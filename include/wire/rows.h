/* SPDX-License-Identifier: ISC */
/* Result sets that pgweir makes itself: RowDescription and DataRow in text format. */
#ifndef WIRE_ROWS_H
#define WIRE_ROWS_H

#include "base/text.h"

#define WIRE_TEXT    25
#define WIRE_INT4    23
#define WIRE_INT8    20
#define WIRE_NUMERIC 1700
#define WIRE_BYTEA   17

struct wire_column {
    const char *name;
    uint32_t type; /* WIRE_TEXT ... */
};

void wire_put_columns(struct text *t, const struct wire_column *columns, unsigned n);

/* One row: begin, one call for each column, end. */
struct wire_row {
    struct text *t;
    size_t start;
    uint16_t n;
};
struct wire_row wire_row_begin(struct text *t);
void wire_row_null(struct wire_row *r);
void wire_row_slice(struct wire_row *r, struct slice s);
void wire_row_str(struct wire_row *r, const char *s); /* NULL makes NULL */
void wire_row_end(struct wire_row *r);

#endif
