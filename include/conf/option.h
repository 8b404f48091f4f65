/* SPDX-License-Identifier: ISC */
/* Rows of options: the row is the truth for the struct field, the parser, the
 * limits, SHOW CONFIG, the sample file and the manual. Any thread. */
#ifndef CONF_OPTION_H
#define CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/slice.h"
#include "base/text.h"

/* Types of fields, by kind of row. */
typedef bool conf_type_boolean;
typedef int64_t conf_type_number;
typedef int64_t conf_type_duration; /* microseconds; units us ms s min h d, without one seconds; 0.5 is fine */
typedef int64_t conf_type_msec;     /* the same, but milliseconds without a unit */
typedef int64_t conf_type_size;     /* bytes; units kB MB GB (1024) */
typedef int64_t conf_type_mode;     /* octal file mode */
typedef char *conf_type_text;       /* never NULL; "" when empty */
typedef char *conf_type_secret;     /* the same, never shown */
typedef int conf_type_pool_mode;    /* enum conf_pool_mode, and so on */
typedef int conf_type_auth_type;
typedef int conf_type_sslmode;
typedef int conf_type_on_state;
typedef int conf_type_compat;
typedef int conf_type_route;
typedef int conf_type_consistency;
typedef int conf_type_balance;
typedef int conf_type_host_order;

enum conf_pool_mode { CONF_POOL_SESSION, CONF_POOL_TRANSACTION, CONF_POOL_STATEMENT };
enum conf_auth_type {
    CONF_AUTH_ANY,
    CONF_AUTH_TRUST,
    CONF_AUTH_PLAIN,
    CONF_AUTH_MD5,
    CONF_AUTH_SCRAM,
    CONF_AUTH_HBA, /* from here on by rules */
    CONF_AUTH_CERT,
    CONF_AUTH_PAM,
    CONF_AUTH_LDAP
};
enum conf_sslmode {
    CONF_SSL_DISABLE,
    CONF_SSL_ALLOW,
    CONF_SSL_PREFER,
    CONF_SSL_REQUIRE,
    CONF_SSL_VERIFY_CA,
    CONF_SSL_VERIFY_FULL
};
enum conf_on_state { CONF_STATE_PIN, CONF_STATE_ERROR, CONF_STATE_WARN };
enum conf_compat { CONF_COMPAT_NONE, CONF_COMPAT_PGBOUNCER };

enum conf_route { CONF_ROUTE_AUTO, CONF_ROUTE_PRIMARY, CONF_ROUTE_REPLICA, CONF_ROUTE_PREFER_REPLICA };
enum conf_consistency { CONF_EVENTUAL, CONF_SESSION, CONF_GLOBAL };
enum conf_balance { CONF_LEAST_CONN, CONF_ROUND_ROBIN, CONF_LATENCY, CONF_HASH };

enum conf_host_order { CONF_HOSTS_DISABLE, CONF_HOSTS_ROUND_ROBIN };

enum conf_when { CONF_RELOAD, CONF_RESTART };

struct conf_option;
typedef bool conf_parser(const struct conf_option *o, struct slice text, void *field, struct fault *why);
typedef void conf_printer(const struct conf_option *o, const void *field, struct text *out);

struct conf_option {
    const char *name;
    const char *kind;
    conf_parser *parse;
    conf_printer *print; /* prints what parse reads */
    size_t offset;
    const char *initial;        /* default in a [pgweir] file */
    const char *compat_initial; /* default in a [pgbouncer] file; NULL means the same */
    int64_t low, high;          /* number, duration (in its bare unit), size */
    enum conf_when when;
    bool secret; /* never shown */
    const char *help;
};

#endif
