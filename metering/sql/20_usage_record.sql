-- One usage event: find or make the customer, check the policy, debit, store the event; all or nothing, in one call.
--
-- The cost was computed by the caller from the environment's rules as of `p_config_version`, for the customer and plan
-- variant it expected (NULL when only default rules exist; then `p_scoped` is false and nothing is compared).
-- With a rule whose price depends on the cycle, `p_cycle_units` and `p_cycle_charged` are where the customer was taken
-- to stand in it (for the property `p_dimension` with `p_value`, '' when the rule has none); NULL otherwise. Wherever
-- from `p_steady_from` to `p_steady_to` they stand, the cost is the same; NULL when only there.
--
-- status: accepted | duplicate | key-reused | stale-config | reprice (the customer or variant is another: see
-- `customer_id`, `plan_variant_id`) | stale-counter (see `cycle_units`, `cycle_charged`) | customer-not-found | suspended | insufficient | catch-up-due.
CREATE OR REPLACE FUNCTION metering_usage_record_v1(
  p_environment uuid, p_config_version bigint, p_by text, p_reference text, p_new_customer uuid, p_event uuid,
  p_metric uuid, p_metric_key text, p_rule uuid, p_scoped boolean, p_priced_customer uuid, p_priced_variant uuid,
  p_dimension text, p_value text, p_cycle_units numeric, p_cycle_charged bigint,
  p_steady_from numeric, p_steady_to numeric, p_units numeric, p_cost bigint, p_key text, p_fingerprint bytea, p_timestamp timestamptz, p_properties jsonb,
  p_metadata jsonb, p_actor text, p_request text, p_now timestamptz,
  OUT status text, OUT event_id uuid, OUT cost bigint, OUT customer_id uuid, OUT plan_variant_id uuid,
  OUT effective bigint, OUT cycle_units numeric, OUT cycle_charged bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  a billing_credit_account;
  v_customer uuid := CASE WHEN p_by = 'id' THEN customers_customer_find(p_environment, p_by, p_reference) END;
  v_version bigint;
  v_now timestamptz;
  v_policy text;
  v_limit bigint;
  v_blocks uuid[];
  v_amounts bigint[];
  v_missing bigint;
  v_tells boolean;
  -- An event's entry goes by the event's id.
  v_entry uuid := CASE WHEN p_cost > 0 THEN p_event END;
BEGIN
  -- All that needs no lock in one look, since every statement and every function more is a fiftieth of the call: the
  -- catalogue's version, the customer (as customers_customer_find has it) with their policy, the event this key made
  -- before.
  SELECT e.config_version, c.id, c.overage_policy, c.overage_limit_mc,
      e.tells_consumption, metering_replay_status(u.customer_id, u.fingerprint, c.id, p_fingerprint), u.event_id, u.cost_mc
    INTO v_version, v_customer, v_policy, v_limit, v_tells, status, event_id, cost
    FROM customers_environment e
    LEFT JOIN customers_customer c ON c.id = coalesce(v_customer, (
      SELECT f.id FROM customers_customer f
      WHERE p_by = 'external' AND f.environment_id = p_environment AND f.external_key = p_reference))
    LEFT JOIN metering_usage_key u ON u.environment_id = e.id AND u.idempotency_key = p_key
    WHERE e.id = p_environment;
  IF v_version <> p_config_version THEN
    status := 'stale-config';
    event_id := NULL;
    cost := NULL;
    RETURN;
  ELSIF status IS NOT NULL THEN
    RETURN;
  END IF;
  IF v_customer IS NULL THEN
    -- A new customer has nothing and the policy `block`: what costs is refused, and then leaves no customer.
    IF p_by = 'id' AND customers_uuid_text(p_reference) IS NULL THEN
      status := 'customer-not-found';
      RETURN;
    ELSIF p_cost > 0 THEN
      status := 'insufficient';
      effective := 0;
      RETURN;
    END IF;
    v_customer := (customers_customer_ensure_v1(p_environment, p_by, p_reference, p_new_customer, p_now)).customer_id;
  END IF;
  a := billing_account_lock(p_environment, v_customer, p_now);
  v_now := billing_account_now(a, p_now);
  customer_id := v_customer;
  plan_variant_id := a.plan_variant_id;
  effective := a.balance_mc - a.reserved_mc;
  IF p_cycle_units IS NOT NULL THEN
    SELECT r.units, r.charged INTO cycle_units, cycle_charged
      FROM metering_counter_read(a, v_customer, p_metric, p_rule, p_dimension, p_value, v_now) r;
  END IF;
  IF p_cost > 0 THEN
    -- The first block in burn order, as billing_blocks_plan has it, pays it all, as nearly always: to ask for the plan takes a
    -- twentieth of the call.
    SELECT ARRAY[b.id], CASE WHEN b.remaining_mc - b.held_mc >= p_cost THEN ARRAY[p_cost] END INTO v_blocks, v_amounts
      FROM billing_credit_block b
      WHERE b.account_id = v_customer AND b.state = 'live' AND b.remaining_mc > b.held_mc
        AND (b.expires_at IS NULL OR b.expires_at > v_now)
        AND (b.metric_keys IS NULL OR p_metric_key = ANY (b.metric_keys))
      ORDER BY b.priority DESC, b.expires_at, b.is_paid, b.created_at, b.id LIMIT 1;
    v_missing := 0;
    IF v_amounts IS NULL THEN
      SELECT p.blocks, p.amounts, p.missing INTO v_blocks, v_amounts, v_missing
        FROM billing_blocks_plan(v_customer, p_cost, p_metric_key, v_now) p;
    END IF;
  END IF;
  status := CASE
    WHEN a.catch_up_at <= v_now THEN 'catch-up-due'
    WHEN a.usage_suspended IS NOT NULL THEN 'suspended'
    WHEN p_scoped AND (p_priced_customer, p_priced_variant) IS DISTINCT FROM (v_customer, a.plan_variant_id) THEN 'reprice'
    WHEN (cycle_units, cycle_charged) IS DISTINCT FROM (p_cycle_units, p_cycle_charged)
      AND (cycle_units BETWEEN p_steady_from AND p_steady_to) IS NOT TRUE THEN 'stale-counter'
    WHEN p_cost > 0 AND NOT billing_debit_allowed(v_policy, v_limit, effective, p_cost, v_missing) THEN 'insufficient'
    ELSE 'accepted' END;
  IF status <> 'accepted' THEN
    RETURN;
  END IF;
  INSERT INTO metering_usage_key (environment_id, event_id, customer_id, cost_mc, idempotency_key, fingerprint)
    VALUES (p_environment, p_event, v_customer, p_cost, p_key, p_fingerprint)
    ON CONFLICT (environment_id, idempotency_key) DO NOTHING;
  IF NOT FOUND THEN
    -- The same key came in meanwhile, for this customer or another; it is committed now.
    SELECT r.status, r.event_id, r.cost INTO status, event_id, cost
      FROM metering_event_replay(p_environment, v_customer, p_key, p_fingerprint) r;
    RETURN;
  END IF;
  INSERT INTO metering_usage_event (
    id, environment_id, customer_id, metric_id, rule_id, units, cost_mc, idempotency_key, occurred_at, received_at,
    properties, metadata, ledger_entry_id, actor, request_id, cycle_units, cycle_charged_mc
  ) VALUES (
    p_event, p_environment, v_customer, p_metric, p_rule, p_units, p_cost, p_key, coalesce(p_timestamp, v_now), v_now,
    p_properties, p_metadata, v_entry, p_actor, p_request, cycle_units, cycle_charged
  );
  event_id := p_event;
  cost := p_cost;
  IF p_cycle_units IS NOT NULL THEN
    PERFORM metering_counter_write(a, p_metric, p_rule, p_dimension, p_value, cycle_units + p_units,
      cycle_charged + p_cost, v_now);
  END IF;
  IF p_cost > 0 THEN
    effective := effective - p_cost;
    PERFORM billing_debit_store(a, v_entry, 'debit', p_cost, v_blocks, v_amounts, v_missing, v_policy, v_tells,
      ROW('event', p_event, p_actor, '', p_key, p_request, p_metadata)::billing_cause, v_now);
  END IF;
END $$;

-- What a key recorded before: `duplicate`, `key-reused`, or NULL.
CREATE OR REPLACE FUNCTION metering_usage_find_v1(
  p_environment uuid, p_by text, p_reference text, p_key text, p_fingerprint bytea,
  OUT status text, OUT event_id uuid, OUT cost bigint
) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  SELECT r.status, r.event_id, r.cost INTO status, event_id, cost
    FROM metering_event_replay(
      p_environment, customers_customer_find(p_environment, p_by, p_reference), p_key, p_fingerprint) r;
END $$;

-- The event this key made before, if any: `duplicate`, or `key-reused` when something else was asked for then.
CREATE OR REPLACE FUNCTION metering_event_replay(
  p_environment uuid, p_customer uuid, p_key text, p_fingerprint bytea,
  OUT status text, OUT event_id uuid, OUT cost bigint
) LANGUAGE plpgsql AS $$
BEGIN
  SELECT metering_replay_status(u.customer_id, u.fingerprint, p_customer, p_fingerprint), u.event_id, u.cost_mc
    INTO status, event_id, cost FROM metering_usage_key u
    WHERE u.environment_id = p_environment AND u.idempotency_key = p_key;
END $$;

-- NULL when there is no event.
CREATE OR REPLACE FUNCTION metering_replay_status(
  p_recorded_customer uuid, p_recorded_fingerprint bytea, p_customer uuid, p_fingerprint bytea
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN p_recorded_customer IS NULL THEN NULL
    WHEN p_recorded_customer = p_customer AND p_recorded_fingerprint = p_fingerprint THEN 'duplicate'
    ELSE 'key-reused' END
$$;
