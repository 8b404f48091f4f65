/* SPDX-License-Identifier: ISC */
/* Any text is a configuration or a fault with its place; what a configuration prints reads back the same. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"

static void
must(bool truth)
{
    if (!truth)
        abort();
}

static void
prints_what_it_reads(struct conf *c)
{
    struct text first = { 0 }, second = { 0 };

    for (const struct conf_option *o = conf_general_options(); o->name != NULL; o++) {
        struct conf *again;

        text_clear(&first);
        text_clear(&second);
        conf_print(o, &c->general, &first);
        again = conf_with(c, slice_str(o->name), text_slice(&first), NULL);
        must(again != NULL);
        conf_print(o, &again->general, &second);
        must(slice_equal(text_slice(&first), text_slice(&second)));
        conf_drop(again);
    }
    text_done(&first);
    text_done(&second);
}

/* No node without a cluster, no cluster without a node, and a database has a host or a cluster. */
static void
nodes_and_clusters_belong_together(const struct conf *c)
{
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct conf_database of = { .cluster = c->nodes[i].cluster };

        must(c->nodes[i].host[0] != '\0' && conf_cluster_of(c, &of) != NULL);
    }
    for (size_t i = 0; i < c->n_clusters; i++) {
        size_t n = 0;

        while (n < c->n_nodes && strcmp(c->nodes[n].cluster, c->clusters[i].name) != 0)
            n++;
        must(n < c->n_nodes);
    }
    for (size_t i = 0; i < c->n_databases; i++) {
        const struct conf_database *d = &c->databases[i];

        must((d->cluster[0] != '\0') == (conf_cluster_of(c, d) != NULL));
        must(d->cluster[0] == '\0' || d->host[0] == '\0');
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault why = { .message = "" };
    struct conf *c;

    log_set_level(LOG_LEVEL_FATAL);
    if (memmem(data, size, "_file", 5) != NULL || memmem(data, size, "%include", 8) != NULL)
        return 0; /* no files of the machine that runs this */
    c = conf_parse(slice_of(data, size), "f", &why);
    must(c != NULL || strncmp(why.message, "f:", 2) == 0);
    if (c == NULL)
        return 0;
    for (size_t i = 0; i < c->n_databases; i++)
        must(conf_find_database(c, slice_str(c->databases[i].name)) == &c->databases[i]);
    for (size_t i = 0; i < c->n_users; i++)
        must(conf_find_user(c, slice_str(c->users[i].name)) == &c->users[i]);
    if (c->n_nodes < 100)
        nodes_and_clusters_belong_together(c);
    if (c->n_databases < 10)
        prints_what_it_reads(c);
    conf_drop(c);
    return 0;
}
