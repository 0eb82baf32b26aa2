-- Forgets stored answers made before an instant, at most p_max at a time; returns how many. What moved credits keeps
-- its record, so that the same key finds what it made for ever.
CREATE OR REPLACE FUNCTION customers_answers_purge_v1(p_before timestamptz, p_max integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    v_old uuid[];
BEGIN
    SELECT array_agg(o.id) INTO v_old FROM (
        SELECT r.id FROM customers_idempotency_record r
        WHERE r.status IS NOT NULL AND r.created_at < p_before
        ORDER BY r.created_at LIMIT p_max FOR UPDATE SKIP LOCKED
    ) o;
    DELETE FROM customers_idempotency_record WHERE id = ANY(v_old) AND effect_id IS NULL;
    UPDATE customers_idempotency_record SET status = NULL, body = NULL WHERE id = ANY(v_old);
    RETURN coalesce(cardinality(v_old), 0);
END $$;

ALTER FUNCTION customers_answers_purge_v1(timestamptz, integer) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_answers_purge_v1(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_answers_purge_v1(timestamptz, integer) TO purser_app;
