/* SPDX-License-Identifier: ISC */
/* ask against a scripted PostgreSQL: a thread that waits for a message of some type, then says bytes. */
#include "ask/ask.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/slice.h"

/* What PostgreSQL says; a 0 byte is in many of them, so they are slices. */
#define READY   "Z\0\0\0\5I"
#define WELCOME SLICE("R\0\0\0\10\0\0\0\0" READY)
#define COLUMNS      \
    "1\0\0\0\4"      \
    "2\0\0\0\4"      \
    "T\0\0\0\56\0\2" \
    "a\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0b\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"
#define ROW_X_Y    "D\0\0\0\20\0\2\0\0\0\1x\0\0\0\1y"
#define ROW_X_NULL "D\0\0\0\17\0\2\0\0\0\1x\377\377\377\377"
#define END        "C\0\0\0\15SELECT 1\0" READY
#define BAD_NAME   "E\0\0\0\45SERROR\0VERROR\0C22021\0Mnot\nUTF-8\0\0" READY
#define REFUSAL    "E\0\0\0\55SFATAL\0VFATAL\0C28P01\0Mgo :  3D000: away\0\0"

/* One step: wait for a message of TYPE, then say SAYS. Type 0 is a start-up packet: the connection before it is
 * closed and the next one accepted. The script's end closes the last. */
struct step {
    char type;
    struct slice says;
};

struct fake {
    int fd;
    uint16_t port;
    const struct step *step;
    unsigned n;
    bool drips; /* says one byte at a time */
    pthread_t thread;
};

static bool
read_all(int fd, void *out, size_t len)
{
    while (len > 0) {
        ssize_t got = read(fd, out, len);

        if (got <= 0)
            return false;
        out = (char *)out + got;
        len -= (size_t)got;
    }
    return true;
}

static bool
swallow(int fd, uint32_t len)
{
    char byte;

    while (len-- > 0)
        if (!read_all(fd, &byte, 1))
            return false;
    return true;
}

static bool
say(int fd, struct slice bytes, size_t at_once)
{
    for (; bytes.len > 0; bytes = slice_tail(bytes, at_once))
        if (send(fd, bytes.data, slice_head(bytes, at_once).len, MSG_NOSIGNAL) < 0)
            return false;
    return true;
}

/* False when the peer is gone. */
static bool
wait_for(int fd, char type)
{
    char got = 0;
    uint32_t len;

    do
        if ((type != 0 && !read_all(fd, &got, 1)) || !read_all(fd, &len, 4) || !swallow(fd, ntohl(len) - 4))
            return false;
    while (got != type);
    return true;
}

static void *
fake_main(void *arg)
{
    struct fake *f = arg;
    int fd = -1;

    for (unsigned i = 0; i < f->n; i++) {
        const struct step *s = &f->step[i];

        if (s->type == 0 && fd != -1)
            close(fd);
        if (s->type == 0)
            fd = accept(f->fd, NULL, NULL);
        if (f->drips)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        if (fd == -1 || !wait_for(fd, s->type) || !say(fd, s->says, f->drips ? 1 : SIZE_MAX))
            break;
    }
    if (fd != -1)
        close(fd);
    return NULL;
}

static void
fake_init(struct fake *f)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);

    *f = (struct fake){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_true(f->fd >= 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&a, &len), 0);
    f->port = ntohs(a.sin_port);
}

/* Everything that a test needs; RUN ends when TO_COME answers came. */
struct scene {
    struct worker worker;
    struct fake fake;
    struct ask *ask;
    unsigned to_come, came;
    bool free_at_answer, ask_at_answer, in_call;
    bool ok;
    struct ask_answer answer;
    char field[2][16];
    struct fault why;
    struct timer later;
    unsigned turns;
};

static ask_on_answer on_answer;

static void
question(struct scene *s)
{
    const char *params[] = { "joe" };
    struct ask_query query = { .sql = "SELECT $1", .params = params, .n = 1, .timeout_us = 20 * CLOCK_S };

    s->in_call = true;
    ask_question(s->ask, &query, on_answer, s);
    s->in_call = false;
}

static void
on_answer(void *owner, const struct ask_answer *answer, const struct fault *why)
{
    struct scene *s = owner;

    assert_false(s->in_call);
    assert_true((answer == NULL) != (why == NULL));
    assert_false(ask_is_busy(s->ask));
    s->came++;
    s->ok = why == NULL;
    if (s->free_at_answer) {
        ask_free(s->ask);
        s->ask = NULL;
    }
    if (why != NULL)
        s->why = *why;
    else
        s->answer = *answer;
    for (unsigned i = 0; i < 2 && s->ok; i++)
        if (answer->field[i] != NULL)
            snprintf(s->field[i], sizeof(s->field[i]), "%s", answer->field[i]);
    if (s->came == s->to_come)
        worker_stop(&s->worker);
    else if (s->ask_at_answer)
        question(s);
}

