/* SPDX-License-Identifier: ISC */
/* Parse and Bind that no server hears of: of what opening.c and show.c answer. */
#include "session_private.h"

bool
parse_here(struct session *s, struct slice name, struct statement *st)
{
    if (name.len > 0 &&
        (s->hall->setup.conf->general.max_prepared_statements == 0 || !prepared_names_is_free(s, name)))
        return false;
    if (name.len > 0) {
        prepared_names_add(s, name, st);
        pending_push(s, PENDING_PARSE, PENDING_LOCAL)->statement = statement_hold(st);
    } else {
        pending_push_unnamed(s, PENDING_PARSE, PENDING_LOCAL, st);
    }
    s->pool->database->stats.client_parses++;
    pending_answer_local(s);
    return true;
}

bool
bind_here(struct session *s, struct statement *st)
{
    statement_drop(s->next_run);
    s->next_run = statement_hold(st);
    s->pool->database->stats.binds++;
    pending_push(s, PENDING_BIND, PENDING_LOCAL);
    pending_answer_local(s);
    return true;
}
