/* SPDX-License-Identifier: ISC */
/* A node of a cluster as the checks see it: a thread that speaks PostgreSQL's protocol on loopback and answers
 * the questions of probe.c from what the test sets. */
#ifndef TEST_UNIT_TOPO_FAKE_NODE_H
#define TEST_UNIT_TOPO_FAKE_NODE_H

#include "base/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define FAKE_LINKS 16

enum fake_mood {
    FAKE_ANSWERS,
    FAKE_HANGS,   /* takes everything, says nothing */
    FAKE_STARTS,  /* 57P03 to who comes */
    FAKE_FULL,    /* 53300 */
    FAKE_REFUSES, /* its port is closed; those who are connected are thrown out */
};

struct fake_node {
    pthread_t thread;
    uint16_t port;
    int listener, wake[2];
    struct fake_link {
        int fd; /* -1: none */
        struct text got;
        bool greeted;
        char question; /* of the last Parse: 'a'll, 's'ample, 'p'romote; 'm'ay promote, mark th'e' WAL,
                          'r'eplayed */
    } link[FAKE_LINKS];
    atomic_uint n_asked, n_promoted, n_logins;
    _Atomic int64_t asked_us; /* when the last question came */
    pthread_mutex_t lock;     /* for the rest */
    enum fake_mood mood;
    bool cuts, ends;
    bool breaks; /* ends the next connection that asks something, once */
    bool recovering;
    bool refuses_promotion; /* pg_promote() is nothing for the role that asks */
    uint32_t timeline;
    uint64_t system_id, lsn;
    const char *receiver;
};

/* ---- what it says ---- */

static inline void
fake_put(struct text *t, char type, struct slice body)
{
    uint32_t len = htonl((uint32_t)body.len + 4);

    text_add_char(t, type);
    text_add(t, slice_of(&len, 4));
    text_add(t, body);
}

static inline void
fake_put16(struct text *t, unsigned n)
{
    text_add_char(t, (char)(n >> 8));
    text_add_char(t, (char)n);
}

static inline void
fake_put_row(struct text *out, const char *const *fields, unsigned n)
{
    struct text columns = { 0 }, row = { 0 };

    fake_put16(&columns, n);
    fake_put16(&row, n);
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = fields[i] == NULL ? UINT32_MAX : htonl((uint32_t)strlen(fields[i]));

        text_add(&columns, SLICE("c\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"));
        text_add(&row, slice_of(&len, 4));
        text_add(&row, slice_str(fields[i]));
    }
    fake_put(out, '1', SLICE(""));
    fake_put(out, '2', SLICE(""));
    fake_put(out, 'T', text_slice(&columns));
    fake_put(out, 'D', text_slice(&row));
    fake_put(out, 'C', SLICE("SELECT 1\0"));
    fake_put(out, 'Z', SLICE("I"));
    text_done(&columns);
    text_done(&row);
}

static inline void
fake_put_answer_locked(struct fake_node *f, char question, struct text *out)
{
    char id[24], timeline[12], lsn[24];
    const char *fields[8] = { f->recovering ? "t" : "f",           lsn,        lsn,   id, timeline,
                              f->recovering ? f->receiver : "off", "16777216", "8192" };

    snprintf(id, sizeof(id), "%llu", (unsigned long long)f->system_id);
    snprintf(timeline, sizeof(timeline), "%08X", f->timeline);
    snprintf(lsn, sizeof(lsn), "%X/%X", (unsigned)(f->lsn >> 32), (unsigned)f->lsn);
    f->n_asked++;
    if (question == 'm') {
        fields[1] = f->refuses_promotion ? "f" : "t";
        fields[2] = "f";
        fake_put_row(out, fields, 3);
        return;
    }
    if (question == 'e' || question == 'r') {
        fake_put_row(out, fields + 1, 1);
        return;
    }
    if (question != 'p') {
        fake_put_row(out, fields, question == 'a' ? 8 : 3);
        return;
    }
    f->n_promoted++;
    f->recovering = false;
    f->timeline++;
    fields[0] = "t";
    fake_put_row(out, fields, 1);
}

