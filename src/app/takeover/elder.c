/* SPDX-License-Identifier: ISC */
/* The new process's side of a take-over: knock, get the listening sockets, start, say so, take in what comes.
 * On the control thread; elder_find() before there is any other. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "app_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "listen_private.h"
#include "session/handover.h"
#include "takeover_private.h"
#include "topo/watch.h"
#include "wire/writer.h"

#define ANSWER_S 10
#define ID_GAP   (1u << 20) /* ids that the old process may still give */
#define A_DAY_US (86400 * CLOCK_S)

/* ---- before the start ---- */

/* Whoever listens there may tell us what to do: it must be the user that we are or become, or root. */
static bool
is_trusted(const struct app *a, int fd)
{
    const char *user = app_user(a);
    struct passwd *pw = user[0] == '\0' ? NULL : getpwnam(user);
    struct ucred c;
    socklen_t len = sizeof(c);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == 0 &&
           (c.uid == 0 || c.uid == geteuid() || (pw != NULL && c.uid == pw->pw_uid));
}

/* -1 with WHY; or without one when nobody is there. */
static int
knock(const struct app *a, struct fault *why)
{
    const struct conf_general *g = &a->loaded.setup.conf->general;
    struct net_address door;
    int fd;

    *why = (struct fault){ 0 };
    if (g->unix_socket_dir[0] == '\0' ||
        !net_address_door(&door, g->unix_socket_dir, (uint16_t)g->listen_port)) {
        fault_set(why, "F0000", "-R needs a unix_socket_dir: the process that runs is reached there");
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || connect(fd, &door.any, door.len) == -1) {
        if (errno != ENOENT && errno != ECONNREFUSED)
            fault_errno(why, "cannot reach the process that runs");
        if (fd != -1)
            close(fd);
        return -1;
    }
    if (is_trusted(a, fd))
        return fd;
    close(fd);
    fault_set(why, "28000", "another user's process listens on %s", door.local.sun_path);
    return -1;
}

static void
inherit_environment(const char *name, struct slice value)
{
    char *text = slice_dup(value);

    if (value.len > 0 && getenv(name) == NULL)
        setenv(name, text, 1);
    mem_free(text);
}

static void
on_welcome(struct app *a, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    struct slice socket, watchdog;

    wire_get_u16(&c);
    wire_get_u32(&c);
    a->takeover.next_id = (uint64_t)wire_get_u32(&c) << 32;
    a->takeover.next_id |= wire_get_u32(&c);
    a->takeover.next_id += ID_GAP;
    socket = wire_get_string(&c);
    watchdog = wire_get_string(&c);
    inherit_environment("NOTIFY_SOCKET", socket);
    inherit_environment("WATCHDOG_USEC", watchdog);
}

/* True: there is more to come. False: WHY is set, or that was all. */
static bool
on_offer(struct app *a, const struct passage_frame *f, struct inherited *got, struct fault *why)
{
    switch (f->type) {
    case LINK_NO:
        return fault_set(why, "57P03", "the process that runs refused: %.*s",
                         f->body.len > 200 ? 200 : (int)f->body.len, (const char *)f->body.data);
    case LINK_WELCOME:
        on_welcome(a, f->body);
        return true;
    case LINK_LISTENER:
        if (f->fd != -1)
            inherited_add(got, f->fd, f->body.len > 0 && (f->body.data[0] & LISTENER_ACTIVATED) != 0);
        return true;
    case LINK_DOOR:
        got->door = f->fd;
        return true;
    default:
        if (f->fd != -1)
            close(f->fd);
        return f->type != LINK_OFFERED;
    }
}

bool
elder_find(struct app *a, struct inherited *got, struct fault *why)
{
    int fd = knock(a, why);
    struct passage_frame f;
    struct text hello = { 0 };
    struct passage *p;

    if (fd == -1)
        return why->sqlstate[0] == '\0';
    p = passage_new(fd, a);
    wire_put_u16(&hello, LINK_VERSION);
    passage_put(p, LINK_HELLO, text_slice(&hello), -1);
    text_done(&hello);
    while (passage_wait(p, ANSWER_S, &f, why) && on_offer(a, &f, got, why))
        ;
    if (why->sqlstate[0] != '\0') {
        passage_free(p);
        return false;
    }
    a->takeover.elder = p;
    return true;
}

/* ---- in service ---- */

static void
listen_all(struct worker *w, struct visit *v)
{
    struct app *a = container_of(v, struct tour, visit)->app;

    listening_give(&a->listening, hall_of(w));
}

