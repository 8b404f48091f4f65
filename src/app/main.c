/* SPDX-License-Identifier: ISC */
/* From the command line to the running process, and its exit code. */
#include <stdio.h>
#include <unistd.h>

#include "app_private.h"
#include "base/log.h"
#include "log_private.h"

const char *
app_user(const struct app *a)
{
    return a->options.user != NULL ? a->options.user : a->loaded.setup.conf->general.user;
}

/* Log WHY and say how to exit. */
static int
fail(const struct fault *why, enum exit_code code)
{
    log_fatal("%s%s%s", why->message, why->hint[0] != '\0' ? "; " : "", why->hint);
    return (int)code;
}

/* Sockets, in the order in which root's rights are needed. */
static bool
open_sockets(struct app *a, const struct conf_general *g, struct inherited *from, struct fault *why)
{
    struct listening *l = &a->listening;

    if (!inherited_activate(from, why) || (a->options.reboot && !elder_find(a, from, why)))
        return false;
    l->ours = a->takeover.elder == NULL;
    l->door = from->door;
    from->door = -1;
    return listening_open(l, g, app_workers_wanted(a->loaded.setup.conf), from, why) &&
           listening_open_door(l, g, app_user(a), why);
}

/* PgBouncer goes to the background without a file for the log, too: it may have syslog. */
static bool
may_be_daemon(const struct conf_general *g, struct fault *why)
{
    bool needs_log = g->compat != CONF_COMPAT_PGBOUNCER;

    if (g->pidfile[0] != '\0' && (g->logfile[0] != '\0' || !needs_log))
        return true;
    return fault_set(why, "F0000", "-d needs the option%s", needs_log ? "s pidfile and logfile" : " pidfile");
}

/* Everything that may fail and is visible from outside. */
static int
prepare(struct app *a)
{
    const struct conf_general *g = &a->loaded.setup.conf->general;
    struct inherited from = { .door = -1 };
    struct fault why;
    bool ok;
    int log;

    if (a->options.daemon && !may_be_daemon(g, &why))
        return fail(&why, EXIT_USAGE);
    process_raise_limits(g);
    ok = open_sockets(a, g, &from, &why);
    inherited_done(&from);
    if (!ok || !process_change_user(app_user(a), &why) || !applog_open(g, &log, &why))
        return fail(&why, EXIT_RUNTIME);
    applog_use(g, log);
    if ((a->options.daemon && !process_daemonize(&a->tell, &why)) ||
        (a->takeover.elder == NULL && !process_write_pidfile(g->pidfile, false, &why)))
        return fail(&why, EXIT_RUNTIME);
    return EXIT_ENDED;
}

void
app_tell_started(struct app *a)
{
    notify_ready();
    if (a->tell == -1)
        return;
    applog_set_stderr(false);
    process_tell_ready(a->tell);
    a->tell = -1;
}

static int
serve(struct app *a)
{
    char *pidfile = mem_strdup(a->loaded.setup.conf->general.pidfile);
    int code = prepare(a);

    if (code == EXIT_ENDED) {
        app_build(a);
        app_run(a);
        app_done(a);
        code = (int)a->exit_code;
        process_remove_pidfile(pidfile);
    } else {
        passage_free(a->takeover.elder);
    }
    listening_done(&a->listening);
    mem_free(pidfile);
    return code;
}

static int
load_and_serve(struct app *a)
{
    struct fault why;
    struct conf *conf = conf_load(a->options.file, &why);
    int code;

    if (conf == NULL || !loaded_make(&a->loaded, conf, NULL, LOAD_ALL, &why))
        return fail(&why, EXIT_USAGE);
    code = serve(a);
    loaded_done(&a->loaded);
    return code;
}

int
main(int argc, char **argv)
{
    struct app *a;
    struct options o;
    bool left_behind = false;
    int code = options_read(&o, argc, argv);

    if (code != -1)
        return code;
    process_block_signals();
    applog_start(!o.quiet || o.check, o.verbose);
    if (o.check || o.dump) {
        code = check_file(&o);
    } else {
        a = mem_new(struct app);
        a->options = o;
        a->listening.door = a->tell = -1;
        code = load_and_serve(a);
        left_behind = a->left_behind;
        mem_free(a);
    }
    if (left_behind) /* that thread still uses libraries, which exit() would end under it */
        _exit(code);
    applog_end();
    return code;
}
