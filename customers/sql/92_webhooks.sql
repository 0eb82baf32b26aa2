-- Hand events out to the endpoints that want them, send them in order, record what came of it. `p_now` is the wall clock
-- everywhere here: deliveries live by it, also where a test clock stands still.
--
-- The three functions that do so tell the planner to look everything up by index. Its statistics never know how much is
-- waiting: it would read whole tables that were empty when it last looked, and, by bitmaps, all that the queue's indexes
-- remember of rows that are gone.

-- Whether an endpoint's filters (names, `noun.*`, `*`) want an event. One usage event each is too much for those who
-- did not ask for it by name.
CREATE OR REPLACE FUNCTION customers_webhook_wants(p_filters text[], p_event text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_event = ANY(p_filters) OR (p_event <> 'credit.consumed' AND EXISTS (
        SELECT FROM unnest(p_filters) f
        WHERE f = '*' OR (right(f, 2) = '.*' AND starts_with(p_event, left(f, -1)))
    ))
$$;

-- Queue up to `p_most` events of an environment, and up to as many debits that are still to be told, for its endpoints, in
-- the order in which they are listed for ever after. Returns how many of the greater sort; -1 when somebody else is at it.
--
-- One at a time per environment: two at once could hand out a customer's second event before the first. A batch
-- taken by id is completed by the customers' earlier events, since ids are given before numbers are.
CREATE OR REPLACE FUNCTION customers_webhook_hand_out_v1(p_environment uuid, p_most bigint, p_now timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_customers uuid[];
    v_ids uuid[];
    v_debits bigint;
    v_last bigint;
    v_latest uuid;
    v_kind text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('webhooks of ' || p_environment, 0)) THEN
        RETURN -1;
    END IF;
    SELECT o.position, o.customer_id INTO v_last, v_latest FROM customers_outbox_event o
    WHERE o.environment_id = p_environment AND o.position IS NOT NULL ORDER BY o.position DESC LIMIT 1;
    v_last := coalesce(v_last, 0);
    v_latest := coalesce(v_latest, '00000000-0000-0000-0000-000000000000');
    -- Whose debits are told now: beginning after the customer who was told of last, so that nobody's turn never comes. Who
    -- is held by somebody else is left for the next time: that one may wait for another whom we hold.
    SELECT array_agg(l.id ORDER BY l.id <= v_latest, l.id) INTO v_customers FROM (
        SELECT c.id FROM customers_customer c WHERE c.id = ANY(ARRAY(
            SELECT DISTINCT w.customer_id FROM (
                (SELECT d.customer_id FROM customers_untold_debit d
                WHERE d.environment_id = p_environment AND d.customer_id > v_latest
                ORDER BY d.environment_id, d.customer_id LIMIT p_most)
                UNION ALL
                (SELECT d.customer_id FROM customers_untold_debit d
                WHERE d.environment_id = p_environment AND d.customer_id <= v_latest
                ORDER BY d.environment_id, d.customer_id LIMIT p_most)
                LIMIT p_most
            ) w
        )) FOR NO KEY UPDATE SKIP LOCKED
    ) l;
    -- What waits of a customer has no gaps, so the earlier ones are found by going back one by one. All that waits of
    -- those whose debits are told now comes before these.
    WITH RECURSIVE whole AS (
        (SELECT o.id, o.customer_id, o.sequence FROM customers_outbox_event o
        WHERE o.environment_id = p_environment AND o.dispatched_at IS NULL ORDER BY o.id LIMIT p_most)
        UNION
        (SELECT o.id, o.customer_id, o.sequence FROM customers_customer c JOIN customers_outbox_event o
            ON o.environment_id = p_environment AND o.customer_id = c.id AND o.sequence = c.event_sequence
        WHERE c.id = ANY(v_customers) AND o.dispatched_at IS NULL)
        UNION
        SELECT b.id, b.customer_id, b.sequence FROM whole w CROSS JOIN LATERAL (
            SELECT o.* FROM customers_outbox_event o WHERE o.environment_id = p_environment
                AND o.customer_id = w.customer_id AND o.sequence = w.sequence - 1 LIMIT 1
        ) b WHERE b.dispatched_at IS NULL
    )
    SELECT coalesce(array_agg(w.id), '{}') INTO v_ids FROM whole w;
    IF v_ids = '{}' AND v_customers IS NULL THEN
        RETURN 0;
    END IF;
    SELECT e.kind INTO STRICT v_kind FROM customers_environment e WHERE e.id = p_environment;
    -- As they happened; but a customer's events never against their numbers. The lanes are locked, and made where missing,
    -- before there is something in them: whoever empties one removes it.
    WITH debits AS (
        DELETE FROM customers_untold_debit d USING (
            SELECT q.* FROM unnest(v_customers) AS c(id) CROSS JOIN LATERAL (
                SELECT u.customer_id, u.sequence FROM customers_untold_debit u
                WHERE u.environment_id = p_environment AND u.customer_id = c.id ORDER BY u.sequence LIMIT p_most
            ) q LIMIT p_most
        ) k WHERE d.environment_id = p_environment AND d.customer_id = k.customer_id AND d.sequence = k.sequence
        RETURNING d
    ), counted AS (
        UPDATE customers_customer c SET event_sequence = c.event_sequence + t.many
        FROM (SELECT (b.d).customer_id AS id, count(*) AS many FROM debits b GROUP BY 1) t WHERE c.id = t.id
    ), numbered AS (
        SELECT b.d, c.public_id, c.external_id, c.display_name, c.event_sequence + row_number() OVER (PARTITION BY c.id ORDER BY (b.d).sequence) AS number
        FROM debits b JOIN customers_customer c ON c.id = (b.d).customer_id
    ), placed AS MATERIALIZED (
        SELECT l.*, v_last + row_number() OVER (ORDER BY l.latest, l.sequence) AS position FROM (
            SELECT u.*, max(u.id::text) OVER (PARTITION BY coalesce(u.customer_id, u.id) ORDER BY u.sequence) AS latest
            FROM (
                SELECT e.id, e.customer_id, e.sequence, NULL::jsonb AS payload, NULL::timestamptz AS occurred_at
                FROM customers_outbox_event e WHERE e.id = ANY(v_ids)
                UNION ALL
                SELECT (n.d).entry_id, (n.d).customer_id, n.number, customers_debit_payload(n.d, v_kind, n.number,
                    n.public_id, n.external_id, n.display_name), (n.d).occurred_at
                FROM numbered n
            ) u
        ) l
    ), waited AS (
        UPDATE customers_outbox_event o SET dispatched_at = p_now, position = p.position
        FROM placed p WHERE o.id = p.id AND p.payload IS NULL
        RETURNING o.id, o.event, o.customer_id, o.sequence, o.position
    ), told AS (
        INSERT INTO customers_outbox_event AS o (id, environment_id, event, customer_id, sequence, payload, occurred_at,
            dispatched_at, position)
        SELECT p.id, p_environment, 'credit.consumed', p.customer_id, p.sequence, p.payload, p.occurred_at, p_now,
            p.position
        FROM placed p WHERE p.payload IS NOT NULL RETURNING o.id, o.event, o.customer_id, o.sequence, o.position
    ), handed AS MATERIALIZED (
        SELECT * FROM waited UNION ALL SELECT * FROM told
    ), wanting AS MATERIALIZED (
        -- Asked once for each kind of event.
        SELECT e.id AS endpoint_id, k.event FROM (SELECT DISTINCT h.event FROM handed h) k
        JOIN customers_webhook_endpoint e ON e.environment_id = p_environment
            AND e.status <> 'disabled' AND e.deleted_at IS NULL AND customers_webhook_wants(e.events, k.event)
    ), wanted AS MATERIALIZED (
        SELECT w.endpoint_id, h.id, h.customer_id, coalesce(h.customer_id, h.id) AS lane,
            coalesce(h.sequence, 0) AS sequence, h.position
        FROM wanting w JOIN handed h ON h.event = w.event
    ), lanes AS (
        INSERT INTO customers_webhook_lane (endpoint_id, lane, environment_id, next_at)
        SELECT DISTINCT w.endpoint_id, w.lane, p_environment, p_now FROM wanted w ORDER BY 1, 2
        ON CONFLICT (endpoint_id, lane) DO UPDATE SET environment_id = EXCLUDED.environment_id RETURNING 1
    ), queued AS (
        INSERT INTO customers_webhook_delivery (id, environment_id, endpoint_id, event_id, customer_id, lane, sequence,
            state, attempts, tries, next_attempt_at, created_at)
        SELECT purser_uuid7(), p_environment, w.endpoint_id, w.id, w.customer_id, w.lane, w.sequence,
            'pending', 0, 0, p_now, p_now
        FROM wanted w WHERE (SELECT count(*) FROM lanes) > 0 ORDER BY w.position
        ON CONFLICT (endpoint_id, event_id) DO NOTHING
    )
    SELECT count(*) INTO v_debits FROM debits;
    RETURN greatest(cardinality(v_ids), v_debits);
END $$;

-- Claim lanes of an endpoint and return what to send out of them, in order: at most `p_most` deliveries, by at most
-- `p_parallel` workers at a time; by one, when the endpoint is slow or failing, so that it holds up nobody else; and
-- a single delivery, to see whether it is well again, when its circuit was open. A lane in which nothing waits comes
-- without a delivery: whoever records lets go of it too.
CREATE OR REPLACE FUNCTION customers_webhook_claim_v1(
    p_environment uuid, p_endpoint uuid, p_claim uuid, p_most bigint, p_parallel bigint, p_now timestamptz,
    p_until timestamptz
) RETURNS TABLE (delivery_id uuid, event_id uuid, lane uuid, attempts integer, tries integer, body text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    e customers_webhook_endpoint;
    v_busy bigint;
    v_slot integer;
    v_most bigint := p_most;
    v_lanes uuid[];
BEGIN
    SELECT * INTO e FROM customers_webhook_endpoint w
    WHERE w.id = p_endpoint AND w.environment_id = p_environment AND w.status = 'active' AND w.deleted_at IS NULL
        AND (w.open_until IS NULL OR w.open_until <= p_now)
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT count(*) FILTER (WHERE s.claimed_until > p_now),
        coalesce(min(s.number) FILTER (WHERE s.claimed_until IS NULL OR s.claimed_until <= p_now), count(*))
        INTO v_busy, v_slot FROM customers_webhook_slot s WHERE s.endpoint_id = p_endpoint;
    IF v_busy >= (CASE WHEN e.failures > 2 OR e.latency_ms > 1000 THEN 1 ELSE p_parallel END) THEN
        RETURN;
    END IF;
    IF e.open_until IS NOT NULL THEN
        v_most := 1;
    END IF;
    WITH claimed AS (
        UPDATE customers_webhook_lane l SET claim_id = p_claim, claimed_until = p_until
        WHERE l.endpoint_id = p_endpoint AND l.lane = ANY(ARRAY(
            SELECT d.lane FROM customers_webhook_lane d
            WHERE d.endpoint_id = p_endpoint AND d.next_at <= p_now
                AND (d.claimed_until IS NULL OR d.claimed_until <= p_now)
            ORDER BY d.next_at LIMIT v_most FOR NO KEY UPDATE SKIP LOCKED
        )) RETURNING l.lane
    ) SELECT array_agg(c.lane) INTO v_lanes FROM claimed c;
    IF v_lanes IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO customers_webhook_slot AS s (endpoint_id, number, environment_id, claim_id, claimed_until)
    VALUES (p_endpoint, v_slot, p_environment, p_claim, p_until)
    ON CONFLICT (endpoint_id, number) DO UPDATE SET claim_id = p_claim, claimed_until = p_until;
    -- As many out of each lane as make a full load together.
    RETURN QUERY
        SELECT q.id, q.event_id, c.lane, q.attempts, q.tries, (
            SELECT o.payload::text FROM customers_outbox_event o WHERE o.id = q.event_id
        )
        FROM unnest(v_lanes) WITH ORDINALITY AS c(lane, place)
        LEFT JOIN LATERAL (
            SELECT d.* FROM customers_webhook_delivery d
            WHERE d.endpoint_id = p_endpoint AND d.lane = c.lane AND d.state = 'pending'
            ORDER BY d.sequence LIMIT (v_most + cardinality(v_lanes) - 1) / cardinality(v_lanes)
        ) q ON true
        ORDER BY c.place, q.sequence;
END $$;

-- What came of a claim of `p_lanes`: store the attempts, move the deliveries on, let go of the lanes. Whoever lost the claim
-- meanwhile stores facts too, and leaves the lanes to their new owner. `p_succeeded`: whether any attempt did;
-- `p_failed`: how many failed after the last that did. Returns the failures in a row before and now, and since when.
CREATE OR REPLACE FUNCTION customers_webhook_record_v1(
    p_environment uuid, p_endpoint uuid, p_claim uuid, p_lanes uuid[], p_results jsonb, p_succeeded boolean,
    p_failed bigint, p_latency bigint, p_threshold bigint, p_now timestamptz,
    OUT failures_before bigint, OUT failures_now bigint, OUT failing_since timestamptz
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    e customers_webhook_endpoint;
    v_held bigint;
    v_emptied bigint;
BEGIN
    SELECT * INTO STRICT e FROM customers_webhook_endpoint w
    WHERE w.id = p_endpoint AND w.environment_id = p_environment;
    failures_before := e.failures;
    failures_now := e.failures;
    failing_since := e.failing_since;
    -- While it is well and quick, saying so once a second is enough: its workers need not wait for each other here.
    IF p_failed > 0 OR p_succeeded AND (e.failures > 0 OR e.open_until IS NOT NULL OR e.last_success_at IS NULL
            OR e.last_success_at < p_now - interval '1 second' OR greatest(e.latency_ms, p_latency) > 1000) THEN
        -- The endpoint before its lanes, as everybody does who locks both.
        SELECT w.failures, w.failing_since INTO STRICT failures_before, failing_since
        FROM customers_webhook_endpoint w WHERE w.id = p_endpoint FOR NO KEY UPDATE;
        failures_now := CASE WHEN p_succeeded THEN 0 ELSE failures_before END + p_failed;
        failing_since := CASE WHEN failures_now = 0 THEN NULL WHEN p_succeeded THEN p_now
            ELSE coalesce(failing_since, p_now) END;
        -- The longer it has been failing, the longer we leave it alone.
        UPDATE customers_webhook_endpoint w SET
            failures = failures_now,
            failing_since = customers_webhook_record_v1.failing_since,
            open_until = CASE WHEN failures_now < p_threshold THEN NULL WHEN p_failed > 0 THEN
                p_now + least(interval '15 minutes', greatest(interval '15 seconds',
                    (p_now - customers_webhook_record_v1.failing_since) / 4))
                ELSE w.open_until END,
            last_success_at = CASE WHEN p_succeeded THEN p_now ELSE w.last_success_at END,
            latency_ms = coalesce(p_latency, w.latency_ms)
        WHERE w.id = p_endpoint;
    END IF;
    SELECT count(*) INTO v_held FROM (
        SELECT FROM customers_webhook_lane l
        WHERE l.endpoint_id = p_endpoint AND l.lane = ANY(p_lanes) AND l.claim_id = p_claim
        ORDER BY l.lane FOR UPDATE
    ) held;
    WITH r AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(p_results) r(id uuid, delivery uuid, number integer, started_at timestamptz,
            url text, headers jsonb, body_sha256 text, status smallint, head text, latency_ms integer, error text,
            state text, next_at timestamptz)
    ), attempts AS (
        INSERT INTO customers_webhook_attempt (id, environment_id, endpoint_id, delivery_id, number, started_at, url,
            request_headers, body_sha256, response_status, response_head, latency_ms, error)
        SELECT r.id, p_environment, p_endpoint, r.delivery, r.number, r.started_at, r.url, r.headers, r.body_sha256,
            r.status, r.head, r.latency_ms, r.error
        FROM r
    )
    UPDATE customers_webhook_delivery d SET
        attempts = d.attempts + 1, tries = d.tries + 1,
        state = CASE WHEN d.state IN ('pending', 'skipped') THEN r.state ELSE d.state END,
        next_attempt_at = CASE WHEN d.state = 'pending' THEN r.next_at END,
        finished_at = CASE WHEN r.state <> 'pending' THEN p_now END
    -- Not by `=`: an index by environment would be taken for a way to find them.
    FROM r WHERE d.id = r.delivery AND d.environment_id IS NOT DISTINCT FROM p_environment
        AND (r.state = 'delivered' OR d.state = 'pending');
    -- A look-up for each lane, and not a join by the endpoint alone.
    DELETE FROM customers_webhook_lane l
    WHERE l.endpoint_id = p_endpoint AND l.lane = ANY(p_lanes) AND l.claim_id = p_claim AND (
        SELECT d.id FROM customers_webhook_delivery d
        WHERE d.endpoint_id = p_endpoint AND d.lane = l.lane AND d.state = 'pending' LIMIT 1
    ) IS NULL;
    GET DIAGNOSTICS v_emptied = ROW_COUNT;
    IF v_emptied < v_held THEN
        WITH later AS MATERIALIZED (
            SELECT r.lane, max(r.next_at) AS next_at
            FROM jsonb_to_recordset(p_results) r(lane uuid, state text, next_at timestamptz)
            WHERE r.state = 'pending' GROUP BY r.lane
        )
        UPDATE customers_webhook_lane l SET claim_id = NULL, claimed_until = NULL, next_at = coalesce((
            SELECT t.next_at FROM later t WHERE t.lane = l.lane
        ), l.next_at)
        WHERE l.endpoint_id = p_endpoint AND l.lane = ANY(p_lanes) AND l.claim_id = p_claim;
    END IF;
    UPDATE customers_webhook_slot s SET claim_id = NULL, claimed_until = NULL
    WHERE s.endpoint_id = p_endpoint AND s.claim_id = p_claim;
END $$;

-- Queue an endpoint's events again, from one event on and in order: those it never got. Returns how many.
CREATE OR REPLACE FUNCTION customers_webhook_requeue_v1(
    p_environment uuid, p_endpoint uuid, p_from uuid, p_now timestamptz
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    v_count bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('webhooks of ' || p_environment, 0));
    WITH wanted AS MATERIALIZED (
        SELECT o.id, o.customer_id, coalesce(o.customer_id, o.id) AS lane, coalesce(o.sequence, 0) AS sequence,
            o.position
        FROM customers_outbox_event o JOIN customers_webhook_endpoint e ON e.id = p_endpoint
            AND e.environment_id = p_environment AND customers_webhook_wants(e.events, o.event)
        WHERE o.environment_id = p_environment AND o.id >= p_from AND o.position IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM customers_webhook_delivery d
                WHERE d.endpoint_id = p_endpoint AND d.event_id = o.id AND d.state IN ('delivered', 'pending')
            )
    ), lanes AS (
        INSERT INTO customers_webhook_lane (endpoint_id, lane, environment_id, next_at)
        SELECT DISTINCT p_endpoint, w.lane, p_environment, p_now FROM wanted w ORDER BY 1, 2
        ON CONFLICT (endpoint_id, lane) DO UPDATE SET next_at = EXCLUDED.next_at RETURNING 1
    )
    INSERT INTO customers_webhook_delivery (id, environment_id, endpoint_id, event_id, customer_id, lane, sequence,
        state, attempts, tries, next_attempt_at, created_at)
    SELECT purser_uuid7(), p_environment, p_endpoint, w.id, w.customer_id, w.lane, w.sequence,
        'pending', 0, 0, p_now, p_now
    FROM wanted w WHERE (SELECT count(*) FROM lanes) > 0 ORDER BY w.position
    ON CONFLICT (endpoint_id, event_id) DO UPDATE SET state = 'pending', tries = 0, finished_at = NULL,
        next_attempt_at = p_now, lane = EXCLUDED.lane
        WHERE customers_webhook_delivery.state IN ('dead', 'skipped');
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

-- For the sweep, which works in all environments: where there is something to hand out (endpoint null), and which
-- endpoints have something to be sent.
CREATE OR REPLACE FUNCTION customers_webhooks_due_v1(p_now timestamptz)
RETURNS TABLE (environment_id uuid, endpoint_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT e.id, NULL::uuid FROM customers_environment e WHERE EXISTS (
        SELECT FROM customers_outbox_event o WHERE o.environment_id = e.id AND o.dispatched_at IS NULL
    ) OR EXISTS (SELECT FROM customers_untold_debit d WHERE d.environment_id = e.id)
    UNION ALL
    SELECT w.environment_id, w.id FROM customers_webhook_endpoint w
    WHERE w.status = 'active' AND w.deleted_at IS NULL AND (w.open_until IS NULL OR w.open_until <= p_now) AND EXISTS (
        SELECT FROM customers_webhook_lane l WHERE l.endpoint_id = w.id AND l.next_at <= p_now
            AND (l.claimed_until IS NULL OR l.claimed_until <= p_now)
    )
$$;

DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
        AND p.proname IN ('customers_webhook_wants', 'customers_webhook_hand_out_v1', 'customers_webhook_claim_v1',
            'customers_webhook_record_v1', 'customers_webhook_requeue_v1', 'customers_webhooks_due_v1')
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO purser_kernel', v_function);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', v_function);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO purser_app', v_function);
    END LOOP;
END $$;
