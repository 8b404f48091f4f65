/* SPDX-License-Identifier: ISC */
/* The application of contrib/demo: CLIENTS of a leaderboard, each on a connection of its own, all driven by one
 * thread. Every other one only reads; the rest are players, who also score. Every statement is a named prepared
 * one, and says which node ran it. Half of the updates are transactions of three statements.
 *
 * Checked is what an application relies on. Of each player the acknowledged points are kept, so that afterwards
 * the table tells whether an update was lost or done twice. After an update the same client looks at that
 * player at once, and again later: to see less than what it was told is a stale read. An error that says so
 * (40001) is retried; after 08007, which ends the connection, the update counts as of unknown outcome.
 *
 *   leaderboard -n NAME -a APPLICATION-DSN -d NODE=DIRECT-DSN... [-c clients] [-s seconds] [-m most-servers]
 *               [-e errors] [-b FILE] [-k | -r | -p NODE | -f]
 *
 * -d: asks PostgreSQL itself, not through the pooler; once for each node, NODE is its cluster_name. -m: servers
 * of a node. -e: errors that are in order. -b: a file to make when all clients are at work. -k: half way, one
 * server that is at work is ended. -r: tells how reads spread over the nodes. -p: replay on this replica is
 * paused for the middle half. -f: the primary will be killed and another promoted by somebody else; tells how
 * long nobody was served. Prints one line; exits 0 when all is in order, 1 when not, 2 when it could not work.
 */
#include "leaderboard.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WATCH_US 50000

