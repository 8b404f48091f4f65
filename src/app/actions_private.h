/* SPDX-License-Identifier: ISC */
/* A task: one command of the console under way, from the hall of its client to all
 * others or the control thread, and back. Whoever handles its mail owns it; the part about the console is
 * touched on that client's thread only. */
#ifndef APP_ACTIONS_PRIVATE_H
#define APP_ACTIONS_PRIVATE_H

#include "admin/table.h"
#include "app_private.h"
#include "gather_private.h"

struct task {
    struct visit visit;
    struct mail mail; /* between the console's hall and the control thread */
    struct app *app;
    struct hall *hall;       /* where the client of the console lives */
    struct console *console; /* NULL: it is gone */
    _Atomic bool cancelled;  /* the client does not want to wait any more */
    struct timer again;      /* when to look again */
    struct admin_command command;
    bool compat;       /* PgBouncer's texts */
    bool by_pgbouncer; /* the client said database pgbouncer */
    struct admin_table table;
    struct text out;
    struct gather gather;
    struct gift *gift; /* FDS: what goes along with its rows; NULL: nothing does */
    unsigned count;    /* what is still there, or was found */
    int64_t since_us;  /* when it began to wait */
    struct fault why;
    bool received; /* SHUTDOWN by who has our descriptors */
};

/* console.c */
const char *console_version(bool by_pgbouncer);
/* The task is over: answer (WHY not NULL: with an error; NULL: with OUT and the tag) and free it. */
void task_end(struct task *e, const struct fault *why);
/* End it with an error; in compat its SQLSTATE is 08P01. */
void
task_refuse(struct task *e, const char *sqlstate, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Visit all halls. */
void task_visit(struct task *e, void (*at_each)(struct worker *w, struct visit *v),
                void (*home)(struct worker *w, struct visit *v));
/* To the control thread, and home again. */
void task_to_control(struct task *e, void (*deliver)(struct worker *w, struct mail *m));
void task_home(struct task *e, void (*deliver)(struct worker *w, struct mail *m));
/* Mail that ends it, with task->why when that is set. */
void task_arrive(struct worker *w, struct mail *m);
void console_init(struct hall_console *c);
static inline struct task *
task_of(struct visit *v)
{
    return container_of(v, struct task, visit);
}
static inline struct slice
task_database(const struct task *e)
{
    return slice_str(e->command.name);
}

/* actions.c: each starts a task; its end is task_end(). */
typedef void task_start(struct task *e);
task_start action_pause, action_resume, action_suspend, action_disable, action_enable, action_reconnect,
    action_kill, action_kill_client, action_wait_close;
/* A cancel request while it waits. */
void action_cancelled(struct task *e);
void actions_pause_all(struct app *a);
void actions_resume_all(struct app *a);

/* suspend.c */
/* Stop reading from H's clients and servers. How many still have something to be sent; FORCE closes those. */
unsigned suspend_hall(struct hall *h, bool force);
void suspend_end(struct hall *h);

/* takeover/gift.c: descriptors along with the rows of SHOW FDS, for a process of our own user. While all is
 * suspended they are for good: who got them goes on with the clients, and says SHUTDOWN. Should it vanish
 * before that, all is resumed. */
/* The head of the table is in OUT. Sets GIFT, if the client is one to be given something. */
void gift_begin(struct task *e);
/* On a hall's thread, before and with its rows: false says that they are for a look only. */
bool gift_is_for_good(const struct task *e);
void gift_add(struct task *e, int fd); /* of the row that has just ended */
void gift_count(struct task *e, bool goes);
/* Send all, then the rest of the answer. */
void gift_send(struct task *e);
void gift_free(struct task *e);
/* C ends: had it been given all? */
void gift_abandon(struct app *a, const struct console *c);
/* The same when it says SHUTDOWN: it has it all now. */
bool gift_is_received(struct app *a, const struct console *c);

/* control.c */
task_start action_reload, action_set, action_shutdown;

/* nodes.c */
task_start action_node;

/* switchover.c */
task_start action_switchover;

/* views.c */
task_start action_show;

#endif
