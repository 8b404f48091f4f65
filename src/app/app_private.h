/* SPDX-License-Identifier: ISC */
/* What the files of room app share: the process and its parts. Owned by the control
 * thread, but for what is atomic or never changes once the workers run. */
#ifndef APP_APP_PRIVATE_H
#define APP_APP_PRIVATE_H

#include "base/mem.h"
#include "drain_private.h"
#include "listen_private.h"
#include "options_private.h"
#include "server/zones.h"
#include "session/hall.h"
#include "session/lookup.h"
#include "session/session.h"
#include "setup_private.h"
#include "takeover_private.h"

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
    struct resolver resolver;
    struct zones *zones;
    struct helper *helper, *outside[HALL_N_OUTSIDE];
    struct lookups *lookups;
    struct watch *watch;
    struct topology *topology, *topology_visiting; /* the newest; the one on its way through the halls */
    struct visit topology_visit;
    struct mail *orders_now, *orders_next; /* of the console, answered when that round is over, or the next */
    struct catalog_job *catalogs;
    _Atomic int64_t last_write, last_change;
    _Atomic uint64_t next_id;
    _Atomic bool suspended;
    _Atomic uint64_t receiver; /* the console's client that was given our sockets while suspended; 0: none */
    struct options options;
    struct loaded loaded; /* what is published; control thread only */
    struct io signals;
    int signal_fd;
    struct listening listening;
    struct takeover takeover;
    int tell; /* the process that waits for us to be a daemon; -1: none */
    struct drain drain;
    struct timer stats_timer, watchdog_timer;
    struct visit stats_visit, watchdog_visit;
    struct pool_stats stats_then, stats_now;
    int64_t watchdog_us;
    bool joined;      /* the halls have ended, and take no mail any more */
    bool left_behind; /* a helper thread that may never end */
    enum exit_code exit_code;
};

static inline struct app *
app_of_control(struct worker *control)
{
    return container_of(control, struct app, control);
}

/* main.c: who the process is or becomes; "" for whoever started it. */
const char *app_user(const struct app *a);
/* Clients are served from now on: systemd is told, and whoever waits for a daemon. */
void app_tell_started(struct app *a);

/* build.c: from a loaded configuration to running halls, and back. */
/* The listening sockets become the halls', unless another process has them still. */
void app_build(struct app *a);
void app_run(struct app *a);
void app_done(struct app *a);
unsigned app_workers_wanted(const struct conf *c);

/* naming.c: how names of servers are looked up. */
void naming_open(struct app *a);      /* makes the registry too */
void naming_configure(struct app *a); /* at each reload */
void naming_end(struct app *a);       /* waits for what is being looked up */
void naming_done(struct app *a);      /* the registry too */

/* process.c */
void process_raise_limits(const struct conf_general *g);
bool process_change_user(const char *user, struct fault *why);
/* The child returns with a descriptor to tell the parent on; the parent does not return. */
bool process_daemonize(int *tell, struct fault *why);
void process_tell_ready(int tell);
/* REPLACE: the process in it is the one that we take over from. */
bool process_write_pidfile(const char *path, bool replace, struct fault *why);
void process_remove_pidfile(const char *path); /* unless another process stands in it */
void process_block_signals(void);

/* signals.c, notify.c, stats.c */
void signals_start(struct app *a);
void signals_stop(struct app *a);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_new_main(unsigned pid);
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
