-- SPDX-License-Identifier: ISC
-- What auth_query needs: a function that tells the pooler, and nobody else, the secret of one role.
--
-- Run it as a superuser in each database where auth_query runs (with auth_dbname: in that one only).
-- It may be run again at any time.
--
--     psql -X -v ON_ERROR_STOP=1 -d DATABASE -f auth_query.sql
--     psql -X -d DATABASE -c '\password pgweir_auth'
--
-- Then, in pgweir.ini:
--
--     auth_user = pgweir_auth
--     auth_query = SELECT * FROM pgweir.user_lookup($1)
--     auth_dbname = DATABASE        ; a line of [databases]; without it: the database that the client wants
--
-- and in auth_file the password that was set above: "pgweir_auth" "PASSWORD"
--
-- PostgreSQL must let pgweir_auth in from where the pooler runs. In pg_hba.conf, above wider rules:
--
--     host  all  pgweir_auth  ADDRESS-OF-THE-POOLER/32  scram-sha-256

\set ON_ERROR_STOP on

BEGIN;

SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL client_min_messages = warning; -- nothing about what exists already

-- Whoever owns the schema or the function can replace it, and then decides who may log in as whom. So neither may
-- have been there before, under this name, in the hands of somebody else.
DO $$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION 'only a superuser can install pgweir.user_lookup: it reads pg_authid';
    END IF;
    IF EXISTS (SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
               WHERE n.nspname = 'pgweir' AND NOT r.rolsuper) THEN
        RAISE EXCEPTION 'schema pgweir belongs to a role that is not a superuser'
            USING HINT = 'Find out who made it and why, then drop it.';
    END IF;
    IF EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
               WHERE n.nspname = 'pgweir' AND NOT r.rolsuper) THEN
        RAISE EXCEPTION 'schema pgweir holds a function of a role that is not a superuser'
            USING HINT = 'Find out who made it and why, then drop it.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgweir_auth') THEN
        CREATE ROLE pgweir_auth;
    END IF;
END
$$;

-- It can log in, and nothing else.
ALTER ROLE pgweir_auth LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;

CREATE SCHEMA IF NOT EXISTS pgweir;
REVOKE ALL ON SCHEMA pgweir FROM PUBLIC;
GRANT USAGE ON SCHEMA pgweir TO pgweir_auth;

-- One row with name and secret, or none: no such role, it may not log in, or its password is no longer valid.
-- The secret is NULL for a role without a password, and nobody is let in with that.
-- SECURITY DEFINER: pg_authid is for superusers. The search_path is fixed, so that no object of somebody else can
-- come before those of pg_catalog; temporary ones come last.
-- To keep superusers out of the pooler, add: AND NOT a.rolsuper
CREATE OR REPLACE FUNCTION pgweir.user_lookup(wanted text)
    RETURNS TABLE (name text, secret text)
    LANGUAGE sql STABLE STRICT SECURITY DEFINER ROWS 1
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.rolname::text, a.rolpassword
    FROM pg_catalog.pg_authid AS a
    WHERE a.rolname = wanted
      AND a.rolcanlogin
      AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now())
$$;

COMMENT ON SCHEMA pgweir IS 'what the pooler pgweir needs';
COMMENT ON FUNCTION pgweir.user_lookup(text) IS 'auth_query of pgweir: the secret of a role that may log in now';

-- A new function may be executed by everybody, and default privileges may name others: only pgweir_auth keeps it.
DO $$
DECLARE
    other record;
BEGIN
    FOR other IN
        SELECT x.grantee FROM pg_proc p, aclexplode(p.proacl) x
        WHERE p.oid = 'pgweir.user_lookup(text)'::regprocedure AND x.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION pgweir.user_lookup(text) FROM %I', pg_get_userbyid(other.grantee));
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION pgweir.user_lookup(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgweir.user_lookup(text) TO pgweir_auth;

COMMIT;
