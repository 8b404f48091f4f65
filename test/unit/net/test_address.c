/* SPDX-License-Identifier: ISC */
#include "base/unit.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/address.h"

static void
numeric_addresses_print_as_they_are_written(void **state)
{
    static const struct {
        const char *host, *printed; /* NULL: not numeric */
    } cases[] = {
        { "10.0.0.1", "10.0.0.1:5432" },
        { "255.255.255.255", "255.255.255.255:5432" },
        { "::1", "[::1]:5432" },
        { "2001:db8::ff", "[2001:db8::ff]:5432" },
        { "::ffff:10.0.0.1", "[::ffff:10.0.0.1]:5432" },
        { "", NULL },
        { "localhost", NULL },
        { "10.0.0", NULL },
        { "10.0.0.256", NULL },
        { "10.0.0.1 ", NULL },
        { "[::1]", NULL },
        { ":::", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct net_address a;
        char text[NET_ADDRESS_TEXT];

        assert_int_equal(net_address_numeric(&a, cases[i].host, 5432), cases[i].printed != NULL);
        if (cases[i].printed == NULL)
            continue;
        net_address_print(&a, text);
        assert_string_equal(text, cases[i].printed);
        net_address_host(&a, text);
        assert_string_equal(text, cases[i].host);
        assert_int_equal(net_address_port(&a), 5432);
    }
}

static void
unix_addresses_name_the_file_of_the_port(void **state)
{
    struct net_address a;
    char text[NET_ADDRESS_TEXT];

    (void)state;
    assert_true(net_address_unix(&a, "/run/pg", 65535));
    assert_string_equal(a.local.sun_path, "/run/pg/.s.PGSQL.65535");
    net_address_print(&a, text);
    assert_string_equal(text, "unix:/run/pg/.s.PGSQL.65535");
    net_address_host(&a, text);
    assert_string_equal(text, "unix");
    assert_int_equal(net_address_port(&a), 0);
    assert_true(net_address_unix(&a, "@x", 1));
    assert_memory_equal(a.local.sun_path, "\0x/.s.PGSQL.1", 13);
    assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 13);
}

static void
a_path_that_does_not_fit_is_refused(void **state)
{
    char dir[200];
    size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - strlen("/.s.PGSQL.5432");

    (void)state;
    for (size_t len = 1; len < sizeof(dir); len++) {
        struct net_address *a = malloc(sizeof(*a));
        char text[NET_ADDRESS_TEXT];

        assert_non_null(a);
        memset(dir, '/', len);
        dir[len] = '\0';
        assert_int_equal(net_address_unix(a, dir, 5432), len <= most);
        if (len <= most) {
            net_address_print(a, text);
            assert_int_equal(strlen(text), strlen("unix:/.s.PGSQL.5432") + len);
        }
        free(a);
    }
}

static void
no_address_prints_as_nothing(void **state)
{
    struct net_address a = { .len = 0 };
    char text[NET_ADDRESS_TEXT];

    (void)state;
    net_address_host(&a, text);
    assert_string_equal(text, "");
    assert_int_equal(net_address_port(&a), 0);
    net_address_print(&a, text);
    net_address_peer(&a, -1);
    assert_int_equal(a.len, 0);
    net_address_local(&a, -1);
    assert_int_equal(a.len, 0);
}

static void
both_ends_of_a_connection_know_each_other(void **state)
{
    struct net_address a, local, peer;
    int listening = socket(AF_INET, SOCK_STREAM, 0), out = socket(AF_INET, SOCK_STREAM, 0), in;

    (void)state;
    assert_true(net_address_numeric(&a, "127.0.0.1", 0));
    assert_int_equal(bind(listening, &a.any, a.len), 0);
    assert_int_equal(listen(listening, 1), 0);
    net_address_local(&a, listening);
    assert_true(net_address_port(&a) != 0);
    assert_int_equal(connect(out, &a.any, a.len), 0);
    in = accept(listening, NULL, NULL);
    net_address_peer(&peer, out);
    assert_int_equal(net_address_port(&peer), net_address_port(&a));
    net_address_peer(&peer, in);
    net_address_local(&local, out);
    assert_int_equal(peer.len, local.len);
    assert_memory_equal(&peer.any, &local.any, peer.len);
    close(listening);
    close(out);
    close(in);
}

static void
tuning_sets_what_was_asked(void **state)
{
    struct tcp_options o = {
        .keepalive = true, .idle_s = 33, .interval_s = 7, .count = 3, .user_timeout_ms = 4000
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    const struct {
        int level, name, value;
    } all[] = { { IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 },
                { IPPROTO_TCP, TCP_KEEPIDLE, 33 }, { IPPROTO_TCP, TCP_KEEPINTVL, 7 },
                { IPPROTO_TCP, TCP_KEEPCNT, 3 },   { IPPROTO_TCP, TCP_USER_TIMEOUT, 4000 } };

    (void)state;
    net_tune(fd, &o);
    for (size_t i = 0; i < COUNT(all); i++) {
        int value = 0;
        socklen_t len = sizeof(value);

        assert_int_equal(getsockopt(fd, all[i].level, all[i].name, &value, &len), 0);
        assert_int_equal(value != 0 && all[i].value == 1 ? 1 : value, all[i].value);
    }
    close(fd);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    net_tune(pair[0], &o);
    close(pair[0]);
    close(pair[1]);
    assert_false(net_set(-1, SOL_SOCKET, SO_KEEPALIVE, 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_addresses_print_as_they_are_written),
        cmocka_unit_test(unix_addresses_name_the_file_of_the_port),
        cmocka_unit_test(a_path_that_does_not_fit_is_refused),
        cmocka_unit_test(no_address_prints_as_nothing),
        cmocka_unit_test(both_ends_of_a_connection_know_each_other),
        cmocka_unit_test(tuning_sets_what_was_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
