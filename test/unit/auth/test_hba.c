/* SPDX-License-Identifier: ISC */
#include "auth/hba_question.h"

#include "base/text.h"

/* The same for RULES. */
static int
fits(const char *rules, const char *words)
{
    struct fault why = { 0 };
    struct hba *h = parse(rules, &why);
    int line;

    if (h == NULL)
        fail_msg("%s: %s", rules, why.message);
    line = line_for(h, words);
    hba_drop(h);
    return line;
}

static void
first_rule_that_fits_decides(void **state)
{
    struct hba *h = parse("# type database user address method\n"
                          "local all postgres peer\n"
                          "host app bad 0.0.0.0/0 reject\n"
                          "host app all 10.0.0.0/8 scram-sha-256\n"
                          "hostssl all all ::/0 cert\n"
                          "host all all 10.1.0.0 255.255.0.0 md5 # comment\n"
                          "hostnossl all all all password\n"
                          "host all all all trust",
                          NULL);
    struct question q;

    (void)state;
    assert_non_null(h);
    assert_int_equal(line_for(h, "app postgres local"), 2);
    assert_int_equal(line_for(h, "app joe local"), 0);
    assert_int_equal(line_for(h, "app bad 10.1.2.3"), 3);
    assert_int_equal(line_for(h, "app joe 10.255.255.255"), 4);
    assert_int_equal(line_for(h, "other joe 10.1.2.3"), 6);
    assert_int_equal(line_for(h, "other joe 10.2.2.3"), 7);
    assert_int_equal(line_for(h, "other joe 10.2.2.3 +tls"), 8);
    assert_int_equal(line_for(h, "other joe fe80::1 +tls"), 5);
    assert_int_equal(line_for(h, "other joe fe80::1"), 7);

    question_init(&q, "app joe 10.0.0.1");
    assert_int_equal(hba_decide(h, &q.ask, NULL), HBA_SCRAM);
    question_init(&q, "app bad 10.0.0.1");
    assert_int_equal(hba_decide(h, &q.ask, NULL), HBA_REJECT);
    question_init(&q, "app postgres local");
    assert_int_equal(hba_decide(h, &q.ask, NULL), HBA_PEER);
    question_init(&q, "app joe local");
    assert_int_equal(hba_decide(h, &q.ask, NULL), HBA_REJECT);
    hba_drop(h);
}

static void
every_method_is_known_by_its_name(void **state)
{
    static const struct {
        const char *rule;
        enum hba_method method;
    } rows[] = {
        { "hostssl all all all reject", HBA_REJECT },     { "hostssl all all all trust", HBA_TRUST },
        { "hostssl all all all password", HBA_PASSWORD }, { "hostssl all all all md5", HBA_MD5 },
        { "hostssl all all all cert", HBA_CERT },         { "hostssl all all all scram-sha-256", HBA_SCRAM },
    };
    struct question q;

    (void)state;
    question_init(&q, "d u 1.2.3.4 +tls");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hba *h = parse(rows[i].rule, NULL);

        assert_non_null(h);
        assert_int_equal(hba_decide(h, &q.ask, NULL), rows[i].method);
        hba_drop(h);
    }
}

static void
types_fit_their_connections_only(void **state)
{
    static const char *const types[] = {
        "local", "host", "hostssl", "hostnossl", "hostnogssenc", "hostgssenc"
    };
    static const char *const asks[] = { "d u local", "d u 1.2.3.4", "d u 1.2.3.4 +tls" };
    static const int expected[6][3] = { { 1, 0, 0 }, { 0, 1, 1 }, { 0, 0, 1 },
                                        { 0, 1, 0 }, { 0, 1, 1 }, { 0, 0, 0 } };

    (void)state;
    for (size_t t = 0; t < 6; t++)
        for (size_t a = 0; a < 3; a++) {
            char rule[64];

            snprintf(rule, sizeof(rule), "%s all all %s trust", types[t], t == 0 ? "" : "all");
            assert_int_equal(fits(rule, asks[a]), expected[t][a]);
        }
}

