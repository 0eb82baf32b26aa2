-- A test clock is the environment's `frozen_at`. Whoever moves it locks the environment's row first, so one at a time.
CREATE OR REPLACE FUNCTION customers_test_clock_lock_v1(p_environment uuid, OUT kind text, OUT frozen_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    SELECT e.kind, e.frozen_at INTO STRICT kind, frozen_at
    FROM customers_environment e WHERE e.id = p_environment FOR NO KEY UPDATE;
END $$;

-- It is another time now (NULL: the system's), and what processes remember of this environment is old.
CREATE OR REPLACE FUNCTION customers_test_clock_set_v1(p_environment uuid, p_frozen_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    UPDATE customers_environment SET frozen_at = p_frozen_at WHERE id = p_environment;
    PERFORM customers_config_bump_v1(p_environment);
END $$;

ALTER FUNCTION customers_test_clock_lock_v1(uuid) OWNER TO purser_kernel;
ALTER FUNCTION customers_test_clock_set_v1(uuid, timestamptz) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_test_clock_lock_v1(uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION customers_test_clock_set_v1(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_test_clock_lock_v1(uuid) TO purser_app;
GRANT EXECUTE ON FUNCTION customers_test_clock_set_v1(uuid, timestamptz) TO purser_app;
