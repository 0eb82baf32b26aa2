-- The roles Purser works with, in the database it is run in. Safe to run again; works on PostgreSQL 15 to 18.
-- Run by a superuser or by a login with CREATEROLE that owns the database:
--     psql "$DATABASE_OWNER_URL" -f customers/sql/roles.sql
--
--   purser_owner   owns the tables; only migrations are it
--   purser_kernel  owns the SECURITY DEFINER functions that alone write the ledger; nobody logs in as it
--   purser_app     everything else: the web, the workers, the commands

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['purser_owner', 'purser_kernel', 'purser_app'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- someone preparing another database of this server was quicker
            END;
        END IF;
    END LOOP;
END
$$;

-- What follows is done in the name of the two owners, so whoever runs it must be allowed to act as them.
DO $$
DECLARE
    is_super boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    name text;
BEGIN
    IF NOT is_super THEN
        FOREACH name IN ARRAY ARRAY['purser_owner', 'purser_kernel'] LOOP
            IF NOT pg_has_role(current_user, name, 'USAGE') THEN
                IF current_setting('server_version_num')::int >= 160000 THEN
                    EXECUTE format('GRANT %I TO current_user WITH INHERIT TRUE, SET TRUE', name);
                ELSE
                    EXECUTE format('GRANT %I TO current_user', name);
                END IF;
            END IF;
        END LOOP;
    END IF;
END
$$;

-- Migrations make functions and hand them over to the kernel, grant them, use them in triggers, and replace them
-- later: to the owner, what is the kernel's is its own. The application is a member of neither.
DO $$
BEGIN
    IF NOT pg_has_role('purser_owner', 'purser_kernel', 'USAGE') THEN
        GRANT purser_kernel TO purser_owner;
    END IF;
END
$$;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO purser_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO purser_kernel, purser_app', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO purser_owner, purser_kernel;
GRANT USAGE ON SCHEMA public TO purser_app;

ALTER DEFAULT PRIVILEGES FOR ROLE purser_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO purser_app;
ALTER DEFAULT PRIVILEGES FOR ROLE purser_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO purser_app;
-- Not "IN SCHEMA public": what PUBLIC has by default can only be taken away for the whole database.
ALTER DEFAULT PRIVILEGES FOR ROLE purser_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE purser_kernel REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
