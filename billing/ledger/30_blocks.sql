-- Which free credits pay `p_amount`, in burn order. The order is written here and in the index
-- `live_blocks_in_burn_order`, nowhere else: priority, then soonest expiry, then free before paid, then oldest.
-- `p_metric` NULL takes from any block; a text takes from unscoped blocks and from those of that metric.
CREATE OR REPLACE FUNCTION billing_blocks_plan(
  p_account uuid, p_amount bigint, p_metric text, p_now timestamptz,
  OUT blocks uuid[], OUT amounts bigint[], OUT missing bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_id uuid;
  v_free bigint;
BEGIN
  missing := p_amount;
  IF p_amount > 0 THEN
    FOR v_id, v_free IN
      SELECT b.id, b.remaining_mc - b.held_mc FROM billing_credit_block b
      WHERE b.account_id = p_account AND b.state = 'live' AND b.remaining_mc > b.held_mc
        AND (b.expires_at IS NULL OR b.expires_at > p_now)
        AND (p_metric IS NULL OR b.metric_keys IS NULL OR p_metric = ANY (b.metric_keys))
      ORDER BY b.priority DESC, b.expires_at, b.is_paid, b.created_at, b.id
    LOOP
      IF v_free >= p_amount AND blocks IS NULL THEN
        -- The first pays it all, as nearly always.
        blocks := ARRAY[v_id];
        amounts := ARRAY[p_amount];
        missing := 0;
        RETURN;
      END IF;
      v_free := least(v_free, missing);
      blocks := blocks || v_id;
      amounts := amounts || v_free;
      missing := missing - v_free;
      EXIT WHEN missing = 0;
    END LOOP;
  END IF;
  blocks := coalesce(blocks, '{}');
  amounts := coalesce(amounts, '{}');
END $$;

-- Take amounts out of blocks (NULL = overdraft, which is the account's).
CREATE OR REPLACE FUNCTION billing_blocks_take(p_blocks uuid[], p_amounts bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. cardinality(p_blocks) LOOP
    IF p_blocks[i] IS NOT NULL THEN
      UPDATE billing_credit_block
        SET remaining_mc = remaining_mc - p_amounts[i],
            state = CASE WHEN remaining_mc = p_amounts[i] THEN 'spent' ELSE state END
        WHERE id = p_blocks[i];
    END IF;
  END LOOP;
END $$;

-- At `p_due` the free remainder of each dying block leaves; what is held stays until the hold ends.
CREATE OR REPLACE FUNCTION billing_blocks_expire(a billing_credit_account, p_due timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE
  b record;
BEGIN
  FOR b IN
    SELECT id, remaining_mc - held_mc AS free, held_mc FROM billing_credit_block
    WHERE account_id = a.customer_id AND state = 'live' AND expires_at <= p_due AND remaining_mc > held_mc
    ORDER BY expires_at, priority DESC, is_paid, created_at, id
  LOOP
    UPDATE billing_credit_block
      SET remaining_mc = b.held_mc, state = CASE WHEN b.held_mc = 0 THEN 'expired' ELSE state END WHERE id = b.id;
    a := billing_expiry_book(a, ARRAY[b.id], ARRAY[b.free], 'block', b.id, p_due);
  END LOOP;
  RETURN a;
END $$;

-- Book credits that died: one `expire` entry and its webhook.
CREATE OR REPLACE FUNCTION billing_expiry_book(
  a billing_credit_account, p_blocks uuid[], p_amounts bigint[], p_source_type text, p_source_id uuid, p_at timestamptz
) RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE v_gone bigint := (SELECT sum(amount) FROM unnest(p_amounts) AS t(amount));
BEGIN
  a.balance_mc := a.balance_mc - v_gone;
  a.sequence := a.sequence + 1;
  a.last_entry_at := billing_account_now(a, p_at);
  PERFORM billing_entry_append(a, purser_uuid7(), 'expire', -v_gone, p_blocks,
    (SELECT array_agg(-amount ORDER BY n) FROM unnest(p_amounts) WITH ORDINALITY AS t(amount, n)),
    ROW(p_source_type, p_source_id, 'system:expiry', '', NULL, '', NULL)::billing_cause);
  PERFORM customers_event_emit(a.environment_id, a.customer_id, 'credit.expired', jsonb_build_object(
    'block_ids', (SELECT jsonb_agg(customers_typeid('blk', id)) FROM unnest(p_blocks) AS t(id)),
    'amount', v_gone, 'balance', a.balance_mc, 'effective_balance', a.balance_mc - a.reserved_mc), a.last_entry_at);
  RETURN a;
END $$;

-- Blocks dated into the future start at their `effective_at`, and only then are booked.
CREATE OR REPLACE FUNCTION billing_blocks_start(a billing_credit_account, p_due timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE
  b billing_credit_block;
BEGIN
  FOR b IN
    SELECT * FROM billing_credit_block
    WHERE account_id = a.customer_id AND state = 'pending' AND effective_at <= p_due
    ORDER BY effective_at, created_at, id
  LOOP
    a := billing_block_book(a, b, purser_uuid7(), 'grant', p_due);
  END LOOP;
  RETURN a;
END $$;

-- Book a new block: overdraft is repaid first (by unscoped credits), the rest is there to burn. One entry for both.
CREATE OR REPLACE FUNCTION billing_block_book(
  a billing_credit_account, b billing_credit_block, p_entry uuid, p_kind text, p_at timestamptz
) RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE
  v_credits bigint := b.original_mc;
  v_repaid bigint := CASE WHEN b.metric_keys IS NULL THEN least(a.overdraft_mc, b.original_mc) ELSE 0 END;
  v_cause billing_cause := ROW(b.cause_type, b.cause_id, b.actor, b.reason, b.idempotency_key, b.request_id, NULL);
BEGIN
  UPDATE billing_credit_block
    SET original_mc = v_credits - v_repaid, remaining_mc = v_credits - v_repaid,
        state = CASE WHEN v_credits > v_repaid THEN 'live' ELSE 'spent' END
    WHERE id = b.id;
  a.balance_mc := a.balance_mc + v_credits;
  a.overdraft_mc := a.overdraft_mc - v_repaid;
  -- What an extension gives it has taken out of another block, where it was earned.
  a.lifetime_earned_mc := a.lifetime_earned_mc + CASE b.cause_type WHEN 'extension' THEN 0 ELSE v_credits END;
  a.has_scoped_blocks := a.has_scoped_blocks OR b.metric_keys IS NOT NULL;
  a.next_change_at := least(a.next_change_at, b.expires_at);
  a.sequence := a.sequence + 1;
  a.last_entry_at := billing_account_now(a, p_at);
  PERFORM billing_entry_append(a, p_entry, p_kind, v_credits,
    CASE WHEN v_repaid > 0 THEN ARRAY[NULL, b.id]::uuid[] ELSE ARRAY[b.id] END,
    CASE WHEN v_repaid > 0 THEN ARRAY[v_repaid, v_credits - v_repaid] ELSE ARRAY[v_credits] END, v_cause);
  RETURN a;
END $$;
