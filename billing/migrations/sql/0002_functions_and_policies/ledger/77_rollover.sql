-- Move `p_credits` that nobody holds out of a block into a new one, for the same metrics: one entry, which leaves the
-- balance as it is and earns nobody anything.
--
-- `p_now` may be the very instant at which the old block dies: the account is settled to just before it. The caller has
-- put the account's `catch_up_at` out of the way. status: rolled-over | insufficient (less is there) | expired
-- (the new block would be dead already) | catch-up-due.
CREATE OR REPLACE FUNCTION billing_credits_rollover_v1(
  p_environment uuid, p_account uuid, p_from_block uuid, p_block uuid, p_credits bigint, p_priority bigint,
  p_expires_at timestamptz, p_metadata jsonb, p_source_type text, p_source_id uuid, p_actor text, p_reason text,
  p_key text, p_request text, p_now timestamptz, OUT status text, OUT entry_id uuid
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now - interval '1 microsecond');
  v_now timestamptz := billing_account_now(a, p_now);
  v_cause billing_cause := ROW(p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, p_metadata);
  b billing_credit_block;
BEGIN
  SELECT * INTO b FROM billing_credit_block WHERE id = p_from_block AND account_id = p_account;
  PERFORM billing_require(p_credits > 0 AND b.id IS NOT NULL, 'such a rollover');
  status := CASE
    WHEN a.catch_up_at <= v_now THEN 'catch-up-due'
    WHEN p_expires_at <= v_now THEN 'expired'
    WHEN b.remaining_mc - b.held_mc < p_credits OR b.expires_at < v_now THEN 'insufficient'
    ELSE 'rolled-over' END;
  IF status <> 'rolled-over' THEN
    RETURN;
  END IF;
  PERFORM billing_blocks_take(ARRAY[b.id], ARRAY[p_credits]);
  PERFORM billing_block_insert(a, p_block, p_credits, p_priority, NULL, p_expires_at, b.metric_keys, 'rollover', NULL,
    NULL, p_metadata, v_now, v_cause);
  UPDATE billing_credit_block SET remaining_mc = original_mc, state = 'live' WHERE id = p_block;
  a.next_change_at := least(a.next_change_at, p_expires_at);
  a.sequence := a.sequence + 1;
  a.last_entry_at := v_now;
  entry_id := purser_uuid7();
  PERFORM billing_entry_append(a, entry_id, 'rollover', 0, ARRAY[b.id, p_block], ARRAY[-p_credits, p_credits], v_cause);
  PERFORM billing_account_store(a, v_now);
END $$;
