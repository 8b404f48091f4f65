/* SPDX-License-Identifier: ISC */
/* What a statement is and what it leaves behind in a session, judged by
 * PostgreSQL's own parser (libpg_query) and kept per digest.
 *
 * Pure: no I/O, no clock. A struct facts never changes once made. A facts_table
 * belongs to one worker. The parser is called only for a digest seen for the
 * first time, and only when the digest's guards say that it is safe
 * (FACTS 19: the parser recurses without limit and is quadratic in depth). */
#ifndef SQL_FACTS_H
#define SQL_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "sql/effect.h"

/* The kind of the statement that decides how a session treats the string. */
enum statement_class {
    CLASS_UNKNOWN, /* not analysed, or does not parse: nothing is known */
    CLASS_OTHER,   /* anything not below */
    CLASS_EMPTY,   /* no statement at all */
    CLASS_BEGIN,   /* exactly one statement: BEGIN, START TRANSACTION */
    CLASS_END,     /* exactly one statement: COMMIT, END, ROLLBACK, ABORT (not TO SAVEPOINT, not PREPARED,
                      not AND CHAIN) */
    CLASS_MODE,    /* exactly one statement: SET TRANSACTION (not SNAPSHOT) */
    CLASS_SHOW,    /* exactly one statement: SHOW name; the name is in effect-free show_name */
    CLASS_EXPLAIN, /* exactly one statement: EXPLAIN */
};

/* What BEGIN or SET says about writing; the last word counts. */
enum begin_mode { BEGIN_DEFAULT, BEGIN_READ_ONLY, BEGIN_READ_WRITE };

/* Unquoted, folded and cut as PostgreSQL does; SCHEMA is empty when none was given. */
struct facts_name {
    struct slice schema, name;
};
#define FACTS_MAX_NAMES   64
#define FACTS_FIELD_WORDS 4

struct facts {
    uint64_t digest[2];
    enum statement_class class;
    bool analysed; /* the parser has seen it and understood it */
    bool plain;    /* one statement that a session has only to send: without effects, no name of a prepared one
                      and no NOTIFY in it, and neither BEGIN, COMMIT, SET, SHOW nor EXPLAIN */
    bool transaction_block; /* some statement is BEGIN or START TRANSACTION (statement mode refuses it) */
    bool ends_block;        /* some statement is COMMIT, ROLLBACK (not TO SAVEPOINT) or PREPARE TRANSACTION */
    bool in_steps;         /* some statement may, outside of a block, commit a part of what it does before it is
                              done: CALL, DO, VACUUM, CREATE INDEX CONCURRENTLY and the like */
    bool reads_only;       /* analysed, and every statement, at least one, is for sure a read: SELECT, VALUES,
                              TABLE, SHOW, EXPLAIN that does not run a write. No INTO, no row locks, no
                              function that is not in harmless.def. What the text does not show is taken as
                              harmless: operators, casts, views, columns that are calls of a function, and
                              functions of the user's with a name of PostgreSQL's. */
    bool reads_by_grammar; /* analysed, and every statement, at least one, is a SELECT, VALUES, TABLE, SHOW,
                              COPY TO STDOUT, or EXPLAIN of a query (with ANALYZE: of a read), without INTO,
                              row locks and CTEs that write. What it calls decides the rest: room catalog. */
    bool serializable;     /* BEGIN or SET TRANSACTION asks for ISOLATION LEVEL SERIALIZABLE */
    enum begin_mode begin; /* of BEGIN and START TRANSACTION, for any class */
    enum begin_mode set_transaction; /* SET TRANSACTION, transaction_read_only: of the open one */
    enum begin_mode set_session; /* SET SESSION CHARACTERISTICS, default_transaction_read_only: later ones */
    bool notifies;               /* a NOTIFY or a call of pg_notify() is in it */
    bool names_statements;       /* PREPARE, EXECUTE, DEALLOCATE, or the view of prepared statements is in it */
    bool names_complete; /* neither list below was cut at FACTS_MAX_NAMES; else reads_by_grammar is false */
    unsigned n_functions, n_relations;
    const struct facts_name *functions; /* what runs by name: functions, methods of TABLESAMPLE, operators (but
                                           = <> < > <= >=, which stand for much that has no name) and the types
                                           of casts; operators and types of pg_catalog are left out */
    const struct facts_name *relations; /* written ones too; no CTE where its name is in scope */
    uint64_t fields[FACTS_FIELD_WORDS]; /* names behind a dot (t.a may call a(t)): facts_may_have_field() */
    bool has_literals; /* EFFECTs carry literal values: facts must not be shared by digest alone */
    unsigned n_statements;
    unsigned n_effects;
    const struct effect *effects;
    struct slice show_name; /* for CLASS_SHOW, lower case */
    const char *tag;        /* for CLASS_BEGIN, CLASS_END and CLASS_MODE: PostgreSQL's command tag; else NULL */
};

/* Whether NAME stands behind a dot: no is sure, yes is a guess. MARK is facts_field_mark(NAME). */
uint16_t facts_field_mark(struct slice name);
bool facts_may_have_field(const struct facts *f, uint16_t mark);
/* Whether every function NAME of pg_catalog is in harmless.def. */
bool facts_is_harmless(struct slice name);

/* A bounded table of facts, least recently used goes first. CAPACITY >= 16. It keeps at most CAPACITY entries
 * and CAPACITY times 2 kB. SEED from random_u64(). */
struct facts_table *facts_table_new(unsigned capacity, uint64_t seed);
void facts_table_free(struct facts_table *t);

struct facts_stats {
    uint64_t hits, parses;
    uint64_t refused; /* not analysed: by a guard, or because MAY_PARSE was false */
    uint64_t failed;  /* parses that ended in a syntax error, or in a tree that cannot be read */
    unsigned entries;
    size_t bytes;
};
struct facts_stats facts_table_stats(const struct facts_table *t);

/* Facts of SQL (without its NUL). MAY_PARSE false answers CLASS_UNKNOWN for a digest that is not known
 * yet (a session that sends too many new shapes). *PARSED (may be NULL) tells that the parser ran.
 * The answer is held for the caller: facts_drop() it. Two strings share a struct when their digests are
 * equal and has_literals is false, or when their bytes are equal. Never NULL. All facts must be dropped by the
 * thread of the table; they may outlive it. The parser needs a stack of 64 MB, and nothing at the thread's end.
 */
const struct facts *facts_of(struct facts_table *t, struct slice sql, bool may_parse, bool *parsed);
const struct facts *facts_hold(const struct facts *f);
/* Facts of what nobody has seen; the same for all. */
const struct facts *facts_unknown(void);
void facts_drop(const struct facts *f);

#endif
