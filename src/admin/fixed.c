/* SPDX-License-Identifier: ISC */
/* Answers that need nothing but words: what drivers ask when they connect, and SHOW HELP. */
#include "admin/command.h"
#include "scan_private.h"
#include "wire/error.h"
#include "wire/message.h"
#include "wire/writer.h"

static const struct {
    const char *words, *help;
    bool told;
} commands[] = {
#define COMMAND(id, words, role, argument, help) { words, help, #role[0] == 'A' || ADMIN_##id == ADMIN_SHOW },
#include "admin/commands.def"
#undef COMMAND
};

static void
put_field(struct text *t, char code, const char *value)
{
    wire_put_u8(t, (uint8_t)code);
    wire_put_string(t, slice_str(value));
}

/* Longer than a fault's detail may be. */
static void
put_help(struct text *t)
{
    struct text detail = { 0 };
    size_t start;

    text_add_str(&detail, "\n\tSHOW ");
    for (unsigned v = 0; v < ADMIN_NVIEWS; v++)
        text_printf(&detail, "%s%s", v == 0 ? "" : v % 6 == 0 ? "\n\t     |" : "|", admin_view_name(v));
    for (unsigned i = 0; i < ADMIN_NVERBS; i++)
        if (commands[i].told)
            text_printf(&detail, "\n\t%s %s", commands[i].words, commands[i].help);
    start = wire_begin(t, 'N');
    put_field(t, 'S', "NOTICE");
    put_field(t, 'V', "NOTICE");
    put_field(t, 'C', "00000");
    put_field(t, 'M', "Console usage");
    put_field(t, 'D', text_str(&detail));
    wire_put_u8(t, 0);
    wire_end(t, start, 'N');
    text_done(&detail);
}

static bool
is_number(const char *s)
{
    return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static void
put_fake(struct text *t, const struct admin_command *c, const char *version)
{
    const char *value = c->own_version ? version : c->value;
    struct wire_column column = { c->name, c->select && is_number(value) ? WIRE_INT4 : WIRE_TEXT };
    struct wire_row row;

    wire_put_columns(t, &column, 1);
    row = wire_row_begin(t);
    wire_row_str(&row, value);
    wire_row_end(&row);
}

/* The next item of a list of SELECT, as far as a comma, FROM or the end: its name is its last word. False: the
 * list is over. */
static bool
next_item(struct admin_scan *s, char *name, size_t size)
{
    unsigned depth = 0;

    strcpy(name, "?column?");
    for (; s->token != TOKEN_END && s->token != TOKEN_BAD; admin_scan_next(s)) {
        if (admin_scan_is_sign(s, '('))
            depth++;
        else if (admin_scan_is_sign(s, ')') && depth > 0)
            depth--;
        else if (depth == 0 && (admin_scan_is_sign(s, ';') || admin_scan_is(s, "from")))
            return false;
        else if (depth == 0 && admin_scan_is_sign(s, ','))
            break;
        else if (depth == 0 && (s->token == TOKEN_WORD || s->token == TOKEN_NAME) &&
                 !admin_scan_copy(s, name, size))
            strcpy(name, "?column?");
    }
    if (s->token != TOKEN_SIGN)
        return false;
    admin_scan_next(s);
    return true;
}

/* The columns that a SELECT from a catalog names, and no rows. */
static void
put_catalog(struct text *t, struct slice sql)
{
    struct admin_scan s = { .rest = sql };
    char names[ADMIN_MAX_COLUMNS][ADMIN_NAME];
    struct wire_column columns[ADMIN_MAX_COLUMNS];
    unsigned n = 0;
    bool more = true;

    admin_scan_next(&s);
    admin_scan_next(&s); /* SELECT */
    while (more && n < ADMIN_MAX_COLUMNS) {
        char *name = names[n], *dot;

        more = next_item(&s, name, ADMIN_NAME);
        dot = strrchr(name, '.');
        columns[n++] = (struct wire_column){ dot != NULL && dot[1] != '\0' ? dot + 1 : name, WIRE_TEXT };
    }
    wire_put_columns(t, columns, n);
    wire_put_complete(t, "SELECT 0");
}

static void
put_ignored(struct text *t)
{
    struct fault why;

    fault_set(&why, "00000", "SET ignored");
    wire_put_fault(t, WIRE_NOTICE, &why);
}

bool
admin_put_fixed(struct text *t, const struct admin_command *c, struct slice sql, const char *version)
{
    struct text tag = { 0 };

    if (c->verb == ADMIN_EMPTY) {
        wire_put_simple(t, 'I');
        return true;
    }
    if (c->verb == ADMIN_CATALOG) {
        put_catalog(t, sql);
        return true;
    }
    if (c->verb == ADMIN_FAKE)
        put_fake(t, c, version);
    else if (c->verb == ADMIN_SET_IGNORED)
        put_ignored(t);
    else if (c->verb == ADMIN_SHOW && c->view == ADMIN_VIEW_HELP)
        put_help(t);
    else if (c->verb < ADMIN_BEGIN || c->verb > ADMIN_DISCARD)
        return false;
    admin_tag(c, &tag);
    wire_put_complete(t, text_str(&tag));
    text_done(&tag);
    return true;
}
