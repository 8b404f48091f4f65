/* SPDX-License-Identifier: ISC */
/* auth_query: secrets of users whom auth_file lacks, asked of PostgreSQL over one
 * libpq connection for each database and role, on the control thread. The look-up has its own connection with a
 * fixed search_path; nothing that a client sent is part of it but the name, as a parameter. */
#ifndef SESSION_LOOKUP_H
#define SESSION_LOOKUP_H

#include "base/fault.h"
#include "base/slice.h"
#include "loop/worker.h"

struct lookups;

/* CONTROL: the worker whose loop runs the connections. */
struct lookups *lookups_new(struct worker *control);
/* On the control thread or after all threads ended, before worker_done(). Questions that still wait are freed
 * unanswered: nobody is there any more. */
void lookups_free(struct lookups *l);

/* One question. The caller allocates it, fills the first part (strings are the question's own) and gets it back
 * by mail. */
struct lookup_ask {
    struct mail mail; /* mail.deliver is set by lookups_ask() */
    struct worker *from;
    void (*done)(struct worker *w, struct lookup_ask *a); /* on FROM's thread; owns A again */
    char *host, *database, *role, *password, *query, *user;
    uint16_t port;
    int64_t timeout_us; /* to wait, and again to be answered; 0: 15 seconds */
    int sslmode;        /* enum conf_sslmode, towards that server */
    char *ca_file;
    /* the answer */
    bool ok;      /* the question was answered; found tells whether there is such a user */
    bool found;   /* false for NULL secrets too: expired, or none */
    char *secret; /* "" when it has none; wiped by lookup_ask_free() */
    struct fault why;
    /* the look-up's own */
    struct lookups *lookups;
    int64_t due_us;
};
/* Any thread. */
void lookups_ask(struct lookups *l, struct lookup_ask *a);
void lookup_ask_free(struct lookup_ask *a);
/* Connections to DATABASE that nobody waits for are closed. Any thread. */
void lookups_vacate(struct lookups *l, struct slice database);

#endif
