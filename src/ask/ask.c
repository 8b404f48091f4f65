/* SPDX-License-Identifier: ISC */
/* One libpq connection on a worker's loop. libpq owns the descriptor and may replace
 * it in PQconnectPoll(): both io are stopped before and made anew after. Nothing of A is touched after the
 * asker was told: it may ask again or free A. */
#include "ask/ask.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define NOWHERE "/dev/null/none"

enum ask_state { ASK_OFF, ASK_DIALS, ASK_READY, ASK_ASKED };

struct question {
    char *sql;
    char **params;
    int n;
    ask_on_answer *on_answer; /* NULL: there is no question */
    void *owner;
};

struct ask {
    struct grave grave;
    struct worker *worker;
    char *host, *address, *database, *user, *password, *sslmode, *ca_file, *options, *port;
    PGconn *conn; /* NULL when ASK_OFF */
    enum ask_state state;
    bool closing;
    struct io in, out;
    struct timer deadline;
    struct question question;
    PGresult *first; /* what came first: the first row, or the end of an answer without rows */
    unsigned n_rows;
    struct fault failed; /* of the question; its SQLSTATE is "" while all is well */
};

/* ---- why it failed ---- */

static bool
is_sqlstate(const char *s)
{
    return s != NULL && strspn(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") >= 5;
}

/* Where the code starts in a line of libpq such as "FATAL:  28P01: text"; -1 without one. */
static ptrdiff_t
code_at(struct slice line)
{
    for (size_t i = 0; i + 10 <= line.len; i++) {
        const char *p = (const char *)line.data + i;

        if (memcmp(p, ":  ", 3) == 0 && is_sqlstate(p + 3) && memcmp(p + 8, ": ", 2) == 0)
            return (ptrdiff_t)i + 3;
    }
    return -1;
}

/* The first code of a message goes to CODE when that is "", the rest to OUT: what follows the first may quote
 * names that clients chose. */
static void
add_line(struct text *out, struct slice line, char code[6])
{
    ptrdiff_t at = code[0] == '\0' ? code_at(line) : -1;

    if (out->len > 0)
        text_add_char(out, ' ');
    if (at >= 0) {
        memcpy(code, line.data + at, 5);
        text_add(out, slice_head(line, (size_t)at - 1));
        line = slice_tail(line, (size_t)at + 7);
    }
    text_add(out, line);
}

/* MESSAGE is libpq's: several lines, and without a SQLSTATE one may be in it. */
static void
set_fault(struct fault *why, const char *sqlstate, const char *message)
{
    char code[6] = "";
    struct text line = { 0 };

    if (is_sqlstate(sqlstate))
        memcpy(code, sqlstate, 5);
    for (const char *p = message; *p != '\0'; p += *p != '\0') {
        struct slice s = slice_of(p, strcspn(p, "\n"));

        p += s.len;
        s = slice_trim(s);
        if (s.len > 0 && !slice_is(slice_head(s, 9), "LOCATION:"))
            add_line(&line, s, code);
    }
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.data[i] < ' ' || line.data[i] == 127)
            line.data[i] = ' ';
    fault_set(why, code[0] != '\0' ? code : "08006", "%s", line.len > 0 ? line.data : "the connection failed");
    text_done(&line);
}

static void
result_fault(const PGresult *r, struct fault *why)
{
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

    set_fault(why, PQresultErrorField(r, PG_DIAG_SQLSTATE),
              message != NULL ? message : PQresultErrorMessage(r));
}

/* ---- watching, hanging up, telling ---- */

static void on_in(struct io *io);
static void on_out(struct io *io);

static void
unwatch(struct ask *a)
{
    io_stop(a->worker, &a->in);
    io_stop(a->worker, &a->out);
}

static void
watch(struct ask *a, bool in, bool out)
{
    int fd = PQsocket(a->conn);

    unwatch(a);
    if (fd < 0)
        return; /* broken: whoever reads next sees it, or the deadline */
    io_init(&a->in, fd, IO_READ, on_in);
    io_init(&a->out, fd, IO_WRITE, on_out);
    if (in)
        io_start(a->worker, &a->in);
    if (out)
        io_start(a->worker, &a->out);
}

static void
hang_up(struct ask *a)
{
    unwatch(a);
    PQclear(a->first);
    a->first = NULL;
    PQfinish(a->conn);
    a->conn = NULL;
    a->state = ASK_OFF;
}

static void
question_done(struct question *q)
{
    for (int i = 0; i < q->n; i++)
        mem_free(q->params[i]);
    mem_free(q->params);
    mem_free(q->sql);
}

static void
tell(struct ask *a, const struct ask_answer *answer, const struct fault *why)
{
    struct question q = a->question;

    a->question = (struct question){ 0 };
    timer_stop(a->worker, &a->deadline);
    q.on_answer(q.owner, answer, why);
    question_done(&q);
}

