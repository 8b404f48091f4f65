/* SPDX-License-Identifier: ISC */
/* What an admin said on the console. */
#include "admin/command.h"

#include <stdio.h>

#include "scan_private.h"

enum argument { NONE, OPTIONAL, DATABASE, CLUSTER, ID, SETTING, SHOW, ANYTHING };

static const struct {
    const char *words;
    bool admin;
    enum argument argument;
} commands[] = {
#define STATS                                    false
#define ADMIN                                    true
#define COMMAND(id, words, role, argument, help) { words, role, argument },
#include "admin/commands.def"
#undef COMMAND
#undef STATS
#undef ADMIN
};

static const struct {
    const char *name, *shown, *compat;
} fakes[] = {
#define FAKE(name, shown, compat) { #name, shown, compat },
#include "admin/fakes.def"
#undef FAKE
};
#define N_FAKES (sizeof(fakes) / sizeof(*fakes))

struct parsing {
    struct slice sql;
    struct admin_scan scan;
    bool compat;
    struct admin_command *c;
    struct fault *why;
};

/* At most 60 bytes of S, cut before a byte that would split a character. */
static int
shown_len(struct slice s)
{
    size_t n = s.len > 60 ? 60 : s.len;

    while (n > 0 && n < s.len && (s.data[n] & 0xc0) == 0x80)
        n--;
    return (int)n;
}

static bool
bad(const struct parsing *p, const char *what)
{
    const char *sql = p->sql.len > 0 ? (const char *)p->sql.data : "";

    if (p->compat)
        return fault_set(p->why, "08P01", "invalid command '%.*s', use SHOW HELP;", shown_len(p->sql), sql);
    fault_set(p->why, "42601", "%s", what);
    fault_detail(p->why, "The command was: %.*s", shown_len(p->sql), sql);
    return fault_hint(p->why, "SHOW HELP lists the commands.");
}

/* Nothing but semicolons follows. */
static bool
at_end(struct parsing *p)
{
    while (admin_scan_is_sign(&p->scan, ';'))
        admin_scan_next(&p->scan);
    return p->scan.token == TOKEN_END;
}

static bool
end(struct parsing *p)
{
    return at_end(p) || bad(p, "there is something after the end of the command");
}

static bool
is_value(const struct admin_scan *s)
{
    return s->token == TOKEN_WORD || s->token == TOKEN_NAME || s->token == TOKEN_TEXT;
}

/* ---- SHOW ---- */

static bool
fake(struct parsing *p, struct slice name)
{
    for (size_t i = 0; i < N_FAKES; i++) {
        const char *shown;

        if (!slice_is_nocase(name, fakes[i].name))
            continue;
        p->c->verb = ADMIN_FAKE;
        snprintf(p->c->name, sizeof(p->c->name), "%s", fakes[i].name);
        shown = p->compat && fakes[i].compat != NULL ? fakes[i].compat : fakes[i].shown;
        snprintf(p->c->value, sizeof(p->c->value), "%s", shown != NULL ? shown : "");
        p->c->own_version = shown == NULL;
        return true;
    }
    return false;
}

/* SHOW TRANSACTION ISOLATION LEVEL and SHOW TIME ZONE, which are words in SQL. */
static bool
fake_words(struct parsing *p, struct slice name)
{
    if (slice_is_nocase(name, "time") && admin_scan_is(&p->scan, "zone")) {
        admin_scan_next(&p->scan);
        return fake(p, SLICE("timezone"));
    }
    if (!slice_is_nocase(name, "transaction") || !admin_scan_is(&p->scan, "isolation"))
        return fake(p, name);
    admin_scan_next(&p->scan);
    if (admin_scan_is(&p->scan, "level"))
        admin_scan_next(&p->scan);
    return fake(p, SLICE("transaction_isolation"));
}

/* [WHERE column = value] [FORMAT JSON] */
static bool
filter(struct parsing *p)
{
    struct admin_scan *s = &p->scan;

    if (admin_scan_is(s, "where")) {
        admin_scan_next(s);
        p->c->where = is_value(s) ? admin_view_column(p->c->view, p->compat, s->is) : -1;
        if (p->c->where < 0)
            return bad(p, "WHERE needs a column of that table");
        admin_scan_next(s);
        if (!admin_scan_is_sign(s, '='))
            return bad(p, "WHERE needs column = value");
        admin_scan_next(s);
        if (!is_value(s) || !admin_scan_copy(s, p->c->value, sizeof(p->c->value)))
            return bad(p, "WHERE needs column = value");
        admin_scan_next(s);
    }
    if (admin_scan_is(s, "format")) {
        admin_scan_next(s);
        if (!admin_scan_is(s, "json"))
            return bad(p, "the only FORMAT is JSON");
        p->c->json = true;
        admin_scan_next(s);
    }
    return end(p);
}

