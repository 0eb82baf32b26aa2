-- An account as it was at a past instant. What fell due until then and nobody has done yet is done first, and undone.
-- status: found | customer-not-found | catch-up-due.
--
-- The balance is one entry's: each carries it. Reserved are the holds that were open. Blocks are
-- reckoned back from what they are, by what has moved since.
CREATE OR REPLACE FUNCTION billing_credits_as_of_v1(
  p_environment uuid, p_by text, p_reference text, p_include text, p_as_of timestamptz,
  OUT status text, OUT customer uuid, OUT public_id text, OUT external_id text, OUT balance bigint, OUT reserved bigint,
  OUT lifetime_earned bigint, OUT blocks text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  v_next timestamptz;
  v_catch_up_at timestamptz;
  v_undo boolean;
BEGIN
  customer := customers_customer_find(p_environment, p_by, p_reference);
  SELECT c.public_id, c.external_id INTO public_id, external_id FROM customers_customer c WHERE c.id = customer;
  SELECT t.next_change_at, t.catch_up_at INTO v_next, v_catch_up_at FROM billing_credit_account t
    WHERE t.customer_id = customer AND t.environment_id = p_environment;
  status := CASE
    WHEN customer IS NULL THEN 'customer-not-found'
    WHEN v_catch_up_at <= p_as_of THEN 'catch-up-due'
    ELSE 'found' END;
  IF status <> 'found' THEN
    RETURN;
  END IF;
  v_undo := coalesce(v_next <= p_as_of, false);
  BEGIN
    IF v_undo THEN
      PERFORM billing_account_lock(p_environment, customer, p_as_of);
    END IF;
    SELECT b.balance, b.reserved, b.lifetime_earned INTO balance, reserved, lifetime_earned
      FROM billing_balances_as_of(customer, p_as_of) b;
    IF p_include <> 'none' THEN
      blocks := billing_blocks_as_of(customer, p_include = 'all', p_as_of)::text;
    END IF;
    IF v_undo THEN
      RAISE EXCEPTION 'undo' USING ERRCODE = 'PU000';
    END IF;
  EXCEPTION WHEN SQLSTATE 'PU000' THEN
    NULL;
  END;
END $$;

-- The number of an account's last entry before an instant, 0 when there is none. Instants never go back as numbers grow,
-- so it halves the numbers until one is left: some 17 looks into an index for 100,000 entries, where an index of instants
-- would be another entry to make for every debit. With the rights of who asks: the application sees its environment's.
CREATE OR REPLACE FUNCTION billing_last_before_v1(p_account uuid, p_at timestamptz)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN coalesce((
    WITH RECURSIVE span(least, most) AS (
      SELECT CASE WHEN a.last_entry_at < p_at THEN a.sequence ELSE 0 END, a.sequence
      FROM billing_credit_account a WHERE a.customer_id = p_account
      UNION ALL
      SELECT CASE WHEN s.is_before THEN s.middle ELSE s.least END, CASE WHEN s.is_before THEN s.most ELSE s.middle - 1 END
      FROM (
        -- OFFSET 0: to look once, not once for either use of the answer.
        SELECT m.*, coalesce((
          SELECT e.occurred_at < p_at FROM billing_ledger_entry e
          WHERE e.account_id = p_account AND e.sequence = m.middle), false) AS is_before
        FROM (SELECT least, most, (least + most + 1) / 2 AS middle FROM span WHERE least < most) m OFFSET 0) s
    )
    SELECT least FROM span WHERE least = most), 0);
END $$;

CREATE OR REPLACE FUNCTION billing_balances_as_of(
  p_account uuid, p_as_of timestamptz, OUT balance bigint, OUT reserved bigint, OUT lifetime_earned bigint
) LANGUAGE plpgsql STABLE AS $$
DECLARE v_last bigint := billing_last_before_v1(p_account, p_as_of + interval '1 microsecond');
BEGIN
  SELECT e.balance_after_mc INTO balance FROM billing_ledger_entry e
    WHERE e.account_id = p_account AND e.sequence = v_last;
  balance := coalesce(balance, 0);
  SELECT coalesce(sum(h.amount_mc), 0)::bigint INTO reserved FROM billing_holds_as_of(p_account, p_as_of) h;
  lifetime_earned := coalesce((
      SELECT sum(e.amount_mc) FROM billing_ledger_entry e WHERE e.account_id = p_account AND e.sequence <= v_last
        AND e.kind IN ('grant', 'adjust') AND e.amount_mc > 0 AND e.source_type <> 'extension'), 0)::bigint
    + coalesce((
      SELECT sum(c.credits_mc) FROM billing_conversion c WHERE c.account_id = p_account AND c.occurred_at <= p_as_of),
      0)::bigint;
END $$;

-- The holds that were open then: those that still are, and those that have ended since. A hold is open until its end.
CREATE OR REPLACE FUNCTION billing_holds_as_of(p_account uuid, p_as_of timestamptz)
RETURNS TABLE (amount_mc bigint, block_ids uuid[], block_amounts bigint[]) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT h.amount_mc, h.block_ids, h.block_amounts FROM billing_hold h
      WHERE h.account_id = p_account AND h.state = 'active' AND h.created_at <= p_as_of
    UNION ALL
    SELECT h.amount_mc, h.block_ids, h.block_amounts FROM billing_hold h
      WHERE h.account_id = p_account AND h.ended_at > p_as_of AND h.created_at <= p_as_of;
END $$;

-- Blocks as billing_blocks_json gives them, as they were then.
CREATE OR REPLACE FUNCTION billing_blocks_as_of(p_account uuid, p_all boolean, p_as_of timestamptz)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE v_last bigint := billing_last_before_v1(p_account, p_as_of + interval '1 microsecond');
BEGIN
  RETURN (
    WITH moved AS (
      SELECT u.block, sum(u.amount) AS amount FROM billing_ledger_entry e,
        unnest(e.block_ids, e.block_amounts) AS u(block, amount)
      WHERE e.account_id = p_account AND e.sequence > v_last AND u.block IS NOT NULL GROUP BY u.block
    ), held AS (
      SELECT u.block, sum(u.amount) AS amount FROM billing_holds_as_of(p_account, p_as_of) h,
        unnest(h.block_ids, h.block_amounts) AS u(block, amount)
      WHERE u.block IS NOT NULL GROUP BY u.block
    ), was AS (
      SELECT b.*, b.remaining_mc - coalesce(m.amount, 0) AS was_remaining, coalesce(h.amount, 0) AS was_held,
        CASE
          WHEN b.voided_at <= p_as_of THEN 'voided'
          WHEN b.effective_at > p_as_of THEN 'pending'
          WHEN b.remaining_mc - coalesce(m.amount, 0) > 0 THEN 'live'
          WHEN m.block IS NOT NULL THEN 'spent'
          ELSE b.state END AS was_state
      FROM billing_credit_block b LEFT JOIN moved m ON m.block = b.id LEFT JOIN held h ON h.block = b.id
      WHERE b.account_id = p_account AND b.created_at <= p_as_of
    )
    SELECT coalesce(jsonb_agg(
      to_jsonb(w) - ARRAY['was_remaining', 'was_held', 'was_state'] || jsonb_build_object(
        'state', w.was_state, 'held_mc', w.was_held,
        'remaining_mc', CASE WHEN w.was_state = 'pending' THEN 0 ELSE w.was_remaining END,
        -- What a block that had not started yet would bring; when it started, overdraft may have taken a part of it.
        'original_mc', CASE WHEN w.was_state = 'pending' THEN coalesce((
            SELECT e.amount_mc FROM billing_ledger_entry e
            WHERE e.account_id = p_account AND e.source_id = w.cause_id AND e.kind IN ('grant', 'rollover')
            LIMIT 1), w.original_mc) ELSE w.original_mc END)
      ORDER BY w.was_state = 'live' DESC,
        CASE WHEN w.was_state = 'live' THEN -w.priority END, CASE WHEN w.was_state = 'live' THEN w.expires_at END,
        CASE WHEN w.was_state = 'live' THEN w.is_paid END, CASE WHEN w.was_state = 'live' THEN w.created_at END,
        CASE WHEN w.was_state = 'live' THEN w.id END, w.id DESC), '[]')
    FROM was w WHERE p_all OR w.was_state = 'live');
END $$;
