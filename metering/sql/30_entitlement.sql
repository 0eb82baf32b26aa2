-- What an entitlement check needs to know of a customer at `p_now`, in one query that writes nothing.
--
-- `p_rule` is given when the price depends on the cycle; then where the customer stands in it is told too.
-- status: found | stale-config | customer-not-found. `usable` is what this metric may burn, NULL when that is all.
CREATE OR REPLACE FUNCTION metering_entitlement_v1(
  p_environment uuid, p_config_version bigint, p_by text, p_reference text, p_metric uuid, p_metric_key text,
  p_rule uuid, p_now timestamptz,
  OUT status text, OUT customer_id uuid, OUT public_id text, OUT external_id text, OUT policy text, OUT overage_limit bigint,
  OUT balance bigint, OUT reserved bigint, OUT usable bigint, OUT plan_variant_id uuid, OUT usage_suspended text,
  OUT cycle_units numeric, OUT cycle_charged bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  a billing_credit_account;
BEGIN
  IF (SELECT e.config_version FROM customers_environment e WHERE e.id = p_environment) <> p_config_version THEN
    status := 'stale-config';
    RETURN;
  END IF;
  customer_id := customers_customer_find_v1(p_environment, p_by, p_reference);
  SELECT c.public_id, c.external_id, c.overage_policy, c.overage_limit_mc INTO public_id, external_id, policy, overage_limit
    FROM customers_customer c WHERE c.id = customer_id;
  IF NOT FOUND THEN
    status := 'customer-not-found';
    RETURN;
  END IF;
  a := billing_account_at(p_environment, customer_id, p_now);
  status := 'found';
  balance := coalesce(a.balance_mc, 0);
  reserved := coalesce(a.reserved_mc, 0);
  plan_variant_id := a.plan_variant_id;
  usage_suspended := a.usage_suspended;
  IF p_rule IS NOT NULL THEN
    SELECT r.units, r.charged INTO cycle_units, cycle_charged
      FROM metering_counter_read(a, customer_id, p_metric, p_rule, '', '', p_now) r;
  END IF;
  IF a.has_scoped_blocks THEN
    usable := billing_free_for_metric(customer_id, p_metric_key, p_now);
  END IF;
END $$;
