/* SPDX-License-Identifier: ISC */
#include "net/streams.h"

#include <stdio.h>
#include <sys/stat.h>

#include "net/listener.h"

struct arrivals {
    int fds[300];
    unsigned n, most_in_turn, in_turn;
    bool is_unix;
};

static void
on_client(void *owner, int fd, bool is_unix)
{
    struct arrivals *a = owner;

    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    a->is_unix = is_unix;
    a->fds[a->n++] = fd;
    if (++a->in_turn > a->most_in_turn)
        a->most_in_turn = a->in_turn;
}

static void
close_all(struct arrivals *a)
{
    for (unsigned i = 0; i < a->n; i++)
        close(a->fds[i]);
}

static void
each_client_is_handed_over_once_and_a_flood_in_portions(void **state)
{
    enum { CLIENTS = 150 };
    struct place *p = *state;
    struct arrivals a = { .n = 0 };
    struct net_address where;
    struct fault why;
    struct listener *l;
    int fd, clients[CLIENTS];

    assert_true(net_address_numeric(&where, "127.0.0.1", 0));
    fd = listener_socket(&where, CLIENTS, true, &why);
    assert_true(fd >= 0);
    net_address_local(&where, fd);
    l = listener_new(&p->worker, fd, on_client, &a);
    assert_false(listener_is_unix(l));
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(clients[i], &where.any, where.len), 0);
    }
    turn_until(p, (a.in_turn = 0, a.n == CLIENTS));
    assert_true(a.most_in_turn <= LISTEN_BATCH);
    assert_false(a.is_unix);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close_all(&a);
    listener_free(l);
    listener_free(NULL);
}

static void
an_address_in_use_is_refused_and_named(void **state)
{
    struct net_address where;
    struct fault why = { .sqlstate = "" };
    char text[NET_ADDRESS_TEXT];
    int fd;

    (void)state;
    assert_true(net_address_numeric(&where, "127.0.0.1", 0));
    fd = listener_socket(&where, 5, false, &why);
    assert_true(fd >= 0);
    net_address_local(&where, fd);
    net_address_print(&where, text);
    assert_false(listener_probe(&where, false, &why));
    assert_non_null(strstr(why.message, text));
    assert_non_null(strstr(why.message, strerror(EADDRINUSE)));
    close(fd);
    assert_true(listener_probe(&where, false, &why));
}

static void
a_socket_file_is_replaced_only_when_nobody_answers(void **state)
{
    struct place *p = *state;
    char folder[] = "/tmp/pgweir_unix_XXXXXX";
    struct arrivals a = { .n = 0 };
    struct net_address where;
    struct fault why;
    struct listener *l;
    struct stat st;
    int fd, client;

    assert_non_null(mkdtemp(folder));
    assert_true(net_address_unix(&where, folder, 5432));
    assert_true(listener_probe(&where, false, &why));
    fd = listener_socket(&where, 5, false, &why);
    assert_true(fd >= 0);
    assert_false(listener_probe(&where, false, &why));
    assert_non_null(strstr(why.message, where.local.sun_path));
    l = listener_new(&p->worker, fd, on_client, &a);
    assert_true(listener_is_unix(l));
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client, &where.any, where.len), 0);
    turn_until(p, a.n >= 1);
    assert_true(a.is_unix);
    listener_free(l);
    assert_int_equal(stat(where.local.sun_path, &st), 0);
    assert_true(listener_probe(&where, false, &why));
    assert_int_equal(stat(where.local.sun_path, &st), -1);
    close(client);
    close_all(&a);
    rmdir(folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(each_client_is_handed_over_once_and_a_flood_in_portions),
        cmocka_unit_test(an_address_in_use_is_refused_and_named),
        PLACED(a_socket_file_is_replaced_only_when_nobody_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