static void
names_fit_as_postgresql_says(void **state)
{
    static const struct {
        const char *databases, *users, *ask;
        bool fits;
    } rows[] = {
        { "all", "all", "d u local", true },
        { "\"all\"", "all", "d u local", false }, /* quoted: a name */
        { "\"all\"", "\"all\"", "all all local", true },
        { "sameuser", "all", "joe joe local", true },
        { "sameuser", "all", "joe jo local", false },
        { "\"sameuser\"", "all", "joe joe local", false },
        { "all", "sameuser", "joe joe local", false },
        { "a,b", "x,y", "b x local", true },
        { "a, b", "x", "b x local", true },
        { "D", "all", "d u local", false },
        { "all", "all", "d u local +repl", false }, /* replication needs its own rule */
        { "replication", "all", "d u local +repl", true },
        { "replication", "all", "replication u local", false },
        { "\"replication\"", "all", "replication u local", true },
        { "d,replication", "all", "d u local", true },
        { "d,replication", "all", "d u local +repl", true },
        { "replication", "other", "d u local +repl", false },
        { "/^db[0-9]+$", "all", "db12 u local", true },
        { "/^db\\d+$", "all", "db12 u local", true },
        { "/^db\\d+$", "all", "dbd u local", false },
        { "/^db\\d+$", "all", "xdb1 u local", false },
        { "/b1", "all", "db12 u local", true },
        { "\"/^db\\d{2,4}$\"", "all", "db123 u local", true },
        { "\"/^db\\d{2,4}$\"", "all", "db1 u local", false },
        { "x,\"/^db\\d{2,4}$\",y", "all", "y u local", true },
        { "/^[]/]$", "all", "] u local", true },
        { "/^[^]a]$", "all", "] u local", false },
        { "/^[[:digit:]x]+$", "all", "1x2 u local", true },
        { "/^a\\.b$", "all", "a.b u local", true },
        { "/^a\\.b$", "all", "axb u local", false },
        { "/^\\D\\w\\W$", "all", "a_- u local", true },
        { "/^a\\<b$", "all", "a<b u local", true },
        { "/^a+?b??c*$", "all", "aac u local", true },
        { "/^a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+$", "all", "abcdefghijklmnop u local", true },
        { "/^(a(b|c)+)+$", "all", "abcab u local", true },
        { "/^(a(b|c)+)+$", "all", "abca u local", false },
        { "all", "/^app_", "d app_x local", true },
        { "all", "/^app_", "d xapp_ local", false },
        { "all", "\"+admins\"", "d +admins local", true },
        { "+x", "all", "+x u local", true },
        { "\"a\"\"b\"", "all", "a\"b u local", true },
        { "a\"b\"c", "all", "abc u local", true },
        { "\"a b\"", "all", "a u local", false },
        { "@", "all", "@ u local", true },
        { "\"@x\"", "all", "@x u local", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char rule[128];

        snprintf(rule, sizeof(rule), "local %s %s trust", rows[i].databases, rows[i].users);
        if ((fits(rule, rows[i].ask) == 1) != rows[i].fits)
            fail_msg("%s: %s", rule, rows[i].ask);
    }
}

static void
addresses_fit_to_the_bit(void **state)
{
    static const struct {
        const char *address, *from;
        bool fits;
    } rows[] = {
        { "10.0.0.0/8", "10.255.0.1", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "192.168.1.77/32", "192.168.1.77", true },
        { "192.168.1.77/32", "192.168.1.76", false },
        { "192.168.1.77/31", "192.168.1.76", true }, /* host bits of the rule do not count */
        { "0.0.0.0/0", "1.2.3.4", true },
        { "0.0.0.0/0", "::1", false },
        { "::/0", "1.2.3.4", false },
        { "::/0", "::1", true },
        { "all", "::1", true },
        { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "::1/128", "::1", true },
        { "::1/128", "::2", false },
        { "10.0.0.0 255.0.0.0", "10.1.1.1", true },
        { "10.0.0.0 255.0.0.0", "11.1.1.1", false },
        { "10.0.0.7 255.0.0.255", "10.9.9.7", true },
        { "fe80:: ffff::", "fe80::1", true },
        { "127.0.0.1/32", "::ffff:127.0.0.1", true }, /* IPv4 through an IPv6 socket */
        { "samehost", "127.0.0.1", true },
        { "samehost", "127.0.0.2", false },
        { "samenet", "127.0.0.2", true },
        { "samenet", "203.0.113.9", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char rule[128], ask[128];

        snprintf(rule, sizeof(rule), "host all all %s trust", rows[i].address);
        snprintf(ask, sizeof(ask), "d u %s", rows[i].from);
        if ((fits(rule, ask) == 1) != rows[i].fits)
            fail_msg("%s: %s", rule, rows[i].from);
    }
}

static void
our_own_address_is_the_same_host(void **state)
{
    struct hba *h = parse("host all all samehost trust", NULL);
    struct question q, local;

    (void)state;
    question_init(&q, "d u 203.0.113.9");
    question_init(&local, "d u 203.0.113.9");
    assert_int_equal(hba_decide(h, &q.ask, NULL), HBA_REJECT);
    q.ask.local = local.ask.from;
    assert_int_equal(hba_decide(h, &q.ask, NULL), HBA_TRUST);
    hba_drop(h);
}

static void
clients_without_an_address_are_rejected(void **state)
{
    struct hba *h = parse("host all all all trust", NULL);
    struct sockaddr other = { .sa_family = AF_UNIX };
    struct question q;

    (void)state;
    question_init(&q, "d u 1.2.3.4");
    q.ask.from = NULL;
    assert_int_equal(hba_decide(h, &q.ask, NULL), HBA_REJECT);
    q.ask.from = &other;
    assert_int_equal(hba_decide(h, &q.ask, NULL), HBA_REJECT);
    hba_drop(h);
}

static enum hba_method
decide(const struct hba *h, const char *words, const char *roles, const char *host)
{
    struct question q;

    question_init(&q, words);
    q.ask.roles = roles;
    q.ask.host = host;
    return hba_decide(h, &q.ask, NULL);
}

static void
roles_are_asked_for_when_a_rule_needs_them(void **state)
{
    struct hba *h = parse("local all boss trust\nlocal all +ops md5\nlocal samerole all password\n"
                          "local \"samerole\",x all peer\n",
                          NULL);

    (void)state;
    assert_non_null(h);
    assert_true(hba_wants_roles(h));
    assert_int_equal(decide(h, "d boss local", NULL, NULL), HBA_TRUST);
    assert_int_equal(decide(h, "d joe local", NULL, NULL), HBA_NEEDS_ROLES);
    assert_int_equal(decide(h, "d joe local", "3:joe3:ops", NULL), HBA_MD5);
    assert_int_equal(decide(h, "d joe local", "3:joe4:opsx2:op", NULL), HBA_REJECT);
    assert_int_equal(decide(h, "joe joe local", "3:joe", NULL), HBA_PASSWORD);
    assert_int_equal(decide(h, "d joe local", "3:joe1:d", NULL), HBA_PASSWORD);
    assert_int_equal(decide(h, "samerole joe local", "3:joe", NULL), HBA_PEER);
    for (size_t i = 0; i < 6; i++) { /* malformed lists have nothing, and are not read over their end */
        static const char *const lists[] = { "3", "3:", "9:ops", "x", "18446744073709551615:ops", "-1:ops" };

        assert_int_equal(decide(h, "d joe local", lists[i], NULL), HBA_REJECT);
    }
    hba_drop(h);
    h = parse("local all \"+ops\" trust\n", NULL);
    assert_false(hba_wants_roles(h));
    assert_int_equal(decide(h, "d +ops local", NULL, NULL), HBA_TRUST);
    hba_drop(h);
}

static void
host_names_fit_whole_or_by_suffix(void **state)
{
    (void)state;
    struct hba *h = parse(
        "host a all 10.0.0.1/32 trust\nhost all all db.Example.com md5\nhost all joe .example.org password\n"
        "host b all all scram-sha-256\n",
        NULL);
    assert_non_null(h);
    assert_int_equal(decide(h, "a joe 10.0.0.1", NULL, NULL), HBA_TRUST);
    assert_int_equal(decide(h, "b joe 10.0.0.2", NULL, NULL), HBA_NEEDS_HOST);
    assert_int_equal(decide(h, "a joe 10.0.0.2", NULL, "DB.example.com"), HBA_MD5);
    assert_int_equal(decide(h, "a joe 10.0.0.2", NULL, "xdb.example.com"), HBA_REJECT);
    assert_int_equal(decide(h, "a joe 10.0.0.2", NULL, "x.EXAMPLE.org"), HBA_PASSWORD);
    assert_int_equal(decide(h, "a joe 10.0.0.2", NULL, ".example.org"), HBA_REJECT);
    assert_int_equal(decide(h, "b joe 10.0.0.2", NULL, "example.org"), HBA_SCRAM);
    assert_int_equal(decide(h, "b joe 10.0.0.2", NULL, ""), HBA_SCRAM);
    hba_drop(h);
}

static void
options_are_kept_with_their_rule(void **state)
{
    struct fault why = { 0 };
    struct hba *h =
        parse("hostssl all all 10.0.0.1/32 scram-sha-256 clientcert=verify-full\n"
              "host all all 10.0.0.2/32 pam pamservice=\"my pam\"\n"
              "host all all 10.0.0.3/32 ldap ldapserver=\"a b\" ldapport=10389 ldapprefix=\"cn=\" "
              "ldapsuffix=\", dc=x\"\n"
              "host all all 10.0.0.4/32 ldap ldapurl=\"ldaps://h:77/dc=x,dc=y??one?(a=b)\" ldapbinddn=me\n",
              &why);
    struct hba_found found;
    struct question q;

    (void)state;
    if (h == NULL)
        fail_msg("%s", why.message);
    assert_true(hba_wants_certificate(h));
    question_init(&q, "d u 10.0.0.1 +tls");
    q.ask.tls = true;
    assert_int_equal(hba_decide(h, &q.ask, &found), HBA_SCRAM);
    assert_int_equal(found.options->clientcert, HBA_CLIENTCERT_FULL);
    question_init(&q, "d u 10.0.0.2");
    assert_int_equal(hba_decide(h, &q.ask, &found), HBA_PAM);
    assert_string_equal(found.options->pam_service, "my pam");
    question_init(&q, "d u 10.0.0.3");
    assert_int_equal(hba_decide(h, &q.ask, &found), HBA_LDAP);
    assert_string_equal(found.options->ldap.server, "a b");
    assert_string_equal(found.options->ldap.suffix, ", dc=x");
    assert_int_equal(found.options->ldap.port, 10389);
    question_init(&q, "d u 10.0.0.4");
    assert_int_equal(hba_decide(h, &q.ask, &found), HBA_LDAP);
    assert_string_equal(found.options->ldap.scheme, "ldaps");
    assert_string_equal(found.options->ldap.server, "h");
    assert_int_equal(found.options->ldap.port, 77);
    assert_string_equal(found.options->ldap.base_dn, "dc=x,dc=y");
    assert_null(found.options->ldap.attribute);
    assert_string_equal(found.options->ldap.filter, "(a=b)");
    assert_int_equal(found.options->ldap.scope, 1);
    hba_drop(h);
}

static const struct {
    const char *line, *reason;
} bad_lines[] = {
    { "hos all all all trust", "unknown connection type \"hos\"" },
    { "host,local all all all trust", "one connection type" },
    { "local", "ends before the database" },
    { "local all", "ends before the user" },
    { "local all all", "ends before the authentication method" },
    { "local all x ,y trust", "unknown authentication method \"y\"" },
    { "host all all", "ends before the address" },
    { "host all all 10.0.0.0", "ends before the mask" },
    { "host all all 10.0.0.0/8", "ends before the authentication method" },
    { "host all all 10.0.0.0/33 trust", "neither an address nor a host name" },
    { "host all all 10.0.0.0/ trust", "neither an address nor a host name" },
    { "host all all 10.0.0.0/-1 trust", "neither an address nor a host name" },
    { "host all all 10.0.0.0/8x trust", "neither an address nor a host name" },
    { "host all all 10.0.0.0/99999999999999999999 trust", "neither an address nor a host name" },
    { "host all all 10.0.0/8 trust", "neither an address nor a host name" },
    { "host all all ::/129 trust", "neither an address nor a host name" },
    { "host all all \"\" trust", "neither an address nor a host name" },
    { "host all all 1.2.3.4,5.6.7.8 trust", "one address" },
    { "host all all db_example.com/24 trust", "neither an address nor a host name" },
    { "host all all 300.1.2.3 255.0.0.0 trust", "neither an address nor a host name" },
    { "host all all ::ffff:10.0.0.0/104 trust", "write it as one" },
    { "host all all 10.0.0.0 trust", "not a mask" },
    { "host all all 10.0.0.0 ffff:: trust", "not a mask" },
    { "host all all 10.0.0.0 255.0.0.0/8 trust", "not a mask" },
    { "host all all all gss", "\"gss\" is not supported" },
    { "host all all all sspi", "\"sspi\" is not supported" },
    { "host all all all radius", "\"radius\" is not supported" },
    { "host all all all ldap", "needs ldapserver" },
    { "host all all all ldap ldapprefix=a", "needs ldapserver" },
    { "host all all all ldap ldapserver=x", "needs either ldapprefix" },
    { "host all all all ldap ldapserver=x ldapprefix=a ldapbasedn=b", "needs either ldapprefix" },
    { "host all all all ldap ldapserver=x ldapbinddn=b", "needs ldapbasedn" },
    { "host all all all ldap ldapserver=x ldapport=0 ldapprefix=a", "option \"ldapport\": it must be a port" },
    { "host all all all ldap ldapurl=http://x", "not an LDAP URL" },
    { "host all all all ldap ldapurl=ldapi:///x", "its scheme must be" },
    { "host all all all ldap ldapscheme=http", "it must be ldap or ldaps" },
    { "host all all all ldap ldaptls=yes", "it must be 0 or 1" },
    { "host all all all ldap ldapserver=x ldapbasedn=b ldapsearchattribute=c ldapsearchfilter=d",
      "exclude each other" },
    { "host all all all ldap ldapurl=\"ldaps://x/dc=a\" ldaptls=1", "exclude each other" },
    { "host all all all md5 ldapserver=x", "is not for this method" },
    { "host all all all scram-sha-256 map=x", "is not for this method" },
    { "host all all all pam pam_use_hostname=yes", "it must be 0 or 1" },
    { "host all all all md5 pam_use_hostname=1", "is not for this method" },
    { "host all all all md5 clientcert=verify-ca", "only for hostssl" },
    { "hostssl all all all md5 clientcert=1", "it must be verify-ca or verify-full" },
    { "hostssl all all all cert clientcert=verify-ca", "with method cert verify-full" },
    { "hostssl all all all cert clientname=OU", "it must be CN or DN" },
    { "host all all all md5 clientname=DN", "only for hostssl" },
    { "hostssl all all all cert map", "has no value" },
    { "host all all all ident", "\"ident\" is not supported" },
    { "host all all all TRUST", "unknown authentication method" },
    { "host all all all trust,md5", "one authentication method" },
    { "host all all all peer", "only for local" },
    { "host all all all cert", "only for hostssl" },
    { "local all + trust", "a role name must follow" },
    { "local \"all all trust", "a quote does not end" },
    { "local /[ all trust", "bad regular expression" },
    { "local /a\\m all trust", "bad regular expression" },
    { "local /(a)\\1 all trust", "bad regular expression" },
    { "local /a\\ all trust", "bad regular expression" },
    { "local /[\\d] all trust", "bad regular expression" },
    { "local /(?i)a all trust", "bad regular expression" },
    { "local ***=a,/***=a all trust", "bad regular expression" },
    { "local /( all trust", "bad regular expression" },
    { "local \"/a{256}\" all trust", "bad regular expression" },
    { "local \"/a{1,256}\" all trust", "bad regular expression" },
    { "local \"/(a{100}){100}\" all trust", "bad regular expression" },
    { "local /a++ all trust", "bad regular expression" },
    { "local /a+{2} all trust", "bad regular expression" },
    { "local /*a all trust", "bad regular expression" },
    { "local /a|*b all trust", "bad regular expression" },
    { "local /a) all trust", "bad regular expression" },
    { "local /((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+ all trust", "bad regular expression" },
    { "local /a{ all trust", "bad regular expression" },
    { "local /a{1 all trust", "bad regular expression" },
    { "local /a{x} all trust", "bad regular expression" },
    { "include", "needs one name" },
    { "include a b", "needs one name" },
    { "include a,b", "needs one name" },
    { "include_dir /nonexistent/conf.d", "cannot read the folder" },
    { "include /nonexistent/hba.conf", "cannot open" },
    { "local @/nonexistent/dbs all trust", "cannot open" },
    { "include_if_exists /tmp", "not a regular file" },
};

static void
bad_lines_are_refused_with_file_line_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
        struct text text = { 0 };
        struct fault why = { 0 };

        text_printf(&text, "local all all trust\n#\n%s\nhost all all all trust\n", bad_lines[i].line);
        if (parse(text_str(&text), &why) != NULL)
            fail_msg("\"%s\" was taken", bad_lines[i].line);
        if (strncmp(why.message, "/etc/hba.conf:3: ", 17) != 0 ||
            strstr(why.message, bad_lines[i].reason) == NULL)
            fail_msg("\"%s\": %s", bad_lines[i].line, why.message);
        text_done(&text);
    }
}

