/* SPDX-License-Identifier: ISC */
/* Logging in to PostgreSQL: start-up packet, password in whatever form the
 * server asks for (manual, "Start-up" in the message flow), first settings. */
#include <string.h>

#include "auth/md5.h"
#include "base/mem.h"
#include "base/random.h"
#include "server/checker.h"
#include "server_private.h"
#include "wire/error.h"
#include "wire/message.h"
#include "wire/writer.h"

enum {
    AUTH_OK = 0,
    AUTH_PLAIN = 3,
    AUTH_MD5 = 5,
    AUTH_SASL = 10,
    AUTH_SASL_CONTINUE = 11,
    AUTH_SASL_FINAL = 12
};

/* PBKDF2 on a helper thread; outlives its server when that is closed first. */
struct derive {
    struct job job;
    struct server *server; /* NULL: nobody waits any more */
    struct credential *credential;
    uint8_t salt[64];
    unsigned salt_len;
    uint32_t iterations;
    struct scram_keys keys;
};

static void
put_pair(struct text *t, const char *name, struct slice value)
{
    wire_put_string(t, slice_str(name));
    wire_put_string(t, value);
}

void
login_start(struct server *s)
{
    const struct server_target *target = s->target;
    const struct params *startup = s->startup != NULL ? s->startup : target->startup;
    struct text t = { 0 };
    size_t start = wire_begin(&t, 0);

    wire_put_u32(&t, 3u << 16);
    put_pair(&t, "user", slice_str(target->user));
    put_pair(&t, "database", slice_str(target->database));
    if (s->replication)
        put_pair(&t, "replication", slice_str(s->login->replication));
    for (unsigned i = 0; i < startup->n; i++) {
        wire_put_string(&t, startup->at[i].name);
        wire_put_string(&t, startup->at[i].value);
    }
    wire_put_u8(&t, 0);
    wire_end(&t, start, 0);
    stream_put_copy(&s->stream, text_slice(&t));
    text_done(&t);
}

/* ---- passwords ---- */

static bool
refuse(struct server *s, const char *method)
{
    struct fault *why = &s->login->failed;

    fault_set(why, "28P01", "the server asks user \"%.63s\" for %s, which the known secret cannot answer",
              s->target->user, method);
    return fault_hint(why, "Give the user's password in auth_file, or its SCRAM secret and log in with SCRAM.");
}

static void
send_password(struct server *s, struct slice password)
{
    struct text t = { 0 };
    size_t start = wire_begin(&t, 'p');

    wire_put_string(&t, password);
    wire_end(&t, start, 'p');
    stream_put_copy(&s->stream, text_slice(&t));
    mem_wipe(t.data, t.len);
    text_done(&t);
}

static bool
answer_plain(struct server *s)
{
    if (credential_kind(s->target->credential) != SECRET_PLAIN)
        return refuse(s, "a plain password");
    send_password(s, credential_secret(s->target->credential));
    return true;
}

static bool
answer_md5(struct server *s, struct wire_cursor *c)
{
    struct slice salt = wire_get_bytes(c, 4), secret = credential_secret(s->target->credential);
    char hashed[MD5_SECRET_LEN + 1], answer[MD5_SECRET_LEN + 1];
    bool ok = true;

    if (c->bad)
        return fault_set(&s->login->failed, "08P01", "bad authentication request");
    if (credential_kind(s->target->credential) == SECRET_PLAIN)
        ok = md5_secret(secret, slice_str(s->target->user), hashed);
    else if (credential_kind(s->target->credential) == SECRET_MD5)
        memcpy(hashed, secret.data, MD5_SECRET_LEN);
    else
        return refuse(s, "an MD5 password");
    hashed[MD5_SECRET_LEN] = '\0';
    if (!ok || !md5_answer(hashed, salt.data, answer))
        return fault_set(&s->login->failed, "28000", "MD5 is not available in this OpenSSL");
    send_password(s, slice_of(answer, MD5_SECRET_LEN));
    return true;
}

/* ---- SCRAM ---- */

