/* SPDX-License-Identifier: ISC */
/* What the load program of contrib/demo keeps: leaderboard.c fills it, leaderboard_report.c judges and prints
 * it. */
#ifndef CONTRIB_LEADERBOARD_H
#define CONTRIB_LEADERBOARD_H

#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>

#define PLAYERS     10000
#define MAX_NODES   8
#define MAX_LATENCY (10 * 1000 * 1000)

enum statement { TOP_TEN, ONE_PLAYER, ADD_POINTS, BEGIN, COMMIT, ROLLBACK, N_STATEMENTS };
enum client_step { CONNECTING, PREPARING, ASKING, DONE };
struct client {
    PGconn *conn;
    enum client_step step;
    short events; /* that it waits for */
    int prepared[N_STATEMENTS];
    int plays;
    enum statement asked; /* one of the first three */
    int in_block;         /* asked is between a BEGIN and a COMMIT of its own */
    enum statement sent;
    int player, points;
    int look_at, own_score; /* the player it updated last (0: none), and what it was told then */
    int look_now;
    int64_t asked_us;
    int unsent;        /* the question did not go out: the connection is gone */
    char sqlstate[6];  /* of the answer; "" is success */
    int score;         /* in the answer */
    struct node *node; /* that answered; NULL when that was not seen */
};

struct node {
    const char *name, *dsn;
    PGconn *direct; /* NULL since it went away */
    int servers, most_servers;
    uint64_t n_reads;
    int64_t last_read_us;
};

struct gap {
    int64_t last_us, longest_us;
};

struct run {
    const char *name, *dsn, *pause, *begin_file;
    int n_busy, ending;
    int n_clients, seconds, most_servers, allowed_errors, kill_one, tell_reads, failover;
    struct client *clients;
    struct pollfd *polled;
    struct node nodes[MAX_NODES];
    int n_nodes;
    int64_t began_us, next_watch_us;
    struct node *first_primary, *last_primary, *paused;
    int64_t paused_us, resumed_us, moved_us, back_us; /* the last two: how long it took, -1 for not yet */
    int killed;
    uint64_t n_queries, n_updates, n_errors, n_retries, n_unknown, n_lost_connections, n_looks, n_stale, random;
    struct gap reads, writes;
    int64_t before[PLAYERS + 1], acknowledged[PLAYERS + 1], unknown[PLAYERS + 1], after[PLAYERS + 1];
    char errors[64];     /* which SQLSTATEs, the first few */
    uint32_t *latencies; /* count for each microsecond */
};

/* Prints the line of this run, which took SECONDS. The exit code: 0 when all is in order, else 1. */
int leaderboard_report(const struct run *r, double seconds);

#endif
