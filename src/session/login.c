/* SPDX-License-Identifier: ISC */
/* Who the client is: method by auth_type or hba, secret from the user list or
 * auth_query, proof by trust, password, MD5 or SCRAM. Unknown users and wrong
 * passwords see the same messages; work that takes milliseconds is done by a helper thread. */
#include <inttypes.h>
#include <pwd.h>
#include <unistd.h>

#include "auth/md5.h"
#include "base/log.h"
#include "login_private.h"

#define PASSWORD_MAX 2048 /* bytes of a password message before anybody is known */
#define MOCK_ROUNDS  4096

void
login_refuse(struct session *s)
{
    struct fault why;

    fault_set(&why, "28P01", "password authentication failed for user \"%.63s\"", s->user);
    session_close(s, &why);
}

/* ---- proofs ---- */

static void
send_auth(struct session *s, uint32_t code, struct slice rest)
{
    struct text *t = session_scratch(s);

    wire_put_auth(t, code, rest);
    session_send(s, t);
}

static void
accepted(struct session *s)
{
    struct login *l = s->login;

    s->credential = registry_credential(s->hall->registry, slice_str(s->user),
                                        l->secret == NULL ? SLICE("") : slice_str(l->secret));
    if (l->scram != NULL && l->scram->step > 0)
        credential_learn(s->credential, l->scram->client_key);
    welcome_start(s);
}

static void
ask_scram(struct session *s)
{
    s->login->method = HBA_SCRAM;
    send_auth(s, 10, SLICE("SCRAM-SHA-256\0\0"));
}

/* A plain password's SCRAM secret is derived once, with the salt that anybody would see for this name. */
static void
run_derive(struct job *j)
{
    struct derive *d = container_of(j, struct derive, job);

    if (credential_scram(d->credential, &d->secret))
        return; /* another client of this user was first */
    scram_secret_derive(slice_str(d->password), slice_of(d->secret.salt, d->secret.salt_len),
                        d->secret.iterations, &d->secret);
    credential_set_scram(d->credential, &d->secret);
}

static void
derive_free(struct derive *d)
{
    credential_drop(d->credential);
    mem_wipe(d->password, strlen(d->password));
    mem_free(d->password);
    mem_wipe(d, sizeof(*d));
    mem_free(d);
}

static void
on_derived(struct worker *w, struct mail *m)
{
    struct derive *d = container_of(m, struct derive, job.done);
    struct session *s = d->session;

    (void)w;
    if (s != NULL && d->job.dropped) {
        s->login->derive = NULL;
        session_close(s, NULL);
    } else if (s != NULL) {
        s->login->derive = NULL;
        s->login->scram->secret = d->secret;
        ask_scram(s);
        stream_flush(s->client.turn);
    }
    derive_free(d);
}

static void
derive(struct session *s, struct credential *c)
{
    struct derive *d = mem_new(struct derive);
    struct fault why;

    d->session = s;
    d->credential = credential_hold(c);
    d->password = mem_strdup(s->login->secret);
    d->secret = s->login->scram->secret;
    d->job.run = run_derive;
    d->job.from = &s->hall->worker;
    d->job.done.deliver = on_derived;
    if (helper_submit(s->hall->helper, &d->job)) {
        s->login->derive = d;
        return;
    }
    derive_free(d);
    fault_set(&why, "53400", "too many logins are being computed");
    session_close(s, &why);
}

static void
start_scram(struct session *s)
{
    struct login *l = s->login;
    struct slice secret = slice_str(l->secret);
    enum secret_kind kind = l->secret == NULL ? SECRET_NONE : secret_kind(secret);
    struct credential *c;

    l->scram = mem_new(struct scram_server);
    scram_secret_mock(s->hall->mock_key, slice_str(s->user), &l->scram->secret);
    l->scram->doomed = kind != SECRET_PLAIN && kind != SECRET_SCRAM;
    if (l->scram->doomed) {
        ask_scram(s);
        return;
    }
    c = registry_credential(s->hall->registry, slice_str(s->user), secret);
    if (credential_scram(c, &l->scram->secret))
        ask_scram(s);
    else
        derive(s, c);
    credential_drop(c);
}

static void
start_md5(struct session *s)
{
    struct login *l = s->login;

    l->method = HBA_MD5;
    hall_random(s->hall, l->salt, sizeof(l->salt));
    send_auth(s, 5, slice_of(l->salt, sizeof(l->salt)));
}

static void
start_method(struct session *s, enum hba_method method)
{
    struct login *l = s->login;
    enum secret_kind kind = l->secret == NULL ? SECRET_NONE : secret_kind(slice_str(l->secret));

    l->method = method;
    switch (method) {
    case HBA_TRUST:
        accepted(s);
        break;
    case HBA_PASSWORD:
        send_auth(s, 3, SLICE(""));
        break;
    case HBA_MD5:
        if (kind == SECRET_SCRAM)
            start_scram(s);
        else
            start_md5(s);
        break;
    case HBA_SCRAM:
        start_scram(s);
        break;
    default:
        login_refuse(s);
    }
}

