-- A time-ordered identifier (RFC 9562, version 7). The server's clock is used for its order only, never as a time.
-- No SET search_path: it has no rights of its own to protect, and inside another function a setting made and taken back
-- costs that function a fifth of its time (all its plans are looked up anew).
DO $make$ BEGIN
    IF current_setting('server_version_num')::integer >= 180000 THEN
        -- In SQL, so that the planner puts the server's own function in its place.
        CREATE OR REPLACE FUNCTION purser_uuid7() RETURNS uuid
        LANGUAGE sql VOLATILE PARALLEL SAFE AS $$ SELECT uuidv7() $$;
    ELSE
        CREATE OR REPLACE FUNCTION purser_uuid7() RETURNS uuid
        LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS $$
        DECLARE
            -- 48 bits of milliseconds, 12 bits of their fraction (as PostgreSQL 18 does), 62 random bits.
            v_microseconds bigint := floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
        BEGIN
            RETURN (
                lpad(to_hex(v_microseconds / 1000), 12, '0')
                || '7' || lpad(to_hex(v_microseconds % 1000 * 4096 / 1000), 3, '0')
                || right(replace(gen_random_uuid()::text, '-', ''), 16)
            )::uuid;
        END $$;
    END IF;
END $make$;

ALTER FUNCTION purser_uuid7() OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION purser_uuid7() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purser_uuid7() TO purser_app, purser_owner;
