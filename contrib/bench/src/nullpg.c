/* SPDX-License-Identifier: ISC */
/* nullpg: the cheapest possible PostgreSQL backend stand-in.
 *
 *   nullpg -p PORT [-b ADDR] [-t THREADS] [-r primary|replica]
 *
 * Accepts any startup (trust), answers N to SSLRequest/GSSENCRequest, ignores
 * cancel.  Simple Query:
 *    SELECT rows_R_B    -> R rows of one text column of B bytes
 *    SELECT pg_is_in_recovery() etc -> one row 't'/'f'
 *    SELECT/SHOW ...    -> one row, one int4 column "?column?" = 1
 *    BEGIN/START, COMMIT/END/ROLLBACK/ABORT -> transaction state tracked
 *    COPY ... FROM STDIN -> CopyInResponse, swallow until CopyDone
 *    empty -> EmptyQueryResponse;  anything else -> CommandComplete with its
 *    first word
 * Extended: Parse/Bind/Describe/Execute/Close/Flush/Sync.  Named statements
 * are tracked as a hash set; Bind of an unknown name is an ERROR (so a pooler
 * with broken prepared-statement tracking is found out rather than flattered).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    char *p;
    size_t len;
} blob;
struct pend {
    const char *p;
    size_t len;
};
#define MAXPEND 64
typedef struct conn {
    int fd, started, copy, intx, failed, want_out;
    unsigned skip; /* bytes of a CopyData/large message to discard */
    char *in;
    size_t inlen, incap; /* partial input */
    char *out;
    size_t outlen, outcap, outoff;
    const char *big;
    size_t biglen; /* static payload to send after out */
    char tail[64];
    size_t taillen; /* to append after big */
    uint64_t *st;
    size_t nst, capst; /* named statements (hash set, open) */
    int in_error;
    int nrows_r, nrows_b; /* payload for last parsed statement */
} conn;

static int port = 5800, nthreads = 1, replica = 0;
static const char *addr = "0.0.0.0";
static char one_simple[128];
static size_t one_simple_len; /* T D C (no Z) */
static char one_rowdesc[64];
static size_t one_rowdesc_len;
static char one_row[64];
static size_t one_row_len; /* D C */
static _Atomic uint32_t pidseq = 1000;

static size_t
put32(char *b, uint32_t v)
{
    v = htonl(v);
    memcpy(b, &v, 4);
    return 4;
}

static size_t
put16(char *b, uint16_t v)
{
    v = htons(v);
    memcpy(b, &v, 2);
    return 2;
}

static uint32_t
get32(const char *b)
{
    uint32_t v;
    memcpy(&v, b, 4);
    return ntohl(v);
}

static size_t
mk_rowdesc(char *b, const char *name, uint32_t oid, int16_t sz)
{
    size_t n = 0, l = strlen(name) + 1;
    b[n++] = 'T';
    n += put32(b + n, 4 + 2 + l + 18);
    n += put16(b + n, 1);
    memcpy(b + n, name, l);
    n += l;
    n += put32(b + n, 0);
    n += put16(b + n, 0);
    n += put32(b + n, oid);
    n += put16(b + n, sz);
    n += put32(b + n, -1);
    n += put16(b + n, 0);
    return n;
}

static size_t
mk_row(char *b, const char *v, size_t l)
{
    size_t n = 0;
    b[n++] = 'D';
    n += put32(b + n, 4 + 2 + 4 + l);
    n += put16(b + n, 1);
    n += put32(b + n, l);
    if (v)
        memcpy(b + n, v, l);
    else
        memset(b + n, 'x', l);
    return n + l;
}

static size_t
mk_cc(char *b, const char *tag)
{
    size_t n = 0, l = strlen(tag) + 1;
    b[n++] = 'C';
    n += put32(b + n, 4 + l);
    memcpy(b + n, tag, l);
    return n + l;
}

static void
reserve(conn *c, size_t l)
{
    if (c->outlen + l > c->outcap) {
        c->outcap = (c->outlen + l) * 2 + 4096;
        c->out = realloc(c->out, c->outcap);
    }
}

static void
add(conn *c, const void *p, size_t l)
{
    reserve(c, l);
    memcpy(c->out + c->outlen, p, l);
    c->outlen += l;
}

static void
addz(conn *c)
{
    char z[6] = { 'Z', 0, 0, 0, 5, c->failed ? 'E' : c->intx ? 'T' : 'I' };
    add(c, z, 6);
}

static void
addcc(conn *c, const char *tag)
{
    char b[128];
    add(c, b, mk_cc(b, tag));
}

