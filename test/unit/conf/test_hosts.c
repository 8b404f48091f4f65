/* SPDX-License-Identifier: ISC */
/* Nodes, and the clusters that they and the databases make. */
#include "conf_tests.h"

static const struct conf_cluster *
cluster_of(const struct conf *c, const char *database)
{
    return conf_cluster_of(c, conf_find_database(c, slice_str(database)));
}

static void
nodes_and_clusters_are_lists_like_the_others(void **state)
{
    struct conf *c =
        good("[nodes]\npg1 = cluster=main host=h1 zone=a\npg2 = cluster=main host=h2 port=7 weight=0\n"
             "pg1 = cluster=main host=h3\n[clusters]\nmain = max_lag=3\n"
             "main = consistency=global balance=hash max_lag_size=2MB\n[databases]\n"
             "app = cluster=main route=prefer-replica consistency=eventual max_lag=0\nold = host=h\n");
    const struct conf_cluster *k = cluster_of(c, "app");

    (void)state;
    assert_int_equal(c->n_nodes, 2);
    assert_string_equal(c->nodes[0].name, "pg1");
    assert_string_equal(c->nodes[0].host, "h3");
    assert_string_equal(c->nodes[0].zone, "");
    assert_int_equal(c->nodes[0].line, 4);
    assert_int_equal(c->nodes[0].port, 5432);
    assert_int_equal(c->nodes[1].port, 7);
    assert_int_equal(c->nodes[1].weight, 0);
    assert_int_equal(c->n_clusters, 1);
    assert_ptr_equal(k, &c->clusters[0]);
    assert_int_equal(k->consistency, CONF_GLOBAL);
    assert_int_equal(k->balance, CONF_HASH);
    assert_int_equal(k->max_lag, 10000000);
    assert_int_equal(k->max_lag_size, 2097152);
    assert_int_equal(c->databases[0].route, CONF_ROUTE_PREFER_REPLICA);
    assert_int_equal(c->databases[0].consistency, CONF_EVENTUAL);
    assert_int_equal(c->databases[0].max_lag, 0);
    assert_int_equal(c->databases[1].route, -1);
    assert_null(cluster_of(c, "old"));
    conf_drop(c);
}

static void
a_cluster_that_only_nodes_name_has_the_defaults(void **state)
{
    struct conf *c = good("[databases]\napp = cluster=main\n[nodes]\npg1 = cluster=main host=h1\n");
    const struct conf_cluster *k = cluster_of(c, "app");

    (void)state;
    assert_string_equal(k->name, "main");
    assert_string_equal(k->file, "t.ini");
    assert_int_equal(k->line, 4);
    assert_int_equal(k->consistency, CONF_SESSION);
    assert_int_equal(k->balance, CONF_LEAST_CONN);
    assert_int_equal(k->check_interval, 500000);
    assert_int_equal(k->failover_wait, 10000000);
    assert_string_equal(k->monitor_dbname, "postgres");
    conf_drop(c);
}

static void
node_is(const struct conf_node *n, const char *name, const char *cluster, const char *host, int port)
{
    assert_string_equal(n->name, name);
    assert_string_equal(n->cluster, cluster);
    assert_string_equal(n->host, host);
    assert_int_equal(n->port, port);
    assert_int_equal(n->weight, 1);
}

static void
several_hosts_become_a_cluster_of_the_databases_name(void **state)
{
    struct conf *c = good("[pgbouncer]\n[databases]\na = host=h1\napp = port=7 host='h1, ::1 ,/tmp' dbname=x\n"
                          "* = host=h1,h2 port='8, 9'\nreports = cluster=app\n"
                          "[clusters]\napp = balance=latency\n");

    (void)state;
    assert_int_equal(c->n_nodes, 5);
    node_is(&c->nodes[0], "app-1", "app", "h1", 7);
    node_is(&c->nodes[1], "app-2", "app", "::1", 7);
    node_is(&c->nodes[2], "app-3", "app", "/tmp", 7);
    node_is(&c->nodes[3], "*-1", "*", "h1", 8);
    node_is(&c->nodes[4], "*-2", "*", "h2", 9);
    assert_int_equal(c->nodes[4].line, 5);
    assert_int_equal(c->n_clusters, 2);
    assert_int_equal(cluster_of(c, "app")->balance, CONF_LATENCY);
    assert_int_equal(cluster_of(c, "app")->line, 8);
    assert_ptr_equal(cluster_of(c, "reports"), cluster_of(c, "app"));
    assert_string_equal(cluster_of(c, "anything")->name, "*");
    assert_int_equal(cluster_of(c, "anything")->line, 5);
    assert_null(cluster_of(c, "a"));
    assert_string_equal(conf_find_database(c, SLICE("app"))->host, "");
    assert_string_equal(conf_find_database(c, SLICE("app"))->cluster, "app");
    conf_drop(c);
}

/* What counts is the last line, whether it or one before it had several hosts. */
static void
the_hosts_of_a_replaced_line_are_forgotten(void **state)
{
    struct conf *c = good("[databases]\na = host=x,y\nb = host=x\na = host=z\nb = host=p,q,r port=1,2,3\n"
                          "c = host=x,y\nc = host=v,w\n");

    (void)state;
    assert_null(cluster_of(c, "a"));
    assert_string_equal(conf_find_database(c, SLICE("a"))->host, "z");
    assert_int_equal(c->n_nodes, 5);
    node_is(&c->nodes[0], "b-1", "b", "p", 1);
    node_is(&c->nodes[2], "b-3", "b", "r", 3);
    node_is(&c->nodes[4], "c-2", "c", "w", 5432);
    conf_drop(c);
}

