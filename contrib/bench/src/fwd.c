/* SPDX-License-Identifier: ISC */
/* fwd: the floor.  fwd -p LISTEN -P BACKEND_PORT [-n POOL]
 *  without -n : 1:1 TCP forwarder, epoll level-triggered, recv/send per hop.
 *  with -n N  : the least a transaction pooler can do: clients share N backend
 *               connections; message headers are walked to count Query/Sync
 *               against ReadyForQuery; no auth, no parameters, no timeouts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct side {
    int fd, client, started, want_out, paused, dead;
    struct side *peer, *next; /* peer: linked other half; next: wait list */
    char *pend;
    size_t plen, poff; /* bytes this side still has to be sent */
    char h[5];
    int hl;
    uint32_t skip;
    int z;
    char lastz;      /* header walker */
    int outstanding; /* server: RFQs still due */
    char *held;
    size_t heldlen; /* client: request waiting for a server */
} side;
static int ep, lport = 6000, bport = 5800, pool = 0;
static char rb[1 << 16];
static char greet[4096];
static size_t greetlen;
static side *freesrv, *waith, *waitt;

static void
mod(side *s)
{
    struct epoll_event e = { .events = (s->paused ? 0 : EPOLLIN) | (s->want_out ? EPOLLOUT : 0),
                             .data.ptr = s };
    epoll_ctl(ep, EPOLL_CTL_MOD, s->fd, &e);
}

static void
reg(side *s)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };
    epoll_ctl(ep, EPOLL_CTL_ADD, s->fd, &e);
    int on = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void
