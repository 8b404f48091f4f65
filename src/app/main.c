/* SPDX-License-Identifier: ISC */
/* From the command line to the running process, and its exit code. */
#include <stdio.h>
#include <unistd.h>

#include "app_private.h"
#include "base/log.h"
#include "log_private.h"

/* Log WHY and say how to exit. */
static int
fail(const struct fault *why, enum exit_code code)
{
    log_fatal("%s%s%s", why->message, why->hint[0] != '\0' ? "; " : "", why->hint);
    return (int)code;
}

static const char *
user_of(const struct app *a)
{
    return a->options.user != NULL ? a->options.user : a->loaded.setup.conf->general.user;
}

/* Everything that may fail and is visible from outside, in the order in which root's rights are needed. */
static int
prepare(struct app *a, struct listening *l, int *tell)
{
    const struct conf_general *g = &a->loaded.setup.conf->general;
    struct fault why;
    int log;

    if (a->options.daemon && (g->pidfile[0] == '\0' || g->logfile[0] == '\0')) {
        fault_set(&why, "F0000", "-d needs the options pidfile and logfile");
        return fail(&why, EXIT_USAGE);
    }
    process_raise_limits(g);
    if (!listening_open(l, g, app_workers_wanted(a->loaded.setup.conf), &why) ||
        !process_change_user(user_of(a), &why) || !applog_open(g, &log, &why))
        return fail(&why, EXIT_RUNTIME);
    applog_use(g, log);
    if ((a->options.daemon && !process_daemonize(tell, &why)) || !process_write_pidfile(g->pidfile, &why))
        return fail(&why, EXIT_RUNTIME);
    return EXIT_ENDED;
}

static void
close_all(const struct listening *l, unsigned n_workers)
{
    for (unsigned i = 0; l->fds != NULL && i < n_workers * l->n_each; i++)
        if (l->fds[i] != -1)
            close(l->fds[i]);
}

static int
serve(struct app *a)
{
    struct listening l = { 0 };
    unsigned n_workers = app_workers_wanted(a->loaded.setup.conf);
    char *pidfile = mem_strdup(a->loaded.setup.conf->general.pidfile);
    int tell = -1, code = prepare(a, &l, &tell);

    if (code == EXIT_ENDED) {
        app_build(a, &l);
        if (tell != -1) {
            applog_set_stderr(false);
            process_tell_ready(tell);
        }
        app_run(a);
        app_done(a);
        code = (int)a->exit_code;
        if (pidfile[0] != '\0')
            unlink(pidfile);
    } else {
        close_all(&l, n_workers);
    }
    listening_done(&l);
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
        code = load_and_serve(a);
        mem_free(a);
    }
    applog_end();
    return code;
}
