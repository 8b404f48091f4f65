/* SPDX-License-Identifier: ISC */
/* The sockets that clients come in by: each TCP address once for each worker, the Unix
 * socket for worker 0; and the door of a process that takes over. */
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app_private.h"
#include "base/log.h"
#include "base/mem.h"

#define MAX_ADDRESSES 32

struct addresses {
    struct net_address at[MAX_ADDRESSES];
    bool optional[MAX_ADDRESSES]; /* of "*": a machine without IPv6 is fine */
    unsigned n;
};

static bool
add_name(struct addresses *all, const char *name, uint16_t port, struct fault *why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list = NULL;
    char service[8];
    int code;

    snprintf(service, sizeof(service), "%u", port);
    code = getaddrinfo(name, service, &hints, &list);
    if (code != 0)
        return fault_set(why, "58030", "cannot listen on \"%s\": %s", name, gai_strerror(code));
    for (struct addrinfo *a = list; a != NULL && all->n < MAX_ADDRESSES; a = a->ai_next) {
        struct net_address *to = &all->at[all->n];

        if (a->ai_addrlen > sizeof(*to) - offsetof(struct net_address, any))
            continue;
        memset(to, 0, sizeof(*to));
        memcpy(&to->any, a->ai_addr, a->ai_addrlen);
        to->len = a->ai_addrlen;
        all->n++;
    }
    freeaddrinfo(list);
    return true;
}

static bool
add_one(struct addresses *all, const char *host, uint16_t port, struct fault *why)
{
    if (all->n + 2 > MAX_ADDRESSES)
        return fault_set(why, "F0000", "listen_addr has more than %d addresses", MAX_ADDRESSES - 2);
    if (strcmp(host, "*") == 0) {
        net_address_numeric(&all->at[all->n++], "0.0.0.0", port);
        all->optional[all->n] = true;
        net_address_numeric(&all->at[all->n++], "::", port);
        return true;
    }
    if (!net_address_numeric(&all->at[all->n], host, port))
        return add_name(all, host, port, why);
    all->n++;
    return true;
}

static bool
read_addresses(struct addresses *all, const struct conf_general *g, struct fault *why)
{
    struct slice rest = slice_str(g->listen_addr);

    while (rest.len > 0) {
        const uint8_t *comma = memchr(rest.data, ',', rest.len);
        struct slice one = slice_head(rest, comma == NULL ? rest.len : (size_t)(comma - rest.data));
        char *host;
        bool ok;

        rest = slice_tail(rest, one.len + 1);
        one = slice_trim(one);
        if (one.len == 0)
            continue;
        host = slice_dup(one);
        ok = add_one(all, host, (uint16_t)g->listen_port, why);
        mem_free(host);
        if (!ok)
            return false;
    }
    return true;
}

/* PgBouncer does without what it cannot listen on, as long as there is something. */
static bool
do_without(const struct conf_general *g, const struct fault *why)
{
    if (g->compat != CONF_COMPAT_PGBOUNCER)
        return false;
    log_warning("%s", why->message);
    return true;
}

static void
say(const struct net_address *a)
{
    char text[NET_ADDRESS_TEXT];

    net_address_print(a, text);
    log_info("listening on %s", text);
}

/* ---- what is there already ---- */

static void
add_socket(struct listening *l, int fd, unsigned worker)
{
    if ((l->n & (l->n - 1)) == 0) /* doubles at powers of two */
        l->at = mem_realloc(l->at, (l->n == 0 ? 1 : l->n * 2) * sizeof(*l->at));
    l->at[l->n++] = (struct listening_socket){ fd, worker };
}

static bool
same_address(const struct net_address *a, const struct net_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    switch (a->any.sa_family) {
    case AF_INET:
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    case AF_INET6:
        return a->v6.sin6_port == b->v6.sin6_port &&
               memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
    default:
        return a->len == b->len && memcmp(&a->any, &b->any, a->len) == 0;
    }
}

/* All sockets of FROM on address A, dealt out to the workers; false: there is none. */
static bool
reuse(struct listening *l, struct inherited *from, const struct net_address *a, unsigned n_workers)
{
    unsigned n = 0;

    for (unsigned i = 0; i < from->n; i++) {
        if (from->at[i].fd == -1 || !same_address(&from->at[i].address, a))
            continue;
        l->activated = l->activated || from->at[i].activated;
        add_socket(l, from->at[i].fd, n++ % n_workers);
        from->at[i].fd = -1;
    }
    if (n > 0 && a->any.sa_family != AF_UNIX)
        l->deals = l->deals || n != n_workers;
    return n > 0;
}

/* What systemd gave is what we listen on. */
static bool
use_activated(struct listening *l, const struct conf_general *g, struct inherited *from, unsigned n_workers)
{
    for (unsigned i = 0; i < from->n; i++) {
        struct net_address a = from->at[i].address;

        if (from->at[i].fd != -1 && from->at[i].activated)
            reuse(l, from, &a, n_workers);
    }
    if (l->activated && (g->listen_addr[0] != '\0' || g->unix_socket_dir[0] != '\0'))
        log_info("systemd gave sockets: listen_addr and the Unix socket are not opened");
    return l->activated;
}

