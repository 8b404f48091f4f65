/* SPDX-License-Identifier: ISC */
/* Whatever the bytes, hints leave wishes that print what they read; and PostgreSQL's own scanner sees a comment
 * where hints were found. */
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdlib.h>

#include "base/mem.h"
#include "route/hint.h"
#include "sql/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
prints_what_it_reads(const struct route_wishes *w)
{
    static const char *const names[] = { "pgweir.route", "pgweir.consistency", "pgweir.max_lag",
                                         "pgweir.min_lsn" };
    struct route_wishes again;

    wishes_init(&again);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct text t = { 0 };

        must(wishes_print(w, slice_str(names[i]), &t));
        must(wishes_set(&again, slice_str(names[i]), text_slice(&t), NULL));
        text_done(&t);
    }
    must(again.wish == w->wish && strcmp(again.node, w->node) == 0);
    must(again.consistency == w->consistency && again.max_lag_us == w->max_lag_us &&
         again.min_lsn == w->min_lsn);
}

static bool
is_comment(const PgQuery__ScanToken *t)
{
    return t->token == PG_QUERY__TOKEN__C_COMMENT || t->token == PG_QUERY__TOKEN__SQL_COMMENT;
}

static bool
is_semicolon(const PgQuery__ScanToken *t)
{
    return t->token == PG_QUERY__TOKEN__ASCII_59;
}

/* No statement may end in one. */
static bool
is_operator(const PgQuery__ScanToken *t)
{
    return t->token == PG_QUERY__TOKEN__Op;
}

/* At its start or end, semicolons aside. */
static void
has_comment(const char *sql)
{
    PgQueryScanResult r = pg_query_scan(sql);
    PgQuery__ScanResult *scan = NULL;

    if (r.error == NULL)
        scan = pg_query__scan_result__unpack(NULL, r.pbuf.len, (uint8_t *)r.pbuf.data);
    if (scan != NULL) {
        size_t first = 0, end = scan->n_tokens;

        while (first < end && is_semicolon(scan->tokens[first]))
            first++;
        while (end > first && is_semicolon(scan->tokens[end - 1]))
            end--;
        must(first < end);
        must(is_comment(scan->tokens[first]) || is_comment(scan->tokens[end - 1]) ||
             is_operator(scan->tokens[end - 1]));
        pg_query__scan_result__free_unpacked(scan, NULL);
    }
    pg_query_free_scan_result(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct route_wishes w;
    struct fault warning;
    struct digest d;
    bool found;

    wishes_init(&w);
    found = hint_apply(slice_of(data, size), &w, &warning);
    prints_what_it_reads(&w);
    must(warning.sqlstate[0] == '\0' || (found && warning.hint[0] != '\0'));
    digest_of(slice_of(data, size), 1, &d);
    if (found && d.safe) {
        char *sql = slice_dup(slice_of(data, size));

        has_comment(sql);
        mem_free(sql);
    }
    return 0;
}
