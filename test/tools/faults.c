/* SPDX-License-Identifier: ISC */
/* Preloaded into a program under test: makes system calls behave within their contract, but badly. What happens
 * how often is read, all the time, from a file that the test writes (WEIR_FAULTS names it): rates, calls until
 * a fault happens once, and counts of what happened. WEIR_FAULTS_SEED makes the chances the same again, thread
 * by thread. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The order is that of harness/faults.py. */
enum fault_kind {
    RECV_SHORT,
    RECV_EINTR,
    RECV_EAGAIN,
    SEND_SHORT,
    SEND_EINTR,
    SEND_EAGAIN,
    EPOLL_ONE,
    EPOLL_EINTR,
    ACCEPT_EAGAIN,
    ACCEPT_ABORTED,
    ACCEPT_EMFILE,
    SOCKET_EMFILE,
    CONNECT_REFUSED,
    CONNECT_UNREACHABLE,
    DIAL_TIMEOUT,
    CLIENT_RESET,
    SERVER_RESET,
    CLIENT_EPIPE,
    SERVER_EPIPE,
    CLIENT_ENOBUFS,
    SERVER_ENOBUFS,
    LOOKUP_AGAIN,
    LOOKUP_SLOW,
    LOG_SLOW,
    LOG_FULL,
    OPEN_EMFILE,
    THREAD_EAGAIN,
    N_KINDS
};

enum side { OTHER, CLIENT, SERVER }; /* of a descriptor: accepted, connected by TCP */

static struct plan {
    _Atomic uint32_t rate[32], arm[32], count[32]; /* rate: of 65536 */
    _Atomic int32_t clock_step_s;
} * plan;
static _Atomic uint8_t side_of[1 << 16];
static _Atomic uint32_t n_threads;
static _Thread_local uint64_t chance;

static void __attribute__((constructor)) start(void)
{
    const char *path = getenv("WEIR_FAULTS");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *at = fd == -1 ? MAP_FAILED : mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd != -1)
        close(fd);
    if (at != MAP_FAILED)
        plan = at;
}

static uint32_t
roll(void)
{
    if (chance == 0) {
        const char *seed = getenv("WEIR_FAULTS_SEED");

        chance = (seed == NULL ? 1 : strtoull(seed, NULL, 10)) * 1000003 + ++n_threads;
    }
    chance += 0x9e3779b97f4a7c15; /* splitmix64 */
    uint64_t z = chance;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)(z >> 32);
}

static int
strikes(enum fault_kind k)
{
    uint32_t rate, armed;

    if (plan == NULL)
        return 0;
    armed = plan->arm[k];
    rate = plan->rate[k];
    while (armed > 0 && !atomic_compare_exchange_weak(&plan->arm[k], &armed, armed - 1))
        ;
    if (armed != 1 && (rate == 0 || (roll() & 0xffff) >= rate))
        return 0;
    plan->count[k]++;
    return 1;
}

static int
fails(enum fault_kind k, int with)
{
    if (!strikes(k))
        return 0;
    errno = with;
    return 1;
}

static enum side
side(int fd)
{
    return fd < 0 || fd >= 1 << 16 ? OTHER : (enum side)side_of[fd];
}

static void
set_side(int fd, enum side s)
{
    if (fd >= 0 && fd < 1 << 16)
        side_of[fd] = (uint8_t)s;
}

static size_t
shorter(enum fault_kind k, size_t len)
{
    return len > 1 && strikes(k) ? 1 + roll() % (len < 64 ? len - 1 : roll() % 4 == 0 ? len - 1 : 63) : len;
}

static int
recv_fails(int fd)
{
    return fails(RECV_EINTR, EINTR) || fails(RECV_EAGAIN, EAGAIN) ||
           (side(fd) == CLIENT && fails(CLIENT_RESET, ECONNRESET)) ||
           (side(fd) == SERVER && fails(SERVER_RESET, ECONNRESET));
}

static int
send_fails(int fd)
{
    return fails(SEND_EINTR, EINTR) || fails(SEND_EAGAIN, EAGAIN) ||
           (side(fd) == CLIENT && (fails(CLIENT_EPIPE, EPIPE) || fails(CLIENT_ENOBUFS, ENOBUFS))) ||
           (side(fd) == SERVER && (fails(SERVER_EPIPE, EPIPE) || fails(SERVER_ENOBUFS, ENOBUFS)));
}

/* The real NAME. */
#define REAL(type, name, ...)         \
    static type (*real)(__VA_ARGS__); \
    if (real == NULL)                 \
    real = (type(*)(__VA_ARGS__))(uintptr_t)dlsym(RTLD_NEXT, name)

/* ---- reading and writing ---- */

EXPORT ssize_t
recv(int fd, void *buf, size_t len, int flags)
{
    REAL(ssize_t, "recv", int, void *, size_t, int);
    return recv_fails(fd) ? -1 : real(fd, buf, shorter(RECV_SHORT, len), flags);
}

EXPORT ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
    REAL(ssize_t, "send", int, const void *, size_t, int);
    return send_fails(fd) ? -1 : real(fd, buf, shorter(SEND_SHORT, len), flags);
}

