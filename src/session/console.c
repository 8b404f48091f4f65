/* SPDX-License-Identifier: ISC */
/* Clients of the console, by simple and by extended protocol. App answers; here
 * the answers are cut into the messages that the protocol in use wants. */
#include "login_private.h"

#define COMMAND_MAX (64 * 1024)

/* The extended protocol runs a command when it is described or executed, whichever comes first. */
enum describe { ANSWER_NONE, ANSWER_WHOLE, ANSWER_COLUMNS };

struct console_session {
    struct console console; /* first */
    char *sql;              /* of the last Parse */
    struct text kept;       /* its answer, when it was described before it was executed */
    enum describe wanted;   /* what the command that runs now is to deliver */
    bool described, skip;
};

bool
console_is_name(struct slice database)
{
    return slice_is(database, "pgweir") || slice_is(database, "pgbouncer");
}

static struct console_session *
of(const struct session *s)
{
    return container_of(s->console, struct console_session, console);
}

static bool
may_enter(const struct session *s, bool *may_admin)
{
    const struct conf_general *g = &s->hall->setup.conf->general;
    struct slice user = slice_str(s->user);

    *may_admin = g->auth_type == CONF_AUTH_ANY || conf_list_has(g->admin_users, user) || s->login->owner;
    return *may_admin || conf_list_has(g->stats_users, user);
}

static void
put_reports(struct text *t, bool compat)
{
    static const char *const reports[][2] = {
        { "client_encoding", "UTF8" }, { "server_encoding", "UTF8" },           { "DateStyle", "ISO" },
        { "TimeZone", "GMT" },         { "standard_conforming_strings", "on" }, { "is_superuser", "on" },
        { "integer_datetimes", "on" }
    };
    size_t n = sizeof(reports) / sizeof(reports[0]) - compat; /* PgBouncer does not tell the last */

    wire_put_parameter(t, SLICE("server_version"), compat ? SLICE("1.25.2/bouncer") : SLICE("15.0 (pgweir)"));
    for (size_t i = 0; i < n; i++)
        wire_put_parameter(t, slice_str(reports[i][0]), slice_str(reports[i][1]));
}

void
console_start(struct session *s)
{
    struct console_session *c;
    struct fault why;
    bool may_admin;
    struct text *t;

    if (!may_enter(s, &may_admin)) {
        fault_set(&why, "42501", "user \"%.63s\" may not use the console", s->user);
        fault_detail(&why, "It is neither in admin_users nor in stats_users.");
        fault_hint(&why, "Name the user in admin_users or stats_users.");
        session_close(s, &why);
        return;
    }
    c = mem_new(struct console_session);
    c->console.session = s;
    c->console.may_admin = may_admin;
    c->console.compat = strcmp(s->database, "pgbouncer") == 0;
    s->console = &c->console;
    cancel_register(s, 0, 0);
    t = session_scratch(s);
    wire_put_auth(t, 0, SLICE(""));
    put_reports(t, s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER);
    cancel_put_key(s, t);
    wire_put_ready(t, 'I');
    session_send(s, t);
    login_free(s);
    s->hall->n_logins--;
    if (s->hall->setup.conf->general.compat == CONF_COMPAT_PGBOUNCER)
        pools_database(&s->hall->pools, slice_str(s->database))->stats.logins++;
    session_move_to(s, SESSION_CONSOLE);
}

void
console_end(struct session *s)
{
    struct console_session *c;

    if (s->console == NULL)
        return;
    c = of(s);
    s->hall->console->abandon(&c->console);
    text_done(&c->console.answer);
    text_done(&c->kept);
    mem_free(c->sql);
    mem_free(c);
    s->console = NULL;
}

struct text *
console_answer(struct console *c)
{
    return &c->answer;
}

size_t
console_send(struct console *c, struct slice bytes, int fd)
{
    return stream_send_fd(&c->session->client, bytes, fd);
}

static void
run(struct session *s, struct slice sql, enum describe wanted, bool simple)
{
    struct console_session *c = of(s);

    c->wanted = wanted;
    c->console.simple = simple;
    c->console.busy = true;
    text_clear(&c->console.answer);
    s->hall->console->run(&c->console, sql);
}

/* ---- answers by the extended protocol ---- */

static bool
next_message(struct slice *rest, struct slice *message)
{
    struct wire_frame f;

    if (wire_frame_read(rest->data, rest->len, UINT32_MAX, &f) != WIRE_MESSAGE || f.len > rest->len)
        return false;
    *message = slice_head(*rest, f.len);
    *rest = slice_tail(*rest, f.len);
    return true;
}

static bool
has_message(const struct text *answer, uint8_t type, struct slice *found)
{
    struct slice rest = text_slice(answer);

    while (next_message(&rest, found))
        if (found->data[0] == type)
            return true;
    return false;
}

