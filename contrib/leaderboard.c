/* SPDX-License-Identifier: ISC */
/* The application of contrib/demo: CLIENTS players and readers of a leaderboard, each on a connection of its
 * own, all driven by one thread. Every statement is a named prepared one. Each acknowledged update is counted,
 * so that afterwards the sum in the table tells whether one was lost or done twice.
 *
 *   leaderboard -n NAME -a APPLICATION-DSN -d DIRECT-DSN [-c clients] [-s seconds] [-m most-servers] [-k] [-e
 * errors]
 *
 * -d: asks PostgreSQL itself, not through the pooler. -k: half way, one server that is at work is ended.
 * -e: errors that are in order. Prints one line; exits 0 when all is in order, 1 when not, 2 when it could not
 * work. */
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PLAYERS     10000
#define WATCH_US    50000
#define MAX_LATENCY (10 * 1000 * 1000)

enum question { TOP_TEN, ONE_PLAYER, ADD_POINTS, N_QUESTIONS };
static const struct {
    const char *name, *sql;
    int n_params, percent;
} questions[N_QUESTIONS] = {
    { "top_ten", "SELECT player, name, score FROM scores ORDER BY score DESC LIMIT 10", 0, 40 },
    { "one_player", "SELECT name, score, updated FROM scores WHERE player = $1::int", 1, 40 },
    { "add_points", "UPDATE scores SET score = score + $2::int, updated = now() WHERE player = $1::int", 2,
      20 },
};

struct client {
    PGconn *conn;
    enum question asked;
    int points;
    int64_t asked_us;
    char sqlstate[6]; /* of the answer; "" is success */
};

struct run {
    const char *name, *dsn, *direct_dsn;
    int n_clients, seconds, most_servers, allowed_errors, kill_one;
    struct client *clients;
    struct pollfd *polled;
    PGconn *direct;
    int64_t began_us, next_watch_us;
    int most_seen, last_seen, killed;
    uint64_t n_queries, n_updates, n_errors, random;
    int64_t before, acknowledged, unknown; /* sums of points */
    char errors[64];                       /* which SQLSTATEs, the first few */
    uint32_t *latencies;                   /* count for each microsecond */
};

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "leaderboard: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(2);
}

static int64_t
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static unsigned
pick(struct run *r, unsigned below)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return (unsigned)(r->random >> 33) % below;
}

/* ---- the direct connection ---- */

static int64_t
ask_direct(struct run *r, const char *sql)
{
    PGresult *result = PQexec(r->direct, sql);
    int64_t value;

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        give_up("%s", PQerrorMessage(r->direct));
    value = PQntuples(result) == 0 ? 0 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return value;
}

static int64_t
sum_of_scores(struct run *r)
{
    return ask_direct(r, "SELECT sum(score) FROM scores");
}

