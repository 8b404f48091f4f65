/* SPDX-License-Identifier: ISC */
/* load: a cheap closed/open-loop PostgreSQL load generator (single thread, epoll).
 *
 *  load -p PORT [-h 127.0.0.1] [-u bench] [-d bench] [-W password] [-T]
 *       [-c conns] [-s secs | -n queries] [-w warmup_queries]
 *       [-m simple|extended|prepared|copy] [-D depth] [-y] [-q SQL] [-S nstmts]
 *       [-R rate] [-B copy_bytes] [-G label=pid[,pid...]]...
 *  load -K -c concurrency -n connects [-x]   connection storm (-x: one query each)
 *  load -I n                                 hold n idle sessions until stdin EOF
 *
 *  -T TLS   -y one Sync per batch of D (else one per query)   -a n source addresses
 *  -O n: settings in the start-up packet, each client's values its own; -O -n: the same for all
 *  -F first-query: run SQL once on each connection before the measurement
 * Prints one line of JSON: times in us, cpu_LABEL us of CPU per query of those processes,
 * least and most: how many queries one connection got answered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "scram.h"

enum { S_CONNECT, S_SSLREQ, S_TLS, S_AUTH, S_PREP, S_IDLE, S_BUSY, S_DEAD };
typedef struct conn {
    int fd, st, want_out, outstanding;
    char hdr[5];
    int hlen;
    uint32_t skip;
    char *mb;
    uint32_t mlen, mneed; /* collected msg */
    char mtype;
    const char *out;
    size_t outlen;
    char *own;
    SSL *ssl;
    uint64_t t0;
    struct scram scram;
    int qi, prep_left;
    uint64_t served; /* queries answered while measuring */
} conn;

static const char *host = "127.0.0.1", *user = "bench", *db = "bench", *pw = "", *mode = "simple",
                  *sql = "SELECT 1", *firstq;
static int port = 5432, nc = 1, depth = 1, onesync, tls, storm, idle, xq, nstmt = 8, naddr = 1, quiet;
static double secs = 0, rate = 0;
static uint64_t nq = 0, warm = 0;
static size_t copyb = 1 << 20;
static struct {
    char *label, *pids;
    uint64_t v0, v1;
} g[8];
static int ng;
static SSL_CTX *ctx;
static int ep;
static uint64_t errors, done, bytes_in;
static char errtext[200];
static char *batch[64];
static size_t batchlen[64];
static int nbatch;
static struct histogram latencies;

static uint32_t
get32(const char *b)
{
    uint32_t v;
    memcpy(&v, b, 4);
    return ntohl(v);
}

static size_t
put32(char *b, uint32_t v)
{
    v = htonl(v);
    memcpy(b, &v, 4);
    return 4;
}

static void
die(const char *m)
{
    fprintf(stderr, "load: %s\n", m);
    printf("{\"error\":\"%s\"}\n", m);
    exit(1);
}

static size_t
msg(char *b, char t, const char *body, size_t l)
{
    b[0] = t;
    put32(b + 1, l + 4);
    memcpy(b + 5, body, l);
    return l + 5;
}

static size_t
q_simple(char *b, const char *q)
{
    return msg(b, 'Q', q, strlen(q) + 1);
}

static size_t
q_parse(char *b, const char *name, const char *q)
{
    char t[65536];
    size_t n = sprintf(t, "%s", name) + 1;
    n += sprintf(t + n, "%s", q) + 1;
    t[n++] = 0;
    t[n++] = 0;
    return msg(b, 'P', t, n);
}

static size_t
q_bind(char *b, const char *name)
{
    char t[256];
    size_t n = 0;
    t[n++] = 0;
    n += sprintf(t + n, "%s", name) + 1;
    memset(t + n, 0, 6);
    n += 6;
    return msg(b, 'B', t, n);
}

static size_t
q_desc(char *b)
{
    return msg(b, 'D', "P\0", 2);
}

static size_t
q_exec(char *b)
{
    return msg(b, 'E', "\0\0\0\0\0", 5);
}

