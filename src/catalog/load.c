/* SPDX-License-Identifier: ISC */
/* Asks one PostgreSQL the questions one after the other and reads all answers at once. On the control thread.
 * The answers are not of one moment: what uses a thing that was made in between is in doubt. The marks are
 * asked for first, so that what changes meanwhile shows the next time. */
#include <stdio.h>
#include <string.h>

#include "ask/ask.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "catalog_private.h"

#define TIMEOUT_US (60 * CLOCK_S)
/* UTF-8, as statements are: a name in another encoding is not found, and that is doubt. */
#define OPTIONS    "-c search_path=pg_catalog -c statement_timeout=60000 -c client_encoding=UTF8 -c jit=off"
#define MAX_TEXT   (256u << 20)

/* No name has a separator in it afterwards. */
#define NAME(column) "translate(" column ", E'\\x1e\\x1f', '__')"
#define IDS_IN(tree) "regexp_matches(" tree "::text, ':(?:funcid|opfuncid|winfnoid|aggfnoid) ([1-9]\\d*)', 'g')"
#define IS_RELATION  "relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'"
/* Nobody writes the name of an array type: it stands for its elements. */
#define IS_ARRAY     "(typelem <> 0 AND typlen = -1 AND typarray = 0)"
#define ELEMENT      "CASE WHEN " IS_ARRAY " THEN typelem ELSE oid END"
/* The things that D, a row of pg_depend, refers to. */
#define REFERENCES \
    " CROSS JOIN LATERAL (" REF_BY_ID " UNION ALL " REF_RELATION " UNION ALL " REF_TYPE ") AS used(id)"
#define REF_BY_ID                                                                                              \
    "SELECT letter || d.refobjid FROM (VALUES ('f', 'pg_proc'::regclass), ('o', 'pg_operator')) AS k(letter, " \
    "class)"                                                                                                   \
    " WHERE class = d.refclassid"
#define REF_RELATION                                                                                  \
    "SELECT 'r' || oid FROM pg_class WHERE d.refclassid = 'pg_class'::regclass AND oid = d.refobjid " \
    "AND " IS_RELATION
#define REF_TYPE \
    "SELECT 't' || " ELEMENT " FROM pg_type WHERE d.refclassid = 'pg_type'::regclass AND oid = d.refobjid"

#define ROWS(oid, from) \
    "SELECT concat(count(*), '.', sum(hashint8(" oid "::bigint << 32 | xmin::text::bigint))) FROM " from

enum {
#define MARK(name, sql) Q_##name,
#include "marks.def"
#undef MARK
    N_MARKS
};

/* Each answers one row of one text. */
static const char *const questions[] = {
#define MARK(name, sql) sql,
#include "marks.def"
#undef MARK
#define LINES(letter, fields, from) \
    "SELECT string_agg(DISTINCT concat_ws(E'\\x1f', '" #letter "', " fields "), E'\\x1e') FROM " from,
#include "questions.def"
#undef LINES
};
#define N_QUESTIONS (sizeof(questions) / sizeof(questions[0]))

struct catalog_loader {
    struct grave grave;
    struct worker *control;
    struct ask *ask;
    unsigned n_asked;
    struct text text; /* all answers so far */
    enum catalog_effort effort;
    struct catalog_marks *marks;
    bool over;
    catalog_on_loaded *on_loaded;
    void *owner;
};

static void
dig(struct grave *g)
{
    struct catalog_loader *l = container_of(g, struct catalog_loader, grave);

    text_done(&l->text);
    mem_free(l);
}

void
catalog_load_cancel(struct catalog_loader *l)
{
    if (l == NULL || l->over)
        return;
    l->over = true;
    ask_free(l->ask);
    worker_bury(l->control, &l->grave, dig);
}

/* L is gone before its owner hears of it: it may load again at once. */
static void
finish(struct catalog_loader *l, struct catalog *c, const struct fault *why)
{
    if (why != NULL)
        *l->marks = (struct catalog_marks){ .counts = "" };
    catalog_load_cancel(l);
    l->on_loaded(l->owner, c, why);
}

static void
finish_reading(struct catalog_loader *l)
{
    struct fault bad;
    struct catalog *c = catalog_read(text_slice(&l->text), &bad);

    finish(l, c, c == NULL ? &bad : NULL);
}

/* True: nothing has changed since the marks were taken. */
static bool
note_mark(struct catalog_loader *l, const char *mark)
{
    bool is_counts = l->n_asked - 1 == Q_counts, same;
    char *known = is_counts ? l->marks->counts : l->marks->rows;

    mark = mark == NULL ? "" : mark;
    same = mark[0] != '\0' && strncmp(known, mark, CATALOG_MARK - 1) == 0 && l->marks->rows[0] != '\0';
    snprintf(known, CATALOG_MARK, "%s", mark);
    return same && l->effort <= (is_counts ? CATALOG_IF_COUNTED : CATALOG_IF_CHANGED);
}

static void on_answer(void *owner, const struct ask_answer *answer, const struct fault *why);

static void
ask_next(struct catalog_loader *l)
{
    struct ask_query query = { .sql = questions[l->n_asked++], .timeout_us = TIMEOUT_US };

    ask_question(l->ask, &query, on_answer, l);
}

static void
on_answer(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct catalog_loader *l = owner;
    struct fault copy;

    if (l->over)
        return;
    if (why != NULL) {
        copy = *why; /* it is the connection's */
        finish(l, NULL, &copy);
        return;
    }
    if (l->n_asked <= N_MARKS) {
        if (note_mark(l, answer->n_rows == 1 ? answer->field[0] : NULL))
            finish(l, NULL, NULL);
        else
            ask_next(l);
        return;
    }
    if (answer->n_rows == 1 && answer->field[0] != NULL) {
        text_add_str(&l->text, answer->field[0]);
        text_add_char(&l->text, CATALOG_LINE);
    }
    if (l->text.len > MAX_TEXT) {
        fault_set(&copy, "54000", "the catalog of the database is larger than %u MB", MAX_TEXT >> 20);
        finish(l, NULL, &copy);
    } else if (l->n_asked < N_QUESTIONS) {
        ask_next(l);
    } else {
        finish_reading(l);
    }
}

struct catalog_loader *
catalog_load(struct worker *control, const struct catalog_wanted *wanted, catalog_on_loaded *on_loaded,
             void *owner)
{
    const struct catalog_target *target = &wanted->target;
    struct catalog_loader *l = mem_new(struct catalog_loader);
    struct ask_target to = { .host = target->host,
                             .address = target->address,
                             .database = target->database,
                             .user = target->user,
                             .password = target->password,
                             .port = target->port,
                             .sslmode = target->sslmode,
                             .ca_file = target->ca_file,
                             .options = OPTIONS };

    l->control = control;
    l->effort = wanted->effort;
    l->marks = wanted->marks;
    l->on_loaded = on_loaded;
    l->owner = owner;
    l->ask = ask_new(control, &to);
    ask_next(l);
    return l;
}
