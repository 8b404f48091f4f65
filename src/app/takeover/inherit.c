/* SPDX-License-Identifier: ISC */
/* Listening sockets that others made: systemd, or the process that we take over from. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "app_private.h"
#include "base/log.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define MOST     8192

void
inherited_add(struct inherited *i, int fd, bool activated)
{
    struct inherited_socket *s;

    if (i->n == MOST) {
        close(fd);
        return;
    }
    if ((i->n & (i->n - 1)) == 0) /* doubles at powers of two */
        i->at = mem_realloc(i->at, (i->n == 0 ? 1 : i->n * 2) * sizeof(*i->at));
    s = &i->at[i->n++];
    *s = (struct inherited_socket){ .fd = fd, .activated = activated };
    (void)!fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)!fcntl(fd, F_SETFD, FD_CLOEXEC);
    net_address_local(&s->address, fd);
}

static bool
is_listening_stream(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens != 0;
}

bool
inherited_activate(struct inherited *i, struct fault *why)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    long n = pid == NULL || count == NULL || strtol(pid, NULL, 10) != getpid() ? 0 : strtol(count, NULL, 10);
    char text[NET_ADDRESS_TEXT];

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    for (int fd = FIRST_FD; fd < FIRST_FD + n && fd < MOST; fd++) {
        if (!is_listening_stream(fd))
            return fault_set(why, "58030", "descriptor %d from systemd is not a stream socket that listens",
                             fd);
        inherited_add(i, fd, true);
        net_address_print(&i->at[i->n - 1].address, text);
        log_info("listening on %s, from systemd", text);
    }
    return true;
}

void
inherited_done(struct inherited *i)
{
    for (unsigned k = 0; k < i->n; k++)
        if (i->at[k].fd != -1)
            close(i->at[k].fd);
    mem_free(i->at);
    if (i->door != -1)
        close(i->door);
    *i = (struct inherited){ .door = -1 };
}