static size_t
q_sync(char *b)
{
    return msg(b, 'S', "", 0);
}

static void
build(void)
{
    if (!strcmp(mode, "copy")) {
        nbatch = 1;
        size_t n = 0;
        char *b = batch[0] = malloc(copyb + copyb / 8 + 4096);
        n += q_simple(b, sql);
        size_t left = copyb;
        /* client cannot wait for CopyInResponse here: libpq would, but every server accepts early CopyData */
        while (left) {
            size_t l = left > 8192 ? 8192 : left;
            b[n] = 'd';
            put32(b + n + 1, l + 4);
            memset(b + n + 5, 'y', l);
            for (size_t i = 63; i < l; i += 64)
                b[n + 5 + i] = '\n';
            if (l)
                b[n + 4 + l] = '\n';
            n += 5 + l;
            left -= l;
        }
        n += msg(b + n, 'c', "", 0);
        batchlen[0] = n;
        return;
    }
    nbatch = !strcmp(mode, "prepared") ? nstmt : 1;
    for (int k = 0; k < nbatch; k++) {
        char *b = batch[k] = malloc((strlen(sql) + 256) * (depth + 1));
        size_t n = 0;
        for (int i = 0; i < depth; i++) {
            char nm[32];
            sprintf(nm, "s%d", (k + i) % nstmt);
            if (!strcmp(mode, "simple"))
                n += q_simple(b + n, sql);
            else if (!strcmp(mode, "extended")) {
                n += q_parse(b + n, "", sql);
                n += q_bind(b + n, "");
                n += q_desc(b + n);
                n += q_exec(b + n);
                if (!onesync || i == depth - 1)
                    n += q_sync(b + n);
            } else if (!strcmp(mode, "prepared")) {
                n += q_bind(b + n, nm);
                n += q_desc(b + n);
                n += q_exec(b + n);
                if (!onesync || i == depth - 1)
                    n += q_sync(b + n);
            } else
                die("bad mode");
        }
        batchlen[k] = n;
    }
}

static void
want(conn *c, int out)
{
    if (c->want_out == out)
        return;
    c->want_out = out;
    struct epoll_event ev = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
}

static void
cdie(conn *c, const char *why)
{
    if (c->st == S_DEAD)
        return;
    errors++;
    if (!errtext[0])
        snprintf(errtext, sizeof errtext, "%s", why);
    if (c->ssl) {
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    close(c->fd);
    c->fd = -1;
    c->st = S_DEAD;
}

static void
pump(conn *c)
{
    while (c->outlen) {
        ssize_t w;
        if (c->ssl) {
            w = SSL_write(c->ssl, c->out, c->outlen);
            if (w <= 0) {
                int e = SSL_get_error(c->ssl, w);
                if (e == SSL_ERROR_WANT_WRITE) {
                    want(c, 1);
                    return;
                }
                if (e == SSL_ERROR_WANT_READ)
                    return;
                cdie(c, "ssl write");
                return;
            }
        } else {
            w = send(c->fd, c->out, c->outlen, MSG_NOSIGNAL);
            if (w < 0) {
                if (errno == EAGAIN) {
                    want(c, 1);
                    return;
                }
                cdie(c, strerror(errno));
                return;
            }
        }
        c->out += w;
        c->outlen -= w;
    }
    if (c->own) {
        free(c->own);
        c->own = NULL;
    }
    want(c, 0);
}

static void
post(conn *c, const char *b, size_t n)
{
    c->out = b;
    c->outlen = n;
    pump(c);
}

static void
postown(conn *c, char *b, size_t n)
{
    c->own = b;
    post(c, b, n);
}

static int nset;

static void
startup(conn *c)
{
    static int nth;
    char *b = malloc(512);
    size_t n = 4;
    nth++;
    n += put32(b + n, 196608);
    n += sprintf(b + n, "user") + 1;
    n += sprintf(b + n, "%s", user) + 1;
    n += sprintf(b + n, "database") + 1;
    n += sprintf(b + n, "%s", db) + 1;
    n += sprintf(b + n, "application_name") + 1;
    n += sprintf(b + n, "load") + 1;
    for (int i = 0; i < abs(nset); i++) {
        n += sprintf(b + n, "bench_setting_%d", i) + 1;
        n += sprintf(b + n, "%d", nset < 0 ? 1000 : 1000 + nth) + 1;
    }
    b[n++] = 0;
    put32(b, n);
    c->st = S_AUTH;
    postown(c, b, n);
}

static int saddr_i;
static void
newconn(conn *c)
{
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket: out of fds");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (naddr > 1) {
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        struct sockaddr_in s = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(0x7f000002 + (saddr_i++ % naddr)) };
        bind(c->fd, (void *)&s, sizeof s);
    }
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
    inet_pton(AF_INET, host, &sa.sin_addr);
    c->st = S_CONNECT;
    c->t0 = now_ns();
    c->want_out = 1;
    if (connect(c->fd, (void *)&sa, sizeof sa) < 0 && errno != EINPROGRESS) {
        cdie(c, strerror(errno));
        return;
    }
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}

