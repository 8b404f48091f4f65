/* SPDX-License-Identifier: ISC */
/* How the tests of hba ask. */
#ifndef TEST_UNIT_HBA_QUESTION_H
#define TEST_UNIT_HBA_QUESTION_H

#include "base/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "auth/hba.h"

/* A question in words: "database user address", address "local" for a Unix socket, with "+tls" or "+repl"
 * behind. */
struct question {
    char database[64], user[64], address[64];
    struct sockaddr_storage from;
    struct hba_ask ask;
};

static inline void
question_init(struct question *q, const char *words)
{
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&q->from;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&q->from;

    memset(q, 0, sizeof(*q));
    assert_int_equal(sscanf(words, "%63s %63s %63s", q->database, q->user, q->address), 3);
    q->ask.tls = strstr(words, "+tls") != NULL;
    q->ask.replication = strstr(words, "+repl") != NULL;
    q->ask.database = slice_str(q->database);
    q->ask.user = slice_str(q->user);
    q->ask.unix_socket = strcmp(q->address, "local") == 0;
    if (q->ask.unix_socket)
        return;
    q->ask.from = (struct sockaddr *)&q->from;
    if (inet_pton(AF_INET, q->address, &in->sin_addr) == 1)
        in->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, q->address, &in6->sin6_addr) == 1)
        in6->sin6_family = AF_INET6;
    else
        fail_msg("not an address: %s", q->address);
}

static inline struct hba *
parse(const char *rules, struct fault *why)
{
    struct slice copy = exact(slice_str(rules));
    struct hba *h = hba_parse(copy, "/etc/hba.conf", why);

    exact_free(copy);
    return h;
}

/* The line that decides; 0 for none. */
static inline int
line_for(const struct hba *h, const char *words)
{
    struct question q;
    struct hba_found found = { .line = -1 };

    question_init(&q, words);
    hba_decide(h, &q.ask, &found);
    return found.line;
}

#endif
