-- Claims an Idempotency-Key for this transaction, or returns the record of whoever claimed it before. Waits for a
-- holder in flight at most p_wait_ms (then: lock_not_available); a holder that fails or dies leaves the key free.
CREATE OR REPLACE FUNCTION customers_idempotency_claim_v1(
    p_environment uuid, p_family text, p_key text, p_fingerprint bytea, p_new_id uuid, p_now timestamptz,
    p_wait_ms integer,
    OUT record_id uuid, OUT claimed boolean, OUT fingerprint bytea, OUT effect_id uuid, OUT status smallint,
    OUT body bytea
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    v_lock_timeout text := current_setting('lock_timeout');
BEGIN
    PERFORM set_config('lock_timeout', p_wait_ms::text, true);
    -- A loop, because the record in our way may be purged between the two statements.
    FOR attempt IN 1..3 LOOP
        INSERT INTO customers_idempotency_record (id, environment_id, family, key, fingerprint, created_at)
        VALUES (p_new_id, p_environment, p_family, p_key, p_fingerprint, p_now)
        ON CONFLICT DO NOTHING;
        claimed := FOUND;
        SELECT r.id, r.fingerprint, r.effect_id, r.status, r.body
        INTO record_id, fingerprint, effect_id, status, body
        FROM customers_idempotency_record r
        WHERE r.environment_id = p_environment AND r.family = p_family AND r.key = p_key;
        EXIT WHEN FOUND;
    END LOOP;
    PERFORM set_config('lock_timeout', v_lock_timeout, true);
END $$;

ALTER FUNCTION customers_idempotency_claim_v1(uuid, text, text, bytea, uuid, timestamptz, integer) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_idempotency_claim_v1(uuid, text, text, bytea, uuid, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_idempotency_claim_v1(uuid, text, text, bytea, uuid, timestamptz, integer) TO purser_app;
