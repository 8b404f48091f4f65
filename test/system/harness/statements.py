# SPDX-License-Identifier: ISC
"""What the sessions of a conversation say. {me} is a number of the session's own, so that nobody waits for another's lock."""

SET_UP = """
DROP SCHEMA IF EXISTS public CASCADE; DROP SCHEMA IF EXISTS other CASCADE; CREATE SCHEMA public; CREATE SCHEMA other;
GRANT ALL ON SCHEMA public, other TO PUBLIC; SET ROLE app;
CREATE TABLE shared (n int, who text); INSERT INTO shared VALUES (1, 'first');
CREATE TABLE altered (n int, a text); INSERT INTO altered VALUES (1, 'a');
CREATE TABLE other.shared (n int, elsewhere text); INSERT INTO other.shared VALUES (2, 'other');
CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE SEQUENCE numbers;
CREATE FUNCTION run(what text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; RETURN 'ran'; END $$;
CREATE FUNCTION say(what text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'said %', what; RETURN what; END $$;
CREATE FUNCTION caught(what text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; RETURN 'ran';
    EXCEPTION WHEN OTHERS THEN RETURN SQLERRM; END $$;
CREATE FUNCTION in_utc(what text) RETURNS text LANGUAGE plpgsql SET TimeZone = 'UTC' AS $$ BEGIN RETURN what::timestamptz; END $$;
CREATE PROCEDURE twice(n int) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shared VALUES (n, 'call'); COMMIT; INSERT INTO shared VALUES (n, 'call'); END $$;
"""
SET_UP_EACH = """
CREATE TABLE t{me} (id int PRIMARY KEY, v text, k int UNIQUE DEFERRABLE INITIALLY DEFERRED, CHECK (id < 100)); INSERT INTO t{me} SELECT g, 'v' || g FROM generate_series(1, 5) g;
CREATE TABLE c{me} (id int REFERENCES t{me} DEFERRABLE INITIALLY IMMEDIATE); CREATE SEQUENCE seq{me};
"""

HARMLESS = """
SELECT 1
SELECT '{word}', {n}
SELECT 1/0
SELEC

-- nothing
/* a /* b */ c */ SELECT 'commented' -- end
SELECT NULL, '', repeat('x', {size})
SELECT g, repeat('r', g) FROM generate_series(1, {n}) g
SELECT g / (g - 15) FROM generate_series(1, {n}) g
SELECT * FROM t{me} ORDER BY id
SELECT count(*) FROM t{other}
SELECT count(*), max(n) FROM shared
SELECT * FROM shared ORDER BY 1, 2 LIMIT 3
INSERT INTO t{me} VALUES ({n}, '{word}')
INSERT INTO t{me} VALUES ({n}, '{word}') ON CONFLICT DO NOTHING
INSERT INTO shared VALUES ({n}, '{word}') RETURNING *
UPDATE t{me} SET v = v || '{word}' WHERE id < {n}
UPDATE t{me} SET id = id + 1
UPDATE t{me} SET k = 7
UPDATE t{me} SET k = id
DELETE FROM t{me} WHERE id = {n} RETURNING id
INSERT INTO c{me} VALUES ({n})
WITH w AS (INSERT INTO t{me} VALUES ({n}, 'with') RETURNING id) SELECT count(*) FROM w
TRUNCATE c{me}
SELECT * FROM no_such_table
SELECT no_such_column FROM t{me}
SELECT id FROM t{me} WHERE id = {n} FOR UPDATE
VALUES (1, 'a'), (2, 'b')
TABLE t{me} ORDER BY id
EXPLAIN (COSTS OFF) SELECT * FROM t{me} WHERE id = 1
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) INSERT INTO shared VALUES (5, 'explained')
SELECT say('{word}')
SELECT run('INSERT INTO shared VALUES (3, ''run'')')
SELECT run('SELECT 1/0')
SELECT caught('SELECT 1/0'), caught('COMMIT')
SELECT in_utc('2024-01-01 12:00+03')
CALL twice({n})
DO $$ BEGIN RAISE NOTICE 'done %', {n}; END $$
DO $$ BEGIN RAISE EXCEPTION 'undone %', {n} USING ERRCODE = '22012', HINT = 'a hint', DETAIL = '{word}'; END $$
DO $$ BEGIN INSERT INTO t{me} VALUES ({n}, 'do'); EXCEPTION WHEN OTHERS THEN RAISE WARNING 'caught %', SQLSTATE; END $$
SELECT 'glad'::mood, ARRAY[1, NULL, 3], ROW(1, 'a'), '{{"a": [1]}}'::jsonb
SELECT length('{word}'), '{word}' = 'é'
ANALYZE t{me}
VACUUM t{me}
COMMENT ON TABLE t{me} IS '{word}'
CREATE TABLE IF NOT EXISTS t{me} (x int)
CREATE INDEX IF NOT EXISTS i{me} ON t{me} (v)
DROP TABLE IF EXISTS u{me}
CREATE TABLE u{me} AS SELECT {n} AS n
SELECT * INTO u{me} FROM generate_series(1, 3)
SELECT * FROM u{me}
SELECT U&'\\00e9', E'\\x41', $tag$it's$tag$
SELECT lo_create(70{me}), lo_put(70{me}, 0, 'abc')
SELECT lo_get(70{me})
SELECT lo_unlink(70{me})
LOCK TABLE c{me} IN SHARE MODE NOWAIT
REFRESH MATERIALIZED VIEW none
""".strip("\n").split("\n")

