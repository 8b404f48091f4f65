/* SPDX-License-Identifier: ISC */
/* Options that are legal alone and not together. */
#include "conf_tests.h"

static void
accepted(const char *text)
{
    conf_drop(good(text));
}

static void
something_must_be_listened_on(void **state)
{
    (void)state;
    refused("[pgweir]\nunix_socket_dir =\nlisten_addr =\n",
            "t.ini:3: nothing to listen on: listen_addr and unix_socket_dir are both empty");
    accepted("[pgweir]\nlisten_addr =\n");
    accepted("[pgbouncer]\n");
}

static void
auth_type_hba_needs_its_file(void **state)
{
    (void)state;
    refused("[pgweir]\nauth_type = hba\n", "t.ini:2: auth_type = hba needs auth_hba_file");
    accepted("[pgweir]\nauth_type = hba\nauth_hba_file = x\n");
}

static void
tls_needs_its_files(void **state)
{
    const char *files = "client_tls_sslmode needs client_tls_key_file and client_tls_cert_file";
    char *message = mem_printf("t.ini:2: %s", files);

    (void)state;
    refused("[pgweir]\nclient_tls_sslmode = allow\n", message);
    refused("[pgweir]\nclient_tls_sslmode = require\nclient_tls_key_file = k\n", message);
    mem_free(message);
    accepted("[pgweir]\nclient_tls_sslmode = require\nclient_tls_key_file = k\nclient_tls_cert_file = c\n");
    refused("[pgweir]\nclient_tls_sslmode = verify-ca\nclient_tls_key_file = k\nclient_tls_cert_file = c\n",
            "t.ini:2: client_tls_sslmode = verify-ca or verify-full needs client_tls_ca_file");
    refused("[pgweir]\nserver_tls_sslmode = verify-full\n",
            "t.ini:2: server_tls_sslmode = verify-ca or verify-full needs server_tls_ca_file");
    accepted("[pgweir]\nserver_tls_sslmode = verify-full\nserver_tls_ca_file = a\n");
    refused("[pgweir]\nserver_tls_key_file = k\n",
            "t.ini:2: server_tls_key_file and server_tls_cert_file need each other");
    refused("[pgweir]\nserver_tls_cert_file = k\n",
            "t.ini:2: server_tls_key_file and server_tls_cert_file need each other");
}

static void
the_names_of_the_console_are_reserved(void **state)
{
    (void)state;
    refused("[databases]\npgbouncer =\n", "t.ini:2: database name \"pgbouncer\" is reserved for the console");
    refused("[pgbouncer]\n[databases]\npgweir =\n",
            "t.ini:3: database name \"pgweir\" is reserved for the console");
}

static void
a_host_that_is_the_next_option_is_refused(void **state)
{
    (void)state;
    refused("[databases]\nb = host= port=5\n",
            "t.ini:2: host \"port=5\" looks like an option; leave host= out when it is empty");
}

static void
auth_user_needs_a_query_that_takes_the_name(void **state)
{
    const char *query = "auth_user needs an auth_query with $1 for the name";
    char *second = mem_printf("t.ini:2: %s", query), *third = mem_printf("t.ini:3: %s", query);

    (void)state;
    refused("[pgweir]\nauth_user = a\nauth_query = select 1\n", third);
    refused("[pgweir]\nauth_user = a\nauth_query =\n", second);
    refused("[databases]\nd = auth_user=a auth_query=x\n", second);
    refused("[pgweir]\nauth_user = a\n[databases]\nd = auth_query=x\n",
            "t.ini:4: auth_user needs an auth_query with $1 "
            "for the name");
    accepted("[pgweir]\nauth_query = select 1\n");
    accepted("[databases]\nd = auth_user=a\n");
    mem_free(second);
    mem_free(third);
}

static void
auth_dbname_is_a_line_of_databases_and_not_the_console(void **state)
{
    (void)state;
    refused("[pgweir]\nauth_dbname = pgbouncer\n",
            "t.ini:2: cannot use the reserved \"pgbouncer\" database as an auth_dbname");
    refused("[databases]\na = auth_dbname=pgweir\n",
            "t.ini:2: cannot use the reserved \"pgweir\" database as an auth_dbname");
    refused("[pgweir]\nauth_dbname = x\n", "t.ini:2: auth_dbname \"x\" is not in [databases]");
    accepted("[pgweir]\nauth_dbname = x\n[databases]\n* =\n");
    accepted("[pgbouncer]\nauth_dbname = x\n");
}

static void
names_are_as_long_as_postgresql_allows(void **state)
{
    char *longest = mem_printf("[databases]\n%063d =\n[users]\n%0127d =\n", 0, 0);
    char *database = mem_printf("[databases]\n%064d =\n", 0), *user = mem_printf("[users]\n%0128d =\n", 0);

    (void)state;
    accepted(longest);
    refused(database, "t.ini:2: a database name has at most 63 bytes");
    refused(user, "t.ini:2: a user name has at most 127 bytes");
    mem_free(longest);
    mem_free(database);
    mem_free(user);
}

static void
the_port_has_a_range(void **state)
{
    (void)state;
    refused("[pgweir]\nlisten_port = 65536\n", "t.ini:2: listen_port must be a whole number from 1 to 65535");
    refused("[databases]\na = port=0\n", "t.ini:2: port must be a whole number from 1 to 65535");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(something_must_be_listened_on),
        cmocka_unit_test(auth_type_hba_needs_its_file),
        cmocka_unit_test(tls_needs_its_files),
        cmocka_unit_test(the_names_of_the_console_are_reserved),
        cmocka_unit_test(a_host_that_is_the_next_option_is_refused),
        cmocka_unit_test(auth_user_needs_a_query_that_takes_the_name),
        cmocka_unit_test(auth_dbname_is_a_line_of_databases_and_not_the_console),
        cmocka_unit_test(names_are_as_long_as_postgresql_allows),
        cmocka_unit_test(the_port_has_a_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
