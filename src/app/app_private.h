/* SPDX-License-Identifier: ISC */
/* What the files of room app share: the process and its parts. Owned by the control
 * thread, but for what is atomic or never changes once the workers run. */
#ifndef APP_APP_PRIVATE_H
#define APP_APP_PRIVATE_H

#include "base/mem.h"
#include "drain_private.h"
#include "options_private.h"
#include "session/hall.h"
#include "session/lookup.h"
#include "session/session.h"
#include "setup_private.h"

#define APP_VERSION    "0.1.0"
#define APP_POOLS_LIKE "1.25.2" /* the PgBouncer whose console we speak */

enum exit_code { EXIT_ENDED, EXIT_RUNTIME, EXIT_USAGE, EXIT_BAD_NODE, EXIT_CLIENTS_LEFT };

struct app {
    struct worker control; /* first: the control worker is the app */
    struct hall_console console;
    struct hall *halls;
    struct worker **workers; /* the halls', for visits */
    unsigned n_halls;
    struct registry *registry;
    struct helper *helper, *outside[HALL_N_OUTSIDE];
    struct lookups *lookups;
    struct watch *watch;
    struct topology *topology, *topology_visiting; /* the newest; the one on its way through the halls */
    struct visit topology_visit;
    struct catalog_job *catalogs;
    _Atomic int64_t last_write;
    _Atomic uint64_t next_id;
    _Atomic bool suspended;
    struct options options;
    struct loaded loaded; /* what is published; control thread only */
    struct io signals;
    int signal_fd;
    struct drain drain;
    struct timer stats_timer, watchdog_timer;
    struct visit stats_visit, watchdog_visit;
    struct pool_stats stats_then, stats_now;
    int64_t watchdog_us;
    bool joined; /* the halls have ended, and take no mail any more */
    enum exit_code exit_code;
};

static inline struct app *
app_of_control(struct worker *control)
{
    return container_of(control, struct app, control);
}

/* listen.c: bound sockets, those of worker I from I * n_each on; worker 0 has the Unix socket as the last. */
struct listening {
    int *fds; /* -1: none */
    unsigned n_each;
    char unix_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": none to remove */
};
bool listening_open(struct listening *l, const struct conf_general *g, unsigned n_workers, struct fault *why);
/* Removes the Unix socket; the descriptors are not ours any more. */
void listening_done(struct listening *l);

/* build.c: from a loaded configuration to running halls, and back. */
/* L's descriptors become the halls'. */
void app_build(struct app *a, const struct listening *l);
void app_run(struct app *a);
void app_done(struct app *a);
unsigned app_workers_wanted(const struct conf *c);

/* process.c */
void process_raise_limits(const struct conf_general *g);
bool process_change_user(const char *user, struct fault *why);
/* The child returns with a descriptor to tell the parent on; the parent does not return. */
bool process_daemonize(int *tell, struct fault *why);
void process_tell_ready(int tell);
bool process_write_pidfile(const char *path, struct fault *why);
void process_block_signals(void);

/* signals.c, notify.c, stats.c */
void signals_start(struct app *a);
void signals_stop(struct app *a);
void notify_say(const char *what);
void watchdog_start(struct app *a);
void stats_start(struct app *a);

/* reload.c: on the control thread. */
struct task;
/* Load everything again and publish it. False with WHY: nothing changed. ERRAND (may be NULL) goes home when
 * every hall has it. */
bool reload_files(struct app *a, struct task *e, struct fault *why);
bool reload_set(struct app *a, struct slice key, struct slice value, struct task *e, struct fault *why);

/* check.c */
int check_file(const struct options *o);

#endif
