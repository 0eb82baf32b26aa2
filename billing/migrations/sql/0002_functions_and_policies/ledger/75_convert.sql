-- Debit a price from unscoped credits and grant what it buys, as one entry: both happen or neither does.
--
-- status: converted | insufficient | expired | balance-too-large | catch-up-due.
CREATE OR REPLACE FUNCTION billing_credits_convert_v1(
  p_environment uuid, p_account uuid, p_price bigint, p_block uuid, p_credits bigint, p_priority bigint,
  p_expires_at timestamptz, p_metric_keys text[], p_source text, p_metadata jsonb, p_source_type text, p_source_id uuid,
  p_actor text, p_reason text, p_key text, p_request text, p_now timestamptz, OUT status text, OUT entry_id uuid
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
  v_cause billing_cause := ROW(p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, p_metadata);
  v_plan record;
  v_policy text;
  v_limit bigint;
  v_repaid bigint;
  v_blocks uuid[];
  v_amounts bigint[];
BEGIN
  PERFORM billing_require(p_price >= 0 AND p_credits > 0, 'such a conversion');
  SELECT overage_policy, overage_limit_mc INTO v_policy, v_limit FROM customers_customer WHERE id = p_account;
  SELECT * INTO v_plan FROM billing_blocks_plan(p_account, p_price, '', v_now);
  status := CASE
    WHEN a.catch_up_at <= v_now THEN 'catch-up-due'
    WHEN p_expires_at <= v_now THEN 'expired'
    WHEN p_credits - p_price > billing_balance_room(a) THEN 'balance-too-large'
    WHEN NOT billing_debit_allowed(v_policy, v_limit, a.balance_mc - a.reserved_mc, p_price, v_plan.missing)
      THEN 'insufficient'
    ELSE 'converted' END;
  IF status <> 'converted' THEN
    RETURN;
  END IF;
  PERFORM billing_blocks_take(v_plan.blocks, v_plan.amounts);
  a.overdraft_mc := a.overdraft_mc + v_plan.missing;
  v_blocks := v_plan.blocks;
  v_amounts := ARRAY(SELECT -t FROM unnest(v_plan.amounts) WITH ORDINALITY AS u(t, n) ORDER BY n);
  -- What the price put into overdraft and what the grant repays of it meet in one entry.
  v_repaid := CASE WHEN p_metric_keys IS NULL THEN least(a.overdraft_mc, p_credits) ELSE 0 END;
  a.overdraft_mc := a.overdraft_mc - v_repaid;
  IF v_plan.missing <> v_repaid THEN
    v_blocks := v_blocks || NULL::uuid;
    v_amounts := v_amounts || (v_repaid - v_plan.missing);
  END IF;
  PERFORM billing_block_insert(a, p_block, p_credits - v_repaid, p_priority, NULL, p_expires_at, p_metric_keys,
    p_source, 0, 'mc', p_metadata, v_now, v_cause);
  UPDATE billing_credit_block
    SET remaining_mc = original_mc, state = CASE WHEN original_mc > 0 THEN 'live' ELSE 'spent' END WHERE id = p_block;
  a.has_scoped_blocks := a.has_scoped_blocks OR p_metric_keys IS NOT NULL;
  a.next_change_at := least(a.next_change_at, p_expires_at);
  a.balance_mc := a.balance_mc + p_credits - p_price;
  a.sequence := a.sequence + 1;
  a.last_entry_at := v_now;
  a.lifetime_earned_mc := a.lifetime_earned_mc + p_credits;
  entry_id := purser_uuid7();
  PERFORM billing_entry_append(a, entry_id, 'convert', p_credits - p_price, v_blocks || p_block,
    v_amounts || (p_credits - v_repaid), v_cause);
  PERFORM billing_overage_tell(a, v_plan.missing - v_repaid, v_policy, v_now);
  PERFORM billing_account_store(a, v_now);
END $$;