static inline void
fake_greet_locked(struct fake_node *f, struct fake_link *l, struct text *out)
{
    f->n_logins++;
    l->greeted = true;
    if (f->mood == FAKE_STARTS)
        fake_put(out, 'E', SLICE("SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"));
    else if (f->mood == FAKE_FULL)
        fake_put(out, 'E', SLICE("SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0"));
    else
        fake_put(out, 'R', SLICE("\0\0\0\0"));
    if (f->mood == FAKE_ANSWERS)
        fake_put(out, 'Z', SLICE("I"));
}

/* ---- what it hears ---- */

static inline char
fake_question_of(const char *sql)
{
    static const struct {
        const char *part;
        char question;
    } known[] = { { "has_function_privilege", 'm' },
                  { "emit_message", 'e' },
                  { "COALESCE(pg_catalog.pg_last_wal_replay_lsn()", 'r' },
                  { "pg_promote", 'p' },
                  { "pg_control", 'a' } };

    for (unsigned i = 0; i < COUNT(known); i++)
        if (strstr(sql, known[i].part) != NULL)
            return known[i].question;
    return 's';
}

static inline void
fake_close(struct fake_link *l)
{
    if (l->fd != -1)
        close(l->fd);
    l->fd = -1;
    l->greeted = false;
    text_clear(&l->got);
}

static inline void
fake_hear_locked(struct fake_node *f, struct fake_link *l, struct slice message, struct text *out)
{
    if (message.data[0] == 'P') {
        l->question = fake_question_of((const char *)message.data + 6); /* after an empty name */
    } else if (message.data[0] == 'S' && f->breaks) {
        f->breaks = false;
        shutdown(l->fd, SHUT_RDWR);
    } else if (message.data[0] == 'S') {
        f->asked_us = clock_now_us();
        fake_put_answer_locked(f, l->question, out);
    }
}

/* Takes whole messages off what came. */
static inline void
fake_feed_locked(struct fake_node *f, struct fake_link *l, struct text *out)
{
    struct slice rest = text_slice(&l->got);
    struct text left = { 0 };

    for (;;) {
        size_t head = l->greeted ? 5 : 4;
        uint32_t len;

        if (rest.len < head)
            break;
        memcpy(&len, rest.data + head - 4, 4);
        len = ntohl(len);
        if (rest.len < head - 4 + len)
            break;
        if (l->greeted)
            fake_hear_locked(f, l, slice_head(rest, head - 4 + len), out);
        else
            fake_greet_locked(f, l, out);
        rest = slice_tail(rest, head - 4 + len);
    }
    text_add(&left, rest);
    text_done(&l->got);
    l->got = left;
}

static inline void
fake_read(struct fake_node *f, struct fake_link *l)
{
    struct text out = { 0 };
    char bytes[4096];
    ssize_t got = read(l->fd, bytes, sizeof(bytes));
    bool fatal;

    if (got <= 0) {
        fake_close(l);
        return;
    }
    text_add(&l->got, slice_of(bytes, (size_t)got));
    pthread_mutex_lock(&f->lock);
    if (f->mood != FAKE_HANGS)
        fake_feed_locked(f, l, &out);
    fatal = f->mood == FAKE_STARTS || f->mood == FAKE_FULL;
    pthread_mutex_unlock(&f->lock);
    if (out.len > 0 && send(l->fd, out.data, out.len, MSG_NOSIGNAL) < 0)
        fatal = true;
    if (fatal)
        fake_close(l);
    text_done(&out);
}

/* ---- the thread ---- */

static inline void
fake_listen(struct fake_node *f)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(f->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);

    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(f->listener >= 0);
    setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(listen(f->listener, 8), 0);
    f->port = ntohs(a.sin_port);
}

static inline void
fake_accept(struct fake_node *f)
{
    int fd = accept(f->listener, NULL, NULL);

    for (unsigned i = 0; i < FAKE_LINKS && fd != -1; i++) {
        if (f->link[i].fd != -1)
            continue;
        f->link[i].fd = fd;
        fd = -1;
    }
    if (fd != -1)
        close(fd);
}

