-- Many usage events in one transaction: open (find, lock, read), decide in Python in order by the one pricing engine,
-- store. As many round trips for a thousand events as for two.

-- Find the customers that references name, lock their accounts, and tell what deciding needs to know.
--
-- Each reference is one element of the arrays; where `p_new_customers` is not NULL, a customer that does not exist is
-- made with that id. Unless `p_is_patient`, an account that is locked for long is an error. status: opened | stale-config.
-- `accounts`: JSON, an array a reference in their order, null for unknown ones, else [customer, made just now, plan
-- variant, effective, policy, overage limit, why usage is suspended, whether other work is due first, free credits in
-- burn order as [mc, metric keys] where it matters which are for what]. `recorded`: an array for each of the keys that
-- recorded an event before: [key, event, cost, customer, fingerprint].
CREATE OR REPLACE FUNCTION metering_usage_open_v1(
  p_environment uuid, p_config_version bigint, p_bys text[], p_references text[], p_new_customers uuid[], p_keys text[],
  p_is_patient boolean, p_now timestamptz, OUT status text, OUT accounts text, OUT recorded text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_customers uuid[];
  v_made uuid[];
BEGIN
  IF (SELECT e.config_version FROM customers_environment e WHERE e.id = p_environment) <> p_config_version THEN
    status := 'stale-config';
    RETURN;
  END IF;
  status := 'opened';
  IF NOT p_is_patient THEN
    -- As long as metering_usage_many_v1 waits, for the rest of the transaction.
    PERFORM set_config('lock_timeout', '250ms', true);
  END IF;
  IF array_remove(p_new_customers, NULL) <> '{}' THEN
    v_made := metering_customers_make(p_environment, p_bys, p_references, p_new_customers, p_now);
  END IF;
  SELECT array_agg(CASE WHEN r.named_by = 'external' THEN c.id
      ELSE customers_customer_find(p_environment, r.named_by, r.reference) END ORDER BY r.n) INTO v_customers
    FROM unnest(p_bys, p_references) WITH ORDINALITY AS r(named_by, reference, n)
    LEFT JOIN customers_customer c
      ON c.environment_id = p_environment AND c.external_key = r.reference AND r.named_by = 'external';
  PERFORM billing_accounts_lock(p_environment, array_remove(v_customers, NULL), p_now);
  SELECT json_agg(CASE WHEN a.customer_id IS NOT NULL THEN json_build_array(
      a.customer_id, coalesce(a.customer_id = ANY (v_made), false), a.plan_variant_id, a.balance_mc - a.reserved_mc,
      c.overage_policy, c.overage_limit_mc, a.usage_suspended,
      coalesce(a.catch_up_at <= billing_account_now(a, p_now), false),
      CASE WHEN a.has_scoped_blocks AND c.overage_policy = 'block' THEN coalesce((
        SELECT json_agg(json_build_array(b.free, b.metric_keys) ORDER BY b.place)
        FROM billing_blocks_burning(a.customer_id, billing_account_now(a, p_now)) b), '[]') END) END ORDER BY u.n)::text
    INTO accounts
    FROM unnest(v_customers) WITH ORDINALITY AS u(customer, n)
    LEFT JOIN billing_credit_account a ON a.customer_id = u.customer
    LEFT JOIN customers_customer c ON c.id = u.customer;
  -- Under the locks: what was recorded for these customers by now is seen.
  SELECT json_agg(json_build_array(e.idempotency_key, e.event_id, e.cost_mc, e.customer_id, encode(e.fingerprint, 'base64')))::text
    INTO recorded FROM unnest(p_keys) AS k(key) CROSS JOIN LATERAL (
      -- Key by key: for so many at once, a planner without statistics would rather read the whole environment.
      SELECT * FROM metering_usage_key t WHERE t.environment_id = p_environment AND t.idempotency_key = k.key LIMIT 1) e;
END $$;

-- Make the customers that have a new id and do not exist, in the order of what they are called, so that two calls that
-- make the same ones do not wait for each other in a circle. Returns the ids of those that were made.
CREATE OR REPLACE FUNCTION metering_customers_make(
  p_environment uuid, p_bys text[], p_references text[], p_new_customers uuid[], p_now timestamptz
) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
  r record;
  v_ensured record;
  v_made uuid[] := '{}';
BEGIN
  FOR r IN
    SELECT u.* FROM unnest(p_bys, p_references, p_new_customers) AS u(named_by, reference, new_id)
    WHERE u.new_id IS NOT NULL ORDER BY u.reference COLLATE "C", u.named_by
  LOOP
    v_ensured := customers_customer_ensure_v1(p_environment, r.named_by, r.reference, r.new_id, p_now);
    IF v_ensured.created THEN
      v_made := v_made || v_ensured.customer_id;
    END IF;
  END LOOP;
  RETURN v_made;
END $$;

-- Where locked accounts stand in the cycle of metrics, one element of the arrays each: JSON, [[units, charged], …].
CREATE OR REPLACE FUNCTION metering_counters_read_v1(
  p_environment uuid, p_customers uuid[], p_metrics uuid[], p_rules uuid[], p_dimensions text[], p_values text[],
  p_now timestamptz, OUT counters text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  SELECT json_agg(json_build_array(r.units, r.charged) ORDER BY q.n)::text INTO counters
    FROM unnest(p_customers, p_metrics, p_rules, p_dimensions, p_values) WITH ORDINALITY
      AS q(customer, metric, rule, dimension, value, n)
    JOIN billing_credit_account a ON a.customer_id = q.customer AND a.environment_id = p_environment
    CROSS JOIN LATERAL metering_counter_read(a, q.customer, q.metric, q.rule, q.dimension, q.value,
      billing_account_now(a, p_now)) r;
END $$;

-- Store the accepted events of a batch, debit what they cost, and write the counters as they are after it; in the
-- transaction that opened it.
--
-- status: stored | key-taken (a key recorded an event for another customer meanwhile: roll back and open again).
CREATE OR REPLACE FUNCTION metering_usage_store_v1(
  p_environment uuid, p_events text, p_counters text, p_now timestamptz, OUT status text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
SET plan_cache_mode = force_generic_plan AS $$
DECLARE b record;
BEGIN
  WITH e AS MATERIALIZED (
    SELECT * FROM json_to_recordset(p_events::json) AS t(
      n bigint, id uuid, customer uuid, metric uuid, metric_key text, rule uuid, units numeric, cost bigint, key text,
      fingerprint text, timestamp timestamptz, properties jsonb, metadata jsonb, entry uuid, actor text, request text,
      cycle_units numeric, cycle_charged bigint)
  ), new_keys AS (
    -- In the order of the keys: two batches that share some never wait for each other in a circle.
    INSERT INTO metering_usage_key (environment_id, event_id, customer_id, cost_mc, idempotency_key, fingerprint)
    SELECT p_environment, e.id, e.customer, e.cost, e.key, decode(e.fingerprint, 'base64')
    FROM e ORDER BY e.key COLLATE "C"
    ON CONFLICT (environment_id, idempotency_key) DO NOTHING RETURNING 1
  ), stored AS (
    INSERT INTO metering_usage_event (
      id, environment_id, customer_id, metric_id, rule_id, units, cost_mc, idempotency_key, occurred_at, received_at,
      properties, metadata, ledger_entry_id, actor, request_id, cycle_units, cycle_charged_mc)
    SELECT e.id, p_environment, e.customer, e.metric, e.rule, e.units, e.cost, e.key, coalesce(e.timestamp, billing_account_now(a, p_now)), billing_account_now(a, p_now), e.properties, e.metadata,
      e.entry, e.actor, e.request, e.cycle_units, e.cycle_charged
    FROM e JOIN billing_credit_account a ON a.customer_id = e.customer AND a.environment_id = p_environment
  )
  SELECT count(*) AS events,
    array_agg(e.customer ORDER BY e.n) FILTER (WHERE e.cost > 0) AS accounts,
    array_agg(e.entry ORDER BY e.n) FILTER (WHERE e.cost > 0) AS entries,
    array_agg(e.cost ORDER BY e.n) FILTER (WHERE e.cost > 0) AS amounts,
    array_agg(e.metric_key ORDER BY e.n) FILTER (WHERE e.cost > 0) AS metrics,
    array_agg(e.id ORDER BY e.n) FILTER (WHERE e.cost > 0) AS sources,
    array_agg(e.actor ORDER BY e.n) FILTER (WHERE e.cost > 0) AS actors,
    array_agg(e.key ORDER BY e.n) FILTER (WHERE e.cost > 0) AS keys,
    array_agg(e.request ORDER BY e.n) FILTER (WHERE e.cost > 0) AS requests,
    array_agg(e.metadata ORDER BY e.n) FILTER (WHERE e.cost > 0) AS metadata,
    (SELECT count(*) FROM new_keys) AS taken
    INTO b FROM e;
  IF b.taken < b.events THEN
    status := 'key-taken';
    RETURN;
  END IF;
  status := 'stored';
  IF p_counters IS NOT NULL THEN
    PERFORM metering_counters_write(p_environment, p_counters::json, p_now);
  END IF;
  IF b.accounts IS NOT NULL THEN
    PERFORM billing_debit_many(b.accounts, b.entries, b.amounts, b.metrics, 'event', b.sources, b.actors, b.keys,
      b.requests, b.metadata, p_now);
  END IF;
END $$;

CREATE OR REPLACE FUNCTION metering_counters_write(p_environment uuid, p_counters json, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO metering_cycle_counter AS c (
    environment_id, customer_id, metric_id, dimension, value, cycle_started_at, rule_id, units, charged_mc)
  SELECT p_environment, t.customer, t.metric, t.dimension, t.value,
    metering_cycle_start(a, billing_account_now(a, p_now)), t.rule, t.units, t.charged
  FROM json_to_recordset(p_counters) AS t(
    customer uuid, metric uuid, dimension text, value text, rule uuid, units numeric, charged bigint)
  JOIN billing_credit_account a ON a.customer_id = t.customer
  ON CONFLICT (customer_id, metric_id, dimension, value, cycle_started_at)
    DO UPDATE SET rule_id = excluded.rule_id, units = excluded.units, charged_mc = excluded.charged_mc;
END $$;
