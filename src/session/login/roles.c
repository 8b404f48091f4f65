/* SPDX-License-Identifier: ISC */
/* Which roles a user is a member of, for +role and samerole in hba: asked of PostgreSQL as auth_query is, and
 * kept for a while. */
#include "base/clock.h"
#include "login_private.h"

#define KNOWN     256 /* a power of two */
#define FRESH_US  (10 * CLOCK_S)
#define MAX_ROLES 65536 /* bytes */

/* Members by grant, as PostgreSQL's hba has it: a superuser is a member of nothing else. */
static const char question[] =
    "WITH RECURSIVE r(oid) AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1 UNION "
    "SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN r ON m.member = r.oid) "
    "SELECT $1::pg_catalog.text, "
    "pg_catalog.string_agg(pg_catalog.concat(pg_catalog.octet_length(p.rolname::pg_catalog.text), "
    "':', p.rolname), '') FROM r JOIN pg_catalog.pg_roles p USING (oid)";

struct known_roles {
    char *database, *user, *roles;
    int64_t until_us;
};

static void
forget(struct known_roles *k)
{
    mem_free(k->database);
    mem_free(k->user);
    mem_free(k->roles);
    *k = (struct known_roles){ 0 };
}

void
roles_forget(struct hall *h)
{
    for (size_t i = 0; h->roles != NULL && i < KNOWN; i++)
        forget(&h->roles[i]);
    mem_free(h->roles);
    h->roles = NULL;
}

static struct known_roles *
place_of(const struct session *s)
{
    uint32_t h = 2166136261u;

    if (s->hall->roles == NULL)
        s->hall->roles = mem_zalloc(KNOWN * sizeof(*s->hall->roles));
    for (const char *c = s->user; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 16777619u;
    for (const char *c = s->database; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 16777619u;
    return &s->hall->roles[(h ^ h >> 15) & (KNOWN - 1)];
}

static bool
is_known(const struct session *s, const struct known_roles *k)
{
    return k->user != NULL && strcmp(k->user, s->user) == 0 && strcmp(k->database, s->database) == 0 &&
           session_now(s) < k->until_us;
}

static void
on_roles(struct session *s, struct lookup_ask *a)
{
    struct known_roles *k = place_of(s);

    if (!a->ok || strlen(a->secret) > MAX_ROLES) {
        login_look_up_failed(s, a);
        return;
    }
    forget(k);
    *k = (struct known_roles){ mem_strdup(s->database), mem_strdup(s->user), mem_strdup(a->secret),
                               session_now(s) + FRESH_US };
    s->login->roles = mem_strdup(a->secret);
    login_go_on(s);
}

void
roles_ask(struct session *s)
{
    const struct known_roles *k = place_of(s);
    struct fault why;

    if (is_known(s, k)) {
        s->login->roles = mem_strdup(k->roles);
        login_go_on(s);
        return;
    }
    if (login_ask_server(s, question, on_roles) || s->state == SESSION_GONE)
        return;
    /* a rule that cannot be judged must not be passed over: it may say reject */
    fault_set(&why, "28000", "the roles of user \"%.63s\" cannot be looked up for pg_hba.conf", s->user);
    fault_hint(&why, "Set auth_user (for the console auth_dbname too).");
    session_close(s, &why);
}