static void
adderr(conn *c, const char *code, const char *msg)
{
    char b[256];
    size_t n = 5;
    n += sprintf(b + n, "SERROR") + 1;
    n += sprintf(b + n, "VERROR") + 1;
    n += sprintf(b + n, "C%s", code) + 1;
    n += sprintf(b + n, "M%s", msg) + 1;
    b[n++] = 0;
    b[0] = 'E';
    put32(b + 1, n - 1);
    add(c, b, n);
    if (c->intx)
        c->failed = 1;
}

static void
addparam(conn *c, const char *k, const char *v)
{
    char b[256];
    size_t n = 5;
    n += sprintf(b + n, "%s", k) + 1;
    n += sprintf(b + n, "%s", v) + 1;
    b[0] = 'S';
    put32(b + 1, n - 1);
    add(c, b, n);
}

/* payload cache shared by threads */
static pthread_mutex_t plock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int r, b;
    blob d;
} pcache[64];
static int npc;
static blob
payload(int r, int b)
{
    pthread_mutex_lock(&plock);
    for (int i = 0; i < npc; i++)
        if (pcache[i].r == r && pcache[i].b == b) {
            pthread_mutex_unlock(&plock);
            return pcache[i].d;
        }
    blob d;
    d.p = malloc(256 + (size_t)r * (b + 11));
    d.len = mk_rowdesc(d.p, "payload", 25, -1);
    for (int i = 0; i < r; i++)
        d.len += mk_row(d.p + d.len, NULL, b);
    char t[32];
    sprintf(t, "SELECT %d", r);
    d.len += mk_cc(d.p + d.len, t);
    if (npc < 64) {
        pcache[npc].r = r;
        pcache[npc].b = b;
        pcache[npc++].d = d;
    }
    pthread_mutex_unlock(&plock);
    return d;
}

static uint64_t
hashs(const char *s)
{
    uint64_t h = 1469598103934665603ull;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ull;
    return h | 1;
}

static uint64_t *
stfind(conn *c, uint64_t h)
{
    if (!c->capst)
        return NULL;
    for (size_t i = h & (c->capst - 1);; i = (i + 1) & (c->capst - 1)) {
        if (c->st[i] == h)
            return &c->st[i];
        if (!c->st[i])
            return NULL;
    }
}

static void
stadd(conn *c, uint64_t h)
{
    if (stfind(c, h))
        return;
    if (c->nst * 2 >= c->capst) {
        size_t oc = c->capst;
        uint64_t *os = c->st;
        c->capst = oc ? oc * 2 : 64;
        c->st = calloc(c->capst, 8);
        c->nst = 0;
        for (size_t i = 0; i < oc; i++)
            if (os[i] && os[i] != 2)
                stadd(c, os[i]);
        free(os);
    }
    size_t i = h & (c->capst - 1);
    while (c->st[i] && c->st[i] != 2)
        i = (i + 1) & (c->capst - 1);
    c->st[i] = h;
    c->nst++;
}

static int
flush_out(conn *c) /* 0 = all sent, 1 = would block, -1 = dead */
{
    while (c->outoff < c->outlen) {
        ssize_t w = send(c->fd, c->out + c->outoff, c->outlen - c->outoff, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN ? 1 : -1;
        }
        c->outoff += w;
    }
    c->outoff = c->outlen = 0;
    while (c->biglen) {
        ssize_t w = send(c->fd, c->big, c->biglen, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN ? 1 : -1;
        }
        c->big += w;
        c->biglen -= w;
    }
    if (c->taillen) {
        add(c, c->tail, c->taillen);
        c->taillen = 0;
        return flush_out(c);
    }
    return 0;
}

/* returns 1 if the caller must stop handling input (big payload queued) */
static int
do_payload(conn *c, int r, int b, int simple)
{
    blob d = payload(r, b);
    size_t off = 0;
    if (!simple)
        off = 1 + get32(d.p + 1); /* Describe sends T separately; Execute: no T */
    if (d.len - off < 8192) {
        add(c, d.p + off, d.len - off);
        if (simple)
            addz(c);
        return 0;
    }
    c->big = d.p + off;
    c->biglen = d.len - off;
    if (simple) {
        c->tail[0] = 'Z';
        put32(c->tail + 1, 5);
        c->tail[5] = c->failed ? 'E' : c->intx ? 'T' : 'I';
        c->taillen = 6;
    }
    return 1;
}

