-- What higher apps push down to an account: from when on their work is due first, which cycle and plan it is in, and why
-- its usage is refused, if it is. Settles to just before the `catch_up_at` there was, and to `p_now` at most: whoever
-- works off what is due at an instant says just before it, and what dies at that instant is still there.
CREATE OR REPLACE FUNCTION billing_account_configure_v1(
  p_environment uuid, p_account uuid, p_catch_up_at timestamptz, p_cycle_started_at timestamptz,
  p_cycle_ends_at timestamptz, p_plan_variant uuid, p_usage_suspended text, p_now timestamptz, OUT version bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
BEGIN
  PERFORM billing_require(p_cycle_ends_at IS NULL OR p_cycle_ends_at > p_cycle_started_at, 'such a cycle');
  a := billing_account_store(a, billing_account_now(a, p_now));
  UPDATE billing_credit_account SET
    catch_up_at = p_catch_up_at, cycle_started_at = p_cycle_started_at, cycle_ends_at = p_cycle_ends_at,
    plan_variant_id = p_plan_variant, usage_suspended = p_usage_suspended
  WHERE customer_id = p_account;
  version := a.version;
END $$;
