/* SPDX-License-Identifier: ISC */
/* Questions to name servers by c-ares, one channel for each. Its time-outs are its own; the whole has a limit.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "resolve_private.h"

#ifdef HAVE_CARES

#include <ares.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>

#define ANSWER_MS 2000 /* for the first answer of a server; longer each time it is asked again */
#define TRIES     2
#define LIMIT_US  (8 * CLOCK_S)
#define LOOK_US   (CLOCK_S / 10) /* whether an answer is still wanted */

struct asking {
    const struct resolver *by;
    ares_channel channel;
    void *question; /* struct resolve or resolve_serial */
    bool done;
};

bool
resolve_has_cares(void)
{
    return true;
}

static void
make_ready(void)
{
    (void)ares_library_init(ARES_LIB_INIT_ALL);
}

static int
begin(struct asking *a)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct resolver *by = a->by;
    struct ares_options o = { .timeout = ANSWER_MS, .tries = TRIES, .resolvconf_path = by->resolv_conf };
    int set = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;

    (void)pthread_once(&once, make_ready);
    return ares_init_options(&a->channel, &o, by->resolv_conf[0] == '\0' ? set : set | ARES_OPT_RESOLVCONF);
}

/* Wait until something can be done. */
static void
turn(ares_channel channel, int64_t left_us)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd fds[ARES_GETSOCK_MAXNUM];
    struct timeval most = { 0, left_us < LOOK_US ? left_us : LOOK_US }, wait, *until;
    int bits = ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM), n;

    until = ares_timeout(channel, &most, &wait);
    for (n = 0; n < ARES_GETSOCK_MAXNUM; n++) {
        bool reads = ARES_GETSOCK_READABLE(bits, n), writes = ARES_GETSOCK_WRITABLE(bits, n);

        if (!reads && !writes)
            break;
        fds[n] = (struct pollfd){ sockets[n], (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0 };
    }
    if (poll(fds, (nfds_t)n, (int)(until->tv_sec * 1000 + until->tv_usec / 1000) + 1) == -1)
        return;
    for (int i = 0; i < n; i++)
        if (fds[i].revents != 0)
            ares_process_fd(channel, fds[i].fd, (fds[i].revents & POLLOUT) != 0 ? fds[i].fd : ARES_SOCKET_BAD);
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what has waited too long */
}

/* Until the answer has come; in the end it is that there is none. */
static void
finish(struct asking *a)
{
    int64_t until_us = clock_now_us() + LIMIT_US, left_us;

    while (!a->done && !atomic_load(&a->by->ending) && (left_us = until_us - clock_now_us()) > 0)
        turn(a->channel, left_us);
    if (!a->done)
        ares_cancel(a->channel);
    ares_destroy(a->channel);
}

static void
say(struct resolve *r, int code)
{
    if (code == ARES_ECANCELLED) /* by finish() */
        code = ARES_ETIMEOUT;
    snprintf(r->message, sizeof(r->message), "%s", code == ARES_SUCCESS ? "no address" : ares_strerror(code));
}

static void
on_addresses(void *arg, int code, int timeouts, struct ares_addrinfo *list)
{
    struct asking *a = arg;

    (void)timeouts;
    a->done = true;
    say(a->question, code);
    for (struct ares_addrinfo_node *at = list == NULL ? NULL : list->nodes; at != NULL; at = at->ai_next)
        resolve_add(a->question, at->ai_addr, at->ai_addrlen);
    ares_freeaddrinfo(list);
}

void
cares_look_up(struct resolve *r)
{
    const struct ares_addrinfo_hints hints = { .ai_socktype = SOCK_STREAM };
    struct asking a = { .by = r->by, .question = r };
    int code = begin(&a);

    if (code != ARES_SUCCESS) {
        say(r, code);
        return;
    }
    ares_getaddrinfo(a.channel, r->host, NULL, &hints, on_addresses, &a);
    finish(&a);
}

static void
on_soa(void *arg, int code, int timeouts, unsigned char *answer, int len)
{
    struct asking *a = arg;
    struct resolve_serial *r = a->question;
    struct ares_soa_reply *soa = NULL;

    (void)timeouts;
    a->done = true;
    if (code != ARES_SUCCESS || ares_parse_soa_reply(answer, len, &soa) != ARES_SUCCESS)
        return;
    r->found = true;
    r->serial = soa->serial;
    ares_free_data(soa);
}

void
cares_find_serial(struct resolve_serial *r)
{
    struct asking a = { .by = r->by, .question = r };

    if (begin(&a) != ARES_SUCCESS)
        return;
    ares_query(a.channel, r->zone, ns_c_in, ns_t_soa, on_soa, &a);
    finish(&a);
}

#else

bool
resolve_has_cares(void)
{
    return false;
}

void
cares_look_up(struct resolve *r)
{
    snprintf(r->message, sizeof(r->message), "this pgweir was built without c-ares");
}

void
cares_find_serial(struct resolve_serial *r)
{
    (void)r;
}

#endif