static bool
show(struct parsing *p)
{
    struct slice name = p->scan.is;

    if (!is_value(&p->scan))
        return bad(p, "SHOW needs a name");
    admin_scan_next(&p->scan);
    p->c->view = admin_view_find(name);
    if (p->c->view != ADMIN_NVIEWS)
        return filter(p);
    return fake_words(p, name) ? end(p) : bad(p, "there is no such table or setting to show");
}

/* ---- SELECT ---- */

/* A SELECT that looks into a catalog: drivers and tools do so at once. */
static bool
catalog(struct parsing *p)
{
    for (; p->scan.token != TOKEN_END; admin_scan_next(&p->scan)) {
        struct slice is = p->scan.is;

        if (p->scan.token == TOKEN_BAD)
            break;
        if (is.len > 3 && (slice_is_nocase(slice_head(is, 3), "pg_") ||
                           slice_is_nocase(slice_head(is, 19), "information_schema."))) {
            p->c->verb = ADMIN_CATALOG;
            return true;
        }
    }
    return bad(p, "the console cannot run this SELECT");
}

static bool
is_number(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    return s.len > 0 && s.len < 10;
}

/* A constant, or a function of version and names; otherwise *P is as it was. */
static bool
constant(struct parsing *p)
{
    struct parsing before = *p;
    bool number = p->scan.token == TOKEN_WORD && is_number(p->scan.is), text = p->scan.token == TOKEN_TEXT;
    bool version = admin_scan_is(&p->scan, "version") || admin_scan_is(&p->scan, "pg_catalog.version");

    if ((number || text) && admin_scan_copy(&p->scan, p->c->value, sizeof(p->c->value)))
        strcpy(p->c->name, "?column?");
    admin_scan_next(&p->scan);
    if (version) {
        strcpy(p->c->name, "version");
        p->c->own_version = true;
        version = admin_scan_is_sign(&p->scan, '(') && admin_scan_next(&p->scan) == TOKEN_SIGN &&
                  admin_scan_is_sign(&p->scan, ')');
        admin_scan_next(&p->scan);
    }
    p->c->verb = ADMIN_FAKE;
    p->c->select = true;
    if ((number || text || version) && at_end(p))
        return true;
    *p = before;
    p->c->verb = ADMIN_SELECT;
    p->c->own_version = p->c->select = false;
    p->c->name[0] = p->c->value[0] = '\0';
    return false;
}

static bool
select_command(struct parsing *p)
{
    if (constant(p)) /* first: version() is a function, version a view */
        return true;
    if (!is_value(&p->scan) || admin_view_find(p->scan.is) == ADMIN_NVIEWS)
        return catalog(p);
    p->c->verb = ADMIN_SHOW;
    return show(p);
}

/* ---- SET ---- */

static bool
set(struct parsing *p)
{
    struct admin_scan *s = &p->scan;
    bool is_fake;

    if (admin_scan_is(s, "session") || admin_scan_is(s, "local"))
        admin_scan_next(s);
    if (admin_scan_is(s, "characteristics") || admin_scan_is(s, "transaction") || admin_scan_is(s, "time")) {
        p->c->verb = ADMIN_SET_IGNORED;
        return true;
    }
    if (!is_value(s) || !admin_scan_copy(s, p->c->name, sizeof(p->c->name)))
        return bad(p, "SET needs a name and a value");
    is_fake = fake(p, slice_str(p->c->name));
    if (is_fake) {
        p->c->verb = ADMIN_SET_IGNORED;
        return true;
    }
    admin_scan_next(s);
    if (!admin_scan_is_sign(s, '=') && !admin_scan_is(s, "to"))
        return bad(p, "SET needs name = value, or name TO value");
    admin_scan_next(s);
    if (!is_value(s) || !admin_scan_copy(s, p->c->value, sizeof(p->c->value)))
        return bad(p, "SET needs a value; put it between single quotes when it is more than a word");
    admin_scan_next(s);
    return end(p);
}

/* ---- commands with a name or a number ---- */

static bool
database(struct parsing *p, bool needed)
{
    if (at_end(p)) {
        if (!needed)
            return true;
        if (p->compat)
            return fault_set(p->why, "08P01", "a database is required");
        return bad(p, "a database is required");
    }
    if (!is_value(&p->scan) || p->scan.is.len == 0 ||
        !admin_scan_copy(&p->scan, p->c->name, sizeof(p->c->name)))
        return bad(p, "this is no name of a database");
    admin_scan_next(&p->scan);
    return end(p);
}

