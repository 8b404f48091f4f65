/* SPDX-License-Identifier: ISC */
/* Telling systemd (sd_notify(3)): one datagram to the socket that NOTIFY_SOCKET names; and
 * the watchdog, which is fed only after every worker has turned its loop. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app_private.h"
#include "base/clock.h"

void
notify_say(const char *what)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    char message[128];
    size_t len;
    int fd, n;

    if (path == NULL || (path[0] != '/' && path[0] != '@') || (len = strlen(path)) >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return;
    n = snprintf(message, sizeof(message), "%s\nMONOTONIC_USEC=%" PRId64 "\nMAINPID=%d", what, clock_now_us(),
                 (int)getpid());
    (void)!sendto(fd, message, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

static void
at_each(struct worker *w, struct visit *v)
{
    (void)w;
    (void)v;
}

static void
home(struct worker *w, struct visit *v)
{
    struct app *a = app_of_control(w);

    (void)v;
    notify_say("WATCHDOG=1");
    if (a->drain.stage != DRAIN_ENDING)
        timer_start(w, &a->watchdog_timer, a->watchdog_us);
}

static void
on_watchdog(struct timer *t)
{
    struct app *a = container_of(t, struct app, watchdog_timer);

    visit_start(&a->watchdog_visit);
}

void
watchdog_start(struct app *a)
{
    const char *text = getenv("WATCHDOG_USEC");

    timer_init(&a->watchdog_timer, on_watchdog);
    a->watchdog_us = text == NULL ? 0 : strtoll(text, NULL, 10) / 2;
    if (a->watchdog_us <= 0)
        return;
    a->watchdog_visit = (struct visit){
        .from = &a->control, .workers = a->workers, .n = a->n_halls, .at_each = at_each, .home = home
    };
    timer_start(&a->control, &a->watchdog_timer, a->watchdog_us);
}