static void
tls_step(conn *c)
{
    int r = SSL_do_handshake(c->ssl);
    if (r == 1) {
        startup(c);
        return;
    }
    int e = SSL_get_error(c->ssl, r);
    if (e == SSL_ERROR_WANT_READ)
        want(c, 0);
    else if (e == SSL_ERROR_WANT_WRITE)
        want(c, 1);
    else
        cdie(c, "tls handshake");
}

/* SASLInitialResponse names the mechanism; SASLResponse does not. */
static void
answer_scram(conn *c, const char *mechanism, const char *text, size_t len)
{
    char body[SCRAM_MOST + 64], *b = malloc(sizeof(body) + 8);
    size_t n = 0;

    if (mechanism != NULL) {
        n += (size_t)sprintf(body, "%s", mechanism) + 1;
        n += put32(body + n, (uint32_t)len);
    }
    memcpy(body + n, text, len);
    postown(c, b, msg(b, 'p', body, n + len));
}

enum { AUTH_OK = 0, AUTH_PASSWORD = 3, AUTH_SASL = 10, AUTH_SASL_CONTINUE = 11, AUTH_SASL_FINAL = 12 };

static void
auth(conn *c, char *p, uint32_t len)
{
    char text[SCRAM_MOST], *b;
    size_t n;

    switch (get32(p)) {
    case AUTH_OK:
    case AUTH_SASL_FINAL:
        return;
    case AUTH_SASL:
        n = scram_first(&c->scram, text);
        answer_scram(c, "SCRAM-SHA-256", text, n);
        return;
    case AUTH_SASL_CONTINUE:
        n = scram_final(&c->scram, pw, p + 4, len - 4, text);
        if (n == 0)
            cdie(c, "scram");
        else
            answer_scram(c, NULL, text, n);
        return;
    case AUTH_PASSWORD:
        b = malloc(strlen(pw) + 8);
        postown(c, b, msg(b, 'p', pw, strlen(pw) + 1));
        return;
    default:
        cdie(c, "unsupported auth method");
    }
}

static uint64_t tstart, tend;
static int measuring, stop;
static uint64_t mdone;
static double next_t;
static uint64_t sched_n;
static struct rusage ru0, ru1;
static conn **idlec;
static int nidle;
static uint64_t *lateq;
static uint64_t lq_h, lq_t; /* open loop */
#define LQ (1 << 20)

static void
begin_measure(void)
{
    measuring = 1;
    for (int i = 0; i < ng; i++)
        g[i].v0 = cpu_ns(g[i].pids);
    getrusage(RUSAGE_SELF, &ru0);
    bytes_in = 0;
    mdone = 0;
    tstart = now_ns();
    next_t = tstart;
}

static void
end_measure(void)
{
    tend = now_ns();
    for (int i = 0; i < ng; i++)
        g[i].v1 = cpu_ns(g[i].pids);
    getrusage(RUSAGE_SELF, &ru1);
    stop = 1;
}