static int
parse_rows(const char *q, int *r, int *b)
{
    const char *m = strstr(q, "rows_");
    return m && sscanf(m, "rows_%d_%d", r, b) == 2 && *r > 0 && *b >= 0 && (long)*r * *b < (256 << 20);
}

static int
simple_query(conn *c, const char *q)
{
    int r, b;
    while (*q == ' ' || *q == '\n' || *q == '\t')
        q++;
    if (*q == '/' && q[1] == '*') {
        const char *e = strstr(q, "*/");
        if (e) {
            q = e + 2;
            while (*q == ' ')
                q++;
        }
    }
    if (!strncasecmp(q, "SELECT", 6) || !strncasecmp(q, "SHOW", 4) || !strncasecmp(q, "WITH", 4)) {
        if (c->failed) {
            adderr(c, "25P02", "current transaction is aborted");
            addz(c);
            return 0;
        }
        if (parse_rows(q, &r, &b))
            return do_payload(c, r, b, 1);
        if (strcasestr(q, "pg_is_in_recovery") || strcasestr(q, "transaction_read_only")) {
            char t[128];
            size_t n = mk_rowdesc(t, "pg_is_in_recovery", 16, 1);
            if (strcasestr(q, "read_only"))
                n += mk_row(t + n, replica ? "on" : "off", replica ? 2 : 3);
            else
                n += mk_row(t + n, replica ? "t" : "f", 1);
            add(c, t, n);
            addcc(c, "SELECT 1");
            addz(c);
            return 0;
        }
        if (strcasestr(q, "version()")) {
            char t[256];
            size_t n = mk_rowdesc(t, "version", 25, -1);
            const char *v = "PostgreSQL 15.20 on x86_64-pc-linux-gnu";
            n += mk_row(t + n, v, strlen(v));
            add(c, t, n);
            addcc(c, "SELECT 1");
            addz(c);
            return 0;
        }
        add(c, one_simple, one_simple_len);
        addz(c);
        return 0;
    }
    if (!strncasecmp(q, "BEGIN", 5) || !strncasecmp(q, "START", 5)) {
        c->intx = 1;
        addcc(c, "BEGIN");
        addz(c);
        return 0;
    }
    if (!strncasecmp(q, "COMMIT", 6) || !strncasecmp(q, "END", 3)) {
        const char *t = c->failed ? "ROLLBACK" : "COMMIT";
        c->intx = c->failed = 0;
        addcc(c, t);
        addz(c);
        return 0;
    }
    if (!strncasecmp(q, "ROLLBACK", 8) || !strncasecmp(q, "ABORT", 5)) {
        c->intx = c->failed = 0;
        addcc(c, "ROLLBACK");
        addz(c);
        return 0;
    }
    if (!strncasecmp(q, "COPY", 4)) {
        static const char g[] = { 'G', 0, 0, 0, 9, 0, 0, 1, 0, 0 };
        c->copy = 1;
        add(c, g, sizeof g);
        return 0;
    }
    if (!*q) {
        static const char i[] = { 'I', 0, 0, 0, 4 };
        add(c, i, 5);
        addz(c);
        return 0;
    }
    if (!strncasecmp(q, "DISCARD", 7) || !strncasecmp(q, "DEALLOCATE ALL", 14)) {
        if (c->capst)
            memset(c->st, 0, c->capst * 8);
        c->nst = 0;
        addcc(c, !strncasecmp(q, "DISCARD", 7) ? "DISCARD ALL" : "DEALLOCATE ALL");
        addz(c);
        return 0;
    }
    char tag[32];
    int i = 0;
    while (q[i] && q[i] != ' ' && q[i] != ';' && i < 20) {
        tag[i] = q[i];
        i++;
    }
    tag[i] = 0;
    if (!strcasecmp(tag, "INSERT"))
        strcat(tag, " 0 1");
    else if (!strcasecmp(tag, "UPDATE") || !strcasecmp(tag, "DELETE"))
        strcat(tag, " 1");
    addcc(c, tag);
    addz(c);
    return 0;
}