/* WHY may be a->failed. */
static void
fail(struct ask *a, const struct fault *why)
{
    struct fault copy = *why;

    hang_up(a);
    tell(a, NULL, &copy);
}

/* As fail(), but not before the asker's call returned. a->failed is set. */
static void
fail_later(struct ask *a)
{
    hang_up(a);
    timer_start(a->worker, &a->deadline, 0);
}

static void
on_deadline(struct timer *t)
{
    struct ask *a = container_of(t, struct ask, deadline);

    if (a->failed.sqlstate[0] == '\0')
        fault_set(&a->failed, "08006",
                  a->state == ASK_DIALS ? "PostgreSQL did not let us in in time"
                                        : "PostgreSQL did not answer in time");
    fail(a, &a->failed);
}

/* ---- the answer ---- */

static void
flush(struct ask *a)
{
    int left = PQflush(a->conn);

    if (left >= 0) {
        watch(a, true, left > 0);
        return;
    }
    set_fault(&a->failed, NULL, PQerrorMessage(a->conn));
    fail_later(a);
}

/* Takes R over. False: nothing sensible can follow; a->failed says why. */
static bool
keep(struct ask *a, PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    bool ok = status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
              status == PGRES_EMPTY_QUERY;

    a->n_rows += status == PGRES_SINGLE_TUPLE;
    if (ok && a->first == NULL) {
        a->first = r;
        return true;
    }
    if (status == PGRES_FATAL_ERROR && a->failed.sqlstate[0] == '\0')
        result_fault(r, &a->failed);
    else if (!ok && status != PGRES_FATAL_ERROR)
        fault_set(&a->failed, "08P01", "PostgreSQL answered with something else than rows");
    PQclear(r);
    return ok || status == PGRES_FATAL_ERROR;
}

static void
on_end_of_answer(struct ask *a)
{
    struct ask_answer answer = { .n_rows = a->n_rows };
    PGresult *first = a->first;

    if (a->failed.sqlstate[0] == '\0' && first == NULL)
        set_fault(&a->failed, NULL, PQerrorMessage(a->conn));
    if (a->failed.sqlstate[0] != '\0') {
        fail(a, &a->failed);
        return;
    }
    a->first = NULL; /* stays until the asker has seen it, even if it frees A */
    answer.n_fields = (unsigned)PQnfields(first);
    for (unsigned i = 0; i < answer.n_fields && i < ASK_MAX_FIELDS && a->n_rows > 0; i++)
        answer.field[i] = PQgetisnull(first, 0, (int)i) ? NULL : PQgetvalue(first, 0, (int)i);
    if (PQtransactionStatus(a->conn) == PQTRANS_IDLE) {
        a->state = ASK_READY;
        watch(a, true, false);
    } else {
        hang_up(a); /* it said all and died, or the statement left a transaction open */
    }
    tell(a, &answer, NULL);
    PQclear(first);
}

/* When the server went away, its last words may still be in libpq's buffer: they come first. */
static void
on_reply(struct ask *a)
{
    bool alive = PQconsumeInput(a->conn) == 1;

    while (!PQisBusy(a->conn)) {
        PGresult *r = PQgetResult(a->conn);

        if (r == NULL) {
            on_end_of_answer(a);
            return;
        }
        if (!keep(a, r)) {
            fail(a, &a->failed);
            return;
        }
    }
    if (alive) {
        flush(a);
        return;
    }
    if (a->failed.sqlstate[0] == '\0')
        set_fault(&a->failed, NULL, PQerrorMessage(a->conn));
    fail(a, &a->failed);
}

/* ---- the question ---- */

/* Rows one by one: of a query that answers too many, libpq keeps none. */
static void
send_question(struct ask *a)
{
    struct question *q = &a->question;

    a->state = ASK_ASKED;
    a->n_rows = 0;
    if (PQsendQueryParams(a->conn, q->sql, q->n, NULL, (const char *const *)q->params, NULL, NULL, 0) == 1 &&
        PQsetSingleRowMode(a->conn) == 1) {
        flush(a);
        return;
    }
    set_fault(&a->failed, NULL, PQerrorMessage(a->conn));
    fail_later(a);
}

static void
on_dial(struct ask *a)
{
    unwatch(a);
    switch (PQconnectPoll(a->conn)) {
    case PGRES_POLLING_READING:
        watch(a, true, false);
        break;
    case PGRES_POLLING_WRITING:
        watch(a, false, true);
        break;
    case PGRES_POLLING_OK:
        PQsetnonblocking(a->conn, 1);
        send_question(a);
        break;
    default:
        set_fault(&a->failed, NULL, PQerrorMessage(a->conn));
        fail(a, &a->failed);
    }
}