/* How many servers the pooler has; and, when asked to, end one of them. */
static void
watch(struct run *r)
{
    int64_t now = now_us();

    if (now < r->next_watch_us)
        return;
    r->next_watch_us = now + WATCH_US;
    r->last_seen = (int)ask_direct(r, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'");
    if (r->last_seen > r->most_seen)
        r->most_seen = r->last_seen;
    if (r->kill_one && r->killed == 0 && now - r->began_us > r->seconds * (int64_t)500000)
        r->killed =
            (int)ask_direct(r, "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM "
                               "pg_stat_activity WHERE usename = 'app' ORDER BY state <> 'active' LIMIT 1) s");
}

/* ---- one client ---- */

static void
count_error(struct run *r, const char *sqlstate)
{
    size_t used = strlen(r->errors);

    r->n_errors++;
    if (strstr(r->errors, sqlstate) == NULL && used + 8 < sizeof(r->errors))
        snprintf(r->errors + used, sizeof(r->errors) - used, " %s", sqlstate);
}

static void
connect_client(struct run *r, struct client *c)
{
    c->conn = PQconnectdb(r->dsn);
    if (PQstatus(c->conn) != CONNECTION_OK)
        give_up("%s", PQerrorMessage(c->conn));
    for (int i = 0; i < N_QUESTIONS; i++) {
        PGresult *result = PQprepare(c->conn, questions[i].name, questions[i].sql, questions[i].n_params, NULL);

        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            give_up("%s", PQerrorMessage(c->conn));
        PQclear(result);
    }
}

static void
ask(struct run *r, struct client *c)
{
    unsigned dice = pick(r, 100);
    char player[16], points[16];
    const char *params[] = { player, points };

    c->asked = TOP_TEN;
    while (dice >= (unsigned)questions[c->asked].percent)
        dice -= (unsigned)questions[c->asked++].percent;
    c->points = 1 + (int)pick(r, 9);
    snprintf(player, sizeof(player), "%u", 1 + pick(r, PLAYERS));
    snprintf(points, sizeof(points), "%d", c->points);
    c->sqlstate[0] = '\0';
    c->asked_us = now_us();
    if (!PQsendQueryPrepared(c->conn, questions[c->asked].name, questions[c->asked].n_params, params, NULL,
                             NULL, 0))
        strcpy(c->sqlstate, "08006");
}

/* Class 08 says that nobody knows whether the statement took effect; any other error that it did not. */
static void
count_answer(struct run *r, struct client *c)
{
    int64_t took = now_us() - c->asked_us;

    if (c->sqlstate[0] != '\0') {
        count_error(r, c->sqlstate);
        if (c->asked == ADD_POINTS && strncmp(c->sqlstate, "08", 2) == 0)
            r->unknown += c->points;
        return;
    }
    r->n_queries++;
    r->latencies[took < MAX_LATENCY ? took : MAX_LATENCY - 1]++;
    if (c->asked == ADD_POINTS) {
        r->n_updates++;
        r->acknowledged += c->points;
    }
}

static void
note_result(struct client *c, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (status == PGRES_COMMAND_OK && strcmp(PQcmdStatus((PGresult *)result), "UPDATE 1") != 0)
        strcpy(c->sqlstate, "02000");
    else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && c->sqlstate[0] == '\0')
        snprintf(c->sqlstate, sizeof(c->sqlstate), "%s", sqlstate != NULL ? sqlstate : "08006");
}

/* True when the answer is complete. */
static int
take_answer(struct client *c)
{
    PGresult *result;

    PQconsumeInput(c->conn);
    while (!PQisBusy(c->conn)) {
        result = PQgetResult(c->conn);
        if (result == NULL)
            return 1;
        note_result(c, result);
        PQclear(result);
    }
    return 0;
}

static void
serve(struct run *r, struct client *c)
{
    if (c->sqlstate[0] == '\0' && !take_answer(c))
        return;
    count_answer(r, c);
    if (PQstatus(c->conn) == CONNECTION_BAD) {
        PQfinish(c->conn);
        connect_client(r, c);
    }
    ask(r, c);
}

/* ---- the run ---- */

static void
start(struct run *r)
{
    r->direct = PQconnectdb(r->direct_dsn);
    if (PQstatus(r->direct) != CONNECTION_OK)
        give_up("%s", PQerrorMessage(r->direct));
    r->before = sum_of_scores(r);
    for (int i = 0; i < r->n_clients; i++)
        connect_client(r, &r->clients[i]);
    r->began_us = now_us();
    for (int i = 0; i < r->n_clients; i++)
        ask(r, &r->clients[i]);
}

static void
turn(struct run *r)
{
    for (int i = 0; i < r->n_clients; i++)
        r->polled[i] = (struct pollfd){ .fd = PQsocket(r->clients[i].conn), .events = POLLIN };
    if (poll(r->polled, (nfds_t)r->n_clients, WATCH_US / 1000) == -1 && errno != EINTR)
        give_up("poll: %s", strerror(errno));
    for (int i = 0; i < r->n_clients; i++)
        if (r->polled[i].revents != 0 || r->clients[i].sqlstate[0] != '\0')
            serve(r, &r->clients[i]);
}

