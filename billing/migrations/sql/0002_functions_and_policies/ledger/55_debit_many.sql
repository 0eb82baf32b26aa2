-- Many debits of many accounts in a few statements, with the rows that as many debits one by one would have left.

-- Lock accounts, making them at first touch, and bring them up to `p_now`. In the order of their ids, like everybody
-- who locks more than one: so nobody waits in a circle. The customers are of this environment; the caller found them.
CREATE OR REPLACE FUNCTION billing_accounts_lock(p_environment uuid, p_accounts uuid[], p_now timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_account uuid;
BEGIN
  PERFORM FROM billing_credit_account a WHERE a.customer_id = ANY (p_accounts) ORDER BY a.customer_id FOR NO KEY UPDATE;
  FOR v_account IN
    SELECT u.account FROM unnest(p_accounts) AS u(account) LEFT JOIN billing_credit_account a ON a.customer_id = u.account
    WHERE a.customer_id IS NULL OR a.next_change_at <= p_now ORDER BY u.account
  LOOP
    PERFORM billing_account_lock(p_environment, v_account, p_now);
  END LOOP;
END $$;

-- The free credits of an account in burn order (the order of billing_blocks_plan). Whoever wants the first few only,
-- says so by LIMIT, and no more are read.
CREATE OR REPLACE FUNCTION billing_blocks_burning(p_account uuid, p_now timestamptz)
RETURNS TABLE (place bigint, block uuid, free bigint, metric_keys text[]) LANGUAGE sql STABLE ROWS 8 AS $$
  SELECT row_number() OVER (ORDER BY b.priority DESC, b.expires_at, b.is_paid, b.created_at, b.id), b.id,
    b.remaining_mc - b.held_mc, b.metric_keys::text[]
  FROM billing_credit_block b
  WHERE b.account_id = p_account AND b.state = 'live' AND b.remaining_mc > b.held_mc
    AND (b.expires_at IS NULL OR b.expires_at > p_now)
$$;

-- Which blocks pay `p_amount`, as the range of it that each pays; the last range is overdraft when blocks do not suffice.
CREATE OR REPLACE FUNCTION billing_debit_ranges(p_account uuid, p_amount bigint, p_now timestamptz)
RETURNS TABLE (block uuid, lo bigint, hi bigint) LANGUAGE plpgsql STABLE ROWS 16 AS $$
DECLARE v_plan record;
BEGIN
  SELECT * INTO v_plan FROM billing_blocks_plan(p_account, p_amount, NULL, p_now);
  RETURN QUERY
    SELECT t.id, (sum(t.amount) OVER w - t.amount)::bigint, (sum(t.amount) OVER w)::bigint
    FROM unnest(v_plan.blocks || NULL::uuid, v_plan.amounts || v_plan.missing) WITH ORDINALITY AS t(id, amount, n)
    WHERE t.amount > 0 WINDOW w AS (ORDER BY t.n);
END $$;

-- How much debits may take of an account in all without a thought: beyond it they go below zero, or ring (low balance,
-- auto-topup). Nothing where each has to be looked at: not every block burns for it, or it may arm again what has rung.
CREATE OR REPLACE FUNCTION billing_debit_spare(a billing_credit_account)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN a.has_scoped_blocks
      OR a.low_balance_told
        AND a.balance_mc - a.reserved_mc >= a.low_balance_at_mc + greatest(a.low_balance_at_mc / 10, 1)
      OR a.topup_is_requested AND a.balance_mc - a.reserved_mc > a.auto_topup_at_mc THEN 0
    ELSE a.balance_mc - a.reserved_mc - greatest(0, CASE WHEN NOT a.low_balance_told THEN a.low_balance_at_mc + 1 END,
      CASE WHEN NOT a.topup_is_requested THEN a.auto_topup_at_mc + 1 END) END
$$;

-- Debit accounts that the caller has locked, settled and asked already, as nearly always: each can spare it, so whatever
-- the policy it is allowed, and one block pays all of its debits. Else false, nothing is written, and billing_debit_many
-- can do it.
--
-- The accounts as the lock showed them, null for those whose debits are left, and `p_whose`: for each debit the place of its
-- account among them, every account having one at least. The other arrays are those of billing_debit_many. Nothing of an
-- account is read again; blocks are, by a statement after the lock. An account that is not as it was said to be is refused.
CREATE OR REPLACE FUNCTION billing_debit_plain(
  p_environment uuid, p_tells boolean, p_accounts uuid[], p_sequences bigint[], p_balances bigint[], p_reserved bigint[],
  p_spares bigint[], p_instants timestamptz[], p_whose integer[], p_entries uuid[], p_amounts bigint[], p_source_type text,
  p_sources uuid[], p_actors text[], p_keys text[], p_requests text[], p_metadata jsonb[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v record;
  v_written bigint;
BEGIN
  SELECT bool_and(s.least > 0 AND s.total <= least(p_spares[s.who], p_balances[s.who] - p_reserved[s.who])
        AND s.free >= s.total IS TRUE) FILTER (WHERE s.account IS NOT NULL) AS are_plain,
    count(s.account) AS accounts, array_agg(s.block) AS blocks, array_agg(s.total) AS totals, array_agg(s.entries) AS entries
    INTO v
    FROM (
      SELECT p.account, t.*, b.id AS block, b.free
      FROM unnest(p_accounts) WITH ORDINALITY AS p(account, who)
      LEFT JOIN (
        SELECT d.who, sum(d.amount)::bigint AS total, count(*) AS entries, min(d.amount) AS least
        FROM unnest(p_whose, p_amounts) AS d(who, amount) GROUP BY d.who) t ON t.who = p.who
      LEFT JOIN LATERAL (
        -- The first in burn order, as billing_blocks_plan has it.
        SELECT k.id, k.remaining_mc - k.held_mc AS free FROM billing_credit_block k
        WHERE k.account_id = p.account AND k.state = 'live' AND k.remaining_mc > k.held_mc
          AND (k.expires_at IS NULL OR k.expires_at > p_instants[p.who])
        ORDER BY k.priority DESC, k.expires_at, k.is_paid, k.created_at, k.id LIMIT 1) b ON true
      ORDER BY p.who) s;
  IF v.are_plain IS NOT TRUE THEN
    RETURN false;
  END IF;
  WITH entries AS (
    INSERT INTO billing_ledger_entry (
      id, environment_id, account_id, sequence, kind, amount_mc, block_ids, block_amounts, balance_after_mc,
      effective_after_mc, source_type, source_id, actor, reason, idempotency_key, request_id, metadata, occurred_at)
    SELECT d.entry, p_environment, p_accounts[d.who], p_sequences[d.who] + d.nth, 'debit', -d.amount,
      ARRAY[v.blocks[d.who]], ARRAY[-d.amount], p_balances[d.who] - d.upto,
      p_balances[d.who] - d.upto - p_reserved[d.who], p_source_type, d.source, d.actor, '', d.key,
      coalesce(d.request, ''), d.metadata, p_instants[d.who]
    FROM (
      SELECT u.*, (sum(u.amount) OVER w)::bigint AS upto, row_number() OVER w AS nth
      FROM unnest(p_whose, p_entries, p_amounts, p_sources, p_actors, p_keys, p_requests, p_metadata) WITH ORDINALITY
        AS u(who, entry, amount, source, actor, key, request, metadata, n)
      WHERE p_accounts[u.who] IS NOT NULL
      WINDOW w AS (PARTITION BY u.who ORDER BY u.n)
    ) d ORDER BY d.n RETURNING id, environment_id, account_id, sequence, amount_mc, source_type,
      source_id, balance_after_mc, effective_after_mc, occurred_at
  ), told AS (
    INSERT INTO customers_untold_debit (
      environment_id, customer_id, sequence, entry_id, amount_mc, source_type, source_id, balance_mc, reserved_mc,
      occurred_at)
    SELECT n.environment_id, n.account_id, n.sequence, n.id, -n.amount_mc, n.source_type, n.source_id, n.balance_after_mc,
      n.balance_after_mc - n.effective_after_mc, n.occurred_at
    FROM entries n WHERE p_tells
  ), blocks AS (
    UPDATE billing_credit_block b SET
      remaining_mc = b.remaining_mc - v.totals[t.who],
      state = CASE WHEN b.remaining_mc = v.totals[t.who] THEN 'spent' ELSE b.state END
    FROM unnest(v.blocks) WITH ORDINALITY AS t(block, who) WHERE b.id = t.block
  )
  UPDATE billing_credit_account a SET
    balance_mc = a.balance_mc - v.totals[t.who], sequence = a.sequence + v.entries[t.who],
    version = a.version + v.entries[t.who], last_entry_at = p_instants[t.who]
  FROM unnest(p_accounts) WITH ORDINALITY AS t(account, who)
  WHERE a.customer_id = t.account AND a.environment_id = p_environment
    AND a.sequence = p_sequences[t.who] AND a.balance_mc = p_balances[t.who] AND a.reserved_mc = p_reserved[t.who];
  GET DIAGNOSTICS v_written = ROW_COUNT;
  IF v_written <> v.accounts THEN
    PERFORM billing_require(false, 'debits of accounts that are not as they were said to be');
  END IF;
  RETURN true;
END $$;

-- Debit accounts that the caller has locked, settled and asked already: each array holds one element a debit, in the
-- order in which they are to have happened. What was not asked for properly is refused as a whole.
--
-- Set-based for accounts on which nothing but numbers changes. Those where a debit may ring (low balance, auto-topup,
-- overage), and those with credits for certain metrics, are debited one by one by the same code as a single debit.
CREATE OR REPLACE FUNCTION billing_debit_many(
  p_accounts uuid[], p_entries uuid[], p_amounts bigint[], p_metrics text[], p_source_type text, p_sources uuid[],
  p_actors text[], p_keys text[], p_requests text[], p_metadata jsonb[], p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v record;
BEGIN
  WITH t AS (
    SELECT d.account, sum(d.amount)::bigint AS total, (array_agg(d.amount ORDER BY d.n))[1] AS first, min(d.amount) AS least
    FROM unnest(p_accounts, p_amounts) WITH ORDINALITY AS d(account, amount, n) GROUP BY d.account
  ), s AS (
    SELECT t.*, a.environment_id, a.sequence, a.balance_mc, a.reserved_mc, billing_account_now(a, p_now) AS at,
      a.has_scoped_blocks, a.low_balance_told AS told, a.auto_topup_at_mc AS topup_at, a.topup_is_requested AS requested,
      e.tells_consumption AS tells, a.low_balance_at_mc AS threshold, c.overage_policy AS policy,
      c.overage_limit_mc AS overage_limit, a.balance_mc - a.reserved_mc AS effective,
      billing_debit_spare(a) AS spare
    FROM t JOIN billing_credit_account a ON a.customer_id = t.account JOIN customers_customer c ON c.id = t.account
      JOIN customers_environment e ON e.id = a.environment_id
    ORDER BY t.account
  )
  SELECT
    count(*) = (SELECT count(*) FROM t)
      AND bool_and(least > 0 AND billing_debit_allowed(policy, overage_limit, effective, total, 0)) AS is_sound,
    array_agg(account ORDER BY account) FILTER (WHERE
      has_scoped_blocks
      OR CASE WHEN told THEN effective - first >= threshold + greatest(threshold / 10, 1)
           ELSE effective - total <= threshold END
      OR CASE WHEN requested THEN effective - first > topup_at ELSE effective - total <= topup_at END
      OR policy = 'notify' AND effective < total) AS single,
    bool_and(total <= spare) AS are_plain,
    array_agg(account) AS accounts, (array_agg(environment_id))[1] AS environment, array_agg(sequence) AS sequences,
    array_agg(balance_mc) AS balances, array_agg(reserved_mc) AS reserved, array_agg(spare) AS spares,
    array_agg(at) AS instants, bool_or(tells) AS tells
    INTO v FROM s;
  PERFORM billing_require(v.is_sound, 'debits that the policy does not allow');
  IF v.single IS NOT NULL THEN
    PERFORM billing_debit_each(v.single, p_accounts, p_entries, p_amounts, p_metrics, p_source_type, p_sources, p_actors,
      p_keys, p_requests, p_metadata, p_now);
    IF p_accounts <@ v.single THEN
      RETURN;
    END IF;
  ELSIF v.are_plain AND billing_debit_plain(
    v.environment, v.tells, v.accounts, v.sequences, v.balances, v.reserved, v.spares, v.instants,
    ARRAY(SELECT dense_rank() OVER (ORDER BY d.account)::integer FROM unnest(p_accounts) WITH ORDINALITY AS d(account, n)
      ORDER BY d.n),
    p_entries, p_amounts, p_source_type, p_sources, p_actors, p_keys, p_requests, p_metadata)
  THEN
    RETURN;
  END IF;
  WITH d AS MATERIALIZED (
    SELECT u.*, (sum(u.amount) OVER w)::bigint AS upto, row_number() OVER w AS nth
    FROM unnest(p_accounts, p_entries, p_amounts, p_sources, p_actors, p_keys, p_requests, p_metadata) WITH ORDINALITY
      AS u(account, entry, amount, source, actor, key, request, metadata, n)
    WHERE v.single IS NULL OR u.account <> ALL (v.single)
    WINDOW w AS (PARTITION BY u.account ORDER BY u.n)
  ), t AS MATERIALIZED (
    SELECT a.customer_id AS account, a.environment_id, a.balance_mc, a.reserved_mc, a.sequence, s.total, s.entries,
      billing_account_now(a, p_now) AS at
    FROM (SELECT d.account, sum(d.amount)::bigint AS total, count(*) AS entries FROM d GROUP BY d.account) s
    JOIN billing_credit_account a ON a.customer_id = s.account
  ), f AS MATERIALIZED (
    -- Eight blocks are nearly always enough; adding up all of an account with a thousand would cost a thousand times more.
    SELECT t.*, b.block, (sum(b.free) OVER w - b.free)::bigint AS lo, (sum(b.free) OVER w)::bigint AS hi,
      sum(b.free) OVER (PARTITION BY t.account) >= t.total AS suffices
    FROM t CROSS JOIN LATERAL (SELECT * FROM billing_blocks_burning(t.account, t.at) LIMIT 8) b
    WINDOW w AS (PARTITION BY t.account ORDER BY b.place)
  ), r AS MATERIALIZED (
    SELECT f.account, f.environment_id, f.balance_mc, f.reserved_mc, f.sequence, f.at, f.block, f.lo,
      least(f.hi, f.total) AS hi
    FROM f WHERE f.suffices AND f.lo < f.total
    UNION ALL
    SELECT t.account, t.environment_id, t.balance_mc, t.reserved_mc, t.sequence, t.at, p.block, p.lo, p.hi
    FROM t CROSS JOIN LATERAL billing_debit_ranges(t.account, t.total, t.at) p
    WHERE NOT EXISTS (SELECT FROM f WHERE f.account = t.account AND f.suffices)
  ), e AS (
    -- Both have the same accounts. The planner, who takes arrays for short, would compare each debit with each range; a
    -- full join it must hash or sort.
    SELECT d.n, d.nth, d.entry, d.account, d.amount, d.upto, d.source, d.actor, d.key, d.request, d.metadata,
      r.environment_id, r.balance_mc, r.reserved_mc, r.sequence, r.at,
      array_agg(r.block ORDER BY r.lo) FILTER (WHERE r.hi > d.upto - d.amount AND r.lo < d.upto) AS blocks,
      array_agg(greatest(r.lo, d.upto - d.amount) - least(r.hi, d.upto) ORDER BY r.lo)
        FILTER (WHERE r.hi > d.upto - d.amount AND r.lo < d.upto) AS amounts
    FROM d FULL JOIN r ON r.account = d.account
    GROUP BY d.n, d.nth, d.entry, d.account, d.amount, d.upto, d.source, d.actor, d.key, d.request, d.metadata,
      r.environment_id, r.balance_mc, r.reserved_mc, r.sequence, r.at
  ), entries AS (
    INSERT INTO billing_ledger_entry (
      id, environment_id, account_id, sequence, kind, amount_mc, block_ids, block_amounts, balance_after_mc,
      effective_after_mc, source_type, source_id, actor, reason, idempotency_key, request_id, metadata, occurred_at)
    SELECT e.entry, e.environment_id, e.account, e.sequence + e.nth, 'debit', -e.amount, e.blocks, e.amounts,
      e.balance_mc - e.upto, e.balance_mc - e.upto - e.reserved_mc, p_source_type, e.source, e.actor, '', e.key,
      coalesce(e.request, ''), e.metadata, e.at
    FROM e ORDER BY e.n RETURNING id, environment_id, account_id, sequence, amount_mc, source_type,
      source_id, balance_after_mc, effective_after_mc, occurred_at
  ), told AS (
    INSERT INTO customers_untold_debit (
      environment_id, customer_id, sequence, entry_id, amount_mc, source_type, source_id, balance_mc, reserved_mc,
      occurred_at)
    SELECT n.environment_id, n.account_id, n.sequence, n.id, -n.amount_mc, n.source_type, n.source_id, n.balance_after_mc,
      n.balance_after_mc - n.effective_after_mc, n.occurred_at
    FROM entries n WHERE v.tells
  ), blocks AS (
    UPDATE billing_credit_block b
      SET remaining_mc = b.remaining_mc - (r.hi - r.lo),
          state = CASE WHEN b.remaining_mc = r.hi - r.lo THEN 'spent' ELSE b.state END
      FROM r WHERE b.id = r.block
  )
  UPDATE billing_credit_account a SET
    balance_mc = a.balance_mc - t.total, sequence = a.sequence + t.entries, version = a.version + t.entries,
    last_entry_at = t.at, overdraft_mc = a.overdraft_mc + coalesce(o.amount, 0)
  FROM t LEFT JOIN (SELECT r.account, r.hi - r.lo AS amount FROM r WHERE r.block IS NULL) o ON o.account = t.account
  WHERE a.customer_id = t.account;
END $$;

-- The debits of `p_only` among many, one by one.
CREATE OR REPLACE FUNCTION billing_debit_each(
  p_only uuid[], p_accounts uuid[], p_entries uuid[], p_amounts bigint[], p_metrics text[], p_source_type text,
  p_sources uuid[], p_actors text[], p_keys text[], p_requests text[], p_metadata jsonb[], p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  a billing_credit_account;
  d record;
  v_policy text;
  v_limit bigint;
  v_plan record;
BEGIN
  FOR d IN
    SELECT * FROM unnest(p_accounts, p_entries, p_amounts, p_metrics, p_sources, p_actors, p_keys, p_requests, p_metadata)
      WITH ORDINALITY AS u(account, entry, amount, metric, source, actor, key, request, metadata, n)
    WHERE u.account = ANY (p_only) ORDER BY u.account, u.n
  LOOP
    IF a.customer_id IS DISTINCT FROM d.account THEN
      SELECT * INTO a FROM billing_credit_account WHERE customer_id = d.account;
      SELECT overage_policy, overage_limit_mc INTO v_policy, v_limit FROM customers_customer WHERE id = d.account;
    END IF;
    SELECT * INTO v_plan FROM billing_blocks_plan(d.account, d.amount, d.metric, billing_account_now(a, p_now));
    PERFORM billing_require(billing_debit_allowed(v_policy, v_limit, a.balance_mc - a.reserved_mc, d.amount,
      v_plan.missing), 'debits that the policy does not allow');
    a := billing_debit_book(a, d.entry, 'debit', d.amount, v_plan.blocks, v_plan.amounts, v_plan.missing, v_policy,
      ROW(p_source_type, d.source, d.actor, '', d.key, d.request, d.metadata)::billing_cause, billing_account_now(a, p_now));
    a := billing_account_store(a, a.last_entry_at);
  END LOOP;
END $$;
