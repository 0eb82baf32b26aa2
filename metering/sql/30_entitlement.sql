-- What an entitlement check needs to know of a customer at `p_now`, in one query that writes nothing.
--
-- `p_rule` is given when the price depends on the cycle; then where the customer stands in it is told too.
-- status: found | stale-config | customer-not-found | catch-up-due. `usable` is what this metric may burn, NULL when that is all.
CREATE OR REPLACE FUNCTION metering_entitlement_v1(
  p_environment uuid, p_config_version bigint, p_by text, p_reference text, p_metric uuid, p_metric_key text,
  p_rule uuid, p_now timestamptz,
  OUT status text, OUT customer_id uuid, OUT public_id text, OUT external_id text, OUT policy text, OUT overage_limit bigint,
  OUT balance bigint, OUT reserved bigint, OUT usable bigint, OUT plan_variant_id uuid, OUT usage_suspended text,
  OUT cycle_units numeric, OUT cycle_charged bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  v_customer uuid := CASE WHEN p_by = 'id' THEN customers_customer_find(p_environment, p_by, p_reference) END;
  v_version bigint;
  v_has_scoped_blocks boolean;
  v_catch_up_at timestamptz;
  v_changes_at timestamptz;
  a billing_credit_account;
BEGIN
  -- In one look, as in metering_usage_record_v1.
  SELECT e.config_version, c.id, c.public_id, c.external_id, c.overage_policy, c.overage_limit_mc, coalesce(t.balance_mc, 0),
      coalesce(t.reserved_mc, 0), t.plan_variant_id, t.usage_suspended, t.has_scoped_blocks, t.catch_up_at, t.next_change_at
    INTO v_version, customer_id, public_id, external_id, policy, overage_limit, balance, reserved, plan_variant_id,
      usage_suspended, v_has_scoped_blocks, v_catch_up_at, v_changes_at
    FROM customers_environment e
    LEFT JOIN customers_customer c ON c.id = coalesce(v_customer, (
      SELECT f.id FROM customers_customer f
      WHERE p_by = 'external' AND f.environment_id = p_environment AND f.external_key = p_reference))
    LEFT JOIN billing_credit_account t ON t.customer_id = c.id
    WHERE e.id = p_environment;
  status := CASE
    WHEN v_version <> p_config_version THEN 'stale-config'
    WHEN customer_id IS NULL THEN 'customer-not-found'
    ELSE 'found' END;
  IF status <> 'found' THEN
    RETURN;
  END IF;
  -- The whole account, as it is by now, only for those whom time alone has changed, or whose cycle counts.
  IF v_changes_at <= p_now OR p_rule IS NOT NULL THEN
    a := billing_account_at(p_environment, customer_id, p_now);
    balance := coalesce(a.balance_mc, 0);
    reserved := coalesce(a.reserved_mc, 0);
    plan_variant_id := a.plan_variant_id;
    usage_suspended := a.usage_suspended;
    v_has_scoped_blocks := a.has_scoped_blocks;
    v_catch_up_at := a.catch_up_at;
  END IF;
  IF v_catch_up_at <= p_now THEN
    status := 'catch-up-due';
    RETURN;
  END IF;
  IF p_rule IS NOT NULL THEN
    SELECT r.units, r.charged INTO cycle_units, cycle_charged
      FROM metering_counter_read(a, customer_id, p_metric, p_rule, '', '', p_now) r;
  END IF;
  IF v_has_scoped_blocks THEN
    usable := billing_free_for_metric(customer_id, p_metric_key, p_now);
  END IF;
END $$;