/* ---- opening ---- */

static bool
open_tcp(struct listening *l, const struct net_address *a, const struct conf_general *g, unsigned n_workers,
         struct fault *why)
{
    bool shared = n_workers > 1 || g->so_reuseport;

    if (!listener_probe(a, g->so_reuseport, why))
        return false;
    for (unsigned w = 0; w < n_workers; w++) {
        int fd = listener_socket(a, (int)g->listen_backlog, shared, why);

        if (fd == -1)
            return false;
        add_socket(l, fd, w);
    }
    say(a);
    return true;
}

static bool
open_all_tcp(struct listening *l, const struct conf_general *g, unsigned n_workers, struct inherited *from,
             struct fault *why)
{
    struct addresses *all = mem_new(struct addresses);
    bool ok = read_addresses(all, g, why);

    for (unsigned i = 0; ok && i < all->n; i++)
        ok = reuse(l, from, &all->at[i], n_workers) || open_tcp(l, &all->at[i], g, n_workers, why) ||
             (all->optional[i] && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) || do_without(g, why);
    mem_free(all);
    return ok;
}

static bool
protect(const char *path, const struct conf_general *g, struct fault *why)
{
    struct group *group;

    if (chmod(path, (mode_t)g->unix_socket_mode) == -1)
        return fault_errno(why, "cannot set the mode of %s", path);
    if (g->unix_socket_group[0] == '\0')
        return true;
    group = getgrnam(g->unix_socket_group);
    if (group == NULL)
        return fault_set(why, "58030", "unix_socket_group: there is no group \"%s\"", g->unix_socket_group);
    if (chown(path, (uid_t)-1, group->gr_gid) == -1)
        return fault_errno(why, "cannot give %s to group %s", path, g->unix_socket_group);
    return true;
}

static bool
open_unix(struct listening *l, const struct conf_general *g, struct inherited *from, struct fault *why)
{
    struct net_address a;
    int fd;

    if (g->unix_socket_dir[0] == '\0')
        return true;
    if (!net_address_unix(&a, g->unix_socket_dir, (uint16_t)g->listen_port))
        return fault_set(why, "58030", "unix_socket_dir %s is too long", g->unix_socket_dir);
    if (a.local.sun_path[0] != '\0')
        memcpy(l->unix_path, a.local.sun_path, sizeof(l->unix_path));
    if (reuse(l, from, &a, 1))
        return true;
    if (!listener_probe(&a, false, why) ||
        (fd = listener_socket(&a, (int)g->listen_backlog, false, why)) == -1) {
        l->unix_path[0] = '\0'; /* somebody else's */
        return errno != EADDRINUSE && do_without(g, why);
    }
    add_socket(l, fd, 0);
    say(&a);
    return a.local.sun_path[0] == '\0' || protect(l->unix_path, g, why);
}

bool
listening_open(struct listening *l, const struct conf_general *g, unsigned n_workers, struct inherited *from,
               struct fault *why)
{
    if (use_activated(l, g, from, n_workers))
        return true;
    if (!open_all_tcp(l, g, n_workers, from, why) || !open_unix(l, g, from, why))
        return false;
    return l->n > 0 || g->compat != CONF_COMPAT_PGBOUNCER || fault_set(why, "58030", "nowhere to listen on");
}

/* ---- the door ---- */

bool
listening_open_door(struct listening *l, const struct conf_general *g, const char *user, struct fault *why)
{
    struct passwd *pw = user[0] == '\0' || geteuid() != 0 ? NULL : getpwnam(user);
    struct net_address a;

    bool given = l->door != -1;

    if (g->unix_socket_dir[0] == '\0' || !net_address_door(&a, g->unix_socket_dir, (uint16_t)g->listen_port))
        return true;
    if (!given && (!listener_probe(&a, false, why) || (l->door = listener_socket(&a, 8, false, why)) == -1))
        return l->unix_path[0] == '\0' && do_without(g, why);
    if (a.local.sun_path[0] == '\0')
        return true;
    memcpy(l->door_path, a.local.sun_path, sizeof(l->door_path));
    if (!given &&
        (chmod(l->door_path, 0600) == -1 || (pw != NULL && chown(l->door_path, pw->pw_uid, pw->pw_gid) == -1)))
        return fault_errno(why, "cannot protect %s", l->door_path);
    return true;
}

void
listening_give(struct listening *l, struct hall *h)
{
    for (unsigned i = 0; i < l->n; i++) {
        if (l->at[i].fd == -1 || l->at[i].worker != h->worker.index)
            continue;
        hall_listen(h, &l->at[i].fd, 1);
        l->at[i].fd = -1;
    }
    h->deals = l->deals;
}

void
listening_done(struct listening *l)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->at[i].fd != -1)
            close(l->at[i].fd);
    if (l->door != -1)
        close(l->door);
    if (l->ours && l->unix_path[0] != '\0')
        unlink(l->unix_path);
    if (l->ours && l->door_path[0] != '\0')
        unlink(l->door_path);
    mem_free(l->at);
    *l = (struct listening){ .door = -1 };
}
