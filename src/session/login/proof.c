/* SPDX-License-Identifier: ISC */
/* Proofs of who a client is that we judge ourselves: password, MD5, SCRAM. Unknown users and wrong passwords
 * see the same messages; work that takes milliseconds is done by a helper thread. */
#include "auth/md5.h"
#include "login_private.h"

#define ANSWER_MAX   2048  /* bytes of a message before anybody is known */
#define PASSWORD_MAX 65536 /* of one with a password in it: tokens are long */

static void
refuse(struct session *s)
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

void
login_accept(struct session *s)
{
    struct login *l = s->login;

    if (s->credential == NULL) /* SCRAM has found it before */
        s->credential = registry_credential(s->hall->registry, slice_str(s->user),
                                            l->secret == NULL ? SLICE("") : slice_str(l->secret));
    if (l->scram != NULL && l->scram->step > 0)
        credential_learn(s->credential, l->scram->client_key);
    if (l->keys != NULL)
        credential_learn(s->credential, l->keys->client_key);
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
    const struct slice password = slice_str(d->password), salt = slice_of(d->secret.salt, d->secret.salt_len);

    if (d->credential == NULL) {
        scram_keys_derive(password, d->secret.salt, d->secret.salt_len, d->secret.iterations, &d->keys);
        return;
    }
    if (credential_scram(d->credential, &d->secret))
        return; /* another client of this user was first */
    scram_secret_derive(password, salt, d->secret.iterations, &d->secret);
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

/* A right password is as good as a SCRAM login: it gives the keys for the server too. */
static void
on_compared(struct session *s, const struct derive *d)
{
    if (!md5_same(slice_of(d->secret.server_key, SCRAM_KEY_LEN), slice_of(d->keys.server_key, SCRAM_KEY_LEN))) {
        refuse(s);
        return;
    }
    s->login->keys = mem_dup(&d->keys, sizeof(d->keys));
    login_accept(s);
}

static void
on_derived(struct worker *w, struct mail *m)
{
    struct derive *d = container_of(m, struct derive, job.done);
    struct session *s = d->session;

    if (s != NULL) {
        s->login->derive = NULL;
        if (d->job.dropped) {
            session_close(s, NULL);
        } else if (d->credential == NULL) {
            on_compared(s, d);
        } else {
            s->login->scram->secret = d->secret;
            ask_scram(s);
        }
        stream_again(&s->client);
        stream_flush(&hall_of(w)->turn);
    }
    derive_free(d);
}

/* C may be NULL: then PASSWORD is compared with SECRET. */
static void
derive(struct session *s, struct credential *c, struct slice password, const struct scram_secret *secret)
{
    struct derive *d = mem_new(struct derive);
    struct fault why;

    d->session = s;
    d->credential = c == NULL ? NULL : credential_hold(c);
    d->password = slice_dup(password);
    d->secret = *secret;
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

    l->scram = mem_new(struct scram_server);
    l->scram->doomed = kind != SECRET_PLAIN && kind != SECRET_SCRAM;
    if (!l->scram->doomed) {
        s->credential = registry_credential(s->hall->registry, slice_str(s->user), secret);
        if (credential_scram(s->credential, &l->scram->secret)) {
            ask_scram(s);
            return;
        }
    }
    scram_secret_mock(s->hall->mock_key, slice_str(s->user), &l->scram->secret);
    l->scram->secret.iterations = (uint32_t)s->hall->setup.conf->general.scram_iterations;
    if (l->scram->doomed)
        ask_scram(s);
    else
        derive(s, s->credential, secret, &l->scram->secret);
}

static void
start_md5(struct session *s)
{
    struct login *l = s->login;

    l->method = HBA_MD5;
    hall_random(s->hall, l->salt, sizeof(l->salt));
    send_auth(s, 5, slice_of(l->salt, sizeof(l->salt)));
}

void
proof_ask(struct session *s)
{
    struct login *l = s->login;
    enum secret_kind kind = l->secret == NULL ? SECRET_NONE : secret_kind(slice_str(l->secret));

    switch (l->method) {
    case HBA_PASSWORD:
    case HBA_PAM:
    case HBA_LDAP:
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
        refuse(s);
    }
}

/* ---- answers ---- */

static bool
plain_is_right(struct session *s, struct slice password)
{
    struct slice secret = slice_str(s->login->secret);
    char hashed[MD5_SECRET_LEN + 1];

    switch (secret.data == NULL ? SECRET_NONE : secret_kind(secret)) {
    case SECRET_PLAIN:
        return md5_same(secret, password);
    case SECRET_MD5:
        return md5_secret(password, slice_str(s->user), hashed) && md5_same(secret, slice_str(hashed));
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

/* What PASSWORD takes to be judged. */
static void
judge_plain(struct session *s, struct slice password)
{
    struct scram_secret scram;

    if (s->login->method != HBA_PASSWORD)
        outside_ask(s, password);
    else if (s->login->secret != NULL && scram_secret_parse(slice_str(s->login->secret), &scram))
        derive(s, NULL, password, &scram);
    else if (plain_is_right(s, password))
        login_accept(s);
    else
        refuse(s);
}

static void
on_password(struct session *s, struct slice body)
{
    struct wire_cursor c = wire_cursor(body);
    struct slice password = wire_get_string(&c);

    if (c.bad || wire_left(&c) != 0)
        session_protocol_error(s, "invalid password packet size");
    else if (s->login->method != HBA_MD5)
        judge_plain(s, password);
    else if (md5_is_right(s, password))
        login_accept(s);
    else
        refuse(s);
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
            refuse(s);
        else
            session_close(s, &why);
    } else if (first) {
        send_auth(s, 11, text_slice(&out));
    } else {
        send_auth(s, 12, text_slice(&out));
        login_accept(s);
    }
    text_done(&out);
}

static uint32_t
longest_answer(const struct login *l)
{
    bool password = l->method == HBA_PASSWORD || l->method == HBA_PAM || l->method == HBA_LDAP;

    return password ? PASSWORD_MAX : ANSWER_MAX;
}

/* While others are asked nothing is judged; a little is kept for later. */
static size_t
keep(struct session *s, struct slice bytes)
{
    if (bytes.len <= ANSWER_MAX)
        return 0;
    session_protocol_error(s, "too much was sent before the login is over");
    return bytes.len;
}

size_t
login_bytes(struct session *s, struct slice bytes)
{
    struct wire_frame f;
    struct slice body;
    enum wire_answer a;

    if (login_is_waiting(s->login))
        return keep(s, bytes);
    a = wire_frame_read(bytes.data, bytes.len, longest_answer(s->login), &f);
    if (a == WIRE_BAD || (a == WIRE_MESSAGE && f.type != 'p')) {
        session_protocol_error(s, "expected password response");
        return bytes.len;
    }
    if (a == WIRE_MORE || bytes.len < f.len)
        return 0;
    body = slice_of(bytes.data + WIRE_HEADER, f.len - WIRE_HEADER);
    if (s->login->method == HBA_SCRAM)
        on_sasl(s, body);
    else
        on_password(s, body);
    return f.len;
}
