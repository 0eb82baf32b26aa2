-- The ledger kernel: the only code that writes credit accounts, blocks, entries and holds.
--
-- Every public function locks one account first, brings it up to date, decides, writes, all in one round trip.
-- Times come in as parameters (test clocks); amounts are millicredits. Functions without a version in their name are
-- the kernel's own and cannot be called from outside.

-- Why something moved: the one thing that caused it, who asked, and under which key.
DO $$ BEGIN
  IF to_regtype('billing_cause') IS NULL THEN
    CREATE TYPE billing_cause AS (
      source_type text, source_id uuid, actor text, reason text, idempotency_key text, request_id text, metadata jsonb
    );
  END IF;
END $$;

-- Lock an account, making it at first touch, and bring it up to `p_now`, or to just before `catch_up_at`, when the work
-- of a higher app is due first: what dies at that very instant is still there for it. The lock is a statement of its
-- own: what is read afterwards is then read under it.
CREATE OR REPLACE FUNCTION billing_account_lock(p_environment uuid, p_account uuid, p_now timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE
  a billing_credit_account;
  v_until timestamptz;
BEGIN
  SELECT * INTO a FROM billing_credit_account WHERE customer_id = p_account FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    INSERT INTO billing_credit_account (customer_id, environment_id, low_balance_at_mc)
      SELECT c.id, c.environment_id, c.low_balance_threshold_mc FROM customers_customer c
      WHERE c.id = p_account AND c.environment_id = p_environment
      ON CONFLICT DO NOTHING;
    SELECT * INTO a FROM billing_credit_account WHERE customer_id = p_account FOR NO KEY UPDATE;
  END IF;
  IF a.environment_id IS DISTINCT FROM p_environment THEN
    RAISE EXCEPTION 'no credit account % in environment %', p_account, p_environment USING ERRCODE = 'PU404';
  END IF;
  IF a.next_change_at <= p_now THEN
    v_until := least(p_now, a.catch_up_at - interval '1 microsecond');
    IF a.next_change_at <= v_until THEN
      a := billing_account_store(billing_account_settle(a, v_until), v_until);
    END IF;
  END IF;
  RETURN a;
END $$;

-- The account's own clock never goes backwards: two processes' clocks may differ by some milliseconds. Entries move it,
-- and so do beginnings and ends of holds, so that what was held when an entry was made can be told from their instants.
CREATE OR REPLACE FUNCTION billing_account_now(a billing_credit_account, p_now timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT greatest(p_now, a.last_entry_at) $$;

-- Do what is due by `p_now`, each thing at its own instant, in the order: ends of holds, expiry, start of blocks.
CREATE OR REPLACE FUNCTION billing_account_settle(a billing_credit_account, p_now timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE v_due timestamptz := a.next_change_at;
BEGIN
  WHILE v_due <= p_now LOOP
    a := billing_holds_expire(a, v_due);
    a := billing_blocks_expire(a, v_due);
    a := billing_blocks_start(a, v_due);
    v_due := billing_next_change(a.customer_id, v_due);
  END LOOP;
  a.next_change_at := v_due;
  RETURN a;
END $$;

-- A hold counts, and can be committed, this long after its `expires_at` (spec section 8).
CREATE OR REPLACE FUNCTION billing_hold_grace() RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT interval '5 seconds' $$;

-- The first instant after `p_after` at which time alone changes this account.
CREATE OR REPLACE FUNCTION billing_next_change(p_account uuid, p_after timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT least(
    (SELECT min(expires_at) FROM billing_credit_block
      WHERE account_id = p_account AND state = 'live' AND expires_at > p_after),
    (SELECT min(effective_at) FROM billing_credit_block
      WHERE account_id = p_account AND state = 'pending' AND effective_at > p_after),
    (SELECT min(expires_at) + billing_hold_grace() FROM billing_hold
      WHERE account_id = p_account AND state = 'active' AND expires_at > p_after - billing_hold_grace()))
$$;

-- Write the account back, and say when its effective balance falls to its threshold: once per crossing, and again only
-- after it has been a tenth above the threshold in between, so that holds coming and going do not ring. Returns the
-- account as stored: whoever stores it twice in one call must not ring twice.
CREATE OR REPLACE FUNCTION billing_account_store(a billing_credit_account, p_now timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE v_effective bigint := a.balance_mc - a.reserved_mc;
BEGIN
  IF a.low_balance_at_mc IS NOT NULL THEN
    IF v_effective <= a.low_balance_at_mc AND NOT a.low_balance_told THEN
      a.low_balance_told := true;
      PERFORM customers_event_emit(a.environment_id, a.customer_id, 'credit.balance_low', jsonb_build_object(
        'balance', a.balance_mc, 'reserved_balance', a.reserved_mc, 'effective_balance', v_effective,
        'threshold', a.low_balance_at_mc), p_now);
    ELSIF v_effective >= a.low_balance_at_mc + greatest(a.low_balance_at_mc / 10, 1) THEN
      a.low_balance_told := false;
    END IF;
  END IF;
  IF a.auto_topup_at_mc IS NOT NULL THEN
    a := billing_auto_topup_watch(a, p_now);
  END IF;
  a.version := a.version + 1;
  UPDATE billing_credit_account SET
    balance_mc = a.balance_mc, reserved_mc = a.reserved_mc, overdraft_mc = a.overdraft_mc,
    lifetime_earned_mc = a.lifetime_earned_mc, sequence = a.sequence, version = a.version,
    last_entry_at = a.last_entry_at, next_change_at = a.next_change_at, low_balance_told = a.low_balance_told,
    has_scoped_blocks = a.has_scoped_blocks, topup_is_requested = a.topup_is_requested
  WHERE customer_id = a.customer_id;
  RETURN a;
END $$;

-- Amounts of operations are positive, whoever calls: a negative debit would be a grant that no block knows of.
CREATE OR REPLACE FUNCTION billing_require(p_sound boolean, p_what text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF p_sound IS NOT TRUE THEN
    RAISE EXCEPTION 'the ledger refuses %', p_what USING ERRCODE = 'PU422';
  END IF;
END $$;

-- The largest balance an account can hold, in mc: every integer up to here is exact in JavaScript.
CREATE OR REPLACE FUNCTION billing_balance_max() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 9000000000000000 $$;

-- How much may still come in. Blocks that start later count already: when their time has come it is too late to refuse.
CREATE OR REPLACE FUNCTION billing_balance_room(a billing_credit_account) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT billing_balance_max() - a.balance_mc - coalesce((
    SELECT sum(original_mc) FROM billing_credit_block WHERE account_id = a.customer_id AND state = 'pending'), 0)::bigint
$$;
