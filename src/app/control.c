/* SPDX-License-Identifier: ISC */
/* Commands of the console that the control thread carries out: RELOAD, SET, SHUTDOWN. */
#include "actions_private.h"
#include "base/log.h"

static void
reload(struct worker *w, struct mail *m)
{
    struct task *e = container_of(m, struct task, mail);

    if (reload_files(app_of_control(w), e, &e->why))
        return;
    if (e->compat)
        fault_set(&e->why, "F0000", "RELOAD failed, see logs for additional details");
    task_home(e, task_arrive);
}

void
action_reload(struct task *e)
{
    task_to_control(e, reload);
}

static void
set(struct worker *w, struct mail *m)
{
    struct task *e = container_of(m, struct task, mail);

    if (reload_set(app_of_control(w), slice_str(e->command.name), slice_str(e->command.value), e, &e->why))
        return;
    if (e->compat)
        fault_set(&e->why, "08P01", "SET failed");
    task_home(e, task_arrive);
}

void
action_set(struct task *e)
{
    task_to_control(e, set);
}

static void
shut_down(struct worker *w, struct mail *m)
{
    struct task *e = container_of(m, struct task, mail);
    struct app *a = app_of_control(w);
    enum drain_mode mode = e->command.verb == ADMIN_SHUTDOWN           ? DRAIN_NOW
                           : e->command.verb == ADMIN_SHUTDOWN_SERVERS ? DRAIN_SERVERS
                                                                       : DRAIN_CLIENTS;

    if (e->received) {
        log_info("another process has our sockets and goes on");
        a->listening.unix_path[0] = '\0'; /* and the file is its own */
    }
    task_home(e, task_arrive); /* before the halls hear of the end */
    drain_start(a, mode);
}

void
action_shutdown(struct task *e)
{
    struct console *c = e->console;

    if (e->command.verb == ADMIN_SHUTDOWN) { /* closes without answering */
        e->received = gift_is_received(e->app, c);
        e->console = NULL;
        c->job = NULL;
        console_hang_up(c);
    }
    task_to_control(e, shut_down);
}