/* one message; returns 0 ok, 1 stop (big), -1 close */
static int
message(conn *c, char t, char *p, uint32_t len)
{
    if (c->copy) {
        if (t == 'c') {
            c->copy = 0;
            addcc(c, "COPY 1");
            addz(c);
        } else if (t == 'f') {
            c->copy = 0;
            adderr(c, "57014", "COPY failed");
            addz(c);
        }
        return 0;
    }
    if (c->in_error && t != 'S' && t != 'X')
        return 0;
    switch (t) {
    case 'Q':
        return simple_query(c, p);
    case 'P': {
        uint64_t h = *p ? hashs(p) : 0;
        const char *q = p + strlen(p) + 1;
        if (h)
            stadd(c, h);
        if (!parse_rows(q, &c->nrows_r, &c->nrows_b))
            c->nrows_r = strcasestr(q, "version()") ? -1 : 0;
        static const char r[] = { '1', 0, 0, 0, 4 };
        add(c, r, 5);
        return 0;
    }
    case 'B': {
        const char *s = p + strlen(p) + 1;
        if (*s && !stfind(c, hashs(s))) {
            char m[128];
            snprintf(m, sizeof m, "prepared statement \"%.40s\" does not exist", s);
            adderr(c, "26000", m);
            c->in_error = 1;
            return 0;
        }
        static const char r[] = { '2', 0, 0, 0, 4 };
        add(c, r, 5);
        return 0;
    }
    case 'D':
        if (*p == 'S') {
            if (p[1] && !stfind(c, hashs(p + 1))) {
                adderr(c, "26000", "prepared statement does not exist");
                c->in_error = 1;
                return 0;
            }
            static const char r[] = { 't', 0, 0, 0, 6, 0, 0 };
            add(c, r, 7);
        }
        if (c->nrows_r > 0) {
            char b[64];
            add(c, b, mk_rowdesc(b, "payload", 25, -1));
        } else
            add(c, one_rowdesc, one_rowdesc_len);
        return 0;
    case 'E':
        if (c->nrows_r < 0) {
            char t[128];
            const char *v = "PostgreSQL 15.20 on x86_64-pc-linux-gnu";
            add(c, t, mk_row(t, v, strlen(v)));
            addcc(c, "SELECT 1");
            return 0;
        }
        if (c->nrows_r > 0)
            return do_payload(c, c->nrows_r, c->nrows_b, 0);
        add(c, one_row, one_row_len);
        return 0;
    case 'C': {
        if (*p == 'S' && p[1]) {
            uint64_t *e = stfind(c, hashs(p + 1));
            if (e)
                *e = 2;
        }
        static const char r[] = { '3', 0, 0, 0, 4 };
        add(c, r, 5);
        return 0;
    }
    case 'H':
        return 0;
    case 'S':
        c->in_error = 0;
        addz(c);
        return 0;
    case 'X':
        return -1;
    case 'd':
    case 'c':
    case 'f':
        return 0;
    default:
        fprintf(stderr, "nullpg: message type %c len %u\n", t, len);
        adderr(c, "08P01", "unsupported");
        addz(c);
        return 0;
    }
}

static int
startup(conn *c, char *p)
{
    uint32_t v = get32(p + 4);
    if (v == 80877103 || v == 80877104) {
        add(c, "N", 1);
        return 0;
    }
    if (v == 80877102)
        return -1;
    static const char ok[] = { 'R', 0, 0, 0, 8, 0, 0, 0, 0 };
    add(c, ok, 9);
    addparam(c, "application_name", "");
    addparam(c, "client_encoding", "UTF8");
    addparam(c, "DateStyle", "ISO, MDY");
    addparam(c, "default_transaction_read_only", "off");
    addparam(c, "in_hot_standby", replica ? "on" : "off");
    addparam(c, "integer_datetimes", "on");
    addparam(c, "IntervalStyle", "postgres");
    addparam(c, "is_superuser", "on");
    addparam(c, "server_encoding", "UTF8");
    addparam(c, "server_version", "15.20");
    addparam(c, "session_authorization", "bench");
    addparam(c, "standard_conforming_strings", "on");
    addparam(c, "TimeZone", "Etc/UTC");
    char k[13] = { 'K', 0, 0, 0, 12 };
    put32(k + 5, pidseq++);
    put32(k + 9, 0x1234567);
    add(c, k, 13);
    addz(c);
    c->started = 1;
    return 0;
}

static int
consume(conn *c, char *b, size_t n, size_t *used)
{
    size_t o = 0;
    int rc = 0;
    while (o < n) {
        if (c->skip) {
            size_t k = n - o < c->skip ? n - o : c->skip;
            c->skip -= k;
            o += k;
            continue;
        }
        if (!c->started) {
            if (n - o < 8)
                break;
            uint32_t l = get32(b + o);
            if (l < 8 || l > 100000) {
                rc = -1;
                break;
            }
            if (n - o < l)
                break;
            if (startup(c, b + o)) {
                rc = -1;
                break;
            }
            o += l;
            continue;
        }
        if (n - o < 5)
            break;
        uint32_t l = get32(b + o + 1);
        if (l < 4) {
            rc = -1;
            break;
        }
        if (b[o] == 'd' && c->copy) {
            c->skip = l - 4;
            o += 5;
            continue;
        }
        if (n - o < 1 + (size_t)l)
            break;
        rc = message(c, b[o], b + o + 5, l - 4);
        o += 1 + l;
        if (rc)
            break;
    }
    *used = o;
    return rc;
}

