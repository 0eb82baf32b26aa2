-- Writes a webhook event into the outbox, in the transaction of its cause. Events of a customer are numbered without
-- gaps, so the customer's row stays locked until that transaction ends. Debits of theirs that wait to be told happened
-- before, and get their numbers first.
--
-- For functions of the kernel's role: without a search path of its own, which every call would pay for.
CREATE OR REPLACE FUNCTION customers_event_emit(
    p_environment uuid, p_customer uuid, p_event text, p_data jsonb, p_now timestamptz
) RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_id uuid := purser_uuid7();
BEGIN
    IF EXISTS (
        SELECT FROM customers_untold_debit d WHERE d.environment_id = p_environment AND d.customer_id = p_customer
    ) THEN
        PERFORM customers_debits_tell(p_environment, p_customer);
    END IF;
    -- One statement: each more would take a tenth of it.
    WITH customer AS (
        UPDATE customers_customer SET event_sequence = event_sequence + 1
        WHERE id = p_customer AND environment_id = p_environment
        RETURNING event_sequence, public_id, external_id, display_name
    )
    INSERT INTO customers_outbox_event (id, environment_id, event, customer_id, sequence, payload, occurred_at)
    SELECT v_id, p_environment, p_event, p_customer, c.event_sequence, coalesce(p_data, '{}') || CASE
        WHEN p_customer IS NULL THEN jsonb_build_object(
            'id', customers_typeid('msg', v_id), 'event', p_event, 'created_at', customers_instant(p_now),
            'environment', e.kind)
        ELSE jsonb_build_object(
            'id', customers_typeid('msg', v_id), 'event', p_event, 'created_at', customers_instant(p_now),
            'environment', e.kind, 'sequence', c.event_sequence, 'customer_id', c.public_id,
            'external_customer_id', c.external_id, 'customer', jsonb_build_object(
                'id', c.public_id, 'external_id', c.external_id, 'display_name', c.display_name))
        END, p_now
    FROM customers_environment e LEFT JOIN customer c ON true
    WHERE e.id = p_environment AND (p_customer IS NULL OR c.public_id IS NOT NULL);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such customer or environment' USING ERRCODE = 'no_data_found';
    END IF;
    RETURN v_id;
END $$;

ALTER FUNCTION customers_event_emit(uuid, uuid, text, jsonb, timestamptz) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_event_emit(uuid, uuid, text, jsonb, timestamptz) FROM PUBLIC;

-- The same for everyone else.
CREATE OR REPLACE FUNCTION customers_event_emit_v1(
    p_environment uuid, p_customer uuid, p_event text, p_data jsonb, p_now timestamptz
) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    RETURN customers_event_emit(p_environment, p_customer, p_event, p_data, p_now);
END $$;

ALTER FUNCTION customers_event_emit_v1(uuid, uuid, text, jsonb, timestamptz) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_event_emit_v1(uuid, uuid, text, jsonb, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_event_emit_v1(uuid, uuid, text, jsonb, timestamptz) TO purser_app;