/* The mood changed. */
static inline bool
fake_obey(struct fake_node *f)
{
    bool ends, cuts, refuses;
    char byte;

    if (read(f->wake[0], &byte, 1) != 1)
        return false;
    pthread_mutex_lock(&f->lock);
    ends = f->ends;
    refuses = f->mood == FAKE_REFUSES;
    cuts = f->cuts || ends || refuses;
    pthread_mutex_unlock(&f->lock);
    if ((ends || refuses) && f->listener != -1) {
        close(f->listener);
        f->listener = -1;
    } else if (!refuses && f->listener == -1) {
        fake_listen(f);
    }
    for (unsigned i = 0; i < FAKE_LINKS && cuts; i++)
        fake_close(&f->link[i]);
    if (cuts) {
        pthread_mutex_lock(&f->lock);
        f->cuts = false;
        pthread_mutex_unlock(&f->lock);
    }
    return !ends;
}

static inline void *
fake_main(void *arg)
{
    struct fake_node *f = arg;

    for (;;) {
        struct pollfd p[FAKE_LINKS + 2] = { { .fd = f->wake[0], .events = POLLIN },
                                            { .fd = f->listener, .events = POLLIN } };

        for (unsigned i = 0; i < FAKE_LINKS; i++)
            p[i + 2] = (struct pollfd){ .fd = f->link[i].fd, .events = POLLIN };
        poll(p, FAKE_LINKS + 2, -1);
        for (unsigned i = 0; i < FAKE_LINKS; i++)
            if (p[i + 2].revents != 0)
                fake_read(f, &f->link[i]);
        if (p[1].revents != 0)
            fake_accept(f);
        if (p[0].revents != 0 && !fake_obey(f))
            return NULL;
    }
}

/* ---- what tests call ---- */

static inline void
fake_start(struct fake_node *f, bool recovering)
{
    *f = (struct fake_node){ .recovering = recovering,
                             .timeline = 1,
                             .system_id = 7,
                             .lsn = 0x1000000,
                             .receiver = "streaming",
                             .listener = -1 };
    for (unsigned i = 0; i < FAKE_LINKS; i++)
        f->link[i].fd = -1;
    pthread_mutex_init(&f->lock, NULL);
    assert_int_equal(pipe(f->wake), 0);
    fake_listen(f);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_main, f), 0);
}

static inline void
fake_wake(struct fake_node *f)
{
    assert_int_equal(write(f->wake[1], "", 1), 1);
}

static inline void
fake_set_mood(struct fake_node *f, enum fake_mood mood)
{
    pthread_mutex_lock(&f->lock);
    f->mood = mood;
    pthread_mutex_unlock(&f->lock);
    fake_wake(f);
}

/* Its connections have ended when this returns, as by pg_terminate_backend(). */
static inline void
fake_cut(struct fake_node *f)
{
    bool done = false;

    pthread_mutex_lock(&f->lock);
    f->cuts = true;
    pthread_mutex_unlock(&f->lock);
    fake_wake(f);
    for (int i = 0; i < 10000 && !done; i++) {
        poll(NULL, 0, 1);
        pthread_mutex_lock(&f->lock);
        done = !f->cuts;
        pthread_mutex_unlock(&f->lock);
    }
}

/* The next question gets no answer but the end of its connection. */
static inline void
fake_break(struct fake_node *f)
{
    pthread_mutex_lock(&f->lock);
    f->breaks = true;
    pthread_mutex_unlock(&f->lock);
}

static inline void
fake_be(struct fake_node *f, bool recovering, uint32_t timeline, uint64_t lsn)
{
    pthread_mutex_lock(&f->lock);
    f->recovering = recovering;
    f->timeline = timeline;
    f->lsn = lsn;
    pthread_mutex_unlock(&f->lock);
}

static inline void
fake_set_receiver(struct fake_node *f, const char *receiver)
{
    pthread_mutex_lock(&f->lock);
    f->receiver = receiver;
    pthread_mutex_unlock(&f->lock);
}

static inline void
fake_stop(struct fake_node *f)
{
    pthread_mutex_lock(&f->lock);
    f->ends = true;
    pthread_mutex_unlock(&f->lock);
    fake_wake(f);
    pthread_join(f->thread, NULL);
    for (unsigned i = 0; i < FAKE_LINKS; i++)
        text_done(&f->link[i].got);
    close(f->wake[0]);
    close(f->wake[1]);
    pthread_mutex_destroy(&f->lock);
}

#endif
