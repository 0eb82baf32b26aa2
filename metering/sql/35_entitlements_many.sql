-- What many entitlement checks need to know, in one call that writes nothing: one row for each of the customers named,
-- with an element for each of the metrics.
--
-- `p_rules` names for each metric the rule whose price depends on the cycle, NULL for the others: once for all customers,
-- or customer by customer, one after the other. status as in metering_entitlement_v1, each customer's own; `stale-config` comes alone.
CREATE OR REPLACE FUNCTION metering_entitlements_v1(
  p_environment uuid, p_config_version bigint, p_bys text[], p_references text[], p_metrics uuid[], p_metric_keys text[],
  p_rules uuid[], p_now timestamptz
) RETURNS TABLE (
  status text, customer_id uuid, public_id text, external_id text, policy text, overage_limit bigint, balance bigint,
  reserved bigint, plan_variant_id uuid, usage_suspended text, usable bigint[], cycle_units numeric[],
  cycle_charged bigint[]
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  a billing_credit_account;
  v_metrics bigint := cardinality(p_metrics);
  v_shared boolean := cardinality(p_rules) = v_metrics;
  v_rules uuid[] := p_rules;
BEGIN
  IF (SELECT e.config_version FROM customers_environment e WHERE e.id = p_environment) <> p_config_version THEN
    status := 'stale-config';
    RETURN NEXT;
    RETURN;
  END IF;
  FOR i IN 1 .. cardinality(p_references) LOOP
    status := 'customer-not-found';
    usable := NULL;
    cycle_units := NULL;
    cycle_charged := NULL;
    customer_id := customers_customer_find(p_environment, p_bys[i], p_references[i]);
    SELECT c.public_id, c.external_id, c.overage_policy, c.overage_limit_mc
      INTO public_id, external_id, policy, overage_limit FROM customers_customer c WHERE c.id = customer_id;
    IF FOUND THEN
      a := billing_account_at(p_environment, customer_id, p_now);
      status := CASE WHEN a.catch_up_at <= p_now THEN 'catch-up-due' ELSE 'found' END;
      balance := coalesce(a.balance_mc, 0);
      reserved := coalesce(a.reserved_mc, 0);
      plan_variant_id := a.plan_variant_id;
      usage_suspended := a.usage_suspended;
      IF NOT v_shared THEN
        v_rules := p_rules[(i - 1) * v_metrics + 1 : i * v_metrics];
      END IF;
      IF num_nonnulls(VARIADIC v_rules) > 0 THEN
        SELECT r.units, r.charged INTO cycle_units, cycle_charged
          FROM metering_counters_of_customer(a, customer_id, p_metrics, v_rules, p_now) r;
      END IF;
      IF a.has_scoped_blocks THEN
        usable := ARRAY(
          SELECT billing_free_for_metric(customer_id, t.metric_key, p_now)
          FROM unnest(p_metric_keys) WITH ORDINALITY AS t(metric_key, place) ORDER BY t.place);
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;

-- Where a customer stands in the cycle of many metrics, NULL where `p_rules` is; as metering_counter_read tells of one.
CREATE OR REPLACE FUNCTION metering_counters_of_customer(
  a billing_credit_account, p_customer uuid, p_metrics uuid[], p_rules uuid[], p_now timestamptz,
  OUT units numeric[], OUT charged bigint[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE v_cycle timestamptz := metering_cycle_start(a, p_now);
BEGIN
  SELECT array_agg(CASE WHEN t.rule IS NOT NULL THEN coalesce(c.units, e.units, 0) END ORDER BY t.place),
      array_agg(CASE WHEN t.rule IS NOT NULL THEN coalesce(c.charged_mc, e.charged, 0) END ORDER BY t.place)
    INTO units, charged
    FROM unnest(p_metrics, p_rules) WITH ORDINALITY AS t(metric, rule, place)
    LEFT JOIN metering_cycle_counter c ON c.customer_id = p_customer AND c.metric_id = t.metric AND c.dimension = ''
      AND c.value = '' AND c.cycle_started_at = v_cycle AND c.rule_id = t.rule
    LEFT JOIN LATERAL (
      SELECT sum(greatest(u.units, 0)) AS units, sum(u.cost_mc)::bigint AS charged FROM metering_usage_event u
      WHERE u.customer_id = p_customer AND u.metric_id = t.metric AND u.received_at >= v_cycle
        AND NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = u.id)
    ) e ON t.rule IS NOT NULL AND c.rule_id IS NULL;
END $$;

-- The metering rules of single customers, for a process that does not know them yet.
CREATE OR REPLACE FUNCTION metering_rules_of_customers_v1(p_environment uuid, p_customers uuid[])
RETURNS TABLE (
  id uuid, metric_id uuid, version integer, effective_from timestamptz, customer_id uuid, plan_variant_id uuid,
  definition text
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT r.id, r.metric_id, r.version, r.effective_from, r.customer_id, r.plan_variant_id, r.definition::text
  FROM metering_rule r WHERE r.environment_id = p_environment AND r.customer_id = ANY (p_customers)
$$;