static void
scene_init(struct scene *s)
{
    memset(s, 0, sizeof(*s));
    worker_init(&s->worker, 0);
    fake_init(&s->fake);
    s->ask = ask_new(&s->worker, &(struct ask_target){ .host = "127.0.0.1",
                                                       .port = s->fake.port,
                                                       .database = "d",
                                                       .user = "u",
                                                       .password = "hunter2",
                                                       .sslmode = "disable",
                                                       .options = "-c search_path=pg_catalog" });
    s->to_come = 1;
}

static void
scene_done(struct scene *s)
{
    ask_free(s->ask);
    close(s->fake.fd);
    worker_done(&s->worker);
}

/* Ask, with the fake following its script, until all answers came. */
static void
play(struct scene *s, const struct step *step, unsigned n)
{
    s->fake.step = step;
    s->fake.n = n;
    assert_int_equal(listen(s->fake.fd, 8), 0);
    assert_int_equal(pthread_create(&s->fake.thread, NULL, fake_main, &s->fake), 0);
    question(s);
    worker_run(&s->worker);
    pthread_join(s->fake.thread, NULL);
    assert_int_equal(s->came, s->to_come);
}

#define PLAY(s, ...)                              \
    play(s, (const struct step[]){ __VA_ARGS__ }, \
         sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step))

static void
closed_port_is_a_fault_on_one_line(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    question(&s);
    assert_true(ask_is_busy(s.ask));
    worker_run(&s.worker);
    assert_false(s.ok);
    assert_string_equal(s.why.sqlstate, "08006");
    assert_non_null(strstr(s.why.message, "refused"));
    assert_null(strpbrk(s.why.message, "\n\t"));
    scene_done(&s);
}

static void
silent_listener_is_a_fault_at_the_deadline(void **state)
{
    struct scene s;
    int64_t before = clock_now_us();

    (void)state;
    scene_init(&s);
    assert_int_equal(listen(s.fake.fd, 8), 0);
    ask_question(s.ask, &(struct ask_query){ .sql = "SELECT 1", .timeout_us = 200 * CLOCK_MS }, on_answer, &s);
    worker_run(&s.worker);
    assert_false(s.ok);
    assert_string_equal(s.why.sqlstate, "08006");
    assert_non_null(strstr(s.why.message, "in time"));
    assert_true(clock_now_us() - before >= 190 * CLOCK_MS);
    assert_true(clock_now_us() - before < 10 * CLOCK_S);
    scene_done(&s);
}

static void
first_row_and_number_of_rows_are_told(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(COLUMNS ROW_X_Y ROW_X_NULL ROW_X_NULL END) });
    assert_true(s.ok);
    assert_int_equal(s.answer.n_rows, 3);
    assert_int_equal(s.answer.n_fields, 2);
    assert_string_equal(s.field[0], "x");
    assert_string_equal(s.field[1], "y");
    scene_done(&s);
}

static void
null_is_null(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(COLUMNS ROW_X_NULL END) });
    assert_true(s.ok);
    assert_non_null(s.answer.field[0]);
    assert_null(s.answer.field[1]);
    scene_done(&s);
}

static void
no_row_is_an_answer(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(COLUMNS END) });
    assert_true(s.ok);
    assert_int_equal(s.answer.n_rows, 0);
    assert_int_equal(s.answer.n_fields, 2);
    assert_null(s.answer.field[0]);
    scene_done(&s);
}

static void
answer_in_single_bytes_is_the_same(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    s.fake.drips = true;
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(COLUMNS ROW_X_Y ROW_X_NULL END) });
    assert_true(s.ok);
    assert_int_equal(s.answer.n_rows, 2);
    assert_string_equal(s.field[1], "y");
    scene_done(&s);
}

static void
second_question_uses_the_same_connection(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    s.to_come = 2;
    s.ask_at_answer = true;
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(COLUMNS END) }, { 'S', SLICE(COLUMNS ROW_X_Y END) });
    assert_true(s.ok);
    assert_int_equal(s.answer.n_rows, 1);
    scene_done(&s);
}

static void
refused_login_has_the_servers_sqlstate(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    PLAY(&s, { 0, SLICE(REFUSAL) });
    assert_false(s.ok);
    assert_string_equal(s.why.sqlstate, "28P01");
    assert_non_null(strstr(s.why.message, "FATAL: go :  3D000: away"));
    assert_null(strstr(s.why.message, "hunter2"));
    scene_done(&s);
}

