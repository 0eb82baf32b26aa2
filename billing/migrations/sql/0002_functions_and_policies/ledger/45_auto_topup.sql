-- Auto-topup: at or below its threshold an account asks for one topup, and for no other while that one is open. What is
-- on its way therefore always counts, whatever else is spent meanwhile.

-- Called whenever an account that has an auto-topup is stored. While a request is open, and while nothing is wanted,
-- this looks at nothing but the account itself.
CREATE OR REPLACE FUNCTION billing_auto_topup_watch(a billing_credit_account, p_now timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
BEGIN
  IF a.balance_mc - a.reserved_mc > a.auto_topup_at_mc THEN
    IF a.topup_is_requested THEN
      a := billing_topup_request_end(a, 'covered', NULL, p_now);
    END IF;
  ELSIF NOT a.topup_is_requested THEN
    a := billing_topup_request(a, p_now);
  END IF;
  RETURN a;
END $$;

-- Ask, unless this calendar month has seen as many requests as it may.
CREATE OR REPLACE FUNCTION billing_topup_request(a billing_credit_account, p_now timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE
  t record;
  v_request uuid := purser_uuid7();
BEGIN
  SELECT c.monthly_limit, p.* INTO t FROM billing_auto_topup c JOIN billing_topup_package p ON p.id = c.package_id
    WHERE c.account_id = a.customer_id;
  IF NOT FOUND OR t.monthly_limit <= (
      SELECT count(*) FROM billing_topup_request r
      WHERE r.account_id = a.customer_id AND r.state <> 'canceled'
        AND r.requested_at >= date_trunc('month', p_now AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') THEN
    RETURN a;
  END IF;
  INSERT INTO billing_topup_request (
    id, environment_id, account_id, package_id, threshold_mc, effective_mc, state, requested_at
  ) VALUES (
    v_request, a.environment_id, a.customer_id, t.id, a.auto_topup_at_mc, a.balance_mc - a.reserved_mc, 'open', p_now
  );
  PERFORM customers_event_emit(a.environment_id, a.customer_id, 'topup.requested', jsonb_build_object(
    'topup_request_id', customers_typeid('tpr', v_request), 'package_id', customers_typeid('pkg', t.id),
    'credits', t.credits_mc, 'bonus_credits', t.bonus_credits_mc, 'price', t.price_minor, 'currency', t.currency,
    'threshold', a.auto_topup_at_mc, 'balance', a.balance_mc, 'reserved_balance', a.reserved_mc,
    'effective_balance', a.balance_mc - a.reserved_mc), p_now);
  a.topup_is_requested := true;
  RETURN a;
END $$;

CREATE OR REPLACE FUNCTION billing_topup_request_end(
  a billing_credit_account, p_state text, p_topup uuid, p_now timestamptz
) RETURNS billing_credit_account LANGUAGE plpgsql AS $$
BEGIN
  UPDATE billing_topup_request SET state = p_state, topup_id = p_topup, resolved_at = p_now
    WHERE account_id = a.customer_id AND state = 'open';
  a.topup_is_requested := false;
  RETURN a;
END $$;

-- A topup answers a request: whatever it brings, the next request may come. Called before its credits are booked, in the
-- same transaction. False: there is no such request of this account; one that has ended already changes nothing.
CREATE OR REPLACE FUNCTION billing_topup_request_fulfil_v1(
  p_environment uuid, p_account uuid, p_request uuid, p_topup uuid, p_now timestamptz, OUT is_known boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_state text;
BEGIN
  SELECT state INTO v_state FROM billing_topup_request WHERE id = p_request AND account_id = p_account;
  is_known := v_state IS NOT NULL;
  IF v_state = 'open' THEN
    PERFORM billing_topup_request_end(a, 'fulfilled', p_topup, p_now);
    -- Not by billing_account_store, which would ask again before the credits are there.
    UPDATE billing_credit_account SET topup_is_requested = false WHERE customer_id = p_account;
  END IF;
END $$;

-- Push a customer's auto-topup down to the account, or take it away when there is none any more. Whoever is at or below
-- the threshold already asks at once.
CREATE OR REPLACE FUNCTION billing_auto_topup_apply_v1(
  p_environment uuid, p_account uuid, p_now timestamptz, OUT done boolean
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
BEGIN
  SELECT c.threshold_mc INTO a.auto_topup_at_mc FROM billing_auto_topup c WHERE c.account_id = p_account;
  IF a.auto_topup_at_mc IS NULL AND a.topup_is_requested THEN
    a := billing_topup_request_end(a, 'canceled', NULL, p_now);
  END IF;
  UPDATE billing_credit_account SET auto_topup_at_mc = a.auto_topup_at_mc WHERE customer_id = p_account;
  PERFORM billing_account_store(a, billing_account_now(a, p_now));
  done := true;
END $$;
