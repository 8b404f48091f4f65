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

static void
say(const char *message)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t len;
    int fd;

    if (path == NULL || (path[0] != '/' && path[0] != '@') || (len = strlen(path)) >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return;
    (void)!sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void
notify_ready(void)
{
    char message[128];

    snprintf(message, sizeof(message), "READY=1\nMAINPID=%d\nSTATUS=Serving clients.", (int)getpid());
    say(message);
}

/* For Type=notify-reload the time must be later than that of the signal. */
void
notify_reloading(void)
{
    char message[128];

    snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=Reloading.",
             clock_now_us());
    say(message);
}

void
notify_stopping(void)
{
    say("STOPPING=1\nSTATUS=Waiting for clients to end.");
}

void
notify_new_main(unsigned pid)
{
    char message[128];

    snprintf(message, sizeof(message), "MAINPID=%u", pid);
    say(message);
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
    if (!a->takeover.giving) /* it is the other process's now */
        say("WATCHDOG=1");
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