static void
failed_statement_has_its_sqlstate_and_the_next_question_a_new_connection(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    s.to_come = 2;
    s.ask_at_answer = true;
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(BAD_NAME) }, { 0, WELCOME }, { 'S', SLICE(COLUMNS END) });
    assert_true(s.ok);
    assert_string_equal(s.why.sqlstate, "22021");
    assert_string_equal(s.why.message, "not UTF-8");
    scene_done(&s);
}

static void
connection_cut_in_an_answer_is_a_fault(void **state)
{
    const struct slice all = SLICE(COLUMNS ROW_X_Y END);

    (void)state;
    for (size_t cut = 0; cut < all.len; cut++) {
        struct scene s;

        scene_init(&s);
        PLAY(&s, { 0, WELCOME }, { 'S', slice_head(all, cut) });
        assert_false(s.ok);
        assert_string_equal(s.why.sqlstate, "08006");
        scene_done(&s);
    }
}

static void
last_words_of_a_server_are_the_reason(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(REFUSAL) });
    assert_false(s.ok);
    assert_string_equal(s.why.sqlstate, "28P01");
    scene_done(&s);
}

static void
copy_is_refused(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    PLAY(&s, { 0, WELCOME },
         { 'S', SLICE("1\0\0\0\4"
                      "2\0\0\0\4"
                      "H\0\0\0\7\0\0\0") });
    assert_false(s.ok);
    assert_string_equal(s.why.sqlstate, "08P01");
    scene_done(&s);
}

static void
freeing_in_the_answer_is_safe(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    s.free_at_answer = true;
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(COLUMNS ROW_X_Y END) });
    assert_true(s.ok);
    assert_string_equal(s.field[1], "y");
    scene_done(&s);
}

static void
freeing_in_the_fault_is_safe(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    s.free_at_answer = true;
    question(&s);
    worker_run(&s.worker);
    assert_int_equal(s.came, 1);
    assert_false(s.ok);
    scene_done(&s);
}

static void
freeing_answers_the_question_under_way(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    assert_int_equal(listen(s.fake.fd, 8), 0);
    question(&s);
    ask_free(s.ask);
    assert_int_equal(s.came, 1);
    assert_false(s.ok);
    s.ask = NULL;
    scene_done(&s);
}

/* The first turn of the loop sees the end of the connection; the second asks. */
static void
on_later(struct timer *t)
{
    struct scene *s = container_of(t, struct scene, later);

    if (s->turns++ == 0)
        timer_start(&s->worker, t, 0);
    else
        question(s);
}

/* The server closes the idle connection; it is noticed before the next question, which is not lost. */
static void
idle_connection_that_died_is_replaced(void **state)
{
    struct scene s;

    (void)state;
    scene_init(&s);
    PLAY(&s, { 0, WELCOME }, { 'S', SLICE(COLUMNS END) });
    s.to_come = 2;
    timer_init(&s.later, on_later);
    timer_start(&s.worker, &s.later, 0);
    s.fake.step = (const struct step[]){ { 0, WELCOME }, { 'S', SLICE(COLUMNS ROW_X_Y END) } };
    s.fake.n = 2;
    assert_int_equal(pthread_create(&s.fake.thread, NULL, fake_main, &s.fake), 0);
    worker_run(&s.worker);
    pthread_join(s.fake.thread, NULL);
    assert_int_equal(s.came, 2);
    assert_true(s.ok);
    assert_int_equal(s.answer.n_rows, 1);
    scene_done(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_port_is_a_fault_on_one_line),
        cmocka_unit_test(silent_listener_is_a_fault_at_the_deadline),
        cmocka_unit_test(first_row_and_number_of_rows_are_told),
        cmocka_unit_test(null_is_null),
        cmocka_unit_test(no_row_is_an_answer),
        cmocka_unit_test(answer_in_single_bytes_is_the_same),
        cmocka_unit_test(second_question_uses_the_same_connection),
        cmocka_unit_test(refused_login_has_the_servers_sqlstate),
        cmocka_unit_test(failed_statement_has_its_sqlstate_and_the_next_question_a_new_connection),
        cmocka_unit_test(connection_cut_in_an_answer_is_a_fault),
        cmocka_unit_test(last_words_of_a_server_are_the_reason),
        cmocka_unit_test(copy_is_refused),
        cmocka_unit_test(freeing_in_the_answer_is_safe),
        cmocka_unit_test(freeing_in_the_fault_is_safe),
        cmocka_unit_test(freeing_answers_the_question_under_way),
        cmocka_unit_test(idle_connection_that_died_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
