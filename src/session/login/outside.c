/* SPDX-License-Identifier: ISC */
/* What only others know while a client logs in, and may take long to say: PAM, LDAP, the name of a host, that
 * of a system user. Each kind has threads and a queue of its own, so that one that hangs holds up nobody else;
 * a full queue refuses at once, and an entry whose client is gone or late is passed over. */
#include <pwd.h>
#include <stdatomic.h>

#include "auth/outside.h"
#include "base/clock.h"
#include "base/log.h"
#include "login_private.h"

#define HOST_MAX    256
#define PATIENCE_US (60 * CLOCK_S) /* without client_login_timeout */

struct outsider {
    struct job job;
    struct session *session; /* NULL: nobody waits any more */
    _Atomic bool forgotten;
    enum hall_outside kind;
    int64_t due_us;
    struct hba *hba; /* held: OPTIONS are its own */
    const struct hba_options *options;
    char *user, *password;
    const char *service;
    char from[HOST_MAX];
    struct net_address address;
    uid_t uid;
    /* the answer */
    bool right;
    struct fault why;
    char name[HOST_MAX]; /* of the host, or the system user; empty: none */
};

/* ---- on a helper thread ---- */

static void
run_password(struct outsider *o)
{
    const struct outside_who who = { o->user, o->password, o->from, o->due_us - clock_now_us() };

    if (o->kind == HALL_PAM)
        o->right = outside_ask_pam(o->service, &who, &o->why);
    else
        o->right = outside_ask_ldap(&o->options->ldap, &who, &o->why);
}

static void
find_user(struct outsider *o)
{
    char buf[4096];
    struct passwd pw, *found = NULL;

    if (getpwuid_r(o->uid, &pw, buf, sizeof(buf), &found) == 0 && found != NULL &&
        strlen(found->pw_name) < sizeof(o->name))
        strcpy(o->name, found->pw_name);
}

static void
run(struct job *j)
{
    struct outsider *o = container_of(j, struct outsider, job);

    if (atomic_load(&o->forgotten) || clock_now_us() >= o->due_us)
        fault_set(&o->why, "57014", "it was too late to ask");
    else if (o->kind == HALL_NAMES)
        net_address_name(&o->address, o->name, sizeof(o->name));
    else if (o->kind == HALL_USERS)
        find_user(o);
    else
        run_password(o);
}

/* ---- on the session's thread ---- */

static void
outsider_free(struct outsider *o)
{
    hba_drop(o->hba);
    if (o->password != NULL)
        mem_wipe(o->password, strlen(o->password));
    mem_free(o->password);
    mem_free(o->user);
    mem_free(o);
}

static void
lose(struct job *j)
{
    outsider_free(container_of(j, struct outsider, job));
}

/* A password that others approve of is the one for the server too, unless auth_file has that. */
static void
on_password(struct session *s, struct outsider *o)
{
    struct fault why;

    if (o->right) {
        if (s->login->secret == NULL)
            s->login->secret = mem_strdup(o->password);
        login_accept(s);
        return;
    }
    log_info("client=c%llu login refused: %s", (unsigned long long)s->id, o->why.message);
    fault_set(&why, strcmp(o->why.sqlstate, "28P01") == 0 ? "28P01" : "28000",
              "%s authentication failed for user \"%.63s\"", o->kind == HALL_PAM ? "PAM" : "LDAP", s->user);
    session_close(s, &why);
}

static void
on_done(struct worker *w, struct mail *m)
{
    struct outsider *o = container_of(m, struct outsider, job.done);
    struct session *s = o->session;

    if (s != NULL) {
        s->login->outside = NULL;
        if (o->job.dropped) {
            session_close(s, NULL);
        } else if (o->kind == HALL_NAMES) {
            s->login->host = mem_strdup(o->name);
            login_go_on(s);
        } else if (o->kind == HALL_USERS) {
            s->login->system_user = mem_strdup(o->name);
            login_go_on(s);
        } else {
            on_password(s, o);
        }
        stream_again(&s->client);
        stream_flush(&hall_of(w)->turn);
    }
    outsider_free(o);
}

static struct outsider *
outsider_new(struct session *s, enum hall_outside kind)
{
    const struct conf_general *g = &s->hall->setup.conf->general;
    struct outsider *o = mem_new(struct outsider);

    o->session = s;
    o->kind = kind;
    o->hba = hba_hold(s->login->hba);
    o->options = s->login->options;
    o->due_us = clock_now_us() + (g->client_login_timeout > 0 ? g->client_login_timeout : PATIENCE_US);
    o->user = mem_strdup(s->user);
    strcpy(o->from, "[local]");
    net_address_peer(&o->address, s->client.fd);
    if (!s->is_unix)
        net_address_host(&o->address, o->from);
    o->job.run = run;
    o->job.lose = lose;
    o->job.from = &s->hall->worker;
    o->job.done.deliver = on_done;
    return o;
}

static void
submit(struct session *s, struct outsider *o)
{
    static const char *const names[] = { [HALL_PAM] = "PAM",
                                         [HALL_LDAP] = "LDAP",
                                         [HALL_NAMES] = "the name of their host",
                                         [HALL_USERS] = "the name of their system user" };
    struct fault why;

    if (helper_submit(s->hall->outside[o->kind], &o->job)) {
        s->login->outside = o;
        return;
    }
    fault_set(&why, "53400", "too many logins wait for %s", names[o->kind]);
    fault_hint(&why, "Try again later.");
    outsider_free(o);
    session_close(s, &why);
}

void
outside_ask(struct session *s, struct slice password)
{
    bool compat = s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER;
    struct outsider *o = outsider_new(s, s->login->method == HBA_PAM ? HALL_PAM : HALL_LDAP);

    o->password = slice_dup(password);
    if (o->options->pam_use_hostname && s->login->host != NULL && s->login->host[0] != '\0')
        strcpy(o->from, s->login->host);
    o->service = o->options->pam_service != NULL ? o->options->pam_service : compat ? "pgbouncer" : "pgweir";
    submit(s, o);
}

void
host_ask(struct session *s)
{
    submit(s, outsider_new(s, HALL_NAMES));
}

void
system_user_ask(struct session *s)
{
    struct outsider *o = outsider_new(s, HALL_USERS);

    if (!method_peer_uid(s, &o->uid))
        o->uid = (uid_t)-1; /* of nobody */
    submit(s, o);
}

void
outside_forget(struct outsider *o)
{
    o->session = NULL;
    atomic_store(&o->forgotten, true);
}
