/* SPDX-License-Identifier: ISC */
/* Start-up parameters and `options`: settings that RESET goes back to. */
#include <ctype.h>
#include <stdio.h>

#include "login_private.h"

static bool
is_ignored(const struct session *s, struct slice name)
{
    return conf_list_has(s->hall->setup.conf->general.ignore_startup_parameters, name);
}

static void
add(struct session *s, struct slice name, struct slice value)
{
    char folded[64];

    if (name.len >= sizeof(folded) || is_ignored(s, name))
        return;
    for (size_t i = 0; i < name.len; i++)
        folded[i] = (char)tolower(name.data[i]);
    if (s->replication) /* it has a server of its own, whose start-up packet they go into */
        s->startup = params_with(s->startup, slice_of(folded, name.len), value);
    else
        s->startup = settings_with(s->startup, slice_of(folded, name.len), value);
}

static void
on_option(void *owner, struct slice name, struct slice value)
{
    add(owner, name, value);
}

/* PostgreSQL replaces what is not printable ASCII (guc: check_application_name). */
static void
set_application(struct session *s, struct slice value)
{
    char from[NET_ADDRESS_TEXT] = "unix";
    bool add_host = s->hall->setup.conf->general.application_name_add_host;
    struct net_address a;

    mem_free(s->application);
    if (add_host && !s->is_unix) {
        net_address_peer(&a, s->client.fd);
        net_address_print(&a, from);
    }
    if (add_host)
        s->application = mem_printf("%.*s - %s", (int)value.len, (const char *)value.data, from);
    else
        s->application = slice_dup(value);
    if (strlen(s->application) > 63)
        s->application[63] = '\0';
    for (char *c = s->application; *c != '\0'; c++)
        if ((unsigned char)*c < 32 || (unsigned char)*c > 126)
            *c = '?';
    add(s, SLICE("application_name"), slice_str(s->application));
}

/* False: the client is gone. */
static bool
understand(struct session *s, const struct startup *packet)
{
    struct text copy = { 0 };
    struct fault why;
    bool ok = true;

    s->startup = params_empty(s->hall->pools.sets);
    if (packet->options.len > 0 && !is_ignored(s, SLICE("options")))
        ok = startup_options(packet->options, &copy, on_option, s, &why);
    text_done(&copy);
    if (!ok) {
        session_close(s, &why);
        return false;
    }
    if (s->hall->setup.conf->general.application_name_add_host)
        set_application(s, SLICE("app"));
    for (unsigned i = 0; i < packet->n_params; i++) {
        if (slice_is_nocase(packet->params[i].name, "application_name"))
            set_application(s, packet->params[i].value);
        else
            add(s, packet->params[i].name, packet->params[i].value);
    }
    return true;
}

bool
params_take(struct session *s, const struct startup *packet)
{
    /* what the peer's address or kind has a part in is not the same for the next client */
    bool same_for_all = !s->replication && !s->hall->setup.conf->general.application_name_add_host;

    if (!same_for_all || !known_startup_take(s, packet->words)) {
        if (!understand(s, packet))
            return false;
        if (same_for_all)
            known_startup_add(s, packet->words);
    }
    s->settings = params_hold(s->startup);
    return true;
}