/* cluster [TO node] */
static bool
cluster(struct parsing *p)
{
    struct admin_scan *s = &p->scan;

    if (at_end(p) || !is_value(s) || s->is.len == 0 || !admin_scan_copy(s, p->c->name, sizeof(p->c->name)))
        return bad(p, "the name of a cluster is required");
    admin_scan_next(s);
    if (!admin_scan_is(s, "to"))
        return end(p);
    admin_scan_next(s);
    if (!is_value(s) || s->is.len == 0 || !admin_scan_copy(s, p->c->value, ADMIN_NAME))
        return bad(p, "TO needs the name of a node");
    admin_scan_next(s);
    return end(p);
}

static bool
bad_client_id(const struct parsing *p)
{
    if (p->compat)
        return fault_set(p->why, "08P01", "invalid client pointer supplied");
    return bad(p, "the id of a client is required");
}

/* 17, or c17 as the log says. */
static bool
client_id(struct parsing *p)
{
    struct slice is = p->scan.is;

    if (is_value(&p->scan) && is.len > 1 && (is.data[0] == 'c' || is.data[0] == 'C'))
        is = slice_tail(is, 1);
    if (!is_value(&p->scan) || is.len == 0 || is.len > 18)
        return bad_client_id(p);
    for (size_t i = 0; i < is.len; i++) {
        if (is.data[i] < '0' || is.data[i] > '9')
            return bad_client_id(p);
        p->c->id = p->c->id * 10 + (uint64_t)(is.data[i] - '0');
    }
    admin_scan_next(&p->scan);
    return end(p);
}

static bool
arguments(struct parsing *p)
{
    switch (commands[p->c->verb].argument) {
    case OPTIONAL:
    case DATABASE:
        return database(p, commands[p->c->verb].argument == DATABASE);
    case CLUSTER:
        return cluster(p);
    case ID:
        return client_id(p);
    case SETTING:
        return set(p);
    case SHOW:
        return p->c->verb == ADMIN_SHOW ? show(p) : select_command(p);
    case ANYTHING:
        return true;
    default:
        return end(p);
    }
}

/* Are the words WORDS next? Then they are taken. */
static bool
words_are_next(struct admin_scan *s, const char *words)
{
    struct admin_scan at = *s;
    char word[32];

    for (size_t len; *words != '\0'; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        snprintf(word, sizeof(word), "%.*s", (int)len, words);
        if (!admin_scan_is(&at, word))
            return false;
        admin_scan_next(&at);
    }
    *s = at;
    return true;
}

bool
admin_parse(struct slice sql, bool compat, struct admin_command *out, struct fault *why)
{
    struct parsing p = {
        .sql = slice_trim(sql), .scan = { .rest = sql }, .compat = compat, .c = out, .why = why
    };

    *out = (struct admin_command){ .verb = ADMIN_EMPTY, .view = ADMIN_NVIEWS, .where = -1, .compat = compat };
    admin_scan_next(&p.scan);
    if (at_end(&p))
        return true;
    for (unsigned v = 0; v < ADMIN_NVERBS; v++) {
        if (commands[v].words[0] == '\0' || !words_are_next(&p.scan, commands[v].words))
            continue;
        out->verb = v;
        return arguments(&p);
    }
    return bad(&p, "unknown command");
}

bool
admin_may(const struct admin_command *c, bool may_admin, bool compat, struct fault *why)
{
    bool needed = commands[c->verb].admin || (c->view != ADMIN_NVIEWS && admin_view_needs_admin(c->view));

    if (!needed || may_admin)
        return true;
    if (compat)
        return fault_set(why, "08P01", "admin access needed");
    fault_set(why, "42501", "permission denied for %s", commands[c->verb].words);
    fault_detail(why, "This user may only look.");
    return fault_hint(why, "Log in as one of admin_users.");
}

void
admin_tag(const struct admin_command *c, struct text *tag)
{
    if (c->verb == ADMIN_SET)
        text_printf(tag, "SET %s=%s", c->name, c->value);
    else if (c->verb == ADMIN_SHUTDOWN_SERVERS || c->verb == ADMIN_SHUTDOWN_CLIENTS)
        text_add_str(tag, "SHUTDOWN");
    else if (c->verb == ADMIN_SWITCHOVER)
        text_printf(tag, "SWITCHOVER %s", c->value);
    else if (c->verb == ADMIN_SET_IGNORED)
        text_add_str(tag, "SET");
    else
        text_add_str(tag, c->select ? "SELECT 1" : c->verb == ADMIN_FAKE ? "SHOW" : commands[c->verb].words);
}