static bool
answer_sasl(struct server *s, struct wire_cursor *c)
{
    struct server_login *l = s->login;
    struct text first = { 0 }, t = { 0 };
    uint8_t nonce[18];
    bool offered = false;
    size_t start;

    for (struct slice m = wire_get_string(c); !c->bad && m.len > 0; m = wire_get_string(c))
        offered = offered || slice_is(m, "SCRAM-SHA-256");
    if (!offered)
        return fault_set(&l->failed, "28000", "the server offers no SASL mechanism that pgweir knows");
    if (credential_kind(s->target->credential) != SECRET_PLAIN &&
        credential_kind(s->target->credential) != SECRET_SCRAM)
        return refuse(s, "SCRAM");
    random_bytes(nonce, sizeof(nonce));
    scram_client_first(&l->scram, NULL, nonce, &first);
    l->scram_started = true;
    start = wire_begin(&t, 'p');
    wire_put_string(&t, SLICE("SCRAM-SHA-256"));
    wire_put_u32(&t, (uint32_t)first.len);
    text_add(&t, text_slice(&first));
    wire_end(&t, start, 'p');
    stream_put_copy(&s->stream, text_slice(&t));
    text_done(&first);
    text_done(&t);
    return true;
}

static void
send_proof(struct server *s, const struct scram_keys *keys)
{
    struct text final = { 0 }, t = { 0 };

    scram_client_set_keys(&s->login->scram, keys);
    scram_client_final(&s->login->scram, &final);
    wire_put_message(&t, 'p', text_slice(&final));
    stream_put_copy(&s->stream, text_slice(&t));
    text_done(&final);
    text_done(&t);
}

static void
run_derive(struct job *j)
{
    struct derive *d = container_of(j, struct derive, job);

    if (credential_keys(d->credential, d->salt, d->salt_len, d->iterations, &d->keys))
        return; /* another login of this role was first */
    scram_keys_derive(credential_secret(d->credential), d->salt, d->salt_len, d->iterations, &d->keys);
}

static void
on_derived(struct worker *w, struct mail *m)
{
    struct derive *d = container_of(m, struct derive, job.done);
    struct server *s = d->server;

    (void)w;
    if (!d->job.dropped)
        credential_remember(d->credential, d->salt, d->salt_len, d->iterations, &d->keys);
    if (s != NULL && d->job.dropped) {
        s->login->derive = NULL; /* its deadline, or the end of the process, closes it */
    } else if (s != NULL) {
        s->login->derive = NULL;
        send_proof(s, &d->keys);
        stream_flush(s->stream.turn);
    }
    credential_drop(d->credential);
    mem_wipe(d, sizeof(*d));
    mem_free(d);
}

static bool
derive_start(struct server *s)
{
    const struct scram_client *c = &s->login->scram;
    struct derive *d = mem_new(struct derive);

    d->job.run = run_derive;
    d->job.done.deliver = on_derived;
    d->job.from = s->stream.turn->worker;
    d->server = s;
    d->credential = credential_hold(s->target->credential);
    d->salt_len = c->salt_len;
    d->iterations = c->iterations;
    memcpy(d->salt, c->salt, c->salt_len);
    if (!helper_submit(s->target->helper, &d->job)) {
        credential_drop(d->credential);
        mem_free(d);
        return fault_set(&s->login->failed, "53400", "too many logins are being computed");
    }
    s->login->derive = d;
    return true;
}

static bool
answer_challenge(struct server *s, struct slice message)
{
    struct server_login *l = s->login;
    struct scram_keys keys;

    if (!l->scram_started || l->derive != NULL)
        return fault_set(&l->failed, "08P01", "unexpected SASL message");
    if (!scram_client_challenge(&l->scram, message, &l->failed))
        return false;
    if (credential_keys(s->target->credential, l->scram.salt, l->scram.salt_len, l->scram.iterations, &keys)) {
        send_proof(s, &keys);
        mem_wipe(&keys, sizeof(keys));
        return true;
    }
    if (credential_kind(s->target->credential) != SECRET_PLAIN)
        return refuse(s, "a SCRAM proof (with another salt, or before any client proved its password)");
    return derive_start(s);
}

static bool
check_final(struct server *s, struct slice message)
{
    struct server_login *l = s->login;

    if (!l->scram_started || !scram_client_verify(&l->scram, message, &l->failed))
        return false;
    l->sasl_verified = true;
    return true;
}

void
login_abandon(struct server *s)
{
    if (s->login->derive != NULL)
        s->login->derive->server = NULL;
}

/* ---- the conversation ---- */

