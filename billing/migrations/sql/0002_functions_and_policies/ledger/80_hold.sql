-- Hold credits for long work. A hold is pinned, in burn order, to parts of blocks; they stay in the balance, and count
-- as reserved, until the hold is committed, released or expires: one of these, once. With `allow` a part may be pinned
-- to nothing (NULL); it is found in free blocks, or overdrawn, at commit.
--
-- Each function comes twice: metering's call the one without a version, which saves them setting the search path again.
--
-- status: held | insufficient | catch-up-due.
CREATE OR REPLACE FUNCTION billing_hold_create(
  p_environment uuid, p_account uuid, p_hold uuid, p_amount bigint, p_metric text, p_expires_at timestamptz,
  p_metadata jsonb, p_actor text, p_key text, p_request text, p_now timestamptz,
  OUT status text, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
  v_plan record;
  v_policy text;
  v_limit bigint;
BEGIN
  PERFORM billing_require(p_amount >= 0, 'a hold of less than nothing');
  balance := a.balance_mc;
  reserved := a.reserved_mc;
  SELECT overage_policy, overage_limit_mc INTO v_policy, v_limit FROM customers_customer WHERE id = p_account;
  SELECT * INTO v_plan FROM billing_blocks_plan(p_account, p_amount, p_metric, v_now);
  status := CASE
    WHEN a.catch_up_at <= v_now THEN 'catch-up-due'
    WHEN NOT billing_debit_allowed(v_policy, v_limit, balance - reserved, p_amount, v_plan.missing) THEN 'insufficient'
    ELSE 'held' END;
  IF status <> 'held' THEN
    RETURN;
  END IF;
  UPDATE billing_credit_block b SET held_mc = b.held_mc + t.amount
    FROM unnest(v_plan.blocks, v_plan.amounts) AS t(id, amount) WHERE b.id = t.id;
  INSERT INTO billing_hold (
    id, environment_id, account_id, amount_mc, block_ids, block_amounts, metric_key, state, expires_at, metadata,
    actor, idempotency_key, request_id, created_at
  ) VALUES (
    p_hold, p_environment, p_account, p_amount,
    CASE WHEN v_plan.missing > 0 THEN v_plan.blocks || NULL::uuid ELSE v_plan.blocks END,
    CASE WHEN v_plan.missing > 0 THEN v_plan.amounts || v_plan.missing ELSE v_plan.amounts END,
    p_metric, 'active', p_expires_at, coalesce(p_metadata, '{}'), p_actor, p_key, coalesce(p_request, ''), v_now
  );
  a.reserved_mc := a.reserved_mc + p_amount;
  a.last_entry_at := v_now;
  reserved := a.reserved_mc;
  a.next_change_at := least(a.next_change_at, p_expires_at + billing_hold_grace());
  PERFORM billing_account_store(a, v_now);
END $$;

CREATE OR REPLACE FUNCTION billing_hold_create_v1(
  p_environment uuid, p_account uuid, p_hold uuid, p_amount bigint, p_metric text, p_expires_at timestamptz,
  p_metadata jsonb, p_actor text, p_key text, p_request text, p_now timestamptz,
  OUT status text, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  SELECT h.status, h.balance, h.reserved INTO status, balance, reserved
    FROM billing_hold_create(p_environment, p_account, p_hold, p_amount, p_metric, p_expires_at, p_metadata, p_actor,
      p_key, p_request, p_now) h;
END $$;

-- Give a hold's parts back to their blocks. What a dead block gets back expires at this instant.
CREATE OR REPLACE FUNCTION billing_hold_free(
  a billing_credit_account, p_hold uuid, p_blocks uuid[], p_amounts bigint[], p_at timestamptz
) RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE
  v_dead uuid[];
  v_gone bigint[];
BEGIN
  UPDATE billing_credit_block b SET held_mc = b.held_mc - t.amount
    FROM unnest(p_blocks, p_amounts) AS t(id, amount) WHERE b.id = t.id;
  SELECT array_agg(b.id ORDER BY t.n), array_agg(t.amount ORDER BY t.n) INTO v_dead, v_gone
    FROM unnest(p_blocks, p_amounts) WITH ORDINALITY AS t(id, amount, n) JOIN billing_credit_block b ON b.id = t.id
    WHERE b.expires_at <= p_at AND t.amount > 0;
  IF v_dead IS NULL THEN
    RETURN a;
  END IF;
  UPDATE billing_credit_block b
    SET remaining_mc = b.remaining_mc - t.amount,
        state = CASE WHEN b.remaining_mc = t.amount THEN 'expired' ELSE b.state END
    FROM unnest(v_dead, v_gone) AS t(id, amount) WHERE b.id = t.id;
  RETURN billing_expiry_book(a, v_dead, v_gone, 'reservation', p_hold, p_at);
END $$;

-- Holds whose grace has passed return their credits, at the end of that grace.
CREATE OR REPLACE FUNCTION billing_holds_expire(a billing_credit_account, p_due timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE h billing_hold;
BEGIN
  FOR h IN
    SELECT * FROM billing_hold
    WHERE account_id = a.customer_id AND state = 'active' AND expires_at <= p_due - billing_hold_grace()
    ORDER BY expires_at, id
  LOOP
    a.last_entry_at := billing_account_now(a, p_due);
    UPDATE billing_hold SET state = 'expired', ended_at = a.last_entry_at WHERE id = h.id;
    a.reserved_mc := a.reserved_mc - h.amount_mc;
    a := billing_hold_free(a, h.id, h.block_ids, h.block_amounts, p_due);
    PERFORM customers_event_emit(a.environment_id, a.customer_id, 'reservation.expired', jsonb_build_object(
      'reservation_id', customers_typeid('res', h.id), 'reserved_amount', h.amount_mc, 'balance', a.balance_mc,
      'effective_balance', a.balance_mc - a.reserved_mc), p_due);
  END LOOP;
  RETURN a;
END $$;

-- Why a hold cannot be committed, released or extended any more, or NULL. Read under the account's lock.
CREATE OR REPLACE FUNCTION billing_hold_refusal(a billing_credit_account, h billing_hold, p_now timestamptz)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN h.id IS NULL THEN 'not-found'
    WHEN h.state <> 'active' THEN h.state || '-already'
    WHEN a.catch_up_at <= p_now THEN 'catch-up-due' END
$$;

-- Settle a hold: debit `p_amount` (less, the same or more than held), return the rest.
--
-- status: committed | insufficient (the hold stays) | committed-already | released-already | expired-already |
-- not-found | catch-up-due.
CREATE OR REPLACE FUNCTION billing_hold_commit(
  p_environment uuid, p_account uuid, p_hold uuid, p_amount bigint, p_actor text, p_key text, p_request text,
  p_metadata jsonb, p_now timestamptz,
  OUT status text, OUT entry_id uuid, OUT released bigint, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
  h billing_hold;
  v_cause billing_cause := ROW('reservation', p_hold, p_actor, '', p_key, p_request, p_metadata);
  v_plan record;
  v_policy text;
  v_limit bigint;
  v_pinned bigint;
  v_used uuid[] := '{}';
  v_used_amounts bigint[] := '{}';
  v_free bigint[] := '{}';
  v_left bigint := p_amount;
  v_part bigint;
BEGIN
  PERFORM billing_require(p_amount >= 0, 'a commit of less than nothing');
  balance := a.balance_mc;
  reserved := a.reserved_mc;
  SELECT * INTO h FROM billing_hold WHERE id = p_hold AND account_id = p_account;
  status := billing_hold_refusal(a, h, v_now);
  IF status IS NOT NULL THEN
    RETURN;
  END IF;
  -- First the hold's own parts, in the order they were pinned.
  FOR i IN 1 .. cardinality(h.block_ids) LOOP
    v_part := CASE WHEN h.block_ids[i] IS NULL THEN 0 ELSE least(h.block_amounts[i], v_left) END;
    v_free := v_free || (h.block_amounts[i] - v_part);
    IF v_part > 0 THEN
      v_used := v_used || h.block_ids[i];
      v_used_amounts := v_used_amounts || v_part;
      v_left := v_left - v_part;
    END IF;
  END LOOP;
  -- Then free blocks, then overdraft. A hold promised `h.amount_mc`; only what goes beyond is asked of the policy.
  SELECT * INTO v_plan FROM billing_blocks_plan(p_account, v_left, h.metric_key, v_now);
  SELECT overage_policy, overage_limit_mc INTO v_policy, v_limit FROM customers_customer WHERE id = p_account;
  IF p_amount > h.amount_mc AND NOT billing_debit_allowed(v_policy, v_limit, balance - reserved,
      p_amount - h.amount_mc, CASE WHEN v_policy = 'block' THEN v_plan.missing ELSE 0 END) THEN
    status := 'insufficient';
    RETURN;
  END IF;
  a.last_entry_at := v_now;
  UPDATE billing_hold SET state = 'committed', ended_at = v_now, committed_mc = p_amount WHERE id = h.id;
  UPDATE billing_credit_block b SET held_mc = b.held_mc - t.amount
    FROM unnest(v_used, v_used_amounts) AS t(id, amount) WHERE b.id = t.id;
  a.reserved_mc := a.reserved_mc - h.amount_mc;
  IF p_amount > 0 THEN
    SELECT coalesce(array_agg(t.id ORDER BY t.n), '{}'), coalesce(array_agg(t.amount ORDER BY t.n), '{}')
      INTO v_used, v_used_amounts
      FROM (SELECT u.id, sum(u.amount)::bigint AS amount, min(u.n) AS n
            FROM unnest(v_used || v_plan.blocks, v_used_amounts || v_plan.amounts) WITH ORDINALITY AS u(id, amount, n)
            GROUP BY u.id) t;
    entry_id := purser_uuid7();
    a := billing_debit_book(a, entry_id, 'debit', p_amount, v_used, v_used_amounts, v_plan.missing, v_policy, v_cause,
      v_now);
  END IF;
  a := billing_hold_free(a, h.id, h.block_ids, v_free, v_now);
  PERFORM billing_account_store(a, v_now);
  status := 'committed';
  released := greatest(h.amount_mc - p_amount, 0);
  balance := a.balance_mc;
  reserved := a.reserved_mc;
END $$;

CREATE OR REPLACE FUNCTION billing_hold_commit_v1(
  p_environment uuid, p_account uuid, p_hold uuid, p_amount bigint, p_actor text, p_key text, p_request text,
  p_metadata jsonb, p_now timestamptz,
  OUT status text, OUT entry_id uuid, OUT released bigint, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  SELECT h.status, h.entry_id, h.released, h.balance, h.reserved INTO status, entry_id, released, balance, reserved
    FROM billing_hold_commit(p_environment, p_account, p_hold, p_amount, p_actor, p_key, p_request, p_metadata,
      p_now) h;
END $$;

-- Let a hold go. status: released | committed-already | released-already | expired-already | not-found | catch-up-due.
CREATE OR REPLACE FUNCTION billing_hold_release(
  p_environment uuid, p_account uuid, p_hold uuid, p_now timestamptz,
  OUT status text, OUT released bigint, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
  h billing_hold;
BEGIN
  SELECT * INTO h FROM billing_hold WHERE id = p_hold AND account_id = p_account;
  status := billing_hold_refusal(a, h, v_now);
  IF status IS NULL THEN
    a.last_entry_at := v_now;
    UPDATE billing_hold SET state = 'released', ended_at = v_now WHERE id = h.id;
    a.reserved_mc := a.reserved_mc - h.amount_mc;
    a := billing_hold_free(a, h.id, h.block_ids, h.block_amounts, v_now);
    PERFORM billing_account_store(a, v_now);
    status := 'released';
    released := h.amount_mc;
  END IF;
  balance := a.balance_mc;
  reserved := a.reserved_mc;
END $$;

CREATE OR REPLACE FUNCTION billing_hold_release_v1(
  p_environment uuid, p_account uuid, p_hold uuid, p_now timestamptz,
  OUT status text, OUT released bigint, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  SELECT h.status, h.released, h.balance, h.reserved INTO status, released, balance, reserved
    FROM billing_hold_release(p_environment, p_account, p_hold, p_now) h;
END $$;

-- Move a hold's end. status: extended | committed-already | released-already | expired-already | not-found |
-- catch-up-due.
CREATE OR REPLACE FUNCTION billing_hold_extend(
  p_environment uuid, p_account uuid, p_hold uuid, p_expires_at timestamptz, p_now timestamptz,
  OUT status text, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
  h billing_hold;
BEGIN
  balance := a.balance_mc;
  reserved := a.reserved_mc;
  SELECT * INTO h FROM billing_hold WHERE id = p_hold AND account_id = p_account;
  status := billing_hold_refusal(a, h, v_now);
  IF status IS NULL THEN
    UPDATE billing_hold SET expires_at = p_expires_at WHERE id = h.id;
    a.next_change_at := least(a.next_change_at, p_expires_at + billing_hold_grace());
    PERFORM billing_account_store(a, v_now);
    status := 'extended';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION billing_hold_extend_v1(
  p_environment uuid, p_account uuid, p_hold uuid, p_expires_at timestamptz, p_now timestamptz,
  OUT status text, OUT balance bigint, OUT reserved bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  SELECT h.status, h.balance, h.reserved INTO status, balance, reserved
    FROM billing_hold_extend(p_environment, p_account, p_hold, p_expires_at, p_now) h;
END $$;
