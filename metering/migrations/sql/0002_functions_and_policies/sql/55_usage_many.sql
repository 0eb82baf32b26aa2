-- Many usage events in one call, when nothing about them is out of the ordinary. It is what nearly every batch and every
-- group is, and open, decide and store (50_usage_batch.sql) take it twice the time and hold its locks meanwhile.
--
-- Ordinary: customers that exist, with nothing due and usage not suspended, who can pay for all of their events or for none;
-- prices that depend on nobody's plan or cycle; keys that recorded nothing before. The caller has priced the events as of
-- `p_config_version`.
--
-- `p_references`: each customer once, `p_bys` saying how they are named, with what all of their events cost (`p_totals`)
-- and the cheapest of those that do (`p_leasts`). `p_whose`: for each event the place of its customer there. The other
-- arrays hold one element an event; where all of one are null, it may be null itself.
--
-- status: recorded | stale-config | extraordinary (nothing was written; open, decide, store). `refused`: places of
-- customers who can pay for none of what costs, `effective` what they have.
CREATE OR REPLACE FUNCTION metering_usage_many_v1(
  p_environment uuid, p_config_version bigint, p_bys text[], p_references text[], p_totals bigint[], p_leasts bigint[],
  p_whose integer[], p_events uuid[], p_metrics uuid[], p_metric_keys text[], p_rules uuid[], p_units numeric[],
  p_costs bigint[], p_keys text[], p_fingerprints text[], p_timestamps timestamptz[], p_properties jsonb[],
  p_metadata jsonb[], p_actors text[], p_requests text[], p_now timestamptz,
  OUT status text, OUT refused integer[], OUT effective bigint[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
-- The arrays of each call look like another statement to the planner: planning anew took as long as recording 10 events.
SET plan_cache_mode = force_generic_plan
-- Whose account is locked for long keeps the others of a group waiting no longer than this; who called goes on without.
SET lock_timeout = '250ms' AS $$
DECLARE
  v record;
  d record;
BEGIN
  IF (SELECT e.config_version FROM customers_environment e WHERE e.id = p_environment) <> p_config_version THEN
    status := 'stale-config';
    RETURN;
  END IF;
  WITH named AS MATERIALIZED (
    SELECT r.n, r.total, r.least, c.id AS customer, c.overage_policy AS policy, c.overage_limit_mc
    FROM unnest(p_bys, p_references, p_totals, p_leasts) WITH ORDINALITY AS r(named_by, reference, total, least, n)
    JOIN customers_customer c ON c.environment_id = p_environment AND c.external_key = r.reference
    WHERE r.named_by = 'external'
    UNION ALL
    SELECT r.n, r.total, r.least, c.id, c.overage_policy, c.overage_limit_mc
    FROM unnest(p_bys, p_references, p_totals, p_leasts) WITH ORDINALITY AS r(named_by, reference, total, least, n)
    JOIN customers_customer c ON c.id = customers_customer_find(p_environment, 'id', r.reference)
    WHERE r.named_by = 'id'
  ), locked AS (
    -- In the order of their ids, like everybody who locks more than one. What a lock was waited for is read anew.
    SELECT n.*, a.balance_mc - a.reserved_mc AS effective, billing_account_now(a, p_now) AS at,
      a.next_change_at <= p_now OR a.catch_up_at <= billing_account_now(a, p_now) OR a.usage_suspended IS NOT NULL
        OR a.has_scoped_blocks AS is_odd
    FROM named n JOIN billing_credit_account a ON a.customer_id = n.customer
    ORDER BY n.customer FOR NO KEY UPDATE OF a
  ), asked AS (
    SELECT l.*, l.total > 0 AND NOT billing_debit_allowed(l.policy, l.overage_limit_mc, l.effective, l.least, 0) AS is_refused,
      l.total > 0 AND NOT billing_debit_allowed(l.policy, l.overage_limit_mc, l.effective, l.total, 0) AS is_short
    FROM locked l
  )
  SELECT count(DISTINCT q.customer) = cardinality(p_references)
      AND bool_and(q.is_odd IS NOT TRUE AND (q.is_refused OR NOT q.is_short)) AS are_ordinary,
    array_agg(q.customer ORDER BY q.n) AS customers, array_agg(q.at ORDER BY q.n) AS instants,
    array_agg(q.n::integer ORDER BY q.n) FILTER (WHERE q.is_refused) AS refused,
    array_agg(q.effective ORDER BY q.n) FILTER (WHERE q.is_refused) AS effective
    INTO v FROM asked q;
  -- Under the locks: what was recorded for these customers by now is seen. Key by key: for so many at once, a planner
  -- without statistics would rather read the whole environment.
  IF v.are_ordinary IS NOT TRUE OR EXISTS (
    SELECT FROM unnest(p_keys) AS k(key) CROSS JOIN LATERAL (
      SELECT FROM metering_usage_key t WHERE t.environment_id = p_environment AND t.idempotency_key = k.key LIMIT 1) e
  ) THEN
    status := 'extraordinary';
    RETURN;
  END IF;
  status := 'recorded';
  refused := v.refused;
  effective := v.effective;
  WITH e AS MATERIALIZED (
    SELECT *
    FROM unnest(p_whose, p_events, p_metrics, p_rules, p_units, p_costs, p_keys, p_fingerprints, p_timestamps, p_properties,
        p_metadata, p_actors, p_requests)
      AS u(who, id, metric, rule, units, cost, key, fingerprint, timestamp, properties, metadata, actor, request)
    WHERE v.refused IS NULL OR u.cost = 0 OR u.who <> ALL (v.refused)
  ), new_keys AS (
    -- In the order of the keys: two batches that share some never wait for each other in a circle.
    INSERT INTO metering_usage_key (environment_id, event_id, customer_id, cost_mc, idempotency_key, fingerprint)
    SELECT p_environment, e.id, v.customers[e.who], e.cost, e.key, decode(e.fingerprint, 'hex')
    FROM e ORDER BY e.key COLLATE "C"
  )
  INSERT INTO metering_usage_event (
    id, environment_id, customer_id, metric_id, rule_id, units, cost_mc, idempotency_key, occurred_at, received_at,
    properties, metadata, ledger_entry_id, actor, request_id)
  SELECT e.id, p_environment, v.customers[e.who], e.metric, e.rule, e.units, e.cost, e.key,
    coalesce(e.timestamp, v.instants[e.who]), v.instants[e.who], e.properties, e.metadata,
    CASE WHEN e.cost > 0 THEN e.id END, e.actor, e.request
  FROM e;
  IF v.refused IS NULL AND 0 <> ALL (p_costs) THEN
    PERFORM billing_debit_many(ARRAY(SELECT v.customers[w.who] FROM unnest(p_whose) WITH ORDINALITY AS w(who, n) ORDER BY w.n),
      p_events, p_costs, p_metric_keys, 'event', p_events, p_actors, p_keys, p_requests, p_metadata, p_now);
    RETURN;
  END IF;
  SELECT array_agg(v.customers[e.who] ORDER BY e.n) AS accounts, array_agg(e.id ORDER BY e.n) AS ids,
    array_agg(e.cost ORDER BY e.n) AS costs, array_agg(e.metric ORDER BY e.n) AS metrics,
    array_agg(e.actor ORDER BY e.n) AS actors, array_agg(e.key ORDER BY e.n) AS keys,
    array_agg(e.request ORDER BY e.n) AS requests, array_agg(e.metadata ORDER BY e.n) AS metadata
    INTO d
    FROM unnest(p_whose, p_events, p_costs, p_metric_keys, p_actors, p_keys, p_requests, p_metadata)
      WITH ORDINALITY AS e(who, id, cost, metric, actor, key, request, metadata, n)
    WHERE e.cost > 0 AND (v.refused IS NULL OR e.who <> ALL (v.refused));
  IF d.accounts IS NOT NULL THEN
    PERFORM billing_debit_many(d.accounts, d.ids, d.costs, d.metrics, 'event', d.ids, d.actors, d.keys, d.requests,
      d.metadata, p_now);
  END IF;
END $$;