TRANSACTION = """
BEGIN
BEGIN
BEGIN
START TRANSACTION READ ONLY
BEGIN ISOLATION LEVEL REPEATABLE READ
BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE
COMMIT
COMMIT
COMMIT
END
ROLLBACK
ROLLBACK
ABORT
COMMIT AND CHAIN
ROLLBACK AND CHAIN
SAVEPOINT a
SAVEPOINT a
SAVEPOINT b
ROLLBACK TO a
ROLLBACK TO SAVEPOINT b
RELEASE a
RELEASE SAVEPOINT b
SET TRANSACTION READ ONLY
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
SET CONSTRAINTS ALL DEFERRED
SET CONSTRAINTS ALL IMMEDIATE
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY
SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, ISOLATION LEVEL READ COMMITTED
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ
DO $$ BEGIN COMMIT; END $$
DO $$ BEGIN INSERT INTO shared VALUES ({n}, 'chain'); ROLLBACK; PERFORM set_config('my.own', 'do', false); COMMIT; END $$
""".strip("\n").split("\n")

VALUES = {
    "work_mem": ["'3MB'", "'77kB'", "4096", "DEFAULT", "'a lot'"], "DateStyle": ["SQL", "'SQL, DMY'", "German", "iso", "ymd", "DEFAULT"],
    "TimeZone": ["'UTC'", "'Europe/Berlin'", "'Asia/Tokyo'", "'Nowhere'", "3"], "IntervalStyle": ["iso_8601", "verbose", "'postgres'"],
    "bytea_output": ["escape", "hex"], "extra_float_digits": ["0", "-3", "3", "99"], "search_path": ["other, public", "public", "''", "'other', public", "DEFAULT"],
    "client_encoding": ["'LATIN1'", "'UTF8'", "utf8", "'WIN1252'", "'nonsense'"], "application_name": ["'{word}'", "talk", "DEFAULT"],
    "my.own": ["'{word}'", "a", "DEFAULT"], "default_transaction_read_only": ["on", "off"], "default_transaction_isolation": ["'repeatable read'", "'read committed'"],
    "standard_conforming_strings": ["on", "off"], "lock_timeout": ["'2s'", "0"], "statement_timeout": ["0", "'30s'"], "enable_seqscan": ["off", "on"],
    "client_min_messages": ["warning", "notice", "error"], "array_nulls": ["off", "on"], "no_such_setting": ["1"], "server_version": ["1"], "shared_buffers": ["1"],
    "xmloption": ["document", "content"], "quote_all_identifiers": ["on", "off"], "row_security": ["off", "on"], "default_transaction_deferrable": ["on", "off"],
    "check_function_bodies": ["off", "on"], "log_statement": ["'all'"], "geqo": ["off", "on"], "plan_cache_mode": ["force_generic_plan", "auto"],
}
SETTINGS = """
SET {setting} = {value}
SET {setting} TO {value}
SET SESSION {setting} = {value}
SET LOCAL {setting} = {value}
SHOW search_path
SHOW TimeZone
SHOW work_mem
SHOW DateStyle
RESET {setting}
RESET ALL
SELECT set_config('{setting}', {text}, false)
SELECT set_config('{setting}', {text}, true)
SELECT set_config('{setting}', {text} || '', false)
SELECT set_config(name, 'escape', false) FROM pg_settings WHERE name = 'bytea_output'
SELECT coalesce(current_setting('{setting}', true), '')
SELECT coalesce(current_setting('{setting}', true), '')
SELECT '2024-03-01 12:00+00'::timestamptz, interval '1 day 02:03', '\\x41ff'::bytea, 0.1::float8 + 0.2, '2/1/2024'::date
SELECT * FROM shared ORDER BY 1, 2 LIMIT 1
SET TIME ZONE 'Europe/London'
SET TIME ZONE LOCAL
SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE
SET TIME ZONE -7
SET NAMES 'latin1'
SET NAMES
SET SCHEMA 'other'
SET XML OPTION DOCUMENT
RESET TIME ZONE
DO $$ BEGIN SET TimeZone = 'Asia/Tokyo'; END $$
DO $$ BEGIN EXECUTE 'SET {setting} = ' || quote_literal({text}); END $$
DO $$ BEGIN PERFORM set_config('my.own', 'by do', false); RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $$
DO $$ BEGIN SET LOCAL work_mem = '5MB'; END $$
SELECT run('SET TimeZone = ''Asia/Tokyo''')
SELECT run('SET LOCAL TimeZone = ''Asia/Tokyo''')
SELECT caught('SET DateStyle = German')
UPDATE pg_settings SET setting = '{n}' WHERE name = 'extra_float_digits'
DISCARD PLANS
""".strip("\n").split("\n")