/* What is in flight is answered, and counts, before the sum is taken. */
static void
finish(struct run *r)
{
    for (int i = 0; i < r->n_clients; i++) {
        struct client *c = &r->clients[i];
        PGresult *result;

        while ((result = PQgetResult(c->conn)) != NULL) {
            note_result(c, result);
            PQclear(result);
        }
        count_answer(r, c);
        PQfinish(c->conn);
    }
}

static double
percentile_ms(const struct run *r, double part)
{
    uint64_t want = (uint64_t)((double)r->n_queries * part), seen = 0;

    for (int us = 0; us < MAX_LATENCY; us++)
        if ((seen += r->latencies[us]) > want)
            return us / 1000.0;
    return MAX_LATENCY / 1000.0;
}

static int
report(struct run *r, double seconds)
{
    int64_t in_table = sum_of_scores(r) - r->before;
    int64_t lost = in_table < r->acknowledged ? r->acknowledged - in_table : 0;
    int64_t extra = in_table > r->acknowledged + r->unknown ? in_table - r->acknowledged - r->unknown : 0;
    int good = lost == 0 && extra == 0 && r->most_seen <= r->most_servers &&
               r->n_errors <= (uint64_t)r->allowed_errors && r->killed == r->kill_one;

    printf("%-24s %llu queries, %.0f TPS, p50 %.1f ms, p99 %.1f ms, errors %llu%s, servers %d (%d at the end), "
           "%llu updates: acknowledged %lld, in the table %lld%s\n",
           r->name, (unsigned long long)r->n_queries, (double)r->n_queries / seconds, percentile_ms(r, 0.5),
           percentile_ms(r, 0.99), (unsigned long long)r->n_errors, r->errors, r->most_seen, r->last_seen,
           (unsigned long long)r->n_updates, (long long)r->acknowledged, (long long)in_table,
           good ? "" : " << NOT IN ORDER");
    if (r->unknown > 0)
        printf("%-24s and %lld of unknown outcome (class 08), of which the table has %lld\n", "",
               (long long)r->unknown, (long long)(in_table - r->acknowledged));
    return good ? 0 : 1;
}

static void
read_options(struct run *r, int argc, char **argv)
{
    int o;

    while ((o = getopt(argc, argv, "n:a:d:c:s:m:ke:")) != -1) {
        switch (o) {
        case 'n':
            r->name = optarg;
            break;
        case 'a':
            r->dsn = optarg;
            break;
        case 'd':
            r->direct_dsn = optarg;
            break;
        case 'c':
            r->n_clients = atoi(optarg);
            break;
        case 's':
            r->seconds = atoi(optarg);
            break;
        case 'm':
            r->most_servers = atoi(optarg);
            break;
        case 'k':
            r->kill_one = 1;
            break;
        case 'e':
            r->allowed_errors = atoi(optarg);
            break;
        default:
            exit(2);
        }
    }
    if (r->dsn == NULL || r->direct_dsn == NULL || r->n_clients < 1 || r->seconds < 1)
        give_up("-a, -d, and positive -c and -s are needed");
}

int
main(int argc, char **argv)
{
    struct run r = { .name = "load", .n_clients = 200, .seconds = 10, .most_servers = 10 };
    double seconds;

    read_options(&r, argc, argv);
    r.random = (uint64_t)now_us() | 1;
    r.clients = calloc((size_t)r.n_clients, sizeof(*r.clients));
    r.polled = calloc((size_t)r.n_clients, sizeof(*r.polled));
    r.latencies = calloc(MAX_LATENCY, sizeof(*r.latencies));
    if (r.clients == NULL || r.polled == NULL || r.latencies == NULL)
        give_up("out of memory");
    start(&r);
    while (now_us() - r.began_us < r.seconds * (int64_t)1000000) {
        turn(&r);
        watch(&r);
    }
    seconds = (double)(now_us() - r.began_us) / 1e6;
    finish(&r);
    return report(&r, seconds);
}
