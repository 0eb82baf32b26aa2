-- All that entitlement checks of a customer need to know for a while, whatever the metric: what the Redis snapshot holds.
--
-- As metering_entitlement_v1, and: `free`, the free credits as JSON [[mc, metric keys or null], …] where some are for
-- certain metrics only; `valid_before`, from when on time itself may change all this, and `counter_valid_before` where
-- the customer stands in the cycle; `may_keep`, whether it may be kept at all.
CREATE OR REPLACE FUNCTION metering_snapshot_v1(
  p_environment uuid, p_config_version bigint, p_by text, p_reference text, p_metric uuid, p_rule uuid, p_now timestamptz,
  p_wall_now timestamptz,
  OUT status text, OUT customer_id uuid, OUT public_id text, OUT external_id text, OUT external_key text, OUT policy text,
  OUT overage_limit bigint, OUT balance bigint, OUT reserved bigint, OUT free text, OUT plan_variant_id uuid,
  OUT usage_suspended text, OUT version bigint, OUT valid_before timestamptz, OUT cycle_units numeric,
  OUT cycle_charged bigint, OUT counter_valid_before timestamptz, OUT may_keep boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE a billing_credit_account;
BEGIN
  IF (SELECT e.config_version FROM customers_environment e WHERE e.id = p_environment) <> p_config_version THEN
    status := 'stale-config';
    RETURN;
  END IF;
  customer_id := customers_customer_find(p_environment, p_by, p_reference);
  SELECT c.public_id, c.external_id, c.external_key, c.overage_policy, c.overage_limit_mc
    INTO public_id, external_id, external_key, policy, overage_limit FROM customers_customer c WHERE c.id = customer_id;
  IF NOT FOUND THEN
    status := 'customer-not-found';
    RETURN;
  END IF;
  a := billing_account_at(p_environment, customer_id, p_now);
  status := CASE WHEN a.catch_up_at <= p_now THEN 'catch-up-due' ELSE 'found' END;
  IF status <> 'found' THEN
    RETURN;
  END IF;
  balance := coalesce(a.balance_mc, 0);
  reserved := coalesce(a.reserved_mc, 0);
  plan_variant_id := a.plan_variant_id;
  usage_suspended := a.usage_suspended;
  version := coalesce(a.version, 0);
  valid_before := least(
    a.next_change_at,
    a.catch_up_at,
    CASE WHEN a.cycle_started_at > p_now THEN a.cycle_started_at END,
    CASE WHEN a.cycle_ends_at > p_now THEN a.cycle_ends_at END);
  IF p_rule IS NOT NULL THEN
    SELECT r.units, r.charged INTO cycle_units, cycle_charged
      FROM metering_counter_read(a, customer_id, p_metric, p_rule, '', '', p_now) r;
    counter_valid_before := least(valid_before,
      (date_trunc('month', p_now AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
  END IF;
  IF a.has_scoped_blocks THEN
    free := coalesce((
      SELECT json_agg(json_build_array(b.free, b.metric_keys)) FROM (
        SELECT sum(t.remaining_mc - t.held_mc)::bigint AS free, t.metric_keys FROM billing_credit_block t
        WHERE t.account_id = customer_id AND t.state = 'live' AND (t.expires_at IS NULL OR t.expires_at > p_now)
        GROUP BY t.metric_keys) b), '[]')::text;
  END IF;
  -- What is due is undone again after the read, and then `free` would be of before it; such a moment is not kept.
  may_keep := NOT EXISTS (
      SELECT FROM metering_snapshot_pause p WHERE p.environment_id = p_environment AND p.paused_until > p_wall_now)
    AND NOT EXISTS (
      SELECT FROM billing_credit_account t WHERE t.customer_id = a.customer_id AND t.next_change_at <= p_now);
END $$;

-- Have nothing of an environment kept until `p_until`, by the wall clock.
CREATE OR REPLACE FUNCTION metering_snapshots_pause_v1(p_environment uuid, p_until timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  INSERT INTO metering_snapshot_pause AS p (environment_id, paused_until) VALUES (p_environment, p_until)
    ON CONFLICT (environment_id) DO UPDATE SET paused_until = greatest(p.paused_until, excluded.paused_until);
END $$;