PREPARED = """
PREPARE pa AS SELECT 'pa', {n}
PREPARE pa AS SELECT '{word}', count(*) FROM shared
PREPARE pb(int) AS SELECT $1 + {n}
PREPARE pb(int, text) AS INSERT INTO shared VALUES ($1, $2) RETURNING n
PREPARE pa AS SELECT 1/0
PREPARE pb AS SELECT $1::int
PREPARE pc AS SELEC
PREPARE pc AS SELECT * FROM no_such_table
EXECUTE pa
EXECUTE pa
EXECUTE pb({n})
EXECUTE pb(1, '{word}')
EXECUTE pb('no number')
EXECUTE pa(1)
EXECUTE s0
EXECUTE q0('{word}')
EXECUTE none
EXPLAIN (COSTS OFF) EXECUTE pa
CREATE TABLE u{me} AS EXECUTE pa
DEALLOCATE pa
DEALLOCATE pb
DEALLOCATE PREPARE s0
DEALLOCATE none
DEALLOCATE ALL
""".strip("\n").split("\n")
QUOTED = """
PREPARE "Pa" AS SELECT 'quoted'
PREPARE "p a" AS SELECT 'spaced'
EXECUTE "Pa"
EXECUTE Pa
EXECUTE "p a"
DEALLOCATE "Pa"
DEALLOCATE PREPARE "p a"
""".strip("\n").split("\n")

KEEPING = """
CREATE TEMP TABLE tmp (i int)
CREATE TEMP TABLE tmp AS SELECT g AS i FROM generate_series(1, {n}) g
CREATE TEMP TABLE gone (i int) ON COMMIT DELETE ROWS
CREATE TEMP TABLE dropped (i int) ON COMMIT DROP
CREATE TEMPORARY TABLE IF NOT EXISTS tmp (i int)
CREATE LOCAL TEMP TABLE shared (n int)
CREATE TABLE pg_temp.tmp2 (i int)
CREATE TEMP VIEW vw AS SELECT 1 AS i
CREATE TEMP SEQUENCE tmpseq
CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 7'
SELECT * INTO TEMP tmp FROM generate_series(1, 3) i
CREATE TEMP TABLE tmp AS EXECUTE pa
DO $$ BEGIN CREATE TEMP TABLE tmp (i int); END $$
DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE tmp (i int)'; END $$
INSERT INTO tmp VALUES ({n})
INSERT INTO gone VALUES ({n})
INSERT INTO dropped VALUES ({n})
SELECT count(*) FROM tmp
SELECT count(*) FROM gone
SELECT count(*) FROM dropped
SELECT * FROM vw
SELECT nextval('tmpseq')
ALTER TABLE tmp ADD j int
TRUNCATE tmp
DROP TABLE tmp
DROP TABLE IF EXISTS tmp, tmp2
DROP VIEW vw
DROP SEQUENCE tmpseq
DISCARD TEMP
DISCARD TEMPORARY
DISCARD ALL
DISCARD SEQUENCES
DECLARE cur CURSOR WITH HOLD FOR SELECT g FROM generate_series(1, 20) g
DECLARE cur CURSOR FOR SELECT g FROM generate_series(1, 20) g
DECLARE "Cur" SCROLL CURSOR WITH HOLD FOR SELECT * FROM t{me} ORDER BY id
DECLARE cur BINARY CURSOR WITH HOLD FOR SELECT 1/(g-5) FROM generate_series(1, 20) g
FETCH 3 FROM cur
FETCH ALL FROM cur
FETCH BACKWARD 2 FROM "Cur"
FETCH FROM "Cur"
MOVE 2 IN cur
CLOSE cur
CLOSE "Cur"
CLOSE ALL
SELECT pg_advisory_lock({key})
SELECT pg_try_advisory_lock({key})
SELECT pg_try_advisory_lock_shared(1, {key})
SELECT pg_try_advisory_xact_lock({key})
SELECT pg_try_advisory_lock({common})
SELECT pg_try_advisory_xact_lock({common})
SELECT pg_try_advisory_lock_shared({common})
SELECT pg_advisory_unlock({key})
SELECT pg_advisory_unlock({common})
SELECT pg_advisory_unlock_shared({common})
SELECT pg_advisory_unlock_shared(1, {key})
SELECT pg_advisory_unlock_all()
SELECT pg_advisory_unlock(999)
DO $$ BEGIN PERFORM pg_try_advisory_lock({common}); END $$
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
""".strip("\n").split("\n")
SEQUENCES = """
SELECT nextval('seq{me}')
SELECT nextval('numbers')
SELECT setval('seq{me}', {n})
SELECT nextval('seq{me}'), currval('seq{me}'), lastval()
SELECT currval('seq{me}')
SELECT lastval()
DISCARD SEQUENCES
""".strip("\n").split("\n")
ROLES = """
SET ROLE pg_monitor
SET ROLE app
SET ROLE NONE
RESET ROLE
SELECT current_user, session_user
SET LOCAL ROLE pg_monitor
SET SESSION AUTHORIZATION app
SET SESSION AUTHORIZATION DEFAULT
RESET SESSION AUTHORIZATION
SET role = 'nobody'
SELECT set_config('role', 'pg_monitor', false)
SHOW role
""".strip("\n").split("\n")

