/* SPDX-License-Identifier: ISC */
/* What pgweir thinks of statements: loads the catalog of a database and prints READ, WRITE or DOUBT and the
 * name that decided for each statement on standard input; a NUL byte ends a statement. usage: judge HOST PORT
 * DATABASE USER */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "catalog/catalog.h"
#include "loop/worker.h"

static struct catalog *catalog;

static void
on_loaded(void *owner, struct catalog *c, const struct fault *why)
{
    struct worker *w = owner;

    catalog = c;
    if (why != NULL)
        fprintf(stderr, "judge: %s %s\n", why->sqlstate, why->message);
    worker_stop(w);
}

static bool
load(char **argv)
{
    struct catalog_marks marks = { .counts = "" };
    struct catalog_wanted wanted = {
        .target = { .host = argv[1], .database = argv[3], .user = argv[4], .sslmode = "disable" },
        .marks = &marks
    };
    static struct worker w;

    wanted.target.port = (uint16_t)atoi(argv[2]);
    worker_init(&w, WORKER_CONTROL);
    catalog_load(&w, &wanted, on_loaded, &w);
    worker_run(&w);
    worker_done(&w);
    return catalog != NULL;
}

static void
judge(struct facts_table *t, struct slice sql)
{
    static const char *const words[] = {
        [CATALOG_READ] = "READ", [CATALOG_WRITE] = "WRITE", [CATALOG_DOUBT] = "DOUBT"
    };
    const struct facts *f = facts_of(t, sql, true, NULL);
    struct slice because;
    enum catalog_verdict verdict = catalog_judge(catalog, f, &because);

    printf("%s %.*s\n", words[verdict], (int)because.len, (const char *)because.data);
    facts_drop(f);
}

/* On a thread with the stack of a worker: the parser recurses. */
static void *
judge_all(void *arg)
{
    struct facts_table *t = facts_table_new(64, 1);
    struct text sql = { 0 };
    int c;

    while ((c = getchar()) != EOF) {
        if (c != '\0') {
            text_add_char(&sql, (char)c);
            continue;
        }
        judge(t, text_slice(&sql));
        text_clear(&sql);
    }
    text_done(&sql);
    facts_table_free(t);
    return arg;
}

int
main(int argc, char **argv)
{
    pthread_attr_t attr;
    pthread_t thread;

    if (argc != 5) {
        fprintf(stderr, "usage: judge HOST PORT DATABASE USER\n");
        return 2;
    }
    if (!load(argv))
        return 1;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    if (pthread_create(&thread, &attr, judge_all, NULL) != 0)
        return 1;
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    catalog_drop(catalog);
    return 0;
}
