/* SPDX-License-Identifier: ISC */
/* auth_query. Questions arrive by mail on the control thread, wait in the queue of
 * their line (one libpq connection as one role) and go home by mail. Nothing here is shared between threads. */
#include "session/lookup.h"

#include <string.h>

#include "ask/ask.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/ring.h"
#include "conf/conf.h"

#define MAX_WAITING     1000 /* questions, of all lines */
#define MAX_LINES       256  /* clients may choose the database, where "*" is configured */
#define IDLE_US         (60 * CLOCK_S)
#define DEFAULT_TIME_US (15 * CLOCK_S)

struct lookups {
    struct worker *control;
    struct ring lines; /* longest unused first */
    unsigned n_lines, n_waiting;
};

struct line {
    struct ring entry;
    struct grave grave;
    struct lookups *owner;
    struct ask *ask;
    char *host, *database, *role, *password, *ca_file;
    uint16_t port;
    int sslmode;
    int64_t timeout_us;
    struct mail *first, **end; /* questions; the first one is being asked */
    struct timer idle;
    bool closing;
};

/* ---- answers ---- */

static void
on_home(struct worker *w, struct mail *m)
{
    struct lookup_ask *a = container_of(m, struct lookup_ask, mail);

    a->done(w, a);
}

static void
send_home(struct lookup_ask *a)
{
    a->mail.deliver = on_home;
    mail_post(a->from, &a->mail);
}

static void
refuse(struct lookup_ask *a, const struct fault *why)
{
    a->why = *why;
    send_home(a);
}

static void
read_answer(struct lookup_ask *a, const struct ask_answer *answer)
{
    if (answer->n_fields < 2) {
        fault_set(&a->why, "F0000", "auth_query must answer a name and a secret");
        return;
    }
    if (answer->n_rows > 1) {
        fault_set(&a->why, "F0000", "auth_query answered %u rows for one name", answer->n_rows);
        return;
    }
    a->ok = true;
    a->found = answer->n_rows == 1 && answer->field[1] != NULL;
    a->secret = mem_strdup(a->found ? answer->field[1] : "");
}

/* The connection's fault, and so that of all who wait for it. A statement may fail because of the name in it: a
 * client must not be able to fail the look-ups of others by sending one. */
static bool
is_of_connection(const struct fault *why)
{
    static const char classes[][3] = { "08", "28", "3D", "53", "57" };

    if (strcmp(why->sqlstate, "57014") == 0 || strcmp(why->sqlstate, "08P01") == 0)
        return false; /* statement_timeout; a query without $1 */
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (strncmp(why->sqlstate, classes[i], 2) == 0)
            return true;
    return false;
}

/* ---- lines ---- */

static struct lookup_ask *
first(const struct line *line)
{
    return line->first == NULL ? NULL : container_of(line->first, struct lookup_ask, mail);
}

static void
append(struct line *line, struct lookup_ask *a)
{
    a->mail.next = NULL;
    *line->end = &a->mail;
    line->end = &a->mail.next;
    line->owner->n_waiting++;
}

static struct lookup_ask *
pop(struct line *line)
{
    struct lookup_ask *a = first(line);

    line->first = a->mail.next;
    if (line->first == NULL)
        line->end = &line->first;
    line->owner->n_waiting--;
    return a;
}

static void
dig_line(struct grave *g)
{
    struct line *line = container_of(g, struct line, grave);

    if (line->password != NULL)
        mem_wipe(line->password, strlen(line->password));
    mem_free(line->host);
    mem_free(line->database);
    mem_free(line->role);
    mem_free(line->password);
    mem_free(line->ca_file);
    mem_free(line);
}

/* Nobody may wait on it, unless it is closed together with all others. */
static void
line_close(struct line *line)
{
    line->closing = true;
    while (line->first != NULL)
        lookup_ask_free(pop(line));
    ask_free(line->ask);
    timer_stop(line->owner->control, &line->idle);
    ring_remove(&line->entry);
    line->owner->n_lines--;
    worker_bury(line->owner->control, &line->grave, dig_line);
}

static void
on_idle(struct timer *t)
{
    line_close(container_of(t, struct line, idle));
}

static ask_on_answer on_answer;

/* Ask the first question that still has time. It gets the whole time again: one that waited long must not look
 * like a server that does not answer, which fails all. */
static void
line_next(struct line *line)
{
    struct worker *w = line->owner->control;
    struct lookup_ask *a = first(line);
    struct ask_query query = { .n = 1 };
    struct fault why;

    fault_set(&why, "08006", "auth_query: PostgreSQL did not answer in time");
    for (; a != NULL && a->due_us <= w->now_us; a = first(line))
        refuse(pop(line), &why);
    if (a == NULL) {
        timer_start(w, &line->idle, IDLE_US);
        return;
    }
    query.sql = a->query;
    query.params = (const char *const[]){ a->user };
    query.timeout_us = a->timeout_us;
    ask_question(line->ask, &query, on_answer, line);
}

static void
on_answer(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct line *line = owner;
    struct lookup_ask *a;

    if (line->closing)
        return;
    a = pop(line);
    if (why == NULL)
        read_answer(a, answer);
    else
        a->why = *why;
    send_home(a);
    if (why == NULL || !is_of_connection(why)) {
        line_next(line);
        return;
    }
    while (line->first != NULL)
        refuse(pop(line), why);
    line_close(line);
}