/* ---- answers ---- */

static bool
plain_is_right(struct session *s, struct slice password)
{
    struct login *l = s->login;
    struct slice secret = slice_str(l->secret);
    char hashed[MD5_SECRET_LEN + 1];
    struct scram_secret want, got;

    switch (l->secret == NULL ? SECRET_NONE : secret_kind(secret)) {
    case SECRET_PLAIN:
        return md5_same(secret, password);
    case SECRET_MD5:
        return md5_secret(password, slice_str(s->user), hashed) && md5_same(secret, slice_str(hashed));
    case SECRET_SCRAM: /* a few milliseconds, for clients that send plain passwords only */
        if (!scram_secret_parse(secret, &want))
            return false;
        scram_secret_derive(password, slice_of(want.salt, want.salt_len), want.iterations, &got);
        return md5_same(slice_of(want.stored_key, SCRAM_KEY_LEN), slice_of(got.stored_key, SCRAM_KEY_LEN));
    default:
        return false;
    }
}

static bool
md5_is_right(struct session *s, struct slice answer)
{
    struct login *l = s->login;
    struct slice secret = slice_str(l->secret);
    char hashed[MD5_SECRET_LEN + 1] = "", want[MD5_SECRET_LEN + 1];
    enum secret_kind kind = l->secret == NULL ? SECRET_NONE : secret_kind(secret);

    if (kind == SECRET_PLAIN && !md5_secret(secret, slice_str(s->user), hashed))
        return false;
    if (kind == SECRET_MD5)
        memcpy(hashed, secret.data, MD5_SECRET_LEN);
    return hashed[0] != '\0' && md5_answer(hashed, l->salt, want) && md5_same(slice_str(want), answer);
}

static void
on_password(struct session *s, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    struct slice password = wire_get_string(&c);
    bool right;

    if (c.bad || wire_left(&c) != 0) {
        session_protocol_error(s, "invalid password packet size");
        return;
    }
    right = s->login->method == HBA_MD5 ? md5_is_right(s, password) : plain_is_right(s, password);
    if (right)
        accepted(s);
    else
        login_refuse(s);
}

static bool
first_message(struct session *s, struct slice body, struct text *out, struct fault *why)
{
    struct wire_cursor c = wire_cursor(body);
    struct slice mechanism = wire_get_string(&c), initial;
    uint8_t nonce[18];

    initial = wire_get_bytes(&c, wire_get_u32(&c));
    if (c.bad || wire_left(&c) != 0 || !slice_is(mechanism, "SCRAM-SHA-256"))
        return fault_set(why, "08P01", "client selected an invalid SASL authentication mechanism");
    hall_random(s->hall, nonce, sizeof(nonce));
    return scram_server_first(s->login->scram, initial, nonce, out, why);
}

static void
on_sasl(struct session *s, struct slice body)
{
    struct login *l = s->login;
    struct text out = { 0 };
    struct fault why;
    bool first = !l->sasl_started;

    l->sasl_started = true;
    if (!(first ? first_message(s, body, &out, &why) : scram_server_final(l->scram, body, &out, &why))) {
        if (strcmp(why.sqlstate, "28P01") == 0)
            login_refuse(s);
        else
            session_close(s, &why);
    } else if (first) {
        send_auth(s, 11, text_slice(&out));
    } else {
        send_auth(s, 12, text_slice(&out));
        accepted(s);
    }
    text_done(&out);
}

size_t
login_bytes(struct session *s, struct slice bytes)
{
    struct wire_frame f;
    struct slice body;
    enum wire_answer a = wire_frame_read(bytes.data, bytes.len, PASSWORD_MAX, &f);

    if (a == WIRE_BAD || (a == WIRE_MESSAGE && f.type != 'p')) {
        session_protocol_error(s, "expected password response");
        return bytes.len;
    }
    if (a == WIRE_MORE || bytes.len < f.len || s->login->derive != NULL || s->login->ask != NULL)
        return 0;
    body = slice_of(bytes.data + WIRE_HEADER, f.len - WIRE_HEADER);
    if (s->login->method == HBA_SCRAM)
        on_sasl(s, body);
    else
        on_password(s, body);
    return f.len;
}

/* ---- the beginning ---- */

