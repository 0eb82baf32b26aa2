-- Many usage events in one call, when nothing about them is out of the ordinary. It is what nearly every batch and every
-- group is, and open, decide and store (50_usage_batch.sql) take it twice the time and hold its locks meanwhile.
--
-- Ordinary: customers that exist, with nothing due and usage not suspended, who can pay for all of their events or for none;
-- keys that recorded nothing before. The caller has priced the events as of `p_config_version`, and where a price depends on
-- the customer, their plan or the cycle, for whoever and wherever they were taken to be; that it was so is ordinary, too.
--
-- Events of customers who are not are left, and so are, unless the caller `p_waits`, those whose account somebody else holds:
-- calls that share a customer here and there would otherwise stand in one line, each holding all of its own meanwhile.
--
-- `p_references`: each customer once, `p_bys` saying how they are named, with what all of their events cost (`p_totals`)
-- and the cheapest of those that do (`p_leasts`). `p_whose`: for each event the place of its customer there. The other
-- arrays hold one element an event; where all of one are null, it may be null itself.
--
-- `p_priced_customers`, `p_priced_variants`: for each customer who a price was made for, and their plan's variant; null for
-- whom it did not matter. `p_counter_*`: each counter on which prices depend, once: whose it is, its metric and rule, where it
-- was taken to stand (units, charged), from which to which units prices are the same (null: only there), and what the events
-- add. `p_counters`: for each event the place of its counter there, and what events of this call before it add to that.
--
-- status: recorded | stale-config | stale-counters (nothing was written; price anew) | extraordinary (nor then; open, decide,
-- store). `refused`: places of customers who can pay for none of what costs, `effective` what they have. `counter_units`,
-- `counter_charged`: where the counters stood before these events, null for whom they were left. `busy`, `odd`: places of
-- customers whose events were left, because their account is held or because they are not ordinary.
CREATE OR REPLACE FUNCTION metering_usage_many_v1(
  p_environment uuid, p_config_version bigint, p_bys text[], p_references text[], p_totals bigint[], p_leasts bigint[],
  p_whose integer[], p_events uuid[], p_metrics uuid[], p_metric_keys text[], p_rules uuid[], p_units numeric[],
  p_costs bigint[], p_keys text[], p_fingerprints text[], p_timestamps timestamptz[], p_properties jsonb[],
  p_metadata jsonb[], p_actors text[], p_requests text[], p_now timestamptz,
  p_priced_customers uuid[] DEFAULT NULL, p_priced_variants uuid[] DEFAULT NULL,
  p_counter_whose integer[] DEFAULT NULL, p_counter_metrics uuid[] DEFAULT NULL, p_counter_rules uuid[] DEFAULT NULL,
  p_counter_units numeric[] DEFAULT NULL, p_counter_charged bigint[] DEFAULT NULL, p_counter_from numeric[] DEFAULT NULL,
  p_counter_to numeric[] DEFAULT NULL, p_counter_adds numeric[] DEFAULT NULL, p_counter_costs bigint[] DEFAULT NULL,
  p_counters integer[] DEFAULT NULL, p_units_before numeric[] DEFAULT NULL, p_charged_before bigint[] DEFAULT NULL,
  p_waits boolean DEFAULT false,
  OUT status text, OUT refused integer[], OUT effective bigint[], OUT counter_units numeric[], OUT counter_charged bigint[],
  OUT busy integer[], OUT odd integer[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
-- The arrays of each call look like another statement to the planner: planning anew took as long as recording 10 events.
SET plan_cache_mode = force_generic_plan
-- Whose account is locked for long keeps the others of a group waiting no longer than this; who called goes on without.
SET lock_timeout = '250ms' AS $$
DECLARE
  v_version bigint;
  v_tells boolean;
  v record;
  d record;
BEGIN
  SELECT e.config_version, e.tells_consumption INTO v_version, v_tells FROM customers_environment e
    WHERE e.id = p_environment;
  IF v_version <> p_config_version THEN
    status := 'stale-config';
    RETURN;
  END IF;
  IF p_waits THEN
    -- In the order of their ids, like everybody who waits for more than one.
    PERFORM FROM unnest(p_bys, p_references) AS r(named_by, reference)
      JOIN billing_credit_account a ON a.customer_id = customers_customer_find(p_environment, r.named_by, r.reference)
      ORDER BY a.customer_id FOR NO KEY UPDATE OF a;
  END IF;
  WITH named AS MATERIALIZED (
    SELECT r.n, r.total, r.least, c.id AS customer, c.overage_policy AS policy, c.overage_limit_mc
    FROM unnest(p_bys, p_references, p_totals, p_leasts) WITH ORDINALITY AS r(named_by, reference, total, least, n)
    LEFT JOIN customers_customer c ON c.environment_id = p_environment AND c.external_key = r.reference
    WHERE r.named_by = 'external'
    UNION ALL
    SELECT r.n, r.total, r.least, c.id, c.overage_policy, c.overage_limit_mc
    FROM unnest(p_bys, p_references, p_totals, p_leasts) WITH ORDINALITY AS r(named_by, reference, total, least, n)
    LEFT JOIN customers_customer c ON c.id = customers_customer_find(p_environment, 'id', r.reference)
    WHERE r.named_by = 'id'
  ), locked AS (
    -- What somebody wrote meanwhile is read anew.
    SELECT n.n AS place, n.customer, n.total, n.least, n.policy, n.overage_limit_mc, a.sequence, a.balance_mc, a.reserved_mc,
      a.balance_mc - a.reserved_mc AS effective, billing_account_now(a, p_now) AS at, billing_debit_spare(a) AS spare,
      a.next_change_at <= p_now OR a.catch_up_at <= billing_account_now(a, p_now) OR a.usage_suspended IS NOT NULL
        OR a.has_scoped_blocks AS is_odd
    FROM named n JOIN billing_credit_account a ON a.customer_id = n.customer
    FOR NO KEY UPDATE OF a SKIP LOCKED
  ), asked AS (
    SELECT l.*, l.total > 0 AND NOT billing_debit_allowed(l.policy, l.overage_limit_mc, l.effective, l.least, 0) AS is_refused,
      l.total > 0 AND NOT billing_debit_allowed(l.policy, l.overage_limit_mc, l.effective, l.total, 0) AS is_short
    FROM locked l
  ), told AS (
    SELECT n.n, q.*, n.customer IS NOT NULL AND q.customer IS NULL AS is_busy,
      q.is_odd IS NOT TRUE AND (q.is_refused OR NOT q.is_short) AS is_ordinary
    FROM named n LEFT JOIN asked q ON q.place = n.n
  )
  SELECT count(q.customer) = count(DISTINCT q.customer) AS are_several,
    bool_and(q.total <= q.spare) FILTER (WHERE q.is_ordinary) AS are_plain,
    -- Null, here and wherever these are joined, stands for whose events are left.
    array_agg(CASE WHEN q.is_ordinary THEN q.customer END ORDER BY q.n) AS customers,
    array_agg(q.at ORDER BY q.n) AS instants, array_agg(q.sequence ORDER BY q.n) AS sequences,
    array_agg(q.balance_mc ORDER BY q.n) AS balances, array_agg(q.reserved_mc ORDER BY q.n) AS reserved,
    array_agg(q.spare ORDER BY q.n) AS spares,
    array_agg(q.n::integer ORDER BY q.n) FILTER (WHERE q.is_ordinary AND q.is_refused) AS refused,
    array_agg(q.effective ORDER BY q.n) FILTER (WHERE q.is_ordinary AND q.is_refused) AS effective,
    array_agg(q.n::integer ORDER BY q.n) FILTER (WHERE q.is_busy) AS busy,
    array_agg(q.n::integer ORDER BY q.n) FILTER (WHERE NOT q.is_busy AND q.is_ordinary IS NOT TRUE) AS odd
    INTO v FROM told q;
  -- Of who is refused, the keys are not written below. Key by key: for so many at once, a planner without statistics would
  -- rather read the whole environment.
  IF NOT v.are_several OR v.refused IS NOT NULL AND EXISTS (
    SELECT FROM unnest(p_keys) AS k(key) CROSS JOIN LATERAL (
      SELECT FROM metering_usage_key t WHERE t.environment_id = p_environment AND t.idempotency_key = k.key LIMIT 1) e
  ) THEN
    status := 'extraordinary';
    RETURN;
  END IF;
  IF array_remove(v.customers, NULL) = '{}' THEN
    status := 'recorded';
    busy := v.busy;
    odd := v.odd;
    RETURN;
  END IF;
  IF p_priced_customers IS NOT NULL AND NOT metering_are_priced_for(v.customers, p_priced_customers, p_priced_variants)
    -- Who is refused for some events would have moved the counter less.
    OR p_counter_whose && v.refused THEN
    status := 'extraordinary';
    RETURN;
  END IF;
  IF p_counter_whose IS NOT NULL THEN
    SELECT r.units, r.charged, CASE WHEN NOT r.are_as_taken THEN 'stale-counters' END
      INTO counter_units, counter_charged, status
      FROM metering_counters_taken(v.customers, p_counter_whose, p_counter_metrics, p_counter_rules, p_counter_units,
        p_counter_charged, p_counter_from, p_counter_to, p_now) r;
    IF status IS NOT NULL THEN
      RETURN;
    END IF;
  END IF;
  -- That a key recorded nothing before, its index says best: to look beforehand takes as long as to write it.
  BEGIN
    WITH e AS MATERIALIZED (
      SELECT *
      FROM unnest(p_whose, p_events, p_metrics, p_rules, p_units, p_costs, p_keys, p_fingerprints, p_timestamps, p_properties,
          p_metadata, p_actors, p_requests, p_counters, p_units_before, p_charged_before)
        AS u(who, id, metric, rule, units, cost, key, fingerprint, timestamp, properties, metadata, actor, request, counter,
          units_before, charged_before)
      WHERE v.customers[u.who] IS NOT NULL AND (v.refused IS NULL OR u.cost = 0 OR u.who <> ALL (v.refused))
    ), new_keys AS (
      -- In the order of the keys: two batches that share some never wait for each other in a circle.
      INSERT INTO metering_usage_key (environment_id, event_id, customer_id, cost_mc, idempotency_key, fingerprint)
      SELECT p_environment, e.id, v.customers[e.who], e.cost, e.key, decode(e.fingerprint, 'hex')
      FROM e ORDER BY e.key COLLATE "C"
    )
    INSERT INTO metering_usage_event (
      id, environment_id, customer_id, metric_id, rule_id, units, cost_mc, idempotency_key, occurred_at, received_at,
      properties, metadata, ledger_entry_id, actor, request_id, cycle_units, cycle_charged_mc)
    SELECT e.id, p_environment, v.customers[e.who], e.metric, e.rule, e.units, e.cost, e.key,
      coalesce(e.timestamp, v.instants[e.who]), v.instants[e.who], e.properties, e.metadata,
      CASE WHEN e.cost > 0 THEN e.id END, e.actor, e.request, counter_units[e.counter] + e.units_before,
      counter_charged[e.counter] + e.charged_before
    FROM e;
  EXCEPTION WHEN unique_violation THEN
    counter_units := NULL;
    status := 'extraordinary';
    RETURN;
  END;
  IF p_counter_whose IS NOT NULL THEN
    PERFORM metering_counters_raise(p_environment, v.customers, p_counter_whose, p_counter_metrics, p_counter_rules,
      counter_units, counter_charged, p_counter_adds, p_counter_costs, p_now);
  END IF;
  status := 'recorded';
  refused := v.refused;
  effective := v.effective;
  busy := v.busy;
  odd := v.odd;
  IF v.refused IS NULL AND 0 <> ALL (p_costs) THEN
    -- What the lock showed of the accounts is nearly always all there is to know of them.
    IF v.are_plain AND billing_debit_plain(
      p_environment, v_tells, v.customers, v.sequences, v.balances, v.reserved, v.spares, v.instants,
      p_whose, p_events, p_costs, 'event', p_events, p_actors, p_keys, p_requests, p_metadata)
    THEN
      RETURN;
    END IF;
  END IF;
  SELECT array_agg(v.customers[e.who] ORDER BY e.n) AS accounts, array_agg(e.id ORDER BY e.n) AS ids,
    array_agg(e.cost ORDER BY e.n) AS costs, array_agg(e.metric ORDER BY e.n) AS metrics,
    array_agg(e.actor ORDER BY e.n) AS actors, array_agg(e.key ORDER BY e.n) AS keys,
    array_agg(e.request ORDER BY e.n) AS requests, array_agg(e.metadata ORDER BY e.n) AS metadata
    INTO d
    FROM unnest(p_whose, p_events, p_costs, p_metric_keys, p_actors, p_keys, p_requests, p_metadata)
      WITH ORDINALITY AS e(who, id, cost, metric, actor, key, request, metadata, n)
    WHERE e.cost > 0 AND v.customers[e.who] IS NOT NULL AND (v.refused IS NULL OR e.who <> ALL (v.refused));
  IF d.accounts IS NOT NULL THEN
    PERFORM billing_debit_many(d.accounts, d.ids, d.costs, d.metrics, 'event', d.ids, d.actors, d.keys, d.requests,
      d.metadata, p_now);
  END IF;
END $$;

-- Whether each customer for whom a price was made is who they were taken to be, and on that plan.
CREATE OR REPLACE FUNCTION metering_are_priced_for(p_customers uuid[], p_priced uuid[], p_variants uuid[])
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN NOT EXISTS (
    SELECT FROM unnest(p_customers, p_priced, p_variants) AS u(customer, priced, variant)
    JOIN billing_credit_account a ON a.customer_id = u.customer
    WHERE u.priced IS NOT NULL AND (u.priced <> u.customer OR a.plan_variant_id IS DISTINCT FROM u.variant));
END $$;

-- Where counters of locked accounts stand, and whether each stands where it was taken to, or where prices are the same. In
-- plpgsql, which keeps the plan: as a SQL function it was planned at every call, which took three times as long as the rest.
CREATE OR REPLACE FUNCTION metering_counters_taken(
  p_customers uuid[], p_whose integer[], p_metrics uuid[], p_rules uuid[], p_units numeric[], p_charged bigint[],
  p_from numeric[], p_to numeric[], p_now timestamptz, OUT units numeric[], OUT charged bigint[], OUT are_as_taken boolean
) LANGUAGE plpgsql STABLE AS $$
BEGIN
  SELECT array_agg(r.units ORDER BY c.n), array_agg(r.charged ORDER BY c.n),
    bool_and((r.units, r.charged) = (c.units, c.charged) OR (r.units BETWEEN c.lowest AND c.highest) IS TRUE)
      FILTER (WHERE a.customer_id IS NOT NULL)
    INTO units, charged, are_as_taken
  FROM unnest(p_whose, p_metrics, p_rules, p_units, p_charged, p_from, p_to) WITH ORDINALITY
    AS c(who, metric, rule, units, charged, lowest, highest, n)
  LEFT JOIN billing_credit_account a ON a.customer_id = p_customers[c.who]
  -- As metering_counter_read finds it, which is asked where there is none: a call for each would take as long as all of this.
  -- One by one: without statistics a planner would rather read all counters there are.
  LEFT JOIN LATERAL (
    SELECT t.units, t.charged_mc FROM metering_cycle_counter t
    WHERE t.customer_id = a.customer_id AND t.metric_id = c.metric AND t.dimension = '' AND t.value = ''
      AND t.cycle_started_at = metering_cycle_start(a, billing_account_now(a, p_now)) AND t.rule_id = c.rule LIMIT 1) k ON true
  LEFT JOIN LATERAL (
    SELECT k.units, k.charged_mc AS charged WHERE k.units IS NOT NULL
    UNION ALL
    SELECT f.units, f.charged
    FROM metering_counter_read(a, a.customer_id, c.metric, c.rule, '', '', billing_account_now(a, p_now)) f
    WHERE k.units IS NULL) r ON a.customer_id IS NOT NULL;
END $$;

-- Raise them by what events add. Nobody else can: their accounts are locked.
CREATE OR REPLACE FUNCTION metering_counters_raise(
  p_environment uuid, p_customers uuid[], p_whose integer[], p_metrics uuid[], p_rules uuid[], p_units numeric[],
  p_charged bigint[], p_adds numeric[], p_costs bigint[], p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO metering_cycle_counter (
    environment_id, customer_id, metric_id, dimension, value, cycle_started_at, rule_id, units, charged_mc)
  SELECT p_environment, a.customer_id, c.metric, '', '', metering_cycle_start(a, billing_account_now(a, p_now)), c.rule,
    c.units + c.adds, c.charged + c.costs
  FROM unnest(p_whose, p_metrics, p_rules, p_units, p_charged, p_adds, p_costs)
    AS c(who, metric, rule, units, charged, adds, costs)
  JOIN billing_credit_account a ON a.customer_id = p_customers[c.who]
  ON CONFLICT (customer_id, metric_id, dimension, value, cycle_started_at)
    DO UPDATE SET rule_id = excluded.rule_id, units = excluded.units, charged_mc = excluded.charged_mc;
END $$;
