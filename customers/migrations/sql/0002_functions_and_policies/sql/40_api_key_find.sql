-- Which key a secret is, before anything is known of the caller (row-level security hides keys until then).
-- Notes at most once a minute that the key is in use; a row that somebody else holds is left alone.
CREATE OR REPLACE FUNCTION customers_api_key_find_v1(p_secret_sha256 bytea, p_seen_at timestamptz)
RETURNS TABLE (
    key_id uuid, environment_id uuid, kind text, scopes text[], expires_at timestamptz, revoked_at timestamptz,
    config_version bigint, frozen_at timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    v_last_used_at timestamptz;
BEGIN
    SELECT k.id, k.environment_id, e.kind, k.scopes, k.expires_at, k.revoked_at, e.config_version, e.frozen_at,
           k.last_used_at
    INTO key_id, environment_id, kind, scopes, expires_at, revoked_at, config_version, frozen_at, v_last_used_at
    FROM customers_api_key k JOIN customers_environment e ON e.id = k.environment_id
    WHERE k.secret_sha256 = p_secret_sha256;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF revoked_at IS NULL AND (v_last_used_at IS NULL OR v_last_used_at < p_seen_at - interval '1 minute') THEN
        UPDATE customers_api_key k SET last_used_at = p_seen_at
        WHERE k.id = (SELECT f.id FROM customers_api_key f WHERE f.id = key_id FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
    RETURN NEXT;
END $$;

ALTER FUNCTION customers_api_key_find_v1(bytea, timestamptz) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_api_key_find_v1(bytea, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_api_key_find_v1(bytea, timestamptz) TO purser_app;
