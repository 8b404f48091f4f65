/* SPDX-License-Identifier: ISC */
/* The option part of pgweir.ini(5), from the tables of options, in place of @OPTIONS@ in standard input. */
#include <stdio.h>

#include "base/text.h"
#include "conf/conf.h"

int
main(void)
{
    struct text manual = { 0 };
    char line[1024];

    conf_manual(&manual);
    while (fgets(line, sizeof(line), stdin) != NULL)
        fputs(strcmp(line, "@OPTIONS@\n") == 0 ? text_str(&manual) : line, stdout);
    text_done(&manual);
    return ferror(stdout) || fflush(stdout) != 0;
}
