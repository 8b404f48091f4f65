/* SPDX-License-Identifier: ISC */
/* The sockets that clients come in by: each TCP address once for each worker, the Unix
 * socket for worker 0. */
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app_private.h"
#include "base/log.h"

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

static void
say(const struct net_address *a)
{
    char text[NET_ADDRESS_TEXT];

    net_address_print(a, text);
    log_info("listening on %s", text);
}

static bool
open_tcp(struct listening *l, const struct addresses *all, const struct conf_general *g, unsigned n_workers,
         struct fault *why)
{
    bool shared = n_workers > 1 || g->so_reuseport;

    for (unsigned i = 0; i < all->n; i++) {
        if (!listener_probe(&all->at[i], g->so_reuseport, why)) {
            if (all->optional[i] && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
                continue;
            return false;
        }
        for (unsigned w = 0; w < n_workers; w++) {
            int fd = listener_socket(&all->at[i], (int)g->listen_backlog, shared, why);

            if (fd == -1)
                return false;
            l->fds[w * l->n_each + i] = fd;
        }
        say(&all->at[i]);
    }
    return true;
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
open_unix(struct listening *l, const struct conf_general *g, struct fault *why)
{
    struct net_address a;
    int fd;

    if (g->unix_socket_dir[0] == '\0')
        return true;
    if (!net_address_unix(&a, g->unix_socket_dir, (uint16_t)g->listen_port))
        return fault_set(why, "58030", "unix_socket_dir %s is too long", g->unix_socket_dir);
    if (!listener_probe(&a, false, why) || (fd = listener_socket(&a, (int)g->listen_backlog, false, why)) == -1)
        return false;
    l->fds[l->n_each - 1] = fd;
    say(&a);
    if (a.local.sun_path[0] == '\0')
        return true;
    memcpy(l->unix_path, a.local.sun_path, sizeof(l->unix_path));
    return protect(l->unix_path, g, why);
}

bool
listening_open(struct listening *l, const struct conf_general *g, unsigned n_workers, struct fault *why)
{
    struct addresses *all = mem_new(struct addresses);
    bool ok = read_addresses(all, g, why);

    *l = (struct listening){ .n_each = all->n + 1 };
    l->fds = mem_alloc(n_workers * l->n_each * sizeof(int));
    for (unsigned i = 0; i < n_workers * l->n_each; i++)
        l->fds[i] = -1;
    ok = ok && open_tcp(l, all, g, n_workers, why) && open_unix(l, g, why);
    mem_free(all);
    if (!ok) {
        for (unsigned i = 0; i < n_workers * l->n_each; i++)
            if (l->fds[i] != -1)
                close(l->fds[i]);
        listening_done(l);
    }
    return ok;
}

void
listening_done(struct listening *l)
{
    if (l->unix_path[0] != '\0')
        unlink(l->unix_path);
    mem_free(l->fds);
    *l = (struct listening){ 0 };
}