NOTIFYING = """
LISTEN {channel}
LISTEN {channel}
LISTEN "Quoted"
UNLISTEN {channel}
UNLISTEN *
NOTIFY {channel}
NOTIFY {channel}, 'p{n}'
NOTIFY {channel}, '{word}'
NOTIFY "Quoted", 'q'
SELECT pg_notify('{channel}', 'f{n}')
SELECT pg_notify('{channel}', g::text) FROM generate_series(1, 3) g
DO $$ BEGIN NOTIFY ca, 'by do'; END $$
SELECT run('NOTIFY ca, ''by run''')
""".strip("\n").split("\n")

ALTERING = """
BEGIN; LOCK TABLE altered IN ACCESS EXCLUSIVE MODE NOWAIT; ALTER TABLE altered ADD COLUMN b int; COMMIT
BEGIN; LOCK TABLE altered IN ACCESS EXCLUSIVE MODE NOWAIT; ALTER TABLE altered DROP COLUMN b; COMMIT
BEGIN; LOCK TABLE altered IN ACCESS EXCLUSIVE MODE NOWAIT; ALTER TABLE altered ALTER COLUMN n TYPE bigint; COMMIT
BEGIN; LOCK TABLE altered IN ACCESS EXCLUSIVE MODE NOWAIT; ALTER TABLE altered ALTER COLUMN n TYPE int; COMMIT
BEGIN; LOCK TABLE altered IN ACCESS EXCLUSIVE MODE NOWAIT; ALTER TABLE altered RENAME COLUMN a TO b; COMMIT
BEGIN; LOCK TABLE altered IN ACCESS EXCLUSIVE MODE NOWAIT; ALTER TABLE altered RENAME COLUMN b TO a; COMMIT
BEGIN; LOCK TABLE altered IN ACCESS EXCLUSIVE MODE NOWAIT; DROP TABLE altered; CREATE TABLE altered (n int, a text); INSERT INTO altered VALUES (2, 'b'); COMMIT
INSERT INTO altered VALUES ({n}, '{word}')
SELECT count(*) FROM altered
""".strip("\n").split("\n")

CLEAN = [["DISCARD ALL"], ["DISCARD ALL"],
         ["CLOSE ALL", "SELECT pg_advisory_unlock_all()", "DISCARD TEMP", "DEALLOCATE ALL", "RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"]]

COPIES = [("COPY t{me} (id, v) FROM STDIN", "{n}\tcopied\n{n}1\t{word}\n"), ("COPY t{me} FROM STDIN", "nonsense\n" * 5), ("COPY none FROM STDIN", "1\n"),
          ("COPY (SELECT * FROM t{me} ORDER BY id) TO STDOUT", ""), ("COPY (SELECT g, repeat('c', 50) FROM generate_series(1, {n}) g) TO STDOUT", ""),
          ("COPY (SELECT 1/(g-9) FROM generate_series(1, {n}) g) TO STDOUT", ""), ("COPY shared FROM STDIN (FORMAT csv)", '1,"a,b"\n2,\n')]

