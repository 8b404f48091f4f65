/* SPDX-License-Identifier: ISC */
#include "topo/topology.h"

#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/unit.h"

static struct topology *
make(void)
{
    struct topology *t = mem_new(struct topology);

    t->holders = 1;
    t->n_clusters = 2;
    t->clusters = mem_zalloc(2 * sizeof(struct cluster));
    for (unsigned i = 0; i < 2; i++) {
        struct cluster *c = &t->clusters[i];

        snprintf(c->name, sizeof(c->name), "%s", i == 0 ? "main" : "main2");
        c->zone = mem_strdup("");
        c->n_nodes = 1;
        c->nodes = mem_zalloc(sizeof(struct node));
        c->nodes[0].host = mem_strdup("h");
        c->nodes[0].zone = mem_strdup("z");
    }
    return t;
}

static void
cluster_is_found_by_its_whole_name(void **state)
{
    struct topology *t = make();

    (void)state;
    assert_ptr_equal(topology_find(t, SLICE("main")), &t->clusters[0]);
    assert_ptr_equal(topology_find(t, SLICE("main2")), &t->clusters[1]);
    assert_null(topology_find(t, SLICE("mai")));
    assert_null(topology_find(t, SLICE("")));
    topology_drop(t);
    topology_drop(NULL);
}

static void *
hold_and_drop(void *arg)
{
    struct topology *t = arg;

    for (unsigned i = 0; i < 10000; i++) {
        topology_hold(t);
        topology_drop(t);
    }
    topology_drop(t);
    return NULL;
}

/* The last of several threads frees it; sanitizers see one that does not, or does twice. */
static void
last_drop_frees(void **state)
{
    struct topology *t = make();
    pthread_t thread[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hold_and_drop, topology_hold(t)), 0);
    topology_drop(t);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}

static void
only_up_is_usable_and_lagging_on_request(void **state)
{
    (void)state;
    for (enum node_state s = 0; s < NODE_NSTATES; s++) {
        const struct node n = { .state = s };

        assert_true(node_is_usable(&n, false) == (s == NODE_UP));
        assert_true(node_is_usable(&n, true) == (s == NODE_UP || s == NODE_LAGGING));
        assert_non_null(node_state_name(s));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cluster_is_found_by_its_whole_name),
        cmocka_unit_test(last_drop_frees),
        cmocka_unit_test(only_up_is_usable_and_lagging_on_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
