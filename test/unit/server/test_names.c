/* SPDX-License-Identifier: ISC */
/* Addresses that names had lately. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "server/names.h"

static struct resolve
answer(const char *host, const char *address)
{
    struct resolve r = { .port = 1 };

    strcpy(r.host, host);
    strcpy(r.message, "no address");
    r.n = address != NULL && net_address_numeric(&r.found[0], address, 1);
    return r;
}

static void
an_answer_is_used_until_it_is_too_old(void **state)
{
    struct names_cache *c = names_cache_new();
    struct resolve good = answer("db", "10.0.0.1"), bad = answer("gone", NULL), r = { .port = 5432 };
    char text[NET_ADDRESS_TEXT];

    (void)state;
    names_cache_set_ttl(c, 10, 5);
    strcpy(r.host, "db");
    assert_false(names_cache_find(c, &r, 100));
    names_cache_add(c, &good, 100);
    assert_true(names_cache_find(c, &r, 109));
    net_address_print(&r.found[0], text);
    assert_string_equal(text, "10.0.0.1:5432");
    assert_false(names_cache_find(c, &r, 110));
    names_cache_add(c, &bad, 100);
    strcpy(r.host, "gone");
    assert_true(names_cache_find(c, &r, 104));
    assert_int_equal(r.n, 0);
    assert_string_equal(r.message, "no address");
    assert_false(names_cache_find(c, &r, 105));
    names_cache_free(c);
}

static void
an_answer_replaces_the_one_before(void **state)
{
    struct names_cache *c = names_cache_new();
    struct resolve one = answer("db", "10.0.0.1"), other = answer("db", "::1"), r = { .port = 7 };
    unsigned names, queries;
    char text[NET_ADDRESS_TEXT];

    (void)state;
    names_cache_set_ttl(c, CLOCK_S, CLOCK_S);
    names_cache_add(c, &one, 1);
    names_cache_add(c, &other, 2);
    names_cache_count(c, 1);
    names_cache_counts(c, &names, &queries);
    assert_int_equal(names, 1);
    assert_int_equal(queries, 1);
    strcpy(r.host, "db");
    assert_true(names_cache_find(c, &r, 3));
    net_address_print(&r.found[0], text);
    assert_string_equal(text, "[::1]:7");
    names_cache_free(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_used_until_it_is_too_old),
        cmocka_unit_test(an_answer_replaces_the_one_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