static void
file_without_a_rule_is_refused(void **state)
{
    struct fault why = { 0 };

    (void)state;
    assert_null(parse("", &why));
    assert_non_null(strstr(why.message, "no rule"));
    assert_null(parse("# only a comment\n\n", NULL));
    assert_null(hba_parse(SLICE("local all all trust\n\0"), "f", &why));
    assert_non_null(strstr(why.message, "NUL"));
}

static void
continued_lines_are_one_and_count_from_the_first(void **state)
{
    (void)state;
    assert_int_equal(fits("#\n\nlocal all \\\r\n  all \\\n trust\nhost all all all trust", "d u local"), 3);
    assert_int_equal(fits("#\n\nlocal all \\\r\n  all \\\n trust\nhost all all all trust", "d u 1.2.3.4"), 6);
    assert_int_equal(fits("# comment \\\nlocal all all trust\nlocal all all trust", "d u local"), 3);
    assert_int_equal(fits("local all us\\\ner trust", "d user local"), 1);
}

static void
text_cut_anywhere_is_parsed_or_refused(void **state)
{
    const char *whole =
        "local \"a b\",/x[[:alpha:]]\\d all peer # c\nhost all all \\\n 10.0.0.0 255.0.0.0 md5\n";
    size_t parsed = 0;

    (void)state;
    for (size_t cut = 0; cut <= strlen(whole); cut++) {
        struct slice copy = exact(slice_of(whole, cut));
        struct hba *h = hba_parse(copy, "f", NULL);

        parsed += h != NULL;
        hba_drop(h);
        exact_free(copy);
    }
    /* From "peer" to the end of its line, and the two last; a lone "host" and so on are refused. */
    assert_int_equal(parsed, strlen(" # c\n") + 1 + 2);
}