static bool
on_auth(struct server *s, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    uint32_t code = wire_get_u32(&c);
    struct server_login *l = s->login;

    if (c.bad || l->authenticated)
        return fault_set(&l->failed, "08P01", "bad authentication request");
    switch (code) {
    case AUTH_OK:
        if (l->scram_started && !l->sasl_verified)
            return fault_set(&l->failed, "08P01", "the server skipped its part of SCRAM");
        l->authenticated = true;
        return true;
    case AUTH_PLAIN:
        return answer_plain(s);
    case AUTH_MD5:
        return answer_md5(s, &c);
    case AUTH_SASL:
        return answer_sasl(s, &c);
    case AUTH_SASL_CONTINUE:
        return answer_challenge(s, slice_of(c.at, wire_left(&c)));
    case AUTH_SASL_FINAL:
        return check_final(s, slice_of(c.at, wire_left(&c)));
    default:
        return fault_set(&l->failed, "28000",
                         "the server asks for authentication method %u, which pgweir lacks", code);
    }
}

static void
on_key(struct server *s, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);

    s->pid = wire_get_u32(&c);
    s->key = wire_get_u32(&c);
}

/* Who may not ask (42501) takes it as it is. */
static const char identity_sql[] =
    "SELECT pg_catalog.concat_ws(' ', s.system_identifier, me.recovers, CASE WHEN me.recovers"
    " THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END)"
    " FROM pg_catalog.pg_control_system() AS s, (SELECT pg_catalog.pg_is_in_recovery()) AS me(recovers)";

static enum server_state
ask_identity(struct server *s)
{
    struct text t = { 0 };

    s->login->checks = true;
    s->login->position = s->target->checker->position(s);
    wire_put_query(&t, slice_str(identity_sql));
    stream_put_copy(&s->stream, text_slice(&t));
    text_done(&t);
    return SERVER_LOGIN;
}

/* A row of one column. */
static bool
is_it(struct server *s, struct slice row)
{
    struct server_login *l = s->login;
    struct wire_cursor c = wire_cursor(row);
    struct slice said;

    wire_get_u16(&c);
    said = wire_get_bytes(&c, wire_get_u32(&c));
    if (c.bad)
        return fault_set(&l->failed, "08P01", "the server did not say who it is");
    return s->target->checker->is_it(s, l->position, said, &l->failed);
}

static enum server_state
on_identity(struct server *s, uint8_t type, struct slice body)
{
    struct wire_error e;

    if (type == 'D' && !is_it(s, body))
        return SERVER_GONE;
    if (type == 'E' && (!wire_error_read(body, &e) || !slice_is(e.sqlstate, "42501")))
        return SERVER_GONE;
    return SERVER_LOGIN;
}

static enum server_state
logged_in(struct server *s, struct slice body)
{
    struct slice query;

    if (!s->login->authenticated || body.len != 1 || body.data[0] != 'I') {
        fault_set(&s->login->failed, "08P01", "the server ended the login in a wrong way");
        return SERVER_GONE;
    }
    if (s->target->checker != NULL && !s->replication && !s->login->checks)
        return ask_identity(s);
    dial_done(s);
    if (s->target->connect_query[0] == '\0' || s->replication)
        return SERVER_IDLE;
    query = slice_str(s->target->connect_query);
    server_clean(s, &query, 1, s->target->connect_timeout_us);
    return SERVER_CLEAN;
}

enum server_state
login_message(struct server *s, uint8_t type, struct slice body)
{
    struct wire_error e;
    struct fault why;

    if (s->login->checks && (type == 'T' || type == 'D' || type == 'C' || type == 'E'))
        return on_identity(s, type, body);
    switch (type) {
    case 'R':
        return on_auth(s, body) ? SERVER_LOGIN : SERVER_GONE;
    case 'S':
        return server_report(s, body) ? SERVER_LOGIN : SERVER_GONE;
    case 'K':
        on_key(s, body);
        return SERVER_LOGIN;
    case 'N':
    case 'v':
        return SERVER_LOGIN;
    case 'Z':
        return logged_in(s, body);
    case 'E':
        wire_error_read(body, &e);
        wire_error_fault(&e, &why);
        if (dial_again(s, true))
            return SERVER_DIAL;
        s->login->failed = why;
        return SERVER_GONE;
    default:
        fault_set(&s->login->failed, "08P01", "the server sent an unexpected message in its login");
        return SERVER_GONE;
    }
}
