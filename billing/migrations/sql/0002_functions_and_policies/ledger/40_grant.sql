-- Make a block, and book it now or at its `effective_at`.
--
-- status: granted | pending (booked at effective_at, no entry yet) | expired (it would be dead already) |
-- balance-too-large | catch-up-due.
CREATE OR REPLACE FUNCTION billing_credits_grant_v1(
  p_environment uuid, p_account uuid, p_block uuid, p_kind text, p_credits bigint, p_priority bigint,
  p_effective_at timestamptz, p_expires_at timestamptz, p_metric_keys text[], p_source text, p_price_paid bigint,
  p_currency text, p_metadata jsonb, p_source_type text, p_source_id uuid, p_actor text, p_reason text, p_key text,
  p_request text, p_now timestamptz, OUT status text, OUT entry_id uuid
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  b billing_credit_block;
  v_now timestamptz := billing_account_now(a, p_now);
BEGIN
  PERFORM billing_require(p_credits > 0 AND p_kind IN ('grant', 'adjust'), 'such a grant');
  status := CASE
    WHEN a.catch_up_at <= v_now THEN 'catch-up-due'
    WHEN p_expires_at <= greatest(v_now, p_effective_at) THEN 'expired'
    WHEN p_credits > billing_balance_room(a) THEN 'balance-too-large'
    WHEN p_effective_at > v_now THEN 'pending'
    ELSE 'granted' END;
  IF status NOT IN ('pending', 'granted') THEN
    RETURN;
  END IF;
  IF p_kind = 'adjust' AND p_credits <= a.overdraft_mc THEN
    entry_id := purser_uuid7();
    PERFORM billing_account_store(billing_overdraft_repay(a, entry_id, p_credits,
      ROW(p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, p_metadata)::billing_cause, v_now), v_now);
    RETURN;
  END IF;
  b := billing_block_insert(a, p_block, p_credits, p_priority, p_effective_at, p_expires_at, p_metric_keys, p_source,
    p_price_paid, p_currency, p_metadata, v_now,
    ROW(p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, NULL)::billing_cause);
  IF status = 'pending' THEN
    a.next_change_at := least(a.next_change_at, p_effective_at);
  ELSE
    entry_id := purser_uuid7();
    a := billing_block_book(a, b, entry_id, p_kind, v_now);
  END IF;
  PERFORM billing_account_store(a, v_now);
END $$;

-- Book a correction that overdraft takes up whole: nothing is left for a block.
CREATE OR REPLACE FUNCTION billing_overdraft_repay(
  a billing_credit_account, p_entry uuid, p_credits bigint, p_cause billing_cause, p_at timestamptz
) RETURNS billing_credit_account LANGUAGE plpgsql AS $$
BEGIN
  a.balance_mc := a.balance_mc + p_credits;
  a.overdraft_mc := a.overdraft_mc - p_credits;
  a.lifetime_earned_mc := a.lifetime_earned_mc + p_credits;
  a.sequence := a.sequence + 1;
  a.last_entry_at := p_at;
  PERFORM billing_entry_append(a, p_entry, 'adjust', p_credits, ARRAY[NULL]::uuid[], ARRAY[p_credits], p_cause);
  RETURN a;
END $$;

CREATE OR REPLACE FUNCTION billing_block_insert(
  a billing_credit_account, p_block uuid, p_credits bigint, p_priority bigint, p_effective_at timestamptz,
  p_expires_at timestamptz, p_metric_keys text[], p_source text, p_price_paid bigint, p_currency text,
  p_metadata jsonb, p_now timestamptz, p_cause billing_cause
) RETURNS billing_credit_block LANGUAGE plpgsql AS $$
DECLARE b billing_credit_block;
BEGIN
  INSERT INTO billing_credit_block (
    id, environment_id, account_id, original_mc, remaining_mc, held_mc, state, priority, effective_at, expires_at,
    metric_keys, source, price_paid_minor, currency, is_paid, reason, metadata, cause_type, cause_id, actor,
    idempotency_key, request_id, created_at
  ) VALUES (
    p_block, a.environment_id, a.customer_id, p_credits, 0, 0, 'pending', p_priority,
    coalesce(greatest(p_effective_at, p_now), p_now), p_expires_at,
    p_metric_keys, p_source, p_price_paid, p_currency, coalesce(p_price_paid, 0) > 0, coalesce(p_cause.reason, ''),
    coalesce(p_metadata, '{}'), p_cause.source_type, p_cause.source_id, p_cause.actor, p_cause.idempotency_key,
    coalesce(p_cause.request_id, ''), p_now
  ) RETURNING * INTO b;
  RETURN b;
END $$;