static void
issue(conn *c, uint64_t t)
{
    c->st = S_BUSY;
    c->t0 = t;
    c->outstanding = onesync || !strcmp(mode, "copy") ? 1 : depth;
    int k = c->qi++ % nbatch;
    post(c, batch[k], batchlen[k]);
}

static void
completed(int k, conn *c, uint64_t t)
{
    done += k;
    if (measuring) {
        for (int i = 0; i < k; i++)
            histogram_add(&latencies, t - c->t0);
        mdone += k;
        c->served += k;
        if ((nq && mdone >= nq) || (secs > 0 && t - tstart > secs * 1e9)) {
            if (!stop)
                end_measure();
        }
    } else if (!storm && done >= warm)
        begin_measure();
}

static void
ready(conn *c) /* ReadyForQuery seen, session fully idle */
{
    if (stop)
        return;
    if (rate > 0 && measuring) {
        if (lq_h != lq_t)
            issue(c, lateq[lq_h++ % LQ]);
        else {
            c->st = S_IDLE;
            idlec[nidle++] = c;
        }
    } else
        issue(c, now_ns());
}

static int nready;
static void
on_rfq(conn *c)
{
    if (c->st == S_AUTH) {
        if (storm) {
            if (xq) {
                c->st = S_BUSY;
                c->outstanding = 1;
                static char qb[512];
                size_t n = q_simple(qb, sql);
                post(c, qb, n);
                return;
            }
            goto fin;
        }
        if (firstq || !strcmp(mode, "prepared")) {
            char *b = malloc(65536);
            size_t n = 0;
            c->prep_left = 0;
            if (firstq) {
                n += q_simple(b, firstq);
                c->prep_left++;
            }
            if (!strcmp(mode, "prepared")) {
                for (int i = 0; i < nstmt; i++) {
                    char nm[32], q[4096];
                    sprintf(nm, "s%d", i);
                    snprintf(q, sizeof q, "%s /* %d */", sql, i);
                    n += q_parse(b + n, nm, q);
                }
                n += q_sync(b + n);
                c->prep_left++;
            }
            c->st = S_PREP;
            postown(c, b, n);
            return;
        }
        c->st = S_IDLE;
        nready++;
        return;
    }
    if (c->st == S_PREP) {
        if (--c->prep_left == 0) {
            c->st = S_IDLE;
            nready++;
        }
        return;
    }
    if (c->st == S_BUSY) {
        if (storm)
            goto fin;
        c->outstanding--;
        completed(onesync ? depth : 1, c, now_ns());
        if (c->outstanding == 0)
            ready(c);
    }
    return;
fin : {
    uint64_t t = now_ns();
    histogram_add(&latencies, t - c->t0);
    mdone++;
    char x[5] = { 'X', 0, 0, 0, 4 };
    c->out = x;
    c->outlen = 5;
    pump(c);
    c->outlen = 0;
    if (c->ssl) {
        SSL_set_quiet_shutdown(c->ssl, 1);
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    close(c->fd);
    c->fd = -1;
    c->st = S_DEAD;
    if (!stop && ((nq && mdone >= nq) || (secs > 0 && t - tstart > secs * 1e9)))
        end_measure();
    else if (!stop)
        newconn(c);
}
}
static void
input(conn *c, char *b, size_t n)
{
    bytes_in += n;
    size_t o = 0;
    while (o < n && c->st != S_DEAD) {
        if (c->skip) {
            size_t k = n - o < c->skip ? n - o : c->skip;
            c->skip -= k;
            o += k;
            continue;
        }
        if (c->mneed) {
            uint32_t k = n - o < c->mneed - c->mlen ? n - o : c->mneed - c->mlen;
            memcpy(c->mb + c->mlen, b + o, k);
            c->mlen += k;
            o += k;
            if (c->mlen < c->mneed)
                return;
            char *m = c->mb;
            uint32_t l = c->mneed;
            c->mb = NULL;
            c->mneed = 0;
            m[l] = 0;
            if (c->mtype == 'R')
                auth(c, m, l);
            else { /* E */
                char code[8] = "?", text[120] = "";
                for (char *p = m; *p; p += strlen(p) + 1) {
                    if (*p == 'C')
                        snprintf(code, 8, "%s", p + 1);
                    if (*p == 'M')
                        snprintf(text, 120, "%s", p + 1);
                }
                errors++;
                if (!errtext[0])
                    snprintf(errtext, sizeof errtext, "%s %s", code, text);
                if (c->st == S_AUTH) {
                    free(m);
                    errors--;
                    cdie(c, "auth error");
                    return;
                }
            }
            free(m);
            continue;
        }
        if (c->hlen < 5) {
            int k = 5 - c->hlen;
            if ((size_t)k > n - o)
                k = n - o;
            memcpy(c->hdr + c->hlen, b + o, k);
            c->hlen += k;
            o += k;
            if (c->hlen < 5)
                return;
        }
        uint32_t l = get32(c->hdr + 1) - 4;
        char t = c->hdr[0];
        c->hlen = 0;
        if (t == 'Z') {
            c->skip = 0;
            if (n - o >= 1)
                o += 1;
            else
                c->skip = 1;
            on_rfq(c);
            if (c->fd < 0 || storm) {
                if (c->st != S_BUSY)
                    return;
            }
        } else if (t == 'R' || t == 'E') {
            c->mtype = t;
            c->mneed = l;
            c->mlen = 0;
            c->mb = malloc(l + 1);
        } else
            c->skip = l;
    }
}

static char *rb;
static const size_t RB = 1 << 19;
static void
event(conn *c, uint32_t e)
{
    if (c->st == S_DEAD)
        return;
    if (c->st == S_CONNECT) {
        if (!(e & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
            return;
        int err = 0;
        socklen_t sl = sizeof err;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &sl);
        if (err) {
            cdie(c, strerror(err));
            return;
        }
        if (tls) {
            static char r[8];
            put32(r, 8);
            put32(r + 4, 80877103);
            c->st = S_SSLREQ;
            post(c, r, 8);
        } else
            startup(c);
        return;
    }
    if (c->st == S_SSLREQ) {
        char a;
        if (!(e & EPOLLIN))
            return;
        ssize_t r = recv(c->fd, &a, 1, 0);
        if (r != 1) {
            if (r == 0 || errno != EAGAIN)
                cdie(c, "sslreq eof");
            return;
        }
        if (a != 'S') {
            cdie(c, "server refuses TLS");
            return;
        }
        c->ssl = SSL_new(ctx);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
        c->st = S_TLS;
        tls_step(c);
        return;
    }
    if (c->st == S_TLS) {
        tls_step(c);
        return;
    }
    if ((e & EPOLLOUT) && c->outlen)
        pump(c);
    if (c->st == S_DEAD || !(e & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    for (;;) {
        ssize_t r;
        int fd = c->fd;
        if (c->ssl) {
            r = SSL_read(c->ssl, rb, RB);
            if (r <= 0) {
                int er = SSL_get_error(c->ssl, r);
                if (er == SSL_ERROR_WANT_READ || er == SSL_ERROR_WANT_WRITE)
                    return;
                cdie(c, "ssl eof");
                return;
            }
        } else {
            r = recv(c->fd, rb, RB, 0);
            if (r == 0) {
                cdie(c, "server closed connection");
                return;
            }
            if (r < 0) {
                if (errno == EAGAIN || errno == EINTR)
                    return;
                cdie(c, strerror(errno));
                return;
            }
        }
        input(c, rb, r);
        if (c->st == S_DEAD || c->fd != fd || (!c->ssl && r < (ssize_t)RB))
            return;
        if (c->ssl && !SSL_pending(c->ssl))
            return;
    }
}

int
main(int argc, char **argv)
{
    int o;
    while ((o = getopt(argc, argv, "h:p:u:d:W:Tc:s:n:w:m:D:yq:S:R:B:G:KI:xa:F:QO:")) != -1)
        switch (o) {
        case 'h':
            host = optarg;
            break;
        case 'p':
            port = atoi(optarg);
            break;
        case 'u':
            user = optarg;
            break;
        case 'd':
            db = optarg;
            break;
        case 'W':
            pw = optarg;
            break;
        case 'T':
            tls = 1;
            break;
        case 'c':
            nc = atoi(optarg);
            break;
        case 's':
            secs = atof(optarg);
            break;
        case 'n':
            nq = strtoull(optarg, 0, 10);
            break;
        case 'w':
            warm = strtoull(optarg, 0, 10);
            break;
        case 'm':
            mode = optarg;
            break;
        case 'D':
            depth = atoi(optarg);
            break;
        case 'y':
            onesync = 1;
            break;
        case 'q':
            sql = optarg;
            break;
        case 'S':
            nstmt = atoi(optarg);
            break;
        case 'R':
            rate = atof(optarg);
            break;
        case 'B':
            copyb = strtoull(optarg, 0, 10);
            break;
        case 'K':
            storm = 1;
            break;
        case 'I':
            idle = 1;
            nc = atoi(optarg);
            break;
        case 'x':
            xq = 1;
            break;
        case 'a':
            naddr = atoi(optarg);
            break;
        case 'F':
            firstq = optarg;
            break;
        case 'Q':
            quiet = 1;
            break;
        case 'O':
            nset = atoi(optarg);
            if (abs(nset) > 9)
                die("-O 9");
            break;
        case 'G': {
            char *e = strchr(optarg, '=');
            if (!e)
                die("-G label=pid");
            *e = 0;
            g[ng].label = optarg;
            g[ng++].pids = e + 1;
            break;
        }
        default:
            return 2;
        }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl = { 1 << 19, 1 << 19 };
    if (setrlimit(RLIMIT_NOFILE, &rl)) {
        getrlimit(RLIMIT_NOFILE, &rl);
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    if (tls) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    if (!secs && !nq)
        secs = 2;
    build();
    rb = malloc(RB);
    ep = epoll_create1(0);
    struct epoll_event evs[512];
    conn *cs = calloc(nc, sizeof *cs);
    idlec = calloc(nc, sizeof *idlec);
    lateq = malloc(sizeof(*lateq) * LQ);
    uint64_t t0 = now_ns(), dl = t0 + (idle ? 300 : 15) * 1000000000ull;
    if (storm) {
        begin_measure();
        for (int i = 0; i < nc; i++)
            newconn(&cs[i]);
        while (!stop) {
            int n = epoll_wait(ep, evs, 512, 1000);
            for (int i = 0; i < n; i++)
                event(evs[i].data.ptr, evs[i].events);
            for (int i = 0; i < nc && !stop; i++)
                if (cs[i].st == S_DEAD) {
                    if (errors > nq / 2 + 1000) {
                        end_measure();
                        break;
                    }
                    newconn(&cs[i]);
                }
            if (now_ns() - tstart > 60e9)
                end_measure();
        }
    } else {
        int opened = 0, prev = 0;
        while (nready < nc) {
            /* at most 256 handshakes in flight */
            while (opened < nc && opened - nready - (int)errors < 256)
                newconn(&cs[opened++]);
            int n = epoll_wait(ep, evs, 512, 1000);
            for (int i = 0; i < n; i++)
                event(evs[i].data.ptr, evs[i].events);
            if (errors && nready + (int)errors >= nc) {
                if (idle && nready)
                    break;
                die(errtext[0] ? errtext : "connect failed");
            }
            if (now_ns() > dl) {
                if (idle && nready)
                    break;
                die("timeout while connecting");
            }
            if (idle && !quiet && nready / 10000 > prev / 10000)
                prev = nready;
        }
        if (idle) {
            printf("{\"idle\":%d,\"errors\":%lu,\"secs\":%.3f,\"err\":\"%s\"}\n", nready, errors,
                   (now_ns() - t0) / 1e9, errtext);
            fflush(stdout);
            struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
            epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev);
            for (;;) {
                int n = epoll_wait(ep, evs, 512, -1);
                for (int i = 0; i < n; i++) {
                    if (!evs[i].data.ptr) {
                        char b[64];
                        if (read(0, b, 64) <= 0) {
                            printf("{\"end_errors\":%lu,\"err\":\"%s\"}\n", errors, errtext);
                            return 0;
                        }
                    } else
                        event(evs[i].data.ptr, evs[i].events);
                }
            }
        }
        if (!warm)
            begin_measure();
        if (rate > 0) {
            if (!measuring)
                begin_measure();
            for (int i = 0; i < nc; i++) {
                idlec[nidle++] = &cs[i];
            }
        } else
            for (int i = 0; i < nc; i++) {
                cs[i].qi = i;
                issue(&cs[i], now_ns());
            }
        uint64_t hard = now_ns() + (uint64_t)((secs > 0 ? secs * 4 + 60 : 300) * 1e9), tick = 0;
        while (!stop) {
            int n;
            if (rate > 0) {
                uint64_t t = now_ns();
                while (next_t <= t) {
                    if (nidle)
                        issue(idlec[--nidle], (uint64_t)next_t);
                    else if (lq_t - lq_h < LQ)
                        lateq[lq_t++ % LQ] = (uint64_t)next_t;
                    sched_n++;
                    next_t = tstart + sched_n * (1e9 / rate);
                }
                double d = next_t - now_ns();
                struct timespec ts = { 0, d > 0 ? (long)d : 0 };
                if (d > 9e8) {
                    ts.tv_nsec = 900000000;
                }
                n = epoll_pwait2(ep, evs, 512, &ts, NULL);
                if (!stop && measuring && secs > 0 && now_ns() - tstart > secs * 1e9)
                    end_measure();
            } else
                n = epoll_wait(ep, evs, 512, 1000);
            for (int i = 0; i < n; i++)
                event(evs[i].data.ptr, evs[i].events);
            if ((++tick & 1023) == 0 || n == 0) {
                if (now_ns() > hard) {
                    if (!measuring)
                        begin_measure();
                    end_measure();
                    errors++;
                    if (!errtext[0])
                        strcpy(errtext, "hard timeout");
                }
                int dead = 0;
                for (int i = 0; i < nc; i++)
                    dead += cs[i].st == S_DEAD;
                if (dead == nc) {
                    if (!measuring)
                        begin_measure();
                    end_measure();
                }
            }
        }
    }
    for (char *p = errtext; *p; p++)
        if (*p == '"' || *p == '\\' || *p < 32)
            *p = '\'';
    double el = (tend - tstart) / 1e9;
    if (!mdone)
        mdone = 0;
    double lcpu =
        (ru1.ru_utime.tv_sec - ru0.ru_utime.tv_sec + ru1.ru_stime.tv_sec - ru0.ru_stime.tv_sec) * 1e6 +
        (ru1.ru_utime.tv_usec - ru0.ru_utime.tv_usec) + (ru1.ru_stime.tv_usec - ru0.ru_stime.tv_usec);
    printf("{\"n\":%lu,\"secs\":%.4f,\"qps\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"avg\":"
           "%.1f,\"MBps\":%.2f,\"load_cpu\":%.3f,\"errors\":%lu,\"err\":\"%s\"",
           mdone, el, mdone / el, histogram_us(&latencies, .5), histogram_us(&latencies, .99),
           histogram_us(&latencies, .999), latencies.max / 1e3,
           latencies.count ? latencies.sum / latencies.count / 1e3 : 0, bytes_in / el / 1e6,
           mdone ? lcpu / mdone : 0, errors, errtext);
    for (int i = 0; i < ng; i++)
        printf(",\"cpu_%s\":%.4f", g[i].label, mdone ? (g[i].v1 - g[i].v0) / 1e3 / mdone : 0);
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < nc; i++) {
        if (cs[i].served < least)
            least = cs[i].served;
        if (cs[i].served > most)
            most = cs[i].served;
    }
    printf(",\"least\":%lu,\"most\":%lu}\n", least, most);
    return 0;
}
