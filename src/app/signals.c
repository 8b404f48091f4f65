/* SPDX-License-Identifier: ISC */
/* Signals, read on the control loop: all threads block them, a signalfd delivers them. */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "actions_private.h"
#include "app_private.h"
#include "base/log.h"

typedef void on_signal(struct app *a);

static void
on_hup(struct app *a)
{
    struct fault why;

    log_info("got SIGHUP, re-reading config");
    reload_files(a, NULL, &why); /* logs what was wrong */
}

/* There TERM waits until the clients have left by themselves, and INT until no server is in use. */
static bool
is_compat(const struct app *a)
{
    return a->loaded.setup.conf->general.compat == CONF_COMPAT_PGBOUNCER;
}

static void
on_term(struct app *a)
{
    log_info("got SIGTERM, shutting down");
    drain_start(a, is_compat(a) ? DRAIN_CLIENTS_TIMED : DRAIN_TIMED);
}

static void
on_int(struct app *a)
{
    bool at_once = !is_compat(a) && (isatty(STDIN_FILENO) || isatty(STDERR_FILENO));

    log_info("got SIGINT, shutting down");
    drain_start(a, at_once ? DRAIN_NOW : DRAIN_TIMED);
}

static void
on_quit(struct app *a)
{
    log_info("got SIGQUIT, fast exit");
    drain_start(a, DRAIN_NOW);
}

static void
on_usr1(struct app *a)
{
    log_info("got SIGUSR1, pausing all activity");
    if (!a->takeover.giving)
        actions_pause_all(a);
}

static void
on_usr2(struct app *a)
{
    log_info("got SIGUSR2, continuing from PAUSE");
    if (a->drain.stage == DRAIN_NONE)
        actions_resume_all(a);
}

static const struct {
    int number;
    on_signal *act;
} handled[] = { { SIGHUP, on_hup },   { SIGTERM, on_term }, { SIGINT, on_int },
                { SIGQUIT, on_quit }, { SIGUSR1, on_usr1 }, { SIGUSR2, on_usr2 } };
#define N_HANDLED (sizeof(handled) / sizeof(*handled))

static void
on_readable(struct io *io)
{
    struct app *a = container_of(io, struct app, signals);
    struct signalfd_siginfo info;

    while (read(a->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        for (size_t i = 0; i < N_HANDLED; i++)
            if (handled[i].number == (int)info.ssi_signo)
                handled[i].act(a);
}

void
signals_start(struct app *a)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < N_HANDLED; i++)
        sigaddset(&set, handled[i].number);
    a->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (a->signal_fd == -1) {
        log_fatal("cannot make a signalfd");
        return;
    }
    io_init(&a->signals, a->signal_fd, IO_READ, on_readable);
    io_start(&a->control, &a->signals);
}

void
signals_stop(struct app *a)
{
    if (a->signal_fd == -1)
        return;
    io_stop(&a->control, &a->signals);
    close(a->signal_fd);
    a->signal_fd = -1;
}