put(side *d, side *from, const char *b, size_t n)
{
    ssize_t w = 0;
    if (!d->plen) {
        w = send(d->fd, b, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (w < 0)
            w = 0;
        if ((size_t)w == n)
            return;
    }
    d->pend = realloc(d->pend, d->plen + n - w);
    memcpy(d->pend + d->plen, b + w, n - w);
    d->plen += n - w;
    if (!d->want_out) {
        d->want_out = 1;
        mod(d);
    }
    if (from && !from->paused) {
        from->paused = 1;
        mod(from);
    }
}

static void
drained(side *d)
{
    ssize_t w = send(d->fd, d->pend + d->poff, d->plen - d->poff, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (w > 0)
        d->poff += w;
    if (d->poff == d->plen) {
        free(d->pend);
        d->pend = NULL;
        d->plen = d->poff = 0;
        d->want_out = 0;
        mod(d);
        if (d->peer && d->peer->paused) {
            d->peer->paused = 0;
            mod(d->peer);
        }
    }
}

static int
dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons(bport),
                              .sin_addr.s_addr = htonl(0x7f000001) };
    if (connect(fd, (void *)&sa, sizeof sa)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* walk headers; count messages of interest */
static int
walk(side *s, const char *b, size_t n)
{
    int cnt = 0;
    size_t o = 0;
    while (o < n) {
        if (s->skip) {
            size_t k = n - o < s->skip ? n - o : s->skip;
            s->skip -= k;
            o += k;
            if (s->z && !s->skip) {
                s->lastz = b[o - 1];
                s->z = 0;
            }
            continue;
        }
        int k = 5 - s->hl;
        if ((size_t)k > n - o)
            k = n - o;
        memcpy(s->h + s->hl, b + o, k);
        s->hl += k;
        o += k;
        if (s->hl < 5)
            break;
        uint32_t l;
        memcpy(&l, s->h + 1, 4);
        s->skip = ntohl(l) - 4;
        s->hl = 0;
        char t = s->h[0];
        if (s->client ? (t == 'Q' || t == 'S') : t == 'Z')
            cnt++;
        if (!s->client && t == 'Z')
            s->z = 1;
    }
    return cnt;
}

static void
closepair(side *s)
{
    side *p = s->peer;
    close(s->fd);
    s->fd = -1;
    s->dead = 1;
    if (p) {
        p->peer = NULL;
        if (!pool) {
            close(p->fd);
            p->fd = -1;
            p->dead = 1;
        }
    }
}

static void
forward_client(side *c, side *s, const char *b, size_t n)
{
    c->peer = s;
    s->peer = c;
    s->outstanding += walk(c, b, n);
    put(s, c, b, n);
}

int
main(int argc, char **argv)
{
    int o;
    while ((o = getopt(argc, argv, "p:P:n:")) != -1) {
        if (o == 'p')
            lport = atoi(optarg);
        if (o == 'P')
            bport = atoi(optarg);
        if (o == 'n')
            pool = atoi(optarg);
    }
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(0);
    for (int i = 0; i < pool; i++) {
        side *s = calloc(1, sizeof *s);
        s->fd = dial();
        if (s->fd < 0) {
            perror("dial");
            return 1;
        }
        char st[64];
        size_t n = 8;
        memcpy(st, "\0\0\0\0\0\3\0\0", 8);
        n += sprintf(st + n, "user") + 1;
        n += sprintf(st + n, "bench") + 1;
        n += sprintf(st + n, "database") + 1;
        n += sprintf(st + n, "bench") + 1;
        st[n++] = 0;
        st[3] = n;
        send(s->fd, st, n, 0);
        size_t g = 0;
        do {
            ssize_t r = recv(s->fd, greet + g, sizeof greet - g, 0);
            if (r <= 0) {
                perror("greet");
                return 1;
            }
            g += r;
        } while (greet[g - 6] != 'Z');
        greetlen = g;
        reg(s);
        s->next = freesrv;
        freesrv = s;
    }
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(lport) };
    if (bind(ls, (void *)&sa, sizeof sa) || listen(ls, 4096)) {
        perror("bind");
        return 1;
    }
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL }, ev[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
    side *grave[256];
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1), ng = 0;
        for (int i = 0; i < n; i++) {
            side *s = ev[i].data.ptr;
            if (!s) {
                int fd;
                while ((fd = accept4(ls, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    side *c = calloc(1, sizeof *c);
                    c->fd = fd;
                    c->client = 1;
                    reg(c);
                    if (!pool) {
                        side *b = calloc(1, sizeof *b);
                        b->fd = dial();
                        if (b->fd < 0) {
                            close(fd);
                            free(c);
                            free(b);
                            continue;
                        }
                        reg(b);
                        b->peer = c;
                        c->peer = b;
                        c->started = 1;
                    }
                }
                continue;
            }
            if (s->dead)
                continue;
            if (ev[i].events & EPOLLOUT)
                drained(s);
            if (!(ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || s->paused)
                continue;
            ssize_t r = recv(s->fd, rb, sizeof rb, MSG_DONTWAIT);
            if (r < 0 && (errno == EAGAIN || errno == EINTR))
                continue;
            if (r <= 0) {
                if (!pool)
                    grave[ng++] = s->peer;
                closepair(s);
                grave[ng++] = s;
                if (ng > 250)
                    break;
                continue;
            }
            if (!pool) {
                put(s->peer, s, rb, r);
                continue;
            }
            if (s->client) {
                if (!s->started) {
                    uint32_t v;
                    memcpy(&v, rb + 4, 4);
                    if (ntohl(v) == 80877103) {
                        put(s, 0, "N", 1);
                        continue;
                    }
                    s->started = 1;
                    put(s, 0, greet, greetlen);
                    continue;
                }
                if (r == 5 && rb[0] == 'X') {
                    closepair(s);
                    grave[ng++] = s;
                    continue;
                }
                if (s->peer) {
                    forward_client(s, s->peer, rb, r);
                    continue;
                }
                if (freesrv && !s->held) {
                    side *b = freesrv;
                    freesrv = b->next;
                    forward_client(s, b, rb, r);
                    continue;
                }
                if (!s->held) {
                    s->next = NULL;
                    if (waitt)
                        waitt->next = s;
                    else
                        waith = s;
                    waitt = s;
                }
                s->held = realloc(s->held, s->heldlen + r);
                memcpy(s->held + s->heldlen, rb, r);
                s->heldlen += r;
            } else {
                side *c = s->peer;
                s->outstanding -= walk(s, rb, r);
                if (c)
                    put(c, s, rb, r);
                if (s->outstanding <= 0 && !s->hl && !s->skip && s->lastz == 'I') {
                    s->outstanding = 0;
                    if (c)
                        c->peer = NULL;
                    s->peer = NULL;
                    if (s->paused) {
                        s->paused = 0;
                        mod(s);
                    }
                    while (waith && waith->dead) {
                        side *w = waith;
                        waith = w->next;
                        if (!waith)
                            waitt = NULL;
                        free(w->held);
                        free(w->pend);
                        free(w);
                    }
                    if (waith) {
                        side *w = waith;
                        waith = w->next;
                        if (!waith)
                            waitt = NULL;
                        char *h = w->held;
                        size_t l = w->heldlen;
                        w->held = NULL;
                        w->heldlen = 0;
                        forward_client(w, s, h, l);
                        free(h);
                    } else {
                        s->next = freesrv;
                        freesrv = s;
                    }
                }
            }
        }
        for (int i = 0; i < ng; i++)
            if (grave[i]) {
                int dup = 0;
                for (int k = 0; k < i; k++)
                    dup |= grave[k] == grave[i];
                if (!dup && (!pool || (grave[i]->client && !grave[i]->held))) {
                    free(grave[i]->pend);
                    free(grave[i]);
                }
            }
    }
}
