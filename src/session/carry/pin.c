/* SPDX-License-Identifier: ISC */
/* State that cannot be carried to another server: the session keeps the one it
 * has, and is told so once. */
#include "session_private.h"

bool
session_is_pinned(const struct session *s)
{
    return s->pins != 0;
}

const char *
session_pin_name(const struct session *s)
{
    if (s->pool != NULL && s->pool->conf.mode == CONF_POOL_SESSION)
        return "session";
    for (int i = 1; i < PIN_N; i++)
        if ((s->pins & 1u << i) != 0)
            return pin_reason_name((enum pin_reason)i);
    return "none";
}

static void
tell(struct session *s, enum pin_reason reason, bool kept)
{
    struct fault why;

    if ((s->noticed & 1u << reason) != 0 || (kept && !s->hall->setup.conf->general.pin_notice))
        return;
    s->noticed |= (uint16_t)(1u << reason);
    if (kept)
        fault_set(&why, "01000", "session is pinned to its server connection: %s", pin_reason_name(reason));
    else
        fault_set(&why, "01000", "this statement leaves state (%s) that the next transaction may not find",
                  pin_reason_name(reason));
    fault_hint(&why, "See on_session_state; SHOW PINS on the console lists such sessions.");
    session_say(s, kept ? WIRE_NOTICE : WIRE_WARNING, &why);
}

/* State that a rollback takes back; locks, libraries, prepared statements and what functions do stay. */
static bool
is_transactional(enum pin_reason reason)
{
    return reason == PIN_TEMP_TABLE || reason == PIN_HOLD_CURSOR || reason == PIN_LISTEN ||
           reason == PIN_ROLE || reason == PIN_AUTHORIZATION || reason == PIN_SET;
}

void
pin_set(struct session *s, enum pin_reason reason)
{
    bool is_warned = s->pool->conf.on_session_state == CONF_STATE_WARN;

    if (reason == PIN_FUNCTION) /* connections of dblink, slots */
        s->server->tainted = s->server->tainted || !is_warned || s->pool->conf.mode == CONF_POOL_SESSION;
    if (s->pool->conf.mode == CONF_POOL_SESSION)
        return;
    if (is_warned) {
        tell(s, reason, false);
        return;
    }
    s->pins |= (uint16_t)(1u << reason);
    if (!holds_doubts(s, reason))
        tell(s, reason, true);
}

/* Who becomes another one has no role, even when that is rolled back. */
static void
note_role(struct session *s, const struct effect *e)
{
    if (e->pin == PIN_AUTHORIZATION)
        holds_setting(s, SLICE("role"));
}

void
pin_note(struct session *s, const struct effect *e)
{
    note_role(s, e);
    if (is_transactional(e->pin))
        settings_note(s, e); /* when its transaction commits */
    else
        pin_set(s, e->pin);
}

void
pin_note_end(struct session *s, const struct effect *e)
{
    note_role(s, e);
    if (is_transactional(e->pin))
        settings_note(s, e);
    else
        s->pins &= (uint16_t) ~(1u << e->pin);
}

bool
pin_may_run(struct session *s, const struct facts *f, struct fault *why)
{
    if (f->n_effects == 0 || s->pool->conf.on_session_state != CONF_STATE_ERROR ||
        s->pool->conf.mode == CONF_POOL_SESSION)
        return true;
    for (unsigned i = 0; i < f->n_effects; i++) {
        if (f->effects[i].kind != EFFECT_PIN)
            continue;
        fault_set(why, "0A000",
                  "this statement would leave state behind (%s), which on_session_state = error refuses",
                  pin_reason_name(f->effects[i].pin));
        fault_detail(why, "Another server may run the next transaction of this session.");
        return fault_hint(why, "Use a form that ends with its transaction, or set on_session_state = pin.");
    }
    return true;
}
