/* SPDX-License-Identifier: ISC */
/* Whatever the bytes, the digest counts literals as PostgreSQL's own scanner does, and does not see blanks. */
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdlib.h>

#include "base/mem.h"
#include "sql/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static bool
is_literal(PgQuery__Token token)
{
    return token == PG_QUERY__TOKEN__SCONST || token == PG_QUERY__TOKEN__USCONST ||
           token == PG_QUERY__TOKEN__BCONST || token == PG_QUERY__TOKEN__XCONST ||
           token == PG_QUERY__TOKEN__ICONST || token == PG_QUERY__TOKEN__FCONST;
}

static void
compare_with_scanner(const char *sql, const struct digest *d)
{
    PgQueryScanResult r = pg_query_scan(sql);
    PgQuery__ScanResult *scan = NULL;
    unsigned n_literals = 0;

    if (r.error == NULL)
        scan = pg_query__scan_result__unpack(NULL, r.pbuf.len, (uint8_t *)r.pbuf.data);
    if (scan != NULL) {
        for (size_t i = 0; i < scan->n_tokens; i++)
            n_literals += is_literal(scan->tokens[i]->token);
        must(d->complete);
        must(n_literals == d->n_literals);
        pg_query__scan_result__free_unpacked(scan, NULL);
    }
    pg_query_free_scan_result(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char blank[] = "\n /* ' */ --\n";
    uint8_t *more = mem_alloc(size + sizeof(blank));
    struct digest d, e;

    digest_of(slice_of(data, size), 1, &d);
    must(d.n_literals <= d.n_tokens && d.n_tokens <= size);
    must(!d.safe || (d.complete && d.chain + d.depth <= DIGEST_MAX_DEPTH));
    if (size > 0)
        memcpy(more, data, size);
    memcpy(more + size, blank, sizeof(blank));
    if (d.complete && !d.ambiguous) {
        digest_of(slice_of(more, size + sizeof(blank) - 1), 1, &e);
        must(e.complete && memcmp(d.hash, e.hash, sizeof(d.hash)) == 0 && d.chain == e.chain);
    }
    if (memchr(data, '\0', size) == NULL && d.safe) {
        more[size] = '\0';
        compare_with_scanner((const char *)more, &d);
    }
    mem_free(more);
    return 0;
}
