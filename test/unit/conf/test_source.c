/* SPDX-License-Identifier: ISC */
/* Files and what they include, in a folder of this test's own, which is also its working folder. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_tests.h"
#include "source_private.h"

static void
write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void
load_refused(const char *file, const char *message)
{
    struct fault why = { .message = "" };
    struct conf *c = conf_load(file, &why);

    conf_drop(c);
    assert_null(c);
    assert_string_equal(why.message, message);
}

/* C was refused; the system's own words end the message. */
static void
starts_with(struct conf *c, const struct fault *why, const char *start)
{
    assert_null(c);
    assert_memory_equal(why->message, start, strlen(start));
    assert_true(strlen(why->message) > strlen(start));
}

static int
enter_folder(void **state)
{
    char name[] = "/tmp/test_source_XXXXXX";

    if (mkdtemp(name) == NULL || chdir(name) != 0)
        return -1;
    *state = strdup(name);
    return 0;
}

static int
leave_folder(void **state)
{
    char *command = mem_printf("rm -rf '%s'", (char *)*state);
    int rc = chdir("/") == 0 && system(command) == 0 ? 0 : -1;

    mem_free(command);
    free(*state);
    return rc;
}

static void
an_included_file_goes_on_in_the_section_and_leaves_its_own(void **state)
{
    struct conf *c;
    char *path = mem_printf("%s/a.ini", (char *)*state);

    setenv("CONF_TEST_FOLDER", *state, 1);
    assert_int_equal(mkdir("d", 0700), 0);
    write_file("a.ini", "[pgweir]\n%include d/b.ini\nx = host=h\n");
    /* Relative to the working folder, not to the file. */
    write_file("d/b.ini", "listen_port = 7000\n%include ${CONF_TEST_FOLDER}/c.ini\n");
    write_file("c.ini", "[databases]\n\ny =");
    c = conf_load("a.ini", NULL);
    assert_non_null(c);
    assert_int_equal(c->general.listen_port, 7000);
    assert_string_equal(c->file, path);
    assert_int_equal(c->n_databases, 2);
    assert_string_equal(c->databases[0].name, "y");
    assert_string_equal(strrchr(c->databases[0].file, '/'), "/c.ini");
    assert_int_equal(c->databases[0].line, 3);
    assert_string_equal(c->databases[1].file, "a.ini");
    conf_drop(c);
    mem_free(path);
}

static void
nodes_may_stand_in_a_file_of_their_own(void **state)
{
    struct conf *c;

    (void)state;
    write_file("n.ini", "pg1 = cluster=main host=h\n[clusters]\nmain = max_lag=1\n");
    c = good("[databases]\na = cluster=main\n[nodes]\n%include n.ini\n");
    assert_string_equal(conf_cluster_of(c, &c->databases[0])->file, "n.ini");
    assert_int_equal(c->n_nodes, 1);
    conf_drop(c);
    write_file("n.ini", "pg1 = cluster=main host=h\npg2 = host=h\n");
    refused("[nodes]\n%include n.ini\n", "n.ini:2: node \"pg2\" has no cluster; add cluster=NAME");
    /* The same line read twice is one line. */
    write_file("n.ini", "a = host=x,y\n");
    c = good("[databases]\n%include n.ini\n%include n.ini\n");
    assert_int_equal(c->n_nodes, 2);
    conf_drop(c);
}

static void
a_fault_names_the_file_and_line_where_it_is(void **state)
{
    (void)state;
    write_file("bad1.ini", "[pgweir]\n%include bad2.ini\n");
    write_file("bad2.ini", "\nlisten_port = 0\n");
    load_refused("bad1.ini", "bad2.ini:2: listen_port must be a whole number from 1 to 65535");
    write_file("bad2.ini", "\n\noops\n");
    load_refused("bad1.ini",
                 "bad2.ini:3: expected \"key = value\"; a name with other characters than A-Z a-z 0-9 "
                 "_ . - * needs double quotes");
    write_file("bad2.ini", "");
    write_file("bad1.ini", "[pgweir]\n%include bad2.ini\noops =\n");
    load_refused("bad1.ini", "bad1.ini:3: unknown option oops");
    write_file("bad1.ini", "[pgweir]\n%include bad2.ini\noops\n");
    load_refused("bad1.ini",
                 "bad1.ini:3: expected \"key = value\"; a name with other characters than A-Z a-z 0-9 "
                 "_ . - * needs double quotes");
}

static void
what_cannot_be_read_is_refused(void **state)
{
    struct fault why;

    (void)state;
    starts_with(conf_load("none.ini", &why), &why, "cannot read none.ini: ");
    load_refused("/", "cannot read /: not a regular file of at most 67108864 bytes");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    load_refused("fifo", "cannot read fifo: not a regular file of at most 67108864 bytes");
    starts_with(parse("[pgweir]\n%include none.ini\n", &why), &why, "t.ini:2: cannot read none.ini: ");
    unsetenv("CONF_TEST_NONE");
    refused("%include ${CONF_TEST_NONE}\n", "t.ini:1: the environment has no variable CONF_TEST_NONE");
}

static void
a_file_that_includes_itself_is_refused(void **state)
{
    (void)state;
    write_file("loop.ini", "\n%include loop.ini\n%include loop.ini\n");
    load_refused("loop.ini",
                 "loop.ini:2: more than 16 files deep or 1000 files in all: does a file include itself?");
}

static void
sixteen_files_deep_is_fine(void **state)
{
    struct conf *c;

    (void)state;
    for (int i = 0; i < 16; i++) {
        char *name = mem_printf("deep%d.ini", i), *text = mem_printf("%%include deep%d.ini\n", i + 1);

        write_file(name, text);
        mem_free(name);
        mem_free(text);
    }
    write_file("deep16.ini", "[pgweir]\nlisten_port = 7001\n");
    c = conf_load("deep0.ini", NULL);
    assert_non_null(c);
    assert_int_equal(c->general.listen_port, 7001);
    conf_drop(c);
}

static void
a_password_comes_from_the_first_line_of_its_file(void **state)
{
    struct conf *c;
    struct fault why;

    (void)state;
    write_file("secret", "s3 cret\r\nmore");
    c = good("[databases]\na = user=u password_file=secret\n");
    assert_string_equal(c->databases[0].password, "s3 cret");
    conf_drop(c);
    write_file("secret", "\nmore");
    refused("[databases]\na = password_file=secret\n", "t.ini:2: secret has no password");
    refused("[databases]\na = password=x password_file=secret\n",
            "t.ini:2: password and password_file exclude each other");
    starts_with(parse("[databases]\na = password_file=nofile\n", &why), &why, "t.ini:2: cannot read nofile: ");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_included_file_goes_on_in_the_section_and_leaves_its_own),
        cmocka_unit_test(nodes_may_stand_in_a_file_of_their_own),
        cmocka_unit_test(a_fault_names_the_file_and_line_where_it_is),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(a_file_that_includes_itself_is_refused),
        cmocka_unit_test(sixteen_files_deep_is_fine),
        cmocka_unit_test(a_password_comes_from_the_first_line_of_its_file),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
