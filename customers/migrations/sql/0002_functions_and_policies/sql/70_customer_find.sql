-- The customer a caller names, or null. By 'external': who holds this external id now. By 'id': whose id it is, and
-- when nobody's and the text is no UUID, who holds it as external id. Deleted customers are found too.
-- For the kernel's own functions, which have set their path already and pay dearly for setting it again.
CREATE OR REPLACE FUNCTION customers_customer_find(p_environment uuid, p_by text, p_reference text) RETURNS uuid
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_uuid text;
    v_id uuid;
BEGIN
    IF p_by = 'id' THEN
        v_uuid := customers_uuid_text(p_reference);
        SELECT id INTO v_id FROM customers_customer
        WHERE environment_id = p_environment AND public_id = coalesce(v_uuid, p_reference);
        IF FOUND OR v_uuid IS NOT NULL THEN
            RETURN v_id;
        END IF;
    ELSIF p_by IS DISTINCT FROM 'external' THEN
        RAISE EXCEPTION 'a customer is named by id or external, not by %', p_by;
    END IF;
    SELECT id INTO v_id FROM customers_customer
    WHERE environment_id = p_environment AND external_key = p_reference;
    RETURN v_id;
END $$;

ALTER FUNCTION customers_customer_find(uuid, text, text) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_customer_find(uuid, text, text) FROM PUBLIC;

-- The same for everyone else.
CREATE OR REPLACE FUNCTION customers_customer_find_v1(p_environment uuid, p_by text, p_reference text) RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    RETURN customers_customer_find(p_environment, p_by, p_reference);
END $$;

ALTER FUNCTION customers_customer_find_v1(uuid, text, text) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_customer_find_v1(uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_customer_find_v1(uuid, text, text) TO purser_app;

-- Finds the customer or makes one, once, however many ask at the same time. By external id always; by id only when
-- the text is a UUID, which then becomes the customer's id. Null when there is none and none may be made.
CREATE OR REPLACE FUNCTION customers_customer_ensure_v1(
    p_environment uuid, p_by text, p_reference text, p_new_id uuid, p_now timestamptz,
    OUT customer_id uuid, OUT created boolean
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    v_public_id text;
    v_external_id text;
BEGIN
    created := false;
    customer_id := customers_customer_find(p_environment, p_by, p_reference);
    IF customer_id IS NOT NULL OR p_reference = '' OR length(p_reference) > 255 THEN
        RETURN;
    END IF;
    IF p_by = 'id' THEN
        v_public_id := customers_uuid_text(p_reference);
        IF v_public_id IS NULL THEN
            RETURN;
        END IF;
    ELSE
        v_public_id := p_new_id::text;
        v_external_id := p_reference;
    END IF;
    INSERT INTO customers_customer (id, environment_id, public_id, external_id, external_key, created_at, updated_at)
    VALUES (p_new_id, p_environment, v_public_id, v_external_id, v_external_id, p_now, p_now)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        customer_id := p_new_id;
        created := true;
        PERFORM customers_event_emit(p_environment, p_new_id, 'customer.created', '{"auto_created": true}', p_now);
    ELSE
        -- Somebody else made it meanwhile; this statement sees it.
        customer_id := customers_customer_find(p_environment, p_by, p_reference);
    END IF;
END $$;

ALTER FUNCTION customers_customer_ensure_v1(uuid, text, text, uuid, timestamptz) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_customer_ensure_v1(uuid, text, text, uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_customer_ensure_v1(uuid, text, text, uuid, timestamptz) TO purser_app;