static struct line *
line_new(struct lookups *l, const struct lookup_ask *a)
{
    struct line *line = mem_new(struct line);
    long long limit_ms = a->timeout_us / CLOCK_MS + 1;
    char *options = mem_printf("-c search_path=pg_catalog -c statement_timeout=%lld", limit_ms);
    struct ask_target target = { .host = a->host,
                                 .port = a->port,
                                 .database = a->database,
                                 .user = a->role,
                                 .password = a->password,
                                 .sslmode = conf_word("sslmode", a->sslmode),
                                 .ca_file = a->sslmode >= CONF_SSL_VERIFY_CA ? a->ca_file : NULL,
                                 .options = options };

    line->owner = l;
    line->ask = ask_new(l->control, &target);
    line->host = mem_strdup(a->host);
    line->port = a->port;
    line->database = mem_strdup(a->database);
    line->role = mem_strdup(a->role);
    line->password = mem_strdup(a->password);
    line->ca_file = mem_strdup(a->ca_file);
    line->sslmode = a->sslmode;
    line->timeout_us = a->timeout_us;
    line->end = &line->first;
    timer_init(&line->idle, on_idle);
    ring_append(&l->lines, &line->entry);
    l->n_lines++;
    mem_free(options);
    return line;
}

static bool
same(const char *a, const char *b)
{
    return slice_equal(slice_str(a), slice_str(b));
}

static struct line *
line_find(const struct lookups *l, const struct lookup_ask *a)
{
    ring_each (e, &l->lines) {
        struct line *line = container_of(e, struct line, entry);

        if (line->port == a->port && line->sslmode == a->sslmode && line->timeout_us == a->timeout_us &&
            same(line->host, a->host) && same(line->database, a->database) && same(line->role, a->role) &&
            same(line->password, a->password) && same(line->ca_file, a->ca_file))
            return line;
    }
    return NULL;
}

/* False: all lines are in use. */
static bool
make_room(struct lookups *l)
{
    if (l->n_lines < MAX_LINES)
        return true;
    ring_each_safe (e, &l->lines) {
        struct line *line = container_of(e, struct line, entry);

        if (line->first == NULL) {
            line_close(line);
            return true;
        }
    }
    return false;
}

/* ---- questions ---- */

static void
on_ask(struct worker *w, struct mail *m)
{
    struct lookup_ask *a = container_of(m, struct lookup_ask, mail);
    struct lookups *l = a->lookups;
    struct line *line = l->n_waiting < MAX_WAITING ? line_find(l, a) : NULL;
    struct fault why;

    fault_set(&why, "53400", "too many look-ups by auth_query are waiting");
    if (line == NULL && (l->n_waiting >= MAX_WAITING || !make_room(l))) {
        refuse(a, &why);
        return;
    }
    if (line == NULL)
        line = line_new(l, a);
    a->due_us = w->now_us + a->timeout_us;
    ring_remove(&line->entry);
    ring_append(&l->lines, &line->entry);
    timer_stop(w, &line->idle);
    append(line, a);
    if (!ask_is_busy(line->ask))
        line_next(line);
}

void
lookups_ask(struct lookups *l, struct lookup_ask *a)
{
    a->lookups = l;
    if (a->timeout_us <= 0)
        a->timeout_us = DEFAULT_TIME_US;
    a->ok = a->found = false;
    a->mail.deliver = on_ask;
    mail_post(l->control, &a->mail);
}

void
lookup_ask_free(struct lookup_ask *a)
{
    if (a == NULL)
        return;
    if (a->password != NULL)
        mem_wipe(a->password, strlen(a->password));
    if (a->secret != NULL)
        mem_wipe(a->secret, strlen(a->secret));
    mem_free(a->host);
    mem_free(a->database);
    mem_free(a->role);
    mem_free(a->password);
    mem_free(a->query);
    mem_free(a->user);
    mem_free(a->ca_file);
    mem_free(a->secret);
    mem_free(a);
}

/* ---- databases that are to be left ---- */

struct vacating {
    struct mail mail;
    struct lookups *lookups;
    char *database;
};

static void
on_vacate(struct worker *w, struct mail *m)
{
    struct vacating *v = container_of(m, struct vacating, mail);

    (void)w;
    ring_each_safe (e, &v->lookups->lines) {
        struct line *line = container_of(e, struct line, entry);

        if (line->first == NULL && same(line->database, v->database))
            line_close(line);
    }
    mem_free(v->database);
    mem_free(v);
}

void
lookups_vacate(struct lookups *l, struct slice database)
{
    struct vacating *v = mem_new(struct vacating);

    v->lookups = l;
    v->database = slice_dup(database);
    v->mail.deliver = on_vacate;
    mail_post(l->control, &v->mail);
}

struct lookups *
lookups_new(struct worker *control)
{
    struct lookups *l = mem_new(struct lookups);

    l->control = control;
    ring_init(&l->lines);
    return l;
}

void
lookups_free(struct lookups *l)
{
    if (l == NULL)
        return;
    ring_each_safe (e, &l->lines)
        line_close(container_of(e, struct line, entry));
    mem_free(l);
}
