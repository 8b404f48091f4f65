/* SPDX-License-Identifier: ISC */
/* The rows of one SHOW. */
#include "admin/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static const struct wire_column json_column = { "json", WIRE_TEXT };

void
admin_table_init(struct admin_table *t, const struct admin_command *c, struct text *out)
{
    *t = (struct admin_table){ .out = out, .command = c };
    t->columns = admin_view_columns(c->view, c->compat, &t->n_columns);
    admin_view_columns(c->view, false, &t->n_values);
    assert(t->n_values <= ADMIN_MAX_COLUMNS);
}

void
admin_table_done(struct admin_table *t)
{
    text_done(&t->row);
}

void
admin_table_head(struct admin_table *t)
{
    if (t->command->json)
        wire_put_columns(t->out, &json_column, 1);
    else
        wire_put_columns(t->out, t->columns, t->n_columns);
}

static void
put(struct admin_table *t, struct slice s, bool null)
{
    assert(t->at < t->n_values);
    t->cell[t->at].start = t->row.len;
    t->cell[t->at].len = s.len;
    t->cell[t->at].null = null;
    t->at++;
    text_add(&t->row, s);
}

void
admin_put_slice(struct admin_table *t, struct slice s)
{
    put(t, s, false);
}

void
admin_put_null(struct admin_table *t)
{
    put(t, slice_of(NULL, 0), true);
}

void
admin_put_str(struct admin_table *t, const char *s)
{
    put(t, slice_str(s), s == NULL);
}

void
admin_put_int(struct admin_table *t, int64_t v)
{
    char digits[24];

    put(t, slice_of(digits, (size_t)snprintf(digits, sizeof(digits), "%" PRId64, v)), false);
}

static struct slice
cell(const struct admin_table *t, unsigned i)
{
    return slice_of(text_str(&t->row) + t->cell[i].start, t->cell[i].len);
}

static bool
passes(const struct admin_table *t)
{
    int where = t->command->where;

    return where < 0 || (!t->cell[where].null && slice_is(cell(t, (unsigned)where), t->command->value));
}

static void
put_json_string(struct text *o, struct slice s)
{
    text_add_char(o, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 0x20) {
            text_printf(o, "\\u%04x", s.data[i]);
            continue;
        }
        if (s.data[i] == '"' || s.data[i] == '\\')
            text_add_char(o, '\\');
        text_add_char(o, (char)s.data[i]);
    }
    text_add_char(o, '"');
}

static void
put_json(struct admin_table *t)
{
    struct wire_row r = wire_row_begin(t->out);
    struct text o = { 0 };

    for (unsigned i = 0; i < t->n_columns; i++) {
        text_add_char(&o, i == 0 ? '{' : ',');
        put_json_string(&o, slice_str(t->columns[i].name));
        text_add_char(&o, ':');
        if (t->cell[i].null)
            text_add_str(&o, "null");
        else if (t->columns[i].type == WIRE_TEXT || t->columns[i].type == WIRE_BYTEA)
            put_json_string(&o, cell(t, i));
        else
            text_add(&o, cell(t, i));
    }
    text_add_char(&o, '}');
    wire_row_slice(&r, text_slice(&o));
    wire_row_end(&r);
    text_done(&o);
}

static void
put_row(struct admin_table *t)
{
    struct wire_row r = wire_row_begin(t->out);

    for (unsigned i = 0; i < t->n_columns; i++) {
        if (t->cell[i].null)
            wire_row_null(&r);
        else
            wire_row_slice(&r, cell(t, i));
    }
    wire_row_end(&r);
}

void
admin_row_end(struct admin_table *t)
{
    assert(t->at == t->n_values);
    if (passes(t)) {
        if (t->command->json)
            put_json(t);
        else
            put_row(t);
        t->n_rows++;
    }
    t->at = 0;
    text_clear(&t->row);
}
