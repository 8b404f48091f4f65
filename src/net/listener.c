/* SPDX-License-Identifier: ISC */
/* Sockets that accept clients. */
#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct listener {
    struct io io;
    struct timer retry; /* out of descriptors: try again later instead of spinning */
    struct worker *worker;
    int fd;
    bool is_unix;
    listener_on_client *on_client;
    void *owner;
};

static int
bound_socket(const struct net_address *a, bool port_shared, struct fault *why)
{
    char text[NET_ADDRESS_TEXT];
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    net_address_print(a, text);
    if (fd == -1) {
        fault_errno(why, "cannot make a socket for %s", text);
        return -1;
    }
    net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (port_shared)
        net_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (a->any.sa_family == AF_INET6)
        net_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (a->any.sa_family == AF_UNIX)
        (void)fchmod(fd, S_IRUSR | S_IWUSR); /* the mode of the file that bind() makes */
    if (bind(fd, &a->any, a->len) == -1) {
        fault_errno(why, "cannot listen on %s", text);
        close(fd);
        return -1;
    }
    return fd;
}

/* A socket file whose owner is gone may be replaced; one that answers may not. */
static bool
clear_stale_file(const struct net_address *a, struct fault *why)
{
    struct stat st;
    int fd;

    if (a->any.sa_family != AF_UNIX || a->local.sun_path[0] == '\0' || stat(a->local.sun_path, &st) == -1)
        return true;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd != -1 && connect(fd, &a->any, a->len) == 0) {
        close(fd);
        errno = EADDRINUSE;
        return fault_set(why, "58030", "cannot listen on %s: another process does", a->local.sun_path);
    }
    if (fd != -1)
        close(fd);
    if (S_ISSOCK(st.st_mode))
        unlink(a->local.sun_path);
    return true;
}

bool
listener_probe(const struct net_address *a, bool port_shared, struct fault *why)
{
    int fd;

    if (!clear_stale_file(a, why))
        return false;
    if (a->any.sa_family == AF_UNIX)
        return true;
    fd = bound_socket(a, port_shared, why);
    if (fd == -1)
        return false;
    close(fd);
    return true;
}

int
listener_socket(const struct net_address *a, int backlog, bool port_shared, struct fault *why)
{
    int fd = bound_socket(a, port_shared, why);

    if (fd != -1 && listen(fd, backlog) == -1) {
        fault_errno(why, "cannot listen");
        close(fd);
        return -1;
    }
    return fd;
}

static void
on_acceptable(struct io *io)
{
    struct listener *l = container_of(io, struct listener, io);

    for (int i = 0; i < LISTEN_BATCH; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd != -1) {
            l->on_client(l->owner, fd, l->is_unix);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_error("cannot accept clients: out of descriptors or memory; raise the open files limit");
            io_stop(l->worker, &l->io);
            timer_start(l->worker, &l->retry, CLOCK_S / 5);
        }
        return;
    }
}

static void
on_retry(struct timer *t)
{
    struct listener *l = container_of(t, struct listener, retry);

    io_start(l->worker, &l->io);
}

struct listener *
listener_new(struct worker *w, int fd, listener_on_client *on_client, void *owner)
{
    struct listener *l = mem_new(struct listener);
    struct net_address local;

    net_address_local(&local, fd);
    l->worker = w;
    l->fd = fd;
    l->is_unix = local.any.sa_family == AF_UNIX;
    l->on_client = on_client;
    l->owner = owner;
    io_init(&l->io, fd, IO_READ, on_acceptable);
    timer_init(&l->retry, on_retry);
    io_start(w, &l->io);
    return l;
}

void
listener_free(struct listener *l)
{
    if (l == NULL)
        return;
    io_stop(l->worker, &l->io);
    timer_stop(l->worker, &l->retry);
    close(l->fd);
    mem_free(l);
}

bool
listener_is_unix(const struct listener *l)
{
    return l->is_unix;
}

void
listener_hold(struct listener *l, bool hold)
{
    timer_stop(l->worker, &l->retry);
    if (hold)
        io_stop(l->worker, &l->io);
    else
        io_start(l->worker, &l->io);
}

int
listener_fd(const struct listener *l)
{
    return l->fd;
}

void
listener_tune(struct listener *l, const struct tcp_options *o)
{
    net_tune(l->fd, o);
    net_set(l->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, o->defer_accept_s);
}
