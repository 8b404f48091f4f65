/* SPDX-License-Identifier: ISC */
/* What is known of the databases behind clusters, on this worker. */
#include "base/mem.h"
#include "choose_private.h"

struct known_catalog {
    struct known_catalog *next;
    char *database;
    struct catalog *catalog; /* NULL: it is on its way */
};

static struct known_catalog *
find(const struct hall *h, const char *database)
{
    struct known_catalog *k;

    for (k = h->catalogs; k != NULL; k = k->next)
        if (strcmp(k->database, database) == 0)
            break;
    return k;
}

static struct known_catalog *
add(struct hall *h, const char *database)
{
    struct known_catalog *k = mem_new(struct known_catalog);

    k->database = mem_strdup(database);
    k->next = h->catalogs;
    h->catalogs = k;
    return k;
}

const struct catalog *
hall_catalog(struct hall *h, const char *database)
{
    const struct known_catalog *k = find(h, database);

    if (k == NULL && h->want_catalog != NULL) {
        add(h, database); /* asked for once */
        h->want_catalog(h, database);
    }
    return k == NULL ? NULL : k->catalog;
}

void
hall_set_catalog(struct hall *h, const char *database, struct catalog *c)
{
    struct known_catalog *k = find(h, database);

    if (k == NULL)
        k = add(h, database);
    catalog_drop(k->catalog);
    k->catalog = c;
}

void
hall_forget_catalogs(struct hall *h)
{
    while (h->catalogs != NULL) {
        struct known_catalog *k = h->catalogs;

        h->catalogs = k->next;
        catalog_drop(k->catalog);
        mem_free(k->database);
        mem_free(k);
    }
}
