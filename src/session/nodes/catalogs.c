/* SPDX-License-Identifier: ISC */
/* What is known of the databases behind clusters, on this worker. */
#include "base/mem.h"
#include "choose_private.h"

#define JUDGED 1024 /* a power of two; the newer of two statements in one place stays */

/* A verdict depends on the catalog and on names that a digest has in it, and on nothing else. */
struct judged {
    uint64_t digest[2];
    bool known, read;
};

struct known_catalog {
    struct known_catalog *next;
    char *database;
    struct catalog *catalog; /* NULL: it is on its way */
    struct judged *judged;   /* by CATALOG; NULL until it is needed */
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

static struct known_catalog *
find_or_want(struct hall *h, const char *database)
{
    struct known_catalog *k = find(h, database);

    if (k != NULL)
        return k;
    if (h->want_catalog != NULL)
        h->want_catalog(h, database, false); /* asked for once */
    return add(h, database);
}

struct known_catalog *
hall_catalog(const struct session *s)
{
    struct siblings *f = s->routing == NULL ? NULL : s->routing->siblings;

    if (f == NULL)
        return find_or_want(s->hall, s->database);
    if (f->catalog == NULL)
        f->catalog = find_or_want(s->hall, s->database);
    return f->catalog;
}

void
known_completed(struct session *s, struct slice tag)
{
    s->routing->ddl = s->routing->ddl || changes_is_one(tag);
}

void
known_ended(struct session *s)
{
    if (s->routing->ddl && s->hall->want_catalog != NULL)
        s->hall->want_catalog(s->hall, s->database, true);
    s->routing->ddl = false;
}

enum catalog_verdict
known_judge(const struct known_catalog *k, const struct facts *f, struct slice *because)
{
    return catalog_judge(k->catalog, f, because);
}

bool
known_is_read(struct known_catalog *k, const struct facts *f)
{
    struct judged *j;

    if (f->has_literals) /* others of its digest may be something else */
        return catalog_judge(k->catalog, f, NULL) == CATALOG_READ;
    if (k->judged == NULL)
        k->judged = mem_zalloc(JUDGED * sizeof(*k->judged));
    j = &k->judged[f->digest[0] & (JUDGED - 1)];
    if (!j->known || j->digest[0] != f->digest[0] || j->digest[1] != f->digest[1])
        *j = (struct judged){ .digest = { f->digest[0], f->digest[1] },
                              .known = true,
                              .read = catalog_judge(k->catalog, f, NULL) == CATALOG_READ };
    return j->read;
}

static void
known_free(struct known_catalog *k)
{
    catalog_drop(k->catalog);
    mem_free(k->judged);
    mem_free(k->database);
    mem_free(k);
}

/* Nobody keeps it up to date any more. Sessions that came meanwhile want it anew. */
static void
forget(struct hall *h, const char *database)
{
    struct known_catalog **at = &h->catalogs, *k;

    for (const struct siblings *f = h->siblings; f != NULL; f = f->next)
        if (strcmp(f->database, database) == 0) {
            h->want_catalog(h, database, false);
            return;
        }
    while ((k = *at) != NULL && strcmp(k->database, database) != 0)
        at = &k->next;
    if (k == NULL)
        return;
    *at = k->next;
    known_free(k);
}

void
hall_set_catalog(struct hall *h, const char *database, struct catalog *c)
{
    struct known_catalog *k = find(h, database);

    if (c == NULL) {
        forget(h, database);
        return;
    }
    if (k == NULL)
        k = add(h, database);
    catalog_drop(k->catalog);
    k->catalog = c;
    mem_free(k->judged);
    k->judged = NULL;
}

void
hall_forget_catalogs(struct hall *h)
{
    while (h->catalogs != NULL) {
        struct known_catalog *k = h->catalogs;

        h->catalogs = k->next;
        known_free(k);
    }
}