#define RB 262144
static void *
worker(void *arg)
{
    int ls = (int)(long)arg, ep = epoll_create1(0);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL }, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
    char *rb = malloc(RB + 1);
    for (;;) {
        int n = epoll_wait(ep, evs, 256, -1);
        for (int i = 0; i < n; i++) {
            conn *c = evs[i].data.ptr;
            if (!c) {
                for (int k = 0; k < 64; k++) {
                    int fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK);
                    if (fd < 0)
                        break;
                    int on = 1;
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    c = calloc(1, sizeof *c);
                    c->fd = fd;
                    ev.events = EPOLLIN;
                    ev.data.ptr = c;
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
                }
                continue;
            }
            int rc = 0, eof = 0;
            if (c->want_out) {
                int f = flush_out(c);
                if (f == 1)
                    continue;
                if (f < 0) {
                    rc = -1;
                    goto done;
                }
                c->want_out = 0;
                ev.events = EPOLLIN;
                ev.data.ptr = c;
                epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
                if (!(evs[i].events & EPOLLIN) && !c->inlen)
                    continue;
            }
            /* read (appending after partial input if any) */
            char *b = rb;
            size_t have = 0;
            if (c->inlen) {
                memcpy(rb, c->in, c->inlen);
                have = c->inlen;
                c->inlen = 0;
            }
            if (have < RB && (evs[i].events & EPOLLIN)) {
                ssize_t r = recv(c->fd, rb + have, RB - have, 0);
                if (r == 0)
                    eof = 1;
                else if (r < 0) {
                    if (errno != EAGAIN && errno != EINTR)
                        eof = 1;
                } else
                    have += r;
            }
            if (eof) {
                rc = -1;
                goto done;
            }
            rb[have] = 0;
            size_t off = 0;
            for (;;) {
                size_t used;
                rc = consume(c, b + off, have - off, &used);
                off += used;
                if (rc < 0)
                    break;
                int f = (c->outlen || c->biglen) ? flush_out(c) : 0;
                if (f < 0) {
                    rc = -1;
                    break;
                }
                if (f == 1) {
                    c->want_out = 1;
                    ev.events = EPOLLOUT;
                    ev.data.ptr = c;
                    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
                    rc = 0;
                    break;
                }
                if (rc == 0)
                    break;
                rc = 0;
            }
            if (rc >= 0 && off < have) {
                size_t rest = have - off;
                if (rest > c->incap) {
                    c->incap = rest * 2;
                    c->in = realloc(c->in, c->incap);
                }
                memcpy(c->in, b + off, rest);
                c->inlen = rest;
            }
        done:
            if (rc < 0) {
                if (c->outlen)
                    flush_out(c);
                close(c->fd);
                free(c->in);
                free(c->out);
                free(c->st);
                free(c);
            }
        }
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    int o;
    while ((o = getopt(argc, argv, "p:b:t:r:")) != -1)
        switch (o) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'b':
            addr = optarg;
            break;
        case 't':
            nthreads = atoi(optarg);
            break;
        case 'r':
            replica = !strcmp(optarg, "replica");
            break;
        default:
            return 2;
        }
    signal(SIGPIPE, SIG_IGN);
    one_rowdesc_len = mk_rowdesc(one_rowdesc, "?column?", 23, 4);
    one_row_len = mk_row(one_row, "1", 1);
    one_row_len += mk_cc(one_row + one_row_len, "SELECT 1");
    memcpy(one_simple, one_rowdesc, one_rowdesc_len);
    memcpy(one_simple + one_rowdesc_len, one_row, one_row_len);
    one_simple_len = one_rowdesc_len + one_row_len;
    pthread_t th;
    for (int i = 0; i < nthreads; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (nthreads > 1)
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
        inet_pton(AF_INET, addr, &sa.sin_addr);
        if (bind(fd, (void *)&sa, sizeof sa) || listen(fd, 4096)) {
            perror("bind");
            return 1;
        }
        if (i == nthreads - 1)
            worker((void *)(long)fd);
        else
            pthread_create(&th, NULL, worker, (void *)(long)fd);
    }
    return 0;
}