/* The first piece, or a part of it; what comes along goes with it. */
EXPORT ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
    REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);
    struct msghdr part = *m;
    struct iovec first;

    if (send_fails(fd))
        return -1;
    if (m->msg_iovlen == 0 || m->msg_iov[0].iov_len == 0 || !strikes(SEND_SHORT))
        return real(fd, m, flags);
    first = m->msg_iov[0];
    first.iov_len = 1 + roll() % first.iov_len;
    part.msg_iov = &first;
    part.msg_iovlen = 1;
    return real(fd, &part, flags);
}

EXPORT ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
    REAL(ssize_t, "recvmsg", int, struct msghdr *, int);
    return recv_fails(fd) ? -1 : real(fd, m, flags);
}

static int
is_socket(int fd)
{
    struct stat s;

    return fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode);
}

EXPORT ssize_t
read(int fd, void *buf, size_t len)
{
    REAL(ssize_t, "read", int, void *, size_t);
    if (plan == NULL || !is_socket(fd))
        return real(fd, buf, len);
    return recv_fails(fd) ? -1 : real(fd, buf, shorter(RECV_SHORT, len));
}

/* Log lines go by write(2), too: to a file, or to standard error. */
static int
log_fails(int fd)
{
    struct stat s;
    const struct timespec while_it_writes = { .tv_nsec = 30000000 };

    if (fstat(fd, &s) == -1 || !S_ISREG(s.st_mode))
        return 0;
    if (strikes(LOG_SLOW))
        nanosleep(&while_it_writes, NULL);
    return fails(LOG_FULL, ENOSPC);
}

EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    if (plan == NULL)
        return real(fd, buf, len);
    if (!is_socket(fd))
        return log_fails(fd) ? -1 : real(fd, buf, len);
    return send_fails(fd) ? -1 : real(fd, buf, shorter(SEND_SHORT, len));
}

/* ---- descriptors ---- */

EXPORT int
close(int fd)
{
    REAL(int, "close", int);
    set_side(fd, OTHER);
    return real(fd);
}

EXPORT int
socket(int domain, int type, int protocol)
{
    REAL(int, "socket", int, int, int);
    return fails(SOCKET_EMFILE, EMFILE) ? -1 : real(domain, type, protocol);
}

/* Two processes on one machine lose no connection while both live. */
static int
is_tcp(int fd)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);

    return getsockname(fd, (struct sockaddr *)&a, &len) == 0 && a.ss_family != AF_UNIX;
}

EXPORT int
accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
    REAL(int, "accept4", int, struct sockaddr *, socklen_t *, int);
    int got;

    if (fails(ACCEPT_EAGAIN, EAGAIN) || fails(ACCEPT_EMFILE, EMFILE))
        return -1;
    got = real(fd, a, len, flags);
    if (got != -1 && strikes(ACCEPT_ABORTED)) {
        close(got);
        errno = ECONNABORTED;
        return -1;
    }
    set_side(got, is_tcp(got) ? CLIENT : OTHER);
    return got;
}

EXPORT int
connect(int fd, const struct sockaddr *a, socklen_t len)
{
    REAL(int, "connect", int, const struct sockaddr *, socklen_t);
    if (a->sa_family == AF_UNIX)
        return real(fd, a, len);
    if (fails(CONNECT_REFUSED, ECONNREFUSED) || fails(CONNECT_UNREACHABLE, ENETUNREACH))
        return -1;
    set_side(fd, SERVER);
    return real(fd, a, len);
}

/* What a non-blocking connect came to. */
EXPORT int
getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    REAL(int, "getsockopt", int, int, int, void *, socklen_t *);
    int got = real(fd, level, name, value, len);

    if (got == 0 && level == SOL_SOCKET && name == SO_ERROR && strikes(DIAL_TIMEOUT))
        *(int *)value = ETIMEDOUT;
    return got;
}

/* ---- the loop, names, time, files, threads ---- */

EXPORT int
epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    REAL(int, "epoll_wait", int, struct epoll_event *, int, int);
    if (fails(EPOLL_EINTR, EINTR))
        return -1;
    return real(fd, events, strikes(EPOLL_ONE) ? 1 : most, timeout);
}

EXPORT int
getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    REAL(int, "getaddrinfo", const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const struct timespec until_it_answers = { .tv_nsec = 300000000 };

    if (hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0)
        return real(host, service, hints, found);
    if (strikes(LOOKUP_SLOW))
        nanosleep(&until_it_answers, NULL);
    return strikes(LOOKUP_AGAIN) ? EAI_AGAIN : real(host, service, hints, found);
}

EXPORT int
clock_gettime(clockid_t id, struct timespec *out)
{
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int got = real(id, out);

    if (plan != NULL && id == CLOCK_REALTIME)
        out->tv_sec += plan->clock_step_s;
    return got;
}

EXPORT int
open(const char *path, int flags, ...)
{
    REAL(int, "open", const char *, int, ...);
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return fails(OPEN_EMFILE, EMFILE) ? -1 : real(path, flags, mode);
}

EXPORT int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    REAL(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return strikes(THREAD_EAGAIN) ? EAGAIN : real(thread, attr, run, arg);
}
