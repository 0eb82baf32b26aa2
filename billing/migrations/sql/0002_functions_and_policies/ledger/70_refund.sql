-- Give back all or part of a debit: last burned, first restored; into the blocks it came from while they live. What comes
-- of a dead block becomes a new block `refund`, which lives as long as the dead one had, burns at its priority and for
-- its metrics; unless it is for all metrics, and overdraft is there to repay first. What came of an overdraft that was
-- repaid since becomes a block without end.
--
-- `p_amount` NULL = all that is left of it; `p_new_blocks` has an id for each part of the debit, should it need a block.
-- status: refunded | not-a-debit | exceeds-debit | nothing-left | balance-too-large | catch-up-due. `block_id` is the
-- first new block, if one was needed.
CREATE OR REPLACE FUNCTION billing_credits_refund_v1(
  p_environment uuid, p_account uuid, p_entry uuid, p_amount bigint, p_new_blocks uuid[], p_source_type text,
  p_source_id uuid, p_actor text, p_reason text, p_key text, p_request text, p_metadata jsonb, p_now timestamptz,
  OUT status text, OUT entry_id uuid, OUT refunded bigint, OUT block_id uuid
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
  v_cause billing_cause := ROW(p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, p_metadata);
  e billing_ledger_entry;
  v_left bigint;
  v_repaid bigint := 0;
  v_rest bigint;
  v_blocks uuid[] := '{}';
  v_amounts bigint[] := '{}';
  v_new uuid[] := '{}';
  v_new_amounts bigint[] := '{}';
  part record;
  b billing_credit_block;
BEGIN
  PERFORM billing_require(coalesce(p_amount, 1) > 0, 'such a refund');
  SELECT * INTO e FROM billing_ledger_entry
    WHERE environment_id = p_environment AND id = p_entry AND account_id = p_account;
  IF NOT FOUND OR e.kind <> 'debit' THEN
    status := 'not-a-debit';
    RETURN;
  END IF;
  SELECT -e.amount_mc - coalesce(sum(r.amount_mc), 0) INTO v_left FROM billing_ledger_entry r
    WHERE r.account_id = p_account AND r.reverses_id = p_entry;
  refunded := coalesce(p_amount, v_left);
  status := CASE
    WHEN a.catch_up_at <= v_now THEN 'catch-up-due'
    WHEN v_left = 0 THEN 'nothing-left'
    WHEN refunded > v_left THEN 'exceeds-debit'
    WHEN refunded > billing_balance_room(a) THEN 'balance-too-large'
    ELSE 'refunded' END;
  IF status <> 'refunded' THEN
    RETURN;
  END IF;
  -- Walk the debit backwards, past what earlier refunds of it gave back, for `refunded` credits.
  FOR part IN
    SELECT d.n, d.block, least(d.upto, v_left) - greatest(d.upto - d.amount, v_left - refunded) AS amount
    FROM (SELECT u.block, -u.amount AS amount, u.n, sum(-u.amount) OVER (ORDER BY u.n) AS upto
          FROM unnest(e.block_ids, e.block_amounts) WITH ORDINALITY AS u(block, amount, n)) d
    WHERE d.upto > v_left - refunded AND d.upto - d.amount < v_left
    ORDER BY d.n DESC
  LOOP
    SELECT * INTO b FROM billing_credit_block WHERE id = part.block;
    IF b.id IS NOT NULL AND (b.expires_at IS NULL OR b.expires_at > v_now) THEN
      UPDATE billing_credit_block SET remaining_mc = remaining_mc + part.amount, state = 'live' WHERE id = b.id;
      a.next_change_at := least(a.next_change_at, b.expires_at);
      v_blocks := v_blocks || b.id;
      v_amounts := v_amounts || part.amount;
      CONTINUE;
    END IF;
    v_rest := CASE WHEN b.metric_keys IS NULL THEN greatest(part.amount - a.overdraft_mc, 0) ELSE part.amount END;
    v_repaid := v_repaid + part.amount - v_rest;
    a.overdraft_mc := a.overdraft_mc - (part.amount - v_rest);
    IF v_rest > 0 THEN
      b := billing_block_insert(a, p_new_blocks[part.n], v_rest, coalesce(b.priority, 0), NULL,
        v_now + (b.expires_at - b.effective_at), b.metric_keys, 'refund', NULL, NULL, NULL, v_now, v_cause);
      UPDATE billing_credit_block SET remaining_mc = v_rest, state = 'live' WHERE id = b.id;
      a.next_change_at := least(a.next_change_at, b.expires_at);
      v_new := v_new || b.id;
      v_new_amounts := v_new_amounts || v_rest;
    END IF;
  END LOOP;
  IF v_repaid > 0 THEN
    v_blocks := v_blocks || NULL::uuid;
    v_amounts := v_amounts || v_repaid;
  END IF;
  block_id := v_new[1];
  a.balance_mc := a.balance_mc + refunded;
  a.sequence := a.sequence + 1;
  a.last_entry_at := v_now;
  entry_id := purser_uuid7();
  PERFORM billing_entry_append(a, entry_id, 'refund', refunded, v_blocks || v_new, v_amounts || v_new_amounts, v_cause,
    p_entry);
  PERFORM billing_account_store(a, v_now);
END $$;
