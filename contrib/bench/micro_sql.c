/* SPDX-License-Identifier: ISC */
/* How long the sql room takes: a digest, facts that are known, facts at first sight.
 * Build: cc -O2 -D_GNU_SOURCE -Iinclude contrib/bench/micro_sql.c <libsql> <libbase> -lpg_query -lxxhash */
#include <stdio.h>

#include "base/clock.h"
#include "sql/digest.h"
#include "sql/facts.h"

#define ROUNDS 1000000

static const char *const statements[] = {
    "SELECT abalance FROM pgbench_accounts WHERE aid = 123456;  ",
    "SET application_name = 'some program'",
    "SELECT u.id, u.name, u.email FROM users u JOIN orders o ON o.user_id = u.id WHERE o.total > 100.5 AND "
    "u.name LIKE 'a%' ORDER BY u.id LIMIT 10",
};

static double
ns_each(int64_t begin_us, unsigned rounds)
{
    return (double)(clock_now_us() - begin_us) * 1000.0 / rounds;
}

static void
measure(struct slice sql)
{
    struct facts_table *t = facts_table_new(64, 1);
    struct digest d;
    int64_t begin = clock_now_us();
    double digest_ns, known_ns;
    uint64_t sum = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        digest_of(sql, i & 1, &d);
        sum += d.hash[0];
    }
    digest_ns = ns_each(begin, ROUNDS);
    begin = clock_now_us();
    for (unsigned i = 0; i < ROUNDS; i++)
        facts_drop(facts_of(t, sql, true, NULL));
    known_ns = ns_each(begin, ROUNDS);
    facts_table_free(t);
    begin = clock_now_us();
    for (unsigned i = 0; i < ROUNDS / 100; i++) {
        t = facts_table_new(16, 1);
        facts_drop(facts_of(t, sql, true, NULL));
        facts_table_free(t);
    }
    printf("%4zu bytes: digest %5.0f ns, known facts %5.0f ns, first sight %6.0f ns (%x)\n", sql.len, digest_ns,
           known_ns, ns_each(begin, ROUNDS / 100), (unsigned)sum & 0xf);
}

int
main(void)
{
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
        measure(slice_str(statements[i]));
    return 0;
}
