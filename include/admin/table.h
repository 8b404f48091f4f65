/* SPDX-License-Identifier: ISC */
/* The rows of one SHOW: typed values in, DataRows out, filtered by WHERE and as
 * JSON when the command says so. Used by one thread at a time. */
#ifndef ADMIN_TABLE_H
#define ADMIN_TABLE_H

#include "admin/command.h"

struct admin_table {
    struct text *out;
    const struct wire_column *columns;
    unsigned n_columns, n_values; /* shown; put: with compat, those at the end are dropped */
    const struct admin_command *command;
    struct text row; /* values of the row that is being made */
    unsigned at;     /* how many of them */
    struct {
        size_t start, len;
        bool null;
    } cell[ADMIN_MAX_COLUMNS];
    uint64_t n_rows; /* that passed the filter */
};

/* Rows of the view that C shows go to OUT; both outlive T. */
void admin_table_init(struct admin_table *t, const struct admin_command *c, struct text *out);
void admin_table_done(struct admin_table *t);
/* RowDescription. */
void admin_table_head(struct admin_table *t);
/* The values of a row, in the order of the columns. */
void admin_put_slice(struct admin_table *t, struct slice s);
void admin_put_str(struct admin_table *t, const char *s); /* NULL makes NULL */
void admin_put_null(struct admin_table *t);
void admin_put_int(struct admin_table *t, int64_t v);
/* The row is complete. */
void admin_row_end(struct admin_table *t);

#endif
