-- Writes a webhook event into the outbox, in the transaction of its cause. Events of a customer are numbered without
-- gaps, so the customer's row stays locked until that transaction ends.
--
-- For functions of the kernel's role: without a search path of its own, which every call would pay for.
CREATE OR REPLACE FUNCTION customers_event_emit(
    p_environment uuid, p_customer uuid, p_event text, p_data jsonb, p_now timestamptz
) RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_id uuid := purser_uuid7();
    v_payload jsonb;
    v_sequence bigint;
    v_about jsonb := '{}';
BEGIN
    IF p_customer IS NOT NULL THEN
        UPDATE customers_customer SET event_sequence = event_sequence + 1
        WHERE id = p_customer AND environment_id = p_environment
        RETURNING event_sequence, jsonb_build_object(
            'sequence', event_sequence, 'customer_id', public_id, 'external_customer_id', external_id,
            'customer', jsonb_build_object('id', public_id, 'external_id', external_id, 'display_name', display_name)
        ) INTO STRICT v_sequence, v_about;
    END IF;
    SELECT coalesce(p_data, '{}') || v_about || jsonb_build_object(
        'id', customers_typeid('msg', v_id), 'event', p_event, 'created_at', customers_instant(p_now),
        'environment', kind
    ) INTO STRICT v_payload FROM customers_environment WHERE id = p_environment;
    INSERT INTO customers_outbox_event (id, environment_id, event, customer_id, sequence, payload, occurred_at)
    VALUES (v_id, p_environment, p_event, p_customer, v_sequence, v_payload, p_now);
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