PARAMETERS = [("SELECT $1::text, $2::int", ("{word}", "7"), ()), ("INSERT INTO t{me} VALUES ($1, $2)", ("{n}", "{word}"), ()),
              ("SELECT $1", ("{word}",), (25,)), ("SELECT $1::int / $2", ("1", "0"), ()), ("SELECT $1::timestamptz, $2::date", ("2024-02-03 04:05+00", "1/2/2024"), ()),
              ("SELECT set_config('my.own', $1, false)", ("{word}",), ()), ("SELECT set_config('search_path', $1, $2)", ("other", "f"), ()),
              ("SELECT pg_notify($1, $2)", ("ca", "{word}"), ()), ("UPDATE t{me} SET v = $2 WHERE id = $1", ("{n}",), (23, 25)),
              ("SELECT $1::bytea, $2::interval", ("\\x4142", "1 day"), ()), ("SELECT count(*) FROM shared WHERE n = ANY($1)", ("{1,2}",), (1007,))]


class Phrases:
    """Chooses; AVOID names what is never said."""

    def __init__(self, dice, sessions, avoid):
        self.dice, self.sessions = dice, sessions
        self.who, self.kept, self.gid = None, False, None
        kinds = [("harmless", HARMLESS, 40), ("transaction", TRANSACTION, 22), ("settings", SETTINGS, 25), ("prepared", PREPARED, 14), ("quoted", QUOTED, 4),
                 ("keeping", KEEPING, 22), ("roles", ROLES, 4), ("sequences", SEQUENCES, 4), ("notifying", NOTIFYING, 8), ("altering", ALTERING, 3)]
        self.kinds = [(name, phrases) for name, phrases, _ in kinds if name not in avoid]
        self.weights = [weight for name, _, weight in kinds if name not in avoid]
        self.resets_among_others = "resets" not in avoid

    def speaker(self, s):
        self.who, self.kept = s, False

    def statement(self, several=False, block=True):
        name, phrases = self.dice.choices(self.kinds, self.weights)[0]
        if name == "transaction" and not block:
            name, phrases = self.kinds[0]
        sql = self.fill(self.dice.choice(phrases))
        if not several and name == "transaction" and self.who.status == "T" and self.dice.random() < 0.05:
            self.gid = f"gid{self.who.index}"
            return f"PREPARE TRANSACTION '{self.gid}'"
        if several and not self.resets_among_others and ("RESET" in sql or "DEFAULT" in sql):
            return "SELECT 'no reset'"
        self.kept = self.kept or name in ("keeping", "roles", "sequences", "quoted", "prepared") or (name == "settings" and not sql.startswith(("SET", "SHOW", "RESET"))) or sql.startswith("DO")
        return sql

    def with_parameter(self):
        return self.fill(self.dice.choice(["SELECT $1::text, {n}", "SELECT v FROM t{me} WHERE v = $1 ORDER BY id", "SELECT '{word}' || $1",
                                           "INSERT INTO shared VALUES ({n}, $1)", "SELECT set_config('my.own', $1, false)"]))

    def with_parameters(self):
        sql, values, types = self.dice.choice(PARAMETERS)
        return self.fill(sql), [self.fill(v) if v != "{1,2}" else v for v in values], types

    def word(self):
        return self.dice.choice(["a", "word", "it''s", "é", "ÄÖ ü", "b" * 300, "x y", "-3", "1"])

    def channel(self):
        return self.dice.choice(["ca", "cb"])

    def fill(self, phrase):
        setting = self.dice.choice(list(VALUES))
        value = self.dice.choice(VALUES[setting])
        text = value if value[0] == "'" else "NULL" if value == "DEFAULT" else f"'{value}'"
        for name, what in [("{setting}", setting), ("{value}", value), ("{text}", text), ("{word}", self.word()), ("{me}", self.who.index), ("{channel}", self.channel()),
                           ("{other}", self.dice.randrange(self.sessions)), ("{size}", self.dice.choice([0, 1, 100, 5000, 9000, 70000, 300000])),
                           ("{n}", self.dice.randrange(1, 40)), ("{key}", 100 + self.who.index), ("{common}", self.dice.choice([50, 51])), ("{{", "{"), ("}}", "}")]:
            phrase = phrase.replace(name, str(what))
        return phrase
