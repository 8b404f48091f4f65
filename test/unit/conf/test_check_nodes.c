/* SPDX-License-Identifier: ISC */
/* Nodes and clusters that are each legal for the parser and make no sense. */
#include "conf_tests.h"

static void
accepted(const char *text)
{
    conf_drop(good(text));
}

static void
a_node_has_a_cluster_and_one_host(void **state)
{
    (void)state;
    refused("[nodes]\n\npg1 = host=h\n", "t.ini:3: node \"pg1\" has no cluster; add cluster=NAME");
    refused("[nodes]\npg1 = cluster=c\n",
            "t.ini:2: node \"pg1\" has no host; add host=ADDRESS, or the folder of a Unix socket");
    refused("[nodes]\npg1 = cluster=c host=a,b\n",
            "t.ini:2: node \"pg1\" has several hosts; write a line for each");
    refused("[nodes]\npg1 = cluster=c host= port=5\n",
            "t.ini:2: host \"port=5\" looks like an option; host= needs an address");
    refused("[nodes]\npg1 = cluster=c host=a port=1,2\n",
            "t.ini:2: port must be a whole number from 1 to 65535");
    accepted("[nodes]\npg1 = cluster=c host=/var/run/postgresql\n");
}

static void
a_cluster_has_nodes(void **state)
{
    (void)state;
    refused("[clusters]\nmain =\n",
            "t.ini:2: cluster \"main\" has no nodes; add them to [nodes] with cluster=main, or take it out");
    refused("[clusters]\napp =\n[databases]\napp = host=x\n",
            "t.ini:2: cluster \"app\" has no nodes; add them to [nodes] with cluster=app, or take it out");
    refused("[nodes]\nn = cluster=m host=h\n[databases]\nok = cluster=m\na = cluster=main\n",
            "t.ini:5: cluster \"main\" of database \"a\" has no nodes; add them to [nodes] with cluster=main");
}

static void
nodes_of_one_cluster_are_different_servers(void **state)
{
    (void)state;
    refused("[nodes]\nb = cluster=c host=h port=5432\nx = cluster=c host=i\na = cluster=c host=h\n",
            "t.ini:4: nodes \"b\" and \"a\" of cluster \"c\" are the same host and port; take one out");
    refused("[databases]\nd = host=h,i,h\n",
            "t.ini:2: nodes \"d-1\" and \"d-3\" of cluster \"d\" are the same host and port; take one out");
    accepted("[nodes]\na = cluster=c host=h\nb = cluster=d host=h\nc = cluster=c host=h port=5433\n"
             "d = cluster=c host=hh\n");
    accepted("[databases]\nd = host=h,h port=1,2\ne = host=h,i\nf = host=h,i\n");
}

static void
what_needs_several_nodes_is_refused_with_one_server(void **state)
{
    static const char *const options[][2] = { { "route", "auto" },
                                              { "consistency", "session" },
                                              { "max_lag", "0" } };

    (void)state;
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        const char *o = options[i][0], *value = options[i][1];
        char *one = mem_printf("[databases]\na = host=h %s=%s\n", o, value);
        char *two = mem_printf("[databases]\na = host=h,i %s=%s\n", o, value);
        char *message =
            mem_printf("t.ini:2: %s needs a cluster; add cluster=NAME or a second host, or take %s out", o, o);

        refused(one, message);
        accepted(two);
        mem_free(one);
        mem_free(two);
        mem_free(message);
    }
}

static void
names_fit_where_they_are_shown(void **state)
{
    char *longest =
        mem_printf("[nodes]\n%063d = cluster=%063d host=h\n[databases]\n%061d = host=a,b\n", 0, 1, 2);
    char *node = mem_printf("[nodes]\n%064d = cluster=c host=h\n", 0);
    char *cluster = mem_printf("[nodes]\nn = cluster=%064d host=h\n", 0);
    char *database = mem_printf("[databases]\n%062d = host=a,b\n", 0);
    char *node_message = mem_printf("t.ini:2: node name \"%064d\" is too long: it has at most 63 bytes", 0);
    char *cluster_message =
        mem_printf("t.ini:2: cluster name \"%064d\" is too long: it has at most 63 bytes", 0);
    char *database_message =
        mem_printf("t.ini:2: node name \"%062d-1\" is too long: it has at most 63 bytes", 0);

    (void)state;
    accepted(longest);
    refused(node, node_message);
    refused(cluster, cluster_message);
    refused(database, database_message);
    mem_free(longest);
    mem_free(node);
    mem_free(cluster);
    mem_free(database);
    mem_free(node_message);
    mem_free(cluster_message);
    mem_free(database_message);
}

static void
checks_are_not_endless(void **state)
{
    static const char *const options[] = { "check_interval", "check_interval_fast", "check_timeout" };

    (void)state;
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        const char *node = "[nodes]\nn = cluster=c host=h\n[clusters]";
        char *never = mem_printf("%s\nc = %s=0\n", node, options[i]);
        char *least = mem_printf("%s\nc = %s=1ms\n", node, options[i]);
        char *message = mem_printf("t.ini:4: %s must be at least 1ms", options[i]);

        refused(never, message);
        accepted(least);
        mem_free(never);
        mem_free(least);
        mem_free(message);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_has_a_cluster_and_one_host),
        cmocka_unit_test(a_cluster_has_nodes),
        cmocka_unit_test(nodes_of_one_cluster_are_different_servers),
        cmocka_unit_test(what_needs_several_nodes_is_refused_with_one_server),
        cmocka_unit_test(names_fit_where_they_are_shown),
        cmocka_unit_test(checks_are_not_endless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
