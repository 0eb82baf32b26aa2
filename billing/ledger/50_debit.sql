-- What a debit may do: with `block` nothing below zero and nothing the blocks do not cover; else down to the limit.
CREATE OR REPLACE FUNCTION billing_debit_allowed(
  p_policy text, p_limit bigint, p_effective bigint, p_amount bigint, p_missing bigint
) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN p_policy = 'block' THEN p_effective >= p_amount AND p_missing = 0
    ELSE p_effective - p_amount >= -coalesce(p_limit, billing_balance_max()) END
$$;

-- Book a debit of a locked account: blocks as planned, what is missing as overdraft. Returns the account, not yet stored.
CREATE OR REPLACE FUNCTION billing_debit_book(
  a billing_credit_account, p_entry uuid, p_kind text, p_amount bigint, p_blocks uuid[], p_amounts bigint[],
  p_missing bigint, p_policy text, p_cause billing_cause, p_now timestamptz
) RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE
  v_blocks uuid[] := p_blocks;
  v_moved bigint[] := '{}';
BEGIN
  -- As billing_blocks_take does, in the loop that is here anyway.
  FOR i IN 1 .. cardinality(p_amounts) LOOP
    UPDATE billing_credit_block
      SET remaining_mc = remaining_mc - p_amounts[i],
          state = CASE WHEN remaining_mc = p_amounts[i] THEN 'spent' ELSE state END
      WHERE id = p_blocks[i];
    v_moved := v_moved || -p_amounts[i];
  END LOOP;
  IF p_missing > 0 THEN
    v_blocks := v_blocks || NULL::uuid;
    v_moved := v_moved || -p_missing;
  END IF;
  a.balance_mc := a.balance_mc - p_amount;
  a.overdraft_mc := a.overdraft_mc + p_missing;
  a.sequence := a.sequence + 1;
  a.last_entry_at := p_now;
  PERFORM billing_entry_append(a, p_entry, p_kind, -p_amount, v_blocks, v_moved, p_cause);
  IF p_missing > 0 THEN
    PERFORM billing_overage_tell(a, p_missing, p_policy, p_now);
  END IF;
  IF (SELECT e.tells_consumption FROM customers_environment e WHERE e.id = a.environment_id) THEN
    PERFORM billing_debit_tell(a, p_entry, p_kind, p_amount, p_cause, p_now);
  END IF;
  RETURN a;
END $$;