static void
in_service(struct tour *t)
{
    struct app *a = t->app;
    struct fault why;

    a->listening.ours = true;
    if (!process_write_pidfile(a->loaded.setup.conf->general.pidfile, true, &why))
        log_error("%s", why.message);
    log_info("took over from the process that ran");
    takeover_open_door(a);
    app_tell_started(a);
}

/* While the old process works, writes are acknowledged that we know nothing of: none is old enough. */
static void
writes_go_on(struct app *a, bool on)
{
    atomic_store(&a->last_write, clock_now_us() + (on ? A_DAY_US : 0));
}

static void
begin(struct app *a)
{
    if (a->takeover.begun)
        return;
    a->takeover.begun = true;
    writes_go_on(a, true);
    watch_set_elects(a->watch, true);
    takeover_tour(a, listen_all, in_service);
}

/* ---- sessions ---- */

static void
answer(struct worker *w, struct mail *m)
{
    struct parcel *p = container_of(m, struct parcel, mail);
    struct app *a = app_of_control(w);
    struct text t = { 0 };

    if (a->takeover.elder != NULL) {
        takeover_put_id(&t, p->hall, p->id);
        wire_put_u32(&t, p->new_hall);
        passage_put(a->takeover.elder, p->taken ? LINK_TAKEN : LINK_REFUSED, text_slice(&t), -1);
        text_done(&t);
    }
    parcel_free(p);
}

static void
take_in(struct worker *w, struct mail *m)
{
    hall_take_in(hall_of(w), container_of(m, struct parcel, mail));
}

static void
wake(struct worker *w, struct mail *m)
{
    struct parcel *p = container_of(m, struct parcel, mail);

    hall_wake(hall_of(w), p->id, text_slice(&p->image));
    parcel_free(p);
}

/* FD is taken over. *HALL is what BODY begins with; NULL: it is too short. */
static struct parcel *
read_parcel(struct slice body, int fd, unsigned *hall)
{
    struct wire_cursor c = wire_cursor(body);
    struct parcel *p = mem_new(struct parcel);

    p->fd = fd;
    *hall = wire_get_u32(&c);
    p->id = (uint64_t)wire_get_u32(&c) << 32;
    p->id |= wire_get_u32(&c);
    if (c.bad) {
        parcel_free(p);
        return NULL;
    }
    text_add(&p->image, wire_get_bytes(&c, wire_left(&c)));
    return p;
}

static void
on_session(struct app *a, struct slice body, int fd)
{
    unsigned hall;
    struct parcel *p = read_parcel(body, fd, &hall);

    if (p == NULL || fd == -1) {
        parcel_free(p);
        return;
    }
    p->hall = hall;
    p->bring = answer;
    p->mail.deliver = take_in;
    mail_post(a->workers[a->takeover.next_hall++ % a->n_halls], &p->mail);
}

static void
on_go(struct app *a, struct slice body)
{
    unsigned hall;
    struct parcel *p = read_parcel(body, -1, &hall);

    if (p == NULL || hall >= a->n_halls) {
        parcel_free(p);
        return;
    }
    p->mail.deliver = wake;
    mail_post(a->workers[hall], &p->mail);
}

static void
on_frame(struct passage *p, const struct passage_frame *f)
{
    struct app *a = passage_owner(p);

    if (f->type == LINK_SESSION) {
        on_session(a, f->body, f->fd);
        return;
    }
    if (f->fd != -1)
        close(f->fd);
    if (f->type == LINK_YOURS)
        begin(a);
    else if (f->type == LINK_GO)
        on_go(a, f->body);
    else if (f->type == LINK_CANCEL)
        takeover_cancel(a, f->body);
}

static void
drop_sleeping(struct worker *w, struct visit *v)
{
    (void)v;
    hall_drop_sleeping(hall_of(w));
}

/* It has ended; when that was before it said so, its sockets are ours all the same. */
static void
on_gone(struct passage *p)
{
    struct app *a = passage_owner(p);

    passage_free(p);
    a->takeover.elder = NULL;
    begin(a);
    writes_go_on(a, false);
    log_info("the process that we took over from is gone");
    takeover_tour(a, drop_sleeping, NULL);
}

void
elder_start(struct app *a)
{
    static const struct passage_events events = { on_frame, on_gone };
    struct text t = { 0 };

    watch_set_elects(a->watch, false);
    wire_put_u32(&t, (uint32_t)getpid());
    wire_put_u16(&t, HANDOVER_FORMAT);
    passage_start(a->takeover.elder, &a->control, &events);
    passage_put(a->takeover.elder, LINK_READY, text_slice(&t), -1);
    text_done(&t);
}
