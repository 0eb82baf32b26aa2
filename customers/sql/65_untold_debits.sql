-- `credit.consumed`, in two steps: a debit leaves what there is to tell in a narrow row of its own transaction
-- (customers_untold_debit, one entry in one index); its number and its payload are made when it is handed out, or before
-- that, when something else happens to the customer. Both hold the customer's row, so numbers have no gaps, and debits
-- come in the order of the ledger and before what happened after them.
--
-- What is not in the row never changes, but for the customer's names: whoever changes these tells the debits first.

-- The payload as customers_event_emit would have put it together. The event goes by the id of its ledger entry.
CREATE OR REPLACE FUNCTION customers_debit_payload(
    d customers_untold_debit, p_environment text, p_number bigint, p_public_id text, p_external_id text,
    p_display_name text
) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    v_id text := substr(customers_typeid('led', d.entry_id), 4);
    v_source text := CASE d.source_type WHEN 'event' THEN 'evt' WHEN 'reservation' THEN 'res' END;
BEGIN
    RETURN jsonb_build_object(
        'id', 'msg' || v_id, 'event', 'credit.consumed', 'created_at', customers_instant(d.occurred_at),
        'environment', p_environment, 'sequence', p_number, 'customer_id', p_public_id,
        'external_customer_id', p_external_id, 'customer', jsonb_build_object(
            'id', p_public_id, 'external_id', p_external_id, 'display_name', p_display_name),
        'ledger_entry_id', 'led' || v_id, 'amount', d.amount_mc, 'source', jsonb_build_object(
            'type', d.source_type, 'id', CASE
                WHEN v_source IS NULL THEN d.source_id::text
                -- A usage event's entry goes by the event's id.
                WHEN d.source_id = d.entry_id THEN v_source || v_id
                ELSE customers_typeid(v_source, d.source_id) END),
        'balance', d.balance_mc, 'reserved_balance', d.reserved_mc, 'effective_balance', d.balance_mc - d.reserved_mc);
END $$;

-- Number the debits of a customer whose row is locked, after the events that `c` has counted, and return how many.
CREATE OR REPLACE FUNCTION customers_debits_number(c customers_customer) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_count bigint;
BEGIN
    WITH told AS (
        DELETE FROM customers_untold_debit d WHERE d.environment_id = c.environment_id AND d.customer_id = c.id
        RETURNING d
    ), numbered AS (
        SELECT t.d, c.event_sequence + row_number() OVER (ORDER BY (t.d).sequence) AS number FROM told t
    )
    INSERT INTO customers_outbox_event (id, environment_id, event, customer_id, sequence, payload, occurred_at)
    SELECT (n.d).entry_id, c.environment_id, 'credit.consumed', c.id, n.number,
        customers_debit_payload(n.d, e.kind, n.number, c.public_id, c.external_id, c.display_name), (n.d).occurred_at
    FROM numbered n CROSS JOIN customers_environment e WHERE e.id = c.environment_id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

-- Number a customer's debits; not behind a change of names in the same transaction: those that came since then have the
-- new names, and are told after it.
CREATE OR REPLACE FUNCTION customers_debits_tell(p_environment uuid, p_customer uuid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    c customers_customer;
    v_count bigint;
BEGIN
    IF current_setting('purser.renamed', true) = p_customer::text THEN
        RETURN;
    END IF;
    SELECT * INTO c FROM customers_customer k
    WHERE k.id = p_customer AND k.environment_id = p_environment FOR NO KEY UPDATE;
    IF FOUND THEN
        v_count := customers_debits_number(c);
        UPDATE customers_customer k SET event_sequence = k.event_sequence + v_count WHERE k.id = c.id AND v_count > 0;
    END IF;
END $$;

-- Number a customer's debits before the names that are told with them change.
CREATE OR REPLACE FUNCTION customers_debits_before_rename() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    NEW.event_sequence := NEW.event_sequence + customers_debits_number(OLD);
    PERFORM set_config('purser.renamed', NEW.id::text, true);
    RETURN NEW;
END $$;

DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
        AND p.proname IN ('customers_debit_payload', 'customers_debits_number', 'customers_debits_tell',
            'customers_debits_before_rename')
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO purser_kernel', v_function);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', v_function);
    END LOOP;
END $$;
