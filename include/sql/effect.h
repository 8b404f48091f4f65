/* SPDX-License-Identifier: ISC */
/* What statements leave behind in a session: the words for it. */
#ifndef SQL_EFFECT_H
#define SQL_EFFECT_H

#include <stdbool.h>

#include "base/slice.h"

/* What one statement of a string does to the session beyond its transaction. */
enum effect_kind {
    EFFECT_NONE,
    EFFECT_SET,            /* SET name = ..., not LOCAL; text replays it */
    EFFECT_SET_CONFIG,     /* SELECT set_config('name', 'value', false) with constants only */
    EFFECT_SET_LOCAL,      /* SET LOCAL ROLE, also by set_config; text sets the role */
    EFFECT_RESET,          /* RESET name, SET name TO DEFAULT, set_config('name', NULL, false) */
    EFFECT_RESET_ALL,      /* RESET ALL */
    EFFECT_PREPARE,        /* PREPARE name, whose statement leaves nothing itself; text replays it */
    EFFECT_EXECUTE,        /* EXECUTE name, also in EXPLAIN and CREATE TABLE AS */
    EFFECT_DEALLOCATE,     /* DEALLOCATE name */
    EFFECT_DEALLOCATE_ALL, /* DEALLOCATE ALL, DISCARD PLANS does NOT count */
    EFFECT_DISCARD_ALL,    /* DISCARD ALL */
    EFFECT_SAVEPOINT,      /* SAVEPOINT name */
    EFFECT_ROLLBACK_TO,    /* ROLLBACK TO name */
    EFFECT_RELEASE,        /* RELEASE name */
    EFFECT_PIN,            /* leaves state that cannot be replayed: see pin */
    EFFECT_LISTEN,         /* LISTEN name, as it is: not folded again */
    EFFECT_UNLISTEN,       /* UNLISTEN name; no name: of all */
    EFFECT_UNPIN,          /* ends the state of one pin reason for sure (a rollback may bring it back):
                              CLOSE ALL, DISCARD TEMP and SEQUENCES, SELECT pg_advisory_unlock_all(),
                              RESET SESSION AUTHORIZATION */
    EFFECT_MAY_UNPIN,      /* may end the last state of one pin reason: DROP, CLOSE name, pg_advisory_unlock(),
                              SET LOCAL SESSION AUTHORIZATION, which may also end the role */
    EFFECT_MAY_LEAVE, /* may leave anything: what is not analysed (any statement of it), a DO with a word like
                         TEMP in it, CREATE EXTENSION */
    EFFECT_QUIT,      /* pg_terminate_backend(pg_backend_pid()): the end of the session is what it asks for */
    EFFECT_VACATE,    /* wants nobody to be in database name: DROP DATABASE and its like */
};

/* Why a server must stay with its session. PIN_NONE is 0. Names for SHOW PINS: pin_reason_name(). */
enum pin_reason {
    PIN_NONE,
    PIN_PREPARE,       /* SQL PREPARE */
    PIN_LISTEN,        /* LISTEN that could not be seen */
    PIN_TEMP_TABLE,    /* CREATE TEMP ..., SELECT INTO TEMP; not ON COMMIT DROP */
    PIN_HOLD_CURSOR,   /* DECLARE ... WITH HOLD */
    PIN_ADVISORY_LOCK, /* pg_advisory_lock, pg_try_advisory_lock and their _shared forms, not the _xact ones */
    PIN_LOAD,          /* LOAD */
    PIN_ROLE,          /* a role, beside settings of which nobody knows who may set them; no effect has it */
    PIN_AUTHORIZATION, /* SET SESSION AUTHORIZATION, also by set_config; its RESET ends it */
    PIN_SEQUENCE,      /* nextval/setval are free; currval, lastval pin */
    PIN_SET,           /* a setting changed in a way that cannot be replayed: set_config with
                          anything but constants, SET of a list that the parser cannot give back */
    PIN_FUNCTION,      /* a function that leaves state in the server process: see functions.def */
    PIN_N
};
const char *pin_reason_name(enum pin_reason reason); /* "none", "prepare", "listen", "temp_table", ... */

static inline bool
effect_names_statement(enum effect_kind kind)
{
    return kind == EFFECT_PREPARE || kind == EFFECT_EXECUTE || kind == EFFECT_DEALLOCATE;
}

struct effect {
    enum effect_kind kind;
    enum pin_reason pin; /* for EFFECT_PIN and EFFECT_UNPIN */
    unsigned statement;  /* which statement of the string, from 0; empty statements do not count; 0 in a string
                            that is not analysed */
    struct slice name;   /* setting (lower case), statement or savepoint name, unquoted and folded */
    struct slice replay; /* for EFFECT_SET and EFFECT_SET_CONFIG: SQL that makes the same setting again,
                            one statement without semicolon, for instance
                            SET search_path TO a, b  or  SELECT pg_catalog.set_config('x', 'y', false) */
};

#endif
