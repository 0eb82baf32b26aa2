-- Tells every process that what it remembers of this environment (keys, metrics, rules, the clock) is old.
CREATE OR REPLACE FUNCTION customers_config_bump_v1(p_environment uuid) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    v_version bigint;
BEGIN
    UPDATE customers_environment SET config_version = config_version + 1 WHERE id = p_environment
    RETURNING config_version INTO STRICT v_version;
    RETURN v_version;
END $$;

ALTER FUNCTION customers_config_bump_v1(uuid) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_config_bump_v1(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_config_bump_v1(uuid) TO purser_app;