-- Leave what there is to tell of a debit, after which the account is `a`. It becomes an event when it is handed out.
CREATE OR REPLACE FUNCTION billing_debit_tell(
  a billing_credit_account, p_entry uuid, p_kind text, p_amount bigint, p_cause billing_cause, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_kind = 'debit' THEN
    INSERT INTO customers_untold_debit (
      environment_id, customer_id, sequence, entry_id, amount_mc, source_type, source_id, balance_mc, reserved_mc,
      occurred_at
    ) VALUES (
      a.environment_id, a.customer_id, a.sequence, p_entry, p_amount, p_cause.source_type, p_cause.source_id,
      a.balance_mc, a.reserved_mc, p_now
    );
  END IF;
END $$;

-- Book a debit as billing_debit_book does, and store the account. `p_tells`: the debit itself is to be told of. When nobody
-- may have to be told of anything else, and one block pays it all, as nearly always, it is three writes in one statement, and
-- a fourth to tell of it: each function and each statement more would take a twentieth of a usage event. `a` is as it is stored.
CREATE OR REPLACE FUNCTION billing_debit_store(
  a billing_credit_account, p_entry uuid, p_kind text, p_amount bigint, p_blocks uuid[], p_amounts bigint[],
  p_missing bigint, p_policy text, p_tells boolean, p_cause billing_cause, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_missing > 0 OR cardinality(p_blocks) <> 1 OR coalesce(a.low_balance_at_mc, a.auto_topup_at_mc) IS NOT NULL THEN
    PERFORM billing_account_store(billing_debit_book(
      a, p_entry, p_kind, p_amount, p_blocks, p_amounts, p_missing, p_policy, p_cause, p_now), p_now);
    RETURN;
  END IF;
  WITH block AS (
    UPDATE billing_credit_block SET
      remaining_mc = remaining_mc - p_amount, state = CASE WHEN remaining_mc = p_amount THEN 'spent' ELSE state END
    WHERE id = p_blocks[1]
  ), entry AS (
    INSERT INTO billing_ledger_entry (
      id, environment_id, account_id, sequence, kind, amount_mc, block_ids, block_amounts, balance_after_mc,
      effective_after_mc, source_type, source_id, actor, reason, idempotency_key, request_id, metadata, occurred_at
    ) VALUES (
      p_entry, a.environment_id, a.customer_id, a.sequence + 1, p_kind, -p_amount, p_blocks, ARRAY[-p_amount],
      a.balance_mc - p_amount, a.balance_mc - p_amount - a.reserved_mc, p_cause.source_type, p_cause.source_id,
      p_cause.actor, coalesce(p_cause.reason, ''), p_cause.idempotency_key, coalesce(p_cause.request_id, ''),
      p_cause.metadata, p_now
    )
  ), told AS (
    INSERT INTO customers_untold_debit (
      environment_id, customer_id, sequence, entry_id, amount_mc, source_type, source_id, balance_mc, reserved_mc,
      occurred_at
    )
    SELECT a.environment_id, a.customer_id, a.sequence + 1, p_entry, p_amount, p_cause.source_type, p_cause.source_id,
      a.balance_mc - p_amount, a.reserved_mc, p_now
    WHERE p_tells AND p_kind = 'debit'
  )
  UPDATE billing_credit_account SET
    balance_mc = a.balance_mc - p_amount, sequence = a.sequence + 1, version = a.version + 1, last_entry_at = p_now
  WHERE customer_id = a.customer_id;
END $$;

-- Tell of an account that went into overdraft by `p_into` just now; not again while it is there.
CREATE OR REPLACE FUNCTION billing_overage_tell(a billing_credit_account, p_into bigint, p_policy text, p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_into > 0 AND a.overdraft_mc = p_into AND p_policy = 'notify' THEN
    PERFORM customers_event_emit(a.environment_id, a.customer_id, 'credit.overage', jsonb_build_object(
      'amount', p_into, 'overdraft', a.overdraft_mc, 'balance', a.balance_mc), p_now);
  END IF;
END $$;

-- Lock, check the policy, debit, in one call.
--
-- `p_metric` as in billing_blocks_plan. status: debited | insufficient | catch-up-due (a higher app's work is due first).
CREATE OR REPLACE FUNCTION billing_credits_debit_v1(
  p_environment uuid, p_account uuid, p_kind text, p_amount bigint, p_metric text, p_source_type text, p_source_id uuid,
  p_actor text, p_reason text, p_key text, p_request text, p_metadata jsonb, p_now timestamptz,
  OUT status text, OUT entry_id uuid, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  v_sequence bigint;
  v_at timestamptz;
  v_tells boolean;
BEGIN
  IF (p_amount > 0 AND p_kind IN ('debit', 'adjust')) IS NOT TRUE THEN
    PERFORM billing_require(false, 'such a debit');
  END IF;
  -- The plain debit, as nearly all are: nothing is due, free credits are enough and burn for everything, and nobody has to
  -- be told of a low balance. Then whatever the policy, this is the account as it will be, and its row is locked; blocks
  -- are read after it, by a statement of their own. Everything else goes the long way, having written nothing.
  UPDATE billing_credit_account t SET
    balance_mc = t.balance_mc - p_amount, sequence = t.sequence + 1, version = t.version + 1,
    last_entry_at = greatest(p_now, t.last_entry_at)
  WHERE t.customer_id = p_account AND t.environment_id = p_environment
    AND (least(t.next_change_at, t.catch_up_at) <= greatest(p_now, t.last_entry_at)) IS NOT TRUE
    AND t.balance_mc - t.reserved_mc - p_amount > greatest(-1, t.low_balance_at_mc, t.auto_topup_at_mc)
    AND NOT (t.has_scoped_blocks OR t.low_balance_told OR t.topup_is_requested)
  RETURNING t.balance_mc, t.reserved_mc, t.sequence, t.last_entry_at,
    (SELECT e.tells_consumption FROM customers_environment e WHERE e.id = p_environment)
    INTO balance, reserved, v_sequence, v_at, v_tells;
  IF NOT FOUND THEN
    SELECT d.status, d.entry_id, d.balance, d.reserved INTO status, entry_id, balance, reserved
      FROM billing_debit_weigh(p_environment, p_account, p_kind, p_amount, p_metric,
        ROW(p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, p_metadata)::billing_cause, p_now) d;
    RETURN;
  END IF;
  status := 'debited';
  entry_id := purser_uuid7();
  WITH block AS (
    -- One that is left with something, as nearly always: its state is written elsewhere. Where it lies is where it stays,
    -- under its account's lock.
    UPDATE billing_credit_block SET remaining_mc = remaining_mc - p_amount
    WHERE remaining_mc - held_mc > p_amount AND ctid = (
      -- The first in burn order, as billing_blocks_plan has it.
      SELECT b.ctid FROM billing_credit_block b
      WHERE b.account_id = p_account AND b.state = 'live' AND b.remaining_mc > b.held_mc
        AND (b.expires_at IS NULL OR b.expires_at > v_at)
      ORDER BY b.priority DESC, b.expires_at, b.is_paid, b.created_at, b.id LIMIT 1)
    RETURNING id
  )
  INSERT INTO billing_ledger_entry (
    id, environment_id, account_id, sequence, kind, amount_mc, block_ids, block_amounts, balance_after_mc,
    effective_after_mc, source_type, source_id, actor, reason, idempotency_key, request_id, metadata, occurred_at
  ) SELECT
    entry_id, p_environment, p_account, v_sequence, p_kind, -p_amount, ARRAY[block.id], ARRAY[-p_amount], balance,
    balance - reserved, p_source_type, p_source_id, p_actor, coalesce(p_reason, ''), p_key, coalesce(p_request, ''),
    p_metadata, v_at
  FROM block;
  IF v_tells OR NOT FOUND THEN
    PERFORM billing_debit_finish(p_account, entry_id, p_kind, p_amount, NOT FOUND, v_tells,
      ROW(p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, p_metadata)::billing_cause);
  END IF;
END $$;

-- What is left of a plain debit, its account being stored: to take it from several blocks, or all of one, and to tell of it.
CREATE OR REPLACE FUNCTION billing_debit_finish(
  p_account uuid, p_entry uuid, p_kind text, p_amount bigint, p_spread boolean, p_tells boolean, p_cause billing_cause
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  a billing_credit_account;
  v_plan record;
BEGIN
  SELECT * INTO a FROM billing_credit_account WHERE customer_id = p_account;
  IF p_spread THEN
    SELECT * INTO v_plan FROM billing_blocks_plan(p_account, p_amount, NULL, a.last_entry_at);
    PERFORM billing_require(v_plan.missing = 0, 'a balance that is not in its blocks');
    PERFORM billing_blocks_take(v_plan.blocks, v_plan.amounts);
    PERFORM billing_entry_append(a, p_entry, p_kind, -p_amount, v_plan.blocks,
      (SELECT array_agg(-t.amount ORDER BY t.n) FROM unnest(v_plan.amounts) WITH ORDINALITY AS t(amount, n)), p_cause);
  END IF;
  IF p_tells THEN
    PERFORM billing_debit_tell(a, p_entry, p_kind, p_amount, p_cause, a.last_entry_at);
  END IF;
END $$;

-- The long way: lock, do what is due, plan, ask the policy, book, ring. Returns what billing_credits_debit_v1 does.
CREATE OR REPLACE FUNCTION billing_debit_weigh(
  p_environment uuid, p_account uuid, p_kind text, p_amount bigint, p_metric text, p_cause billing_cause,
  p_now timestamptz, OUT status text, OUT entry_id uuid, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
  v_blocks uuid[];
  v_amounts bigint[];
  v_missing bigint;
  v_policy text;
  v_limit bigint;
  v_tells boolean;
BEGIN
  balance := a.balance_mc;
  reserved := a.reserved_mc;
  IF a.catch_up_at <= v_now THEN
    status := 'catch-up-due';
    RETURN;
  END IF;
  SELECT c.overage_policy, c.overage_limit_mc, e.tells_consumption INTO v_policy, v_limit, v_tells
    FROM customers_customer c JOIN customers_environment e ON e.id = c.environment_id WHERE c.id = p_account;
  SELECT p.blocks, p.amounts, p.missing INTO v_blocks, v_amounts, v_missing
    FROM billing_blocks_plan(p_account, p_amount, p_metric, v_now) p;
  IF NOT billing_debit_allowed(v_policy, v_limit, balance - reserved, p_amount, v_missing) THEN
    status := 'insufficient';
    RETURN;
  END IF;
  entry_id := purser_uuid7();
  PERFORM billing_debit_store(
    a, entry_id, p_kind, p_amount, v_blocks, v_amounts, v_missing, v_policy, v_tells, p_cause, v_now);
  status := 'debited';
  balance := balance - p_amount;
END $$;
