/* SPDX-License-Identifier: ISC */
/* Files that pg_hba.conf mentions. */
#include "auth/hba_question.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

struct folder {
    char path[64];
};

static void
write_file(const struct folder *f, const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", f->path, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    mem_free(path);
}

static struct hba *
load(const struct folder *f, struct fault *why)
{
    char *path = mem_printf("%s/hba.conf", f->path);
    struct hba *h = hba_load(path, why);

    mem_free(path);
    return h;
}

static int
folder_open(void **state)
{
    struct folder *f = mem_new(struct folder);

    strcpy(f->path, "/tmp/test_hba_XXXXXX");
    *state = f;
    return mkdtemp(f->path) == NULL ? -1 : 0;
}

static int
folder_close(void **state)
{
    struct folder *f = *state;
    char *command = mem_printf("rm -r %s", f->path);
    int result = system(command);

    mem_free(command);
    mem_free(f);
    return result;
}

static void
names_come_from_files_beside_the_file(void **state)
{
    const struct folder *f = *state;
    struct fault why = { 0 };
    struct hba *h;

    write_file(f, "hba.conf", "local @dbs,extra @none trust\nlocal @dbs,extra all trust\n");
    write_file(f, "dbs", "# databases\none, two three\n\"all\" @more\n");
    write_file(f, "more", "four\n/^r\\d$\n");
    write_file(f, "none", "# nobody\n");
    h = load(f, &why);
    if (h == NULL)
        fail_msg("%s", why.message);
    assert_int_equal(line_for(h, "one u local"), 2); /* the list of line 1 is empty */
    assert_int_equal(line_for(h, "three u local"), 2);
    assert_int_equal(line_for(h, "four u local"), 2);
    assert_int_equal(line_for(h, "r7 u local"), 2);
    assert_int_equal(line_for(h, "extra u local"), 2);
    assert_int_equal(line_for(h, "all u local"), 2);
    assert_int_equal(line_for(h, "other u local"), 0);
    hba_drop(h);
}

static void
included_rules_stand_where_they_are_included(void **state)
{
    const struct folder *f = *state;
    struct fault why = { 0 };
    struct hba *h;

    write_file(f, "hba.conf",
               "local one all trust\ninclude \"b c\"\ninclude_if_exists gone\nlocal all all reject\n");
    write_file(f, "b c", "\n\n\n\n\nlocal one,two all trust\n");
    h = load(f, &why);
    if (h == NULL)
        fail_msg("%s", why.message);
    assert_int_equal(why.message[0], '\0');
    assert_int_equal(line_for(h, "one u local"), 1);
    assert_int_equal(line_for(h, "two u local"), 6);
    assert_int_equal(line_for(h, "three u local"), 4);
    hba_drop(h);
    write_file(f, "b c", "\nlocal one two\n");
    assert_null(load(f, &why));
    assert_non_null(strstr(why.message, "/b c:2: the line ends"));
}

static void
files_that_include_themselves_are_refused(void **state)
{
    const struct folder *f = *state;
    struct fault why = { 0 };

    write_file(f, "hba.conf", "include hba.conf\n");
    assert_null(load(f, &why));
    assert_non_null(strstr(why.message, "more than 10 deep"));
    write_file(f, "hba.conf", "include_if_exists hba.conf\n");
    assert_null(load(f, &why));
    write_file(f, "hba.conf", "local @names all trust\n");
    write_file(f, "names", "a @names\n");
    assert_null(load(f, &why));
    assert_non_null(strstr(why.message, "more than 10 deep"));
}

static void
files_that_multiply_are_refused(void **state)
{
    const struct folder *f = *state;
    struct fault why = { 0 };
    char name[16], text[300];

    write_file(f, "hba.conf", "local @f0 all trust\n");
    for (int i = 0; i < 9; i++) { /* 20 to the power of 9 in all */
        text[0] = '\0';
        for (int n = 0; n < 20; n++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "@f%d,", i + 1);
        snprintf(name, sizeof(name), "f%d", i);
        write_file(f, name, text);
    }
    write_file(f, "f9", "");
    assert_null(load(f, &why));
    assert_non_null(strstr(why.message, "more than 10000 files"));
}

static void
a_folder_is_included_in_the_order_of_names(void **state)
{
    const struct folder *f = *state;
    struct fault why = { 0 };
    struct hba *h;

    char *inner = mem_printf("%s/d", f->path);

    assert_int_equal(mkdir(inner, 0700), 0);
    mem_free(inner);
    write_file(f, "hba.conf", "include_dir d\nlocal all all reject\n");
    write_file(f, "d/2.conf", "# two\nlocal a all reject\n");
    write_file(f, "d/1.conf", "local a all trust\n");
    write_file(f, "d/.0.conf", "nonsense\n");
    write_file(f, "d/0.conf~", "nonsense\n");
    h = load(f, &why);
    if (h == NULL)
        fail_msg("%s", why.message);
    assert_int_equal(line_for(h, "a u local"), 1);
    assert_int_equal(line_for(h, "b u local"), 2);
    hba_drop(h);
    write_file(f, "d/3.conf", "\nnonsense\n");
    assert_null(load(f, &why));
    assert_non_null(strstr(why.message, "/d/3.conf:2: unknown connection type"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_come_from_files_beside_the_file, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(included_rules_stand_where_they_are_included, folder_open,
                                        folder_close),
        cmocka_unit_test_setup_teardown(files_that_include_themselves_are_refused, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(files_that_multiply_are_refused, folder_open, folder_close),
        cmocka_unit_test_setup_teardown(a_folder_is_included_in_the_order_of_names, folder_open, folder_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
