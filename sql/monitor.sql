-- SPDX-License-Identifier: ISC
-- What the checks of a cluster need: a role that may look at replication, and at nothing else.
--
-- Run it as a superuser on the primary, in any database; replicas get it by replication. It may be run again at any
-- time.
--
--     psql -X -v ON_ERROR_STOP=1 -d postgres -f monitor.sql
--     psql -X -d postgres -c '\password pgweir_monitor'
--
-- Then, in pgweir.ini:
--
--     [clusters]
--     main = monitor_user=pgweir_monitor monitor_password=PASSWORD
--
-- PostgreSQL must let pgweir_monitor in from where the pooler runs, on every node. In pg_hba.conf, above wider rules:
--
--     host  all       pgweir_monitor  ADDRESS-OF-THE-POOLER/32  scram-sha-256
-- (monitor_dbname for the checks, and each database that pgweir routes for: it reads their catalogs.)
--
-- Each node has one connection of it all the time. A reserve for it, should clients use up max_connections, is worth
-- having: from PostgreSQL 16 on, reserved_connections and GRANT pg_use_reserved_connections TO pgweir_monitor.

\set ON_ERROR_STOP on

BEGIN;

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning; -- nothing about what exists already

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgweir_monitor') THEN
        CREATE ROLE pgweir_monitor;
    END IF;
END
$$;

-- It can log in, and what pg_monitor may, it may: for the checks that is to see whether a replica receives WAL, and on
-- which timeline. INHERIT: pg_monitor is of no use without it.
ALTER ROLE pgweir_monitor LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 20;
GRANT pg_monitor TO pgweir_monitor;

-- Everybody may call these; where that was revoked, the checks still need them.
GRANT EXECUTE ON FUNCTION
    pg_is_in_recovery(), pg_current_wal_insert_lsn(), pg_last_wal_replay_lsn(), pg_last_wal_receive_lsn(),
    pg_walfile_name(pg_lsn), pg_control_system(), pg_control_init(), pg_control_checkpoint(), pg_control_recovery()
TO pgweir_monitor;

-- With auto_failover = on, and by SWITCHOVER on its console, the pooler promotes a replica itself. Only for these, and in
-- the database that the checks log in to (monitor_dbname):
--
--     GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer) TO pgweir_monitor;
--
-- SWITCHOVER also marks a place in the WAL with pg_logical_emit_message(boolean, text, text), which everybody may call;
-- where that was revoked, grant it too. The old primary is left running and fenced: stop it, and bring it back with
-- pg_rewind or a new base backup as a replica of the new one. The other replicas have to be told whom to follow.

COMMIT;