static void
the_last_port_of_a_line_counts(void **state)
{
    struct conf *c = good("[databases]\na = host=x,y port=1,2 port=3\nb = port=3 host=x,y port=1,2\n"
                          "c = host=x port=5\n");

    (void)state;
    node_is(&c->nodes[0], "a-1", "a", "x", 3);
    node_is(&c->nodes[1], "a-2", "a", "y", 3);
    node_is(&c->nodes[2], "b-1", "b", "x", 1);
    node_is(&c->nodes[3], "b-2", "b", "y", 2);
    assert_int_equal(conf_find_database(c, SLICE("c"))->port, 5);
    conf_drop(c);
}

static void
hosts_that_cannot_be_are_refused(void **state)
{
    (void)state;
    refused("[databases]\n\nb = host=x,,y\n",
            "t.ini:3: host number 2 of database \"b\" is empty; take its comma out");
    refused("[databases]\nb = host=x,\n",
            "t.ini:2: host number 2 of database \"b\" is empty; take its comma out");
    refused("[databases]\nb = host=x,y port=1,2,3\n",
            "t.ini:2: 3 ports for 2 hosts; write one for all, or one for each");
    refused("[databases]\nb = host=x port=1,2\nb = host=x\n",
            "t.ini:2: 2 ports for 1 host; write one for all, or one for each");
    refused("[databases]\nb = host=x,y port=1,0\n", "t.ini:2: port must be a whole number from 1 to 65535");
    refused("[databases]\nb = host=x,y port=1,\n", "t.ini:2: port must be a whole number from 1 to 65535");
    refused("[databases]\nb = host=x,port=5\n",
            "t.ini:2: host \"port=5\" looks like an option; host= needs an address");
}

static void
one_name_is_not_used_for_two_things(void **state)
{
    (void)state;
    refused("[databases]\nx = host=h\napp = host=x,y\n[nodes]\npg1 = cluster=app host=z\n",
            "t.ini:3: database \"app\" has several hosts, and cluster \"app\" has nodes in [nodes]; write "
            "cluster=app instead of host, or rename one");
    refused(
        "[databases]\napp = host=x,y\n[nodes]\napp-2 = cluster=main host=z\n",
        "t.ini:2: the hosts of database \"app\" become nodes \"app-1\" and so on, and \"app-2\" is in [nodes] "
        "too; rename that");
}

static void
a_cluster_excludes_host_and_port(void **state)
{
    static const char *const also[] = { "host=h", "port=5432", "host=a,b", "port=1,2" };

    (void)state;
    for (size_t i = 0; i < sizeof(also) / sizeof(*also); i++) {
        char *text = mem_printf("[nodes]\nn = cluster=m host=h\n[databases]\na = cluster=m %s\n", also[i]);

        refused(text, "t.ini:4: cluster excludes host and port; those of its nodes are in [nodes]");
        mem_free(text);
    }
    conf_drop(good("[nodes]\nn = cluster=m host=h\n[databases]\nb = port=1\na = cluster=m host=\n"));
}

/* Enough of each for the arrays and the indexes to grow several times. */
static void
many_databases_with_several_hosts_find_their_clusters(void **state)
{
    enum { N = 1000 };
    struct text text = { 0 };
    struct conf *c;

    (void)state;
    text_add_str(&text, "[databases]\n");
    for (int i = 0; i < N; i++)
        text_printf(&text, "d%d = host=a,b,c port=%d\n", i, i + 1);
    c = good(text_str(&text));
    assert_int_equal(c->n_nodes, 3 * N);
    assert_int_equal(c->n_clusters, N);
    for (int i = 0; i < N; i++) {
        assert_string_equal(conf_cluster_of(c, &c->databases[i])->name, c->databases[i].name);
        assert_string_equal(c->nodes[3 * i + 2].cluster, c->databases[i].name);
        assert_int_equal(c->nodes[3 * i + 2].port, i + 1);
    }
    conf_drop(c);
    text_done(&text);
}

/* LeakSanitizer looks at the end of the program: whatever a refused reload keeps shows there. */
static void
a_text_cut_anywhere_is_whole_or_refused_and_leaks_nothing(void **state)
{
    static const char whole[] = "[databases]\na = host=h,i port=1,2\nb = cluster=m route=auto\na = host=j,k\n"
                                "c = host=x,y\n[clusters]\na = zone=z monitor_password=p\nm = max_lag=1\n"
                                "[nodes]\nn = cluster=m host=h\no = cluster=m host=i port=77\n";

    (void)state;
    for (size_t cut = 0; cut < sizeof(whole); cut++) {
        uint8_t *text = exact(whole, cut);
        struct fault why = { .message = "" };
        struct conf *c = conf_parse(slice_of(text, cut), "t.ini", &why);

        assert_true(c != NULL || strncmp(why.message, "t.ini:", 6) == 0);
        conf_drop(c);
        free(text);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_and_clusters_are_lists_like_the_others),
        cmocka_unit_test(a_cluster_that_only_nodes_name_has_the_defaults),
        cmocka_unit_test(several_hosts_become_a_cluster_of_the_databases_name),
        cmocka_unit_test(the_hosts_of_a_replaced_line_are_forgotten),
        cmocka_unit_test(the_last_port_of_a_line_counts),
        cmocka_unit_test(hosts_that_cannot_be_are_refused),
        cmocka_unit_test(one_name_is_not_used_for_two_things),
        cmocka_unit_test(a_cluster_excludes_host_and_port),
        cmocka_unit_test(many_databases_with_several_hosts_find_their_clusters),
        cmocka_unit_test(a_text_cut_anywhere_is_whole_or_refused_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