#define NODE "current_setting('cluster_name')"
static const struct {
    const char *name, *sql;   /* the score is the first column, the node the last one */
    int n_params, percent[2]; /* of a reader, of a player */
} statements[N_STATEMENTS] = {
    { "top_ten",
      "SELECT score, player, name, " NODE " FROM scores ORDER BY score DESC LIMIT 10",
      0,
      { 50, 30 } },
    { "one_player", "SELECT score, name, updated, " NODE " FROM scores WHERE player = $1::int", 1, { 50, 30 } },
    { "add_points",
      "UPDATE scores SET score = score + $2::int, updated = now() WHERE player = $1::int RETURNING "
      "score, " NODE,
      2,
      { 0, 40 } },
    { "begin", "BEGIN", 0, { 0, 0 } },
    { "commit", "COMMIT", 0, { 0, 0 } },
    { "rollback", "ROLLBACK", 0, { 0, 0 } },
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

static void
gap_end(struct gap *g, int64_t now)
{
    if (now - g->last_us > g->longest_us)
        g->longest_us = now - g->last_us;
    g->last_us = now;
}

/* ---- the direct connections ---- */

/* NULL when the node has gone away, which is in order only in a failover. */
static PGresult *
ask_direct(struct run *r, struct node *n, const char *sql)
{
    PGresult *result;

    if (n->direct == NULL)
        return NULL;
    result = PQexec(n->direct, sql);
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        return result;
    if (!r->failover)
        give_up("%s: %s", n->name, PQerrorMessage(n->direct));
    PQclear(result);
    PQfinish(n->direct);
    n->direct = NULL;
    return NULL;
}

static int
number_direct(struct run *r, struct node *n, const char *sql)
{
    PGresult *result = ask_direct(r, n, sql);
    int value = result != NULL && PQntuples(result) > 0 ? atoi(PQgetvalue(result, 0, 0)) : 0;

    PQclear(result);
    return value;
}

static struct node *
primary(struct run *r)
{
    for (struct node *n = r->nodes; n < r->nodes + r->n_nodes; n++)
        if (number_direct(r, n, "SELECT 1 WHERE NOT pg_is_in_recovery()") == 1)
            return n;
    give_up("no node is the primary");
}

/* The node that was asked: the primary. */
static struct node *
read_scores(struct run *r, int64_t *scores)
{
    struct node *n = primary(r);
    PGresult *result = ask_direct(r, n, "SELECT player, score FROM scores");

    if (result == NULL || PQntuples(result) != PLAYERS)
        give_up("the table cannot be read");
    for (int i = 0; i < PLAYERS; i++)
        scores[atoi(PQgetvalue(result, i, 0))] = atoi(PQgetvalue(result, i, 1));
    PQclear(result);
    return n;
}

static void
pause_and_resume(struct run *r, int64_t now)
{
    int64_t quarter = r->seconds * (int64_t)250000;

    if (r->paused_us == 0 && now >= r->began_us + quarter) {
        PQclear(ask_direct(r, r->paused, "SELECT pg_wal_replay_pause()"));
        r->paused_us = r->paused->last_read_us = now_us();
    } else if (r->paused_us != 0 && r->resumed_us == 0 && now >= r->began_us + 3 * quarter) {
        r->moved_us = r->paused->last_read_us - r->paused_us;
        PQclear(ask_direct(r, r->paused, "SELECT pg_wal_replay_resume()"));
        r->resumed_us = now_us();
    }
}

/* How many servers the pooler has; and what is to happen, when it is time. */
static void
watch(struct run *r)
{
    int64_t now = now_us();

    if (now < r->next_watch_us)
        return;
    r->next_watch_us = now + WATCH_US;
    for (struct node *n = r->nodes; n < r->nodes + r->n_nodes; n++) {
        n->servers = number_direct(r, n, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'");
        if (n->servers > n->most_servers)
            n->most_servers = n->servers;
    }
    if (r->kill_one && r->killed == 0 && now - r->began_us > r->seconds * (int64_t)500000)
        r->killed =
            number_direct(r, primary(r),
                          "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM "
                          "pg_stat_activity WHERE usename = 'app' ORDER BY state <> 'active' LIMIT 1) s");
    if (r->paused != NULL)
        pause_and_resume(r, now);
}

/* ---- one client: asking ---- */

/* Executes STATEMENT, or first prepares it when that was not done yet. */
static void
send_statement(struct client *c, enum statement statement)
{
    char player[16], points[16];
    const char *params[] = { player, points };

    snprintf(player, sizeof(player), "%d", c->player);
    snprintf(points, sizeof(points), "%d", c->points);
    c->sent = statement;
    c->sqlstate[0] = '\0';
    c->node = NULL;
    c->events = POLLIN;
    c->step = c->prepared[statement] ? ASKING : PREPARING;
    if (c->step == PREPARING)
        c->unsent = !PQsendPrepare(c->conn, statements[statement].name, statements[statement].sql,
                                   statements[statement].n_params, NULL);
    else
        c->unsent = !PQsendQueryPrepared(c->conn, statements[statement].name, statements[statement].n_params,
                                         params, NULL, NULL, 0);
    if (c->unsent)
        strcpy(c->sqlstate, "08006");
}

static void
ask(struct run *r, struct client *c)
{
    int dice = (int)pick(r, 100);

    c->asked = TOP_TEN;
    while (!c->look_now && dice >= statements[c->asked].percent[c->plays])
        dice -= statements[c->asked++].percent[c->plays];
    c->points = 1 + (int)pick(r, 9);
    c->player = 1 + (int)pick(r, PLAYERS);
    if (c->look_now)
        c->asked = ONE_PLAYER;
    if (c->look_at != 0 && (c->look_now || (c->asked == ONE_PLAYER && dice % 2 == 0)))
        c->player = c->look_at;
    c->look_now = 0;
    c->in_block = c->asked == ADD_POINTS && pick(r, 2) == 0;
    c->asked_us = now_us();
    send_statement(c, c->in_block ? BEGIN : c->asked);
}

static void
start_connecting(struct run *r, struct client *c)
{
    PQfinish(c->conn);
    *c = (struct client){
        .conn = PQconnectStart(r->dsn), .step = CONNECTING, .events = POLLOUT, .plays = c->plays
    };
    if (c->conn == NULL)
        give_up("out of memory");
}

/* True when it is connected. */
static int
go_on_connecting(struct client *c)
{
    switch (PQconnectPoll(c->conn)) {
    case PGRES_POLLING_OK:
        return 1;
    case PGRES_POLLING_READING:
        c->events = POLLIN;
        return 0;
    case PGRES_POLLING_WRITING:
        c->events = POLLOUT;
        return 0;
    default:
        give_up("%s", PQerrorMessage(c->conn));
    }
}

/* ---- one client: answers ---- */

static void
note_result(struct run *r, struct client *c, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE), *name;

    if (status == PGRES_TUPLES_OK && PQntuples(result) > 0) {
        name = PQgetvalue(result, 0, PQnfields(result) - 1);
        c->score = atoi(PQgetvalue(result, 0, 0));
        for (int i = 0; i < r->n_nodes; i++)
            if (strcmp(r->nodes[i].name, name) == 0)
                c->node = &r->nodes[i];
    } else if (status == PGRES_TUPLES_OK) {
        strcpy(c->sqlstate, "02000");
    } else if (status == PGRES_COMMAND_OK && c->step == ASKING && c->sent == COMMIT &&
               strcmp(PQcmdStatus((PGresult *)result), "COMMIT") != 0) {
        strcpy(c->sqlstate, "40000");
    } else if (status != PGRES_COMMAND_OK && c->sqlstate[0] == '\0') {
        snprintf(c->sqlstate, sizeof(c->sqlstate), "%s", sqlstate != NULL ? sqlstate : "08006");
    }
}

/* True when the answer is complete. */
static int
take_answer(struct run *r, struct client *c)
{
    PGresult *result;

    PQconsumeInput(c->conn);
    while (!PQisBusy(c->conn)) {
        result = PQgetResult(c->conn);
        if (result == NULL)
            return 1;
        note_result(r, c, result);
        PQclear(result);
    }
    return 0;
}

/* What was sent is what answers the question: in a transaction block that is the COMMIT. */
static int
is_last(const struct client *c)
{
    return c->step == ASKING && c->sent == (c->in_block ? COMMIT : c->asked);
}

/* Class 08 says that nobody knows whether the statement took effect; any other error that it did not. */
static void
count_error(struct run *r, struct client *c)
{
    size_t used = strlen(r->errors);

    if (c->asked == ADD_POINTS && is_last(c) && strncmp(c->sqlstate, "08", 2) == 0)
        r->unknown[c->player] += c->points;
    if (strcmp(c->sqlstate, "08007") == 0) {
        r->n_unknown++;
        return;
    }
    r->n_errors++;
    if (strstr(r->errors, c->sqlstate) == NULL && used + 8 < sizeof(r->errors))
        snprintf(r->errors + used, sizeof(r->errors) - used, " %s", c->sqlstate);
}

static void
count_update(struct run *r, struct client *c, int64_t now)
{
    r->n_updates++;
    r->acknowledged[c->player] += c->points;
    c->look_at = c->player;
    c->look_now = 1;
    c->own_score = c->score;
    gap_end(&r->writes, now);
}

static void
count_read(struct run *r, struct client *c, int64_t now)
{
    gap_end(&r->reads, now);
    if (c->node != NULL) {
        c->node->n_reads++;
        c->node->last_read_us = now;
    }
    if (c->node == r->paused && r->resumed_us != 0 && r->back_us == -1)
        r->back_us = now - r->resumed_us;
    if (c->asked == ONE_PLAYER && c->player == c->look_at) {
        r->n_looks++;
        r->n_stale += c->score < c->own_score;
    }
}

static void
count_answer(struct run *r, struct client *c)
{
    int64_t now = now_us(), took = now - c->asked_us;

    if (c->sqlstate[0] != '\0') {
        count_error(r, c);
        return;
    }
    r->n_queries++;
    r->latencies[took < MAX_LATENCY ? took : MAX_LATENCY - 1]++;
    if (c->asked == ADD_POINTS)
        count_update(r, c, now);
    else
        count_read(r, c, now);
}

/* True when something else had to be sent before there is an answer to the question. After 40001 that is all of
 * it. */
static int
went_on(struct run *r, struct client *c)
{
    static const enum statement next[] = { [BEGIN] = ADD_POINTS, [ADD_POINTS] = COMMIT, [ROLLBACK] = BEGIN };

    if (strcmp(c->sqlstate, "40001") == 0 && PQstatus(c->conn) == CONNECTION_OK) {
        r->n_retries++;
        send_statement(c, c->in_block ? ROLLBACK : c->asked);
        return 1;
    }
    if (c->sqlstate[0] != '\0' || is_last(c))
        return 0;
    if (c->step == PREPARING)
        c->prepared[c->sent] = 1;
    send_statement(c, c->step == PREPARING ? c->sent : next[c->sent]);
    return 1;
}

/* The next question, unless the run is ending. */
static void
ask_again(struct run *r, struct client *c)
{
    if (!r->ending) {
        ask(r, c);
        return;
    }
    c->step = DONE;
    r->n_busy--;
}

static void
serve(struct run *r, struct client *c)
{
    if (c->step == CONNECTING) {
        if (go_on_connecting(c))
            ask_again(r, c);
        return;
    }
    if ((!c->unsent && !take_answer(r, c)) || went_on(r, c))
        return;
    count_answer(r, c);
    if (c->unsent || PQstatus(c->conn) == CONNECTION_BAD) {
        r->n_lost_connections += strcmp(c->sqlstate, "08007") != 0;
        start_connecting(r, c);
        return;
    }
    ask_again(r, c);
}

/* ---- the run ---- */

static void
make_file(const char *path)
{
    FILE *f = fopen(path, "w");

    if (f == NULL || fclose(f) != 0)
        give_up("%s: %s", path, strerror(errno));
}

static void
start(struct run *r)
{
    for (struct node *n = r->nodes; n < r->nodes + r->n_nodes; n++) {
        n->direct = PQconnectdb(n->dsn);
        if (PQstatus(n->direct) != CONNECTION_OK)
            give_up("%s", PQerrorMessage(n->direct));
        if (r->pause != NULL && strcmp(r->pause, n->name) == 0)
            r->paused = n;
    }
    r->first_primary = read_scores(r, r->before);
    for (int i = 0; i < r->n_clients; i++) {
        struct client *c = &r->clients[i];

        c->plays = i % 2;
        c->conn = PQconnectdb(r->dsn);
        if (PQstatus(c->conn) != CONNECTION_OK)
            give_up("%s", PQerrorMessage(c->conn));
    }
    r->n_busy = r->n_clients;
    r->began_us = r->reads.last_us = r->writes.last_us = now_us();
    for (int i = 0; i < r->n_clients; i++)
        ask(r, &r->clients[i]);
    if (r->begin_file != NULL)
        make_file(r->begin_file);
}

static void
turn(struct run *r)
{
    for (int i = 0; i < r->n_clients; i++) {
        struct client *c = &r->clients[i];

        r->polled[i] = (struct pollfd){ .fd = c->step == DONE ? -1 : PQsocket(c->conn), .events = c->events };
    }
    if (poll(r->polled, (nfds_t)r->n_clients, WATCH_US / 1000) == -1 && errno != EINTR)
        give_up("poll: %s", strerror(errno));
    for (int i = 0; i < r->n_clients; i++)
        if (r->polled[i].revents != 0 || r->clients[i].unsent)
            serve(r, &r->clients[i]);
    watch(r);
}

/* What is in flight is answered, and counts, before the table is read. */
static void
finish(struct run *r)
{
    r->ending = 1;
    while (r->n_busy > 0)
        turn(r);
    for (int i = 0; i < r->n_clients; i++)
        PQfinish(r->clients[i].conn);
    r->last_primary = read_scores(r, r->after);
}

/* ---- options ---- */

static void
add_node(struct run *r, char *text)
{
    char *equals = strchr(text, '=');

    if (equals == NULL || r->n_nodes == MAX_NODES)
        give_up("-d takes NODE=DSN, for up to %d nodes", MAX_NODES);
    *equals = '\0';
    r->nodes[r->n_nodes++] = (struct node){ .name = text, .dsn = equals + 1 };
}

static int
take_option(struct run *r, int option)
{
    static const char numbers[] = "csme", flags[] = "krf";
    int *const number[] = { &r->n_clients, &r->seconds, &r->most_servers, &r->allowed_errors };
    int *const flag[] = { &r->kill_one, &r->tell_reads, &r->failover };

    if (strchr(numbers, option) != NULL)
        *number[strchr(numbers, option) - numbers] = atoi(optarg);
    else if (strchr(flags, option) != NULL)
        *flag[strchr(flags, option) - flags] = 1;
    else if (option == 'n')
        r->name = optarg;
    else if (option == 'a')
        r->dsn = optarg;
    else if (option == 'p')
        r->pause = optarg;
    else if (option == 'b')
        r->begin_file = optarg;
    else if (option == 'd')
        add_node(r, optarg);
    else
        return 0;
    return 1;
}

int
main(int argc, char **argv)
{
    static struct run r = { .name = "load", .n_clients = 200, .seconds = 10, .most_servers = 10 };
    double seconds;
    int o;

    while ((o = getopt(argc, argv, "n:a:d:c:s:m:e:p:b:krf")) != -1)
        if (!take_option(&r, o))
            exit(2);
    if (r.dsn == NULL || r.n_nodes == 0 || r.n_clients < 1 || r.seconds < 1)
        give_up("-a, -d, and positive -c and -s are needed");
    r.random = (uint64_t)now_us() | 1;
    r.moved_us = r.back_us = -1;
    r.clients = calloc((size_t)r.n_clients, sizeof(*r.clients));
    r.polled = calloc((size_t)r.n_clients, sizeof(*r.polled));
    r.latencies = calloc(MAX_LATENCY, sizeof(*r.latencies));
    if (r.clients == NULL || r.polled == NULL || r.latencies == NULL)
        give_up("out of memory");
    start(&r);
    if (r.pause != NULL && r.paused == NULL)
        give_up("no -d for node %s", r.pause);
    while (now_us() - r.began_us < r.seconds * (int64_t)1000000)
        turn(&r);
    seconds = (double)(now_us() - r.began_us) / 1e6;
    finish(&r);
    return leaderboard_report(&r, seconds);
}