/* Everything but the RowDescription. */
static void
send_rows(struct session *s, const struct text *answer)
{
    struct slice rest = text_slice(answer), message;

    while (next_message(&rest, &message))
        if (message.data[0] != 'T')
            stream_put_copy(&s->client, message);
}

static void
send_columns(struct session *s, const struct text *answer)
{
    struct slice columns;

    if (has_message(answer, 'T', &columns))
        stream_put_copy(&s->client, columns);
    else
        stream_put_copy(&s->client, SLICE("n\0\0\0\4"));
}

static void
deliver(struct session *s, struct console_session *c)
{
    struct slice error;

    c->skip = !c->console.simple && has_message(&c->console.answer, 'E', &error);
    if (c->console.simple) {
        wire_put_ready(&c->console.answer, 'I');
        session_send(s, &c->console.answer);
    } else if (c->skip) {
        session_send(s, &c->console.answer);
    } else if (c->wanted == ANSWER_COLUMNS) {
        send_columns(s, &c->console.answer);
        text_clear(&c->kept);
        text_add(&c->kept, text_slice(&c->console.answer));
        c->described = true;
    } else {
        send_rows(s, &c->console.answer);
    }
    text_clear(&c->console.answer);
}

void
console_done(struct console *console)
{
    struct console_session *c = container_of(console, struct console_session, console);
    struct session *s = console->session;

    console->busy = false;
    stream_resume(&s->client, STREAM_PAUSE_FULL);
    deliver(s, c);
    stream_again(&s->client);
    stream_flush(s->client.turn);
}

void
console_hang_up(struct console *console)
{
    console->busy = false;
    session_close(console->session, NULL);
}

/* ---- messages ---- */

static void
send_type(struct session *s, uint8_t type)
{
    struct text *t = session_scratch(s);

    wire_put_simple(t, type);
    session_send(s, t);
}

static bool
may_run_early(const char *sql)
{
    struct slice first = slice_head(slice_trim(slice_str(sql)), 4);

    return slice_is_nocase(first, "show") || slice_is_nocase(first, "sele");
}

static void
parse(struct session *s, struct console_session *c, struct wire_cursor *m)
{
    wire_get_string(m);
    mem_free(c->sql);
    c->sql = slice_dup(wire_get_string(m));
    c->described = false;
    send_type(s, '1');
}

static void
describe(struct session *s, struct console_session *c, uint8_t what)
{
    if (what == 'S')
        stream_put_copy(&s->client, SLICE("t\0\0\0\6\0\0"));
    if (c->described)
        send_columns(s, &c->kept);
    else if (c->sql != NULL && may_run_early(c->sql))
        run(s, slice_str(c->sql), ANSWER_COLUMNS, false);
    else
        send_type(s, 'n');
}

static void
execute(struct session *s, struct console_session *c)
{
    if (c->described) {
        send_rows(s, &c->kept);
        c->described = false;
    } else {
        run(s, slice_str(c->sql == NULL ? "" : c->sql), ANSWER_WHOLE, false);
    }
}

static void
on_message(struct session *s, uint8_t type, struct slice body)
{
    struct console_session *c = of(s);
    struct wire_cursor m = wire_cursor(body);

    if (c->skip && type != 'S' && type != 'X')
        return;
    switch (type) {
    case 'Q':
        run(s, wire_get_string(&m), ANSWER_WHOLE, true);
        break;
    case 'P':
        parse(s, c, &m);
        break;
    case 'B':
        send_type(s, '2');
        break;
    case 'D':
        describe(s, c, wire_get_u8(&m));
        break;
    case 'E':
        execute(s, c);
        break;
    case 'C':
        send_type(s, '3');
        break;
    case 'S':
        c->skip = false;
        stream_put_copy(&s->client, SLICE("Z\0\0\0\5I"));
        break;
    case 'H':
        break;
    case 'X':
        session_close(s, NULL);
        break;
    default:
        session_protocol_error(s, "invalid frontend message type");
    }
}

size_t
console_bytes(struct session *s, struct slice bytes)
{
    size_t used = 0;

    while (s->state == SESSION_CONSOLE && !s->console->busy) {
        struct wire_frame f;
        struct slice rest = slice_tail(bytes, used);
        enum wire_answer a = wire_frame_read(rest.data, rest.len, COMMAND_MAX, &f);

        if (a == WIRE_BAD) {
            session_protocol_error(s, "invalid message length");
            return bytes.len;
        }
        if (a == WIRE_MORE || f.len > rest.len)
            break;
        used += f.len;
        on_message(s, f.type, slice_tail(slice_head(rest, f.len), WIRE_HEADER));
    }
    return s->state == SESSION_GONE ? bytes.len : used;
}