static bool
peer_uid(const struct session *s, uid_t *uid)
{
    struct ucred c;
    socklen_t len = sizeof(c);

    if (!s->is_unix || getsockopt(s->client.fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == -1)
        return false;
    *uid = c.uid;
    return true;
}

/* PgBouncer's door for operators: our own user, by Unix socket, as user pgbouncer or pgweir. */
static bool
is_owner(const struct session *s)
{
    uid_t uid;

    return console_is_name(slice_str(s->database)) &&
           (strcmp(s->user, "pgbouncer") == 0 || strcmp(s->user, "pgweir") == 0) && peer_uid(s, &uid) &&
           uid == geteuid();
}

static bool
is_peer(const struct session *s)
{
    char buf[4096];
    struct passwd pw, *found = NULL;
    uid_t uid;

    return peer_uid(s, &uid) && getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found != NULL &&
           strcmp(found->pw_name, s->user) == 0;
}

static bool
is_certified(const struct session *s)
{
    char name[128];

    return s->client.tls != NULL && tls_peer_name(s->client.tls, name, sizeof(name)) &&
           strcmp(name, s->user) == 0;
}

static enum hba_method
method_by_hba(struct session *s)
{
    struct net_address from, local;
    struct hba_ask ask = { .database = slice_str(s->database),
                           .user = slice_str(s->user),
                           .replication = s->replication,
                           .unix_socket = s->is_unix,
                           .tls = s->tls };
    enum hba_method m;

    net_address_peer(&from, s->client.fd);
    net_address_local(&local, s->client.fd);
    ask.from = s->is_unix ? NULL : &from.any;
    ask.local = s->is_unix ? NULL : &local.any;
    m = hba_decide(s->hall->setup.hba, &ask, &s->login->hba_line);
    if (m == HBA_PEER)
        return is_peer(s) ? HBA_TRUST : HBA_REJECT;
    if (m == HBA_CERT)
        return is_certified(s) ? HBA_TRUST : HBA_REJECT;
    return m;
}

static enum hba_method
method_of(struct session *s)
{
    switch (s->hall->setup.conf->general.auth_type) {
    case CONF_AUTH_ANY:
    case CONF_AUTH_TRUST:
        return HBA_TRUST;
    case CONF_AUTH_PLAIN:
        return HBA_PASSWORD;
    case CONF_AUTH_MD5:
        return HBA_MD5;
    case CONF_AUTH_HBA:
        return s->hall->setup.hba == NULL ? HBA_REJECT : method_by_hba(s);
    default:
        return HBA_SCRAM;
    }
}

static void
reject(struct session *s)
{
    char from[NET_ADDRESS_TEXT] = "[local]";
    struct net_address a;
    struct fault why;

    net_address_peer(&a, s->client.fd);
    if (!s->is_unix)
        net_address_host(&a, from);
    fault_set(&why, "28000", "%s host \"%s\", user \"%.63s\", database \"%.63s\", %s",
              s->login->hba_line > 0 ? "pg_hba.conf rejects connection for" : "no pg_hba.conf entry for", from,
              s->user, s->database, s->tls ? "SSL encryption" : "no encryption");
    session_close(s, &why);
}

/* The secret is known, or there is none. */
void
login_with_secret(struct session *s, struct slice secret)
{
    struct login *l = s->login;
    enum hba_method method = is_owner(s) ? HBA_TRUST : method_of(s);

    if (secret.data != NULL)
        l->secret = slice_dup(secret);
    if (method == HBA_REJECT) {
        reject(s);
        return;
    }
    if (s->hall->setup.conf->general.auth_type == CONF_AUTH_TRUST && secret.data == NULL && !is_owner(s)) {
        struct fault why;

        fault_set(&why, "28P01", "\"trust\" authentication failed: user \"%.63s\" is not in auth_file",
                  s->user);
        fault_hint(&why, "Add the user to auth_file, or use auth_type = any with a user in [databases].");
        session_close(s, &why);
        return;
    }
    start_method(s, method);
}

static bool
take_identity(struct session *s, const struct startup *packet)
{
    if (packet->user.len > 127 || packet->database.len > 127 ||
        memchr(packet->user.data, '\0', packet->user.len))
        return session_protocol_error(s, "user or database name is too long");
    s->user = slice_dup(packet->user);
    s->database = slice_dup(packet->database);
    s->replication = packet->replication.len > 0 && !slice_is_nocase(packet->replication, "false") &&
                     !slice_is_nocase(packet->replication, "off") && !slice_is(packet->replication, "0") &&
                     !slice_is_nocase(packet->replication, "no");
    return true;
}

bool
login_begin(struct session *s, const struct startup *packet)
{
    struct login *l = s->login = mem_new(struct login);
    struct slice secret;

    l->minor = packet->minor > 2 ? 2 : packet->minor;
    if (!take_identity(s, packet) || !params_take(s, packet))
        return false;
    if (s->replication)
        l->replication = slice_dup(packet->replication);
    session_move_to(s, SESSION_LOGIN);
    secret = secrets_find(s->hall->setup.secrets, packet->user);
    if (secret.data != NULL || is_owner(s) || !login_look_up(s))
        login_with_secret(s, secret);
    return s->state != SESSION_GONE;
}

void
login_free(struct session *s)
{
    struct login *l = s->login;

    if (l == NULL)
        return;
    if (l->derive != NULL)
        l->derive->session = NULL;
    if (l->ask != NULL)
        l->ask->session = NULL;
    if (l->secret != NULL)
        mem_wipe(l->secret, strlen(l->secret));
    mem_free(l->secret);
    mem_free(l->replication);
    if (l->scram != NULL)
        mem_wipe(l->scram, sizeof(*l->scram));
    mem_free(l->scram);
    mem_free(l);
    s->login = NULL;
}