/* Nobody waits: what comes is a report, or the end. */
static void
on_idle(struct ask *a)
{
    bool alive = PQconsumeInput(a->conn) == 1 && !PQisBusy(a->conn) && PQstatus(a->conn) == CONNECTION_OK;

    for (PGnotify *n = PQnotifies(a->conn); n != NULL; n = PQnotifies(a->conn))
        PQfreemem(n);
    if (!alive)
        hang_up(a);
}

static void
on_ready(struct ask *a)
{
    if (a->state == ASK_DIALS)
        on_dial(a);
    else if (a->state == ASK_READY)
        on_idle(a);
    else if (a->state == ASK_ASKED)
        on_reply(a);
}

static void
on_in(struct io *io)
{
    on_ready(container_of(io, struct ask, in));
}

static void
on_out(struct io *io)
{
    on_ready(container_of(io, struct ask, out));
}

static void
on_notice(void *arg, const PGresult *r)
{
    (void)arg;
    (void)r;
}

/* Files that libpq would look for in somebody's home, and who knows whose, name nothing: no secret and no trust
 * comes from elsewhere than our configuration. */
static void
dial(struct ask *a)
{
    static const char *const keywords[] = {
        "host",    "hostaddr",         "port",       "dbname",      "user",     "password", "sslmode",
        "options", "application_name", "gssencmode", "sslrootcert", "passfile", "sslcert",  NULL
    };
    const char *ca_file = a->ca_file == NULL ? NOWHERE : a->ca_file;
    const char *values[] = { a->host,    a->address, a->port,   a->database, a->user, a->password, a->sslmode,
                             a->options, "pgweir",   "disable", ca_file,     NOWHERE, NOWHERE,     NULL };

    a->state = ASK_DIALS;
    a->conn = PQconnectStartParams(keywords, values, 0);
    if (a->conn == NULL || PQstatus(a->conn) == CONNECTION_BAD) {
        set_fault(&a->failed, NULL, PQerrorMessage(a->conn));
        fail_later(a);
        return;
    }
    PQsetErrorVerbosity(a->conn, PQERRORS_VERBOSE); /* the only way to the SQLSTATE of a refused login */
    PQsetNoticeReceiver(a->conn, on_notice, NULL);
    watch(a, false, true);
}

void
ask_question(struct ask *a, const struct ask_query *query, ask_on_answer *on_answer, void *owner)
{
    struct question *q = &a->question;

    assert(!ask_is_busy(a) && !a->closing && on_answer != NULL);
    *q = (struct question){
        .sql = mem_strdup(query->sql), .n = query->n, .on_answer = on_answer, .owner = owner
    };
    q->params = mem_alloc((size_t)q->n * sizeof(char *));
    for (int i = 0; i < q->n; i++)
        q->params[i] = mem_strdup(query->params[i]);
    a->failed.sqlstate[0] = '\0';
    timer_start(a->worker, &a->deadline, query->timeout_us);
    if (a->state == ASK_OFF)
        dial(a);
    else
        send_question(a);
}

bool
ask_is_busy(const struct ask *a)
{
    return a->question.on_answer != NULL;
}

/* ---- making and freeing ---- */

struct ask *
ask_new(struct worker *w, const struct ask_target *target)
{
    struct ask *a = mem_new(struct ask);

    a->worker = w;
    a->host = mem_strdup(target->host);
    a->address = mem_strdup(target->address);
    a->port = mem_printf("%u", (unsigned)target->port);
    a->database = mem_strdup(target->database);
    a->user = mem_strdup(target->user);
    a->password = mem_strdup(target->password);
    a->sslmode = mem_strdup(target->sslmode);
    a->ca_file = mem_strdup(target->ca_file);
    a->options = mem_strdup(target->options);
    io_init(&a->in, -1, IO_READ, on_in);
    io_init(&a->out, -1, IO_WRITE, on_out);
    timer_init(&a->deadline, on_deadline);
    return a;
}

static void
dig(struct grave *g)
{
    struct ask *a = container_of(g, struct ask, grave);

    if (a->password != NULL)
        mem_wipe(a->password, strlen(a->password));
    mem_free(a->host);
    mem_free(a->address);
    mem_free(a->port);
    mem_free(a->database);
    mem_free(a->user);
    mem_free(a->password);
    mem_free(a->sslmode);
    mem_free(a->ca_file);
    mem_free(a->options);
    mem_free(a);
}

void
ask_free(struct ask *a)
{
    struct fault why;

    if (a == NULL)
        return;
    a->closing = true;
    hang_up(a);
    if (ask_is_busy(a)) {
        fault_set(&why, "08006", "the question was given up");
        tell(a, NULL, &why);
    }
    worker_bury(a->worker, &a->grave, dig);
}