static void
snapshot_lives_until_the_last_drop(void **state)
{
    struct hba *h = parse("local /a all trust", NULL);

    (void)state;
    assert_ptr_equal(hba_hold(h), h);
    hba_drop(h);
    assert_int_equal(line_for(h, "a u local"), 1);
    hba_drop(h);
    hba_drop(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_rule_that_fits_decides),
        cmocka_unit_test(every_method_is_known_by_its_name),
        cmocka_unit_test(types_fit_their_connections_only),
        cmocka_unit_test(names_fit_as_postgresql_says),
        cmocka_unit_test(addresses_fit_to_the_bit),
        cmocka_unit_test(our_own_address_is_the_same_host),
        cmocka_unit_test(clients_without_an_address_are_rejected),
        cmocka_unit_test(roles_are_asked_for_when_a_rule_needs_them),
        cmocka_unit_test(host_names_fit_whole_or_by_suffix),
        cmocka_unit_test(options_are_kept_with_their_rule),
        cmocka_unit_test(bad_lines_are_refused_with_file_line_and_reason),
        cmocka_unit_test(file_without_a_rule_is_refused),
        cmocka_unit_test(continued_lines_are_one_and_count_from_the_first),
        cmocka_unit_test(text_cut_anywhere_is_parsed_or_refused),
        cmocka_unit_test(snapshot_lives_until_the_last_drop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
