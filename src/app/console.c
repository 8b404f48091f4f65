/* SPDX-License-Identifier: ISC */
/* The console: one command at a time for each of its clients. On that client's thread. */
#include <stdarg.h>
#include <stdio.h>

#include "actions_private.h"
#include "base/log.h"
#include "wire/error.h"
#include "wire/writer.h"

static task_start *const actions[ADMIN_NVERBS] = {
    [ADMIN_SHOW] = action_show,
    [ADMIN_SET] = action_set,
    [ADMIN_RELOAD] = action_reload,
    [ADMIN_PAUSE] = action_pause,
    [ADMIN_RESUME] = action_resume,
    [ADMIN_SUSPEND] = action_suspend,
    [ADMIN_DISABLE] = action_disable,
    [ADMIN_ENABLE] = action_enable,
    [ADMIN_RECONNECT] = action_reconnect,
    [ADMIN_KILL] = action_kill,
    [ADMIN_BAN] = action_node,
    [ADMIN_UNBAN] = action_node,
    [ADMIN_DRAIN] = action_node,
    [ADMIN_UNDRAIN] = action_node,
    [ADMIN_SWITCHOVER] = action_switchover,
    [ADMIN_KILL_CLIENT] = action_kill_client,
    [ADMIN_WAIT_CLOSE] = action_wait_close,
    [ADMIN_SHUTDOWN_SERVERS] = action_shutdown,
    [ADMIN_SHUTDOWN_CLIENTS] = action_shutdown,
    [ADMIN_SHUTDOWN] = action_shutdown,
};

const char *
console_version(bool by_pgbouncer)
{
    return by_pgbouncer ? "PgBouncer " APP_POOLS_LIKE : "pgweir " APP_VERSION;
}

/* ---- tasks ---- */

static void
task_free(struct task *e)
{
    gift_free(e);
    admin_table_done(&e->table);
    text_done(&e->out);
    gather_done(&e->gather);
    mem_free(e);
}

void
task_end(struct task *e, const struct fault *why)
{
    struct console *c = e->console;

    if (c != NULL) {
        struct text *answer = console_answer(c), tag = { 0 };

        if (why != NULL) {
            wire_put_fault(answer, WIRE_ERROR, why);
        } else {
            text_add(answer, text_slice(&e->out));
            admin_tag(&e->command, &tag);
            wire_put_complete(answer, text_str(&tag));
            text_done(&tag);
        }
        c->job = NULL;
        console_done(c);
    }
    task_free(e);
}

void
task_refuse(struct task *e, const char *sqlstate, const char *fmt, ...)
{
    struct fault why;
    char message[sizeof(why.message)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    fault_set(&why, e->compat ? "08P01" : sqlstate, "%s", message);
    task_end(e, &why);
}

void
task_visit(struct task *e, void (*at_each)(struct worker *w, struct visit *v),
           void (*home)(struct worker *w, struct visit *v))
{
    e->visit = (struct visit){ .from = &e->hall->worker,
                               .workers = e->app->workers,
                               .n = e->app->n_halls,
                               .at_each = at_each,
                               .home = home };
    visit_start(&e->visit);
}

void
task_to_control(struct task *e, void (*deliver)(struct worker *w, struct mail *m))
{
    e->mail.deliver = deliver;
    mail_post(&e->app->control, &e->mail);
}

void
task_home(struct task *e, void (*deliver)(struct worker *w, struct mail *m))
{
    e->mail.deliver = deliver;
    mail_post(&e->hall->worker, &e->mail);
}

void
task_arrive(struct worker *w, struct mail *m)
{
    struct task *e = container_of(m, struct task, mail);

    (void)w;
    task_end(e, e->why.sqlstate[0] != '\0' ? &e->why : NULL);
}

/* ---- what room session calls ---- */

static struct app *
app_of_hall(const struct hall *h)
{
    return container_of((struct hall_console *)(uintptr_t)h->console, struct app, console);
}

static struct task *
task_new(struct console *c, const struct admin_command *command, bool compat)
{
    struct task *e = mem_new(struct task);
    struct hall *h = c->session->hall;

    e->hall = h;
    e->app = app_of_hall(h);
    e->console = c;
    e->compat = compat;
    e->by_pgbouncer = c->compat;
    e->command = *command;
    gather_init(&e->gather);
    c->job = e;
    return e;
}

static void
answer_fault(struct console *c, const struct fault *why)
{
    wire_put_fault(console_answer(c), WIRE_ERROR, why);
    console_done(c);
}

/* PgBouncer counts them as it does those of any database. */
static void
count_command(const struct session *s)
{
    struct pool_database *d = pools_database(&s->hall->pools, slice_str(s->database));

    d->stats.queries++;
    d->stats.xacts++;
}

static void
run(struct console *c, struct slice sql)
{
    const struct session *s = c->session;
    bool compat = s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER;
    struct admin_command command;
    struct fault why = { "", "", "", "" };
    const char *version = console_version(c->compat || compat);

    if (compat)
        count_command(s);
    if (!admin_parse(sql, compat, &command, &why) || !admin_may(&command, c->may_admin, compat, &why)) {
        answer_fault(c, &why);
        return;
    }
    if (strcmp(command.name, "server_version") == 0)
        version = c->compat || compat ? APP_POOLS_LIKE "/bouncer" : "15.0 (pgweir " APP_VERSION ")";
    if (admin_put_fixed(console_answer(c), &command, sql, version)) {
        console_done(c);
        return;
    }
    if (command.verb != ADMIN_SHOW)
        log_info("console: client=c%llu user=%s: %.*s", (unsigned long long)s->id, s->user,
                 (int)(sql.len > 200 ? 200 : sql.len), (const char *)sql.data);
    actions[command.verb](task_new(c, &command, compat));
}

static void
abandon(struct console *c)
{
    struct task *e = c->job;

    gift_abandon(app_of_hall(c->session->hall), c);
    if (e == NULL)
        return;
    c->job = NULL;
    e->console = NULL;
    if (!timer_is_started(&e->again))
        return; /* it is under way, and ends when it comes home */
    timer_stop(&e->hall->worker, &e->again);
    task_free(e);
}

static void
cancel(struct console *c)
{
    if (c->job != NULL)
        action_cancelled(c->job);
}

void
console_init(struct hall_console *c)
{
    *c = (struct hall_console){ .run = run, .abandon = abandon, .cancel = cancel };
}
