-- Void what is left of one block: what nobody holds of a live one leaves by an entry `adjust`, whatever would burn before
-- it; one that has not started yet will not start, and nothing is booked. Not more than the policy lets a debit take.
--
-- status: voided | nothing-left (spent, expired, or voided before) | held (all that is left) | insufficient | not-found |
-- catch-up-due. `taken` is how much went.
CREATE OR REPLACE FUNCTION billing_block_void_v1(
  p_environment uuid, p_account uuid, p_block uuid, p_source_type text, p_source_id uuid, p_actor text, p_reason text,
  p_key text, p_request text, p_metadata jsonb, p_now timestamptz,
  OUT status text, OUT entry_id uuid, OUT taken bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
  v_policy text;
  v_limit bigint;
  b billing_credit_block;
BEGIN
  SELECT * INTO b FROM billing_credit_block WHERE id = p_block AND account_id = p_account;
  SELECT overage_policy, overage_limit_mc INTO v_policy, v_limit FROM customers_customer WHERE id = p_account;
  taken := CASE b.state WHEN 'pending' THEN b.original_mc ELSE b.remaining_mc - b.held_mc END;
  status := CASE
    WHEN b.id IS NULL THEN 'not-found'
    WHEN a.catch_up_at <= v_now THEN 'catch-up-due'
    WHEN b.state NOT IN ('pending', 'live') THEN 'nothing-left'
    WHEN taken = 0 THEN 'held'
    WHEN b.state = 'live'
      AND NOT billing_debit_allowed(v_policy, v_limit, a.balance_mc - a.reserved_mc, taken, 0) THEN 'insufficient'
    ELSE 'voided' END;
  IF status <> 'voided' THEN
    taken := 0;
    RETURN;
  END IF;
  IF b.state = 'pending' THEN
    UPDATE billing_credit_block SET state = 'voided', voided_at = v_now WHERE id = b.id;
    RETURN;
  END IF;
  PERFORM billing_blocks_take(ARRAY[b.id], ARRAY[taken]);
  a.balance_mc := a.balance_mc - taken;
  a.sequence := a.sequence + 1;
  a.last_entry_at := v_now;
  entry_id := purser_uuid7();
  PERFORM billing_entry_append(a, entry_id, 'adjust', -taken, ARRAY[b.id], ARRAY[-taken],
    ROW(p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, p_metadata)::billing_cause);
  PERFORM billing_account_store(a, v_now);
END $$;
