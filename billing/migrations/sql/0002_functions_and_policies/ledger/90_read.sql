-- Reads that are right at `p_now` even when no sweeper has run, and for any instant to come, and write nothing: where
-- something is due, the very code that would do it runs in a subtransaction that is rolled back.

-- Lock an account and bring it up to `p_now` as if no work of higher apps was due. To look ahead, and then undo.
CREATE OR REPLACE FUNCTION billing_account_look(p_environment uuid, p_account uuid, p_now timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
BEGIN
  IF a.next_change_at <= p_now THEN
    a := billing_account_store(billing_account_settle(a, p_now), p_now);
  END IF;
  RETURN a;
END $$;

-- An account as it is at `p_now`; all NULL when nothing has moved yet. Where a higher app's work is due by then, that is
-- for the caller to see (`catch_up_at`): it can only tell what is known.
CREATE OR REPLACE FUNCTION billing_account_at(p_environment uuid, p_account uuid, p_now timestamptz)
RETURNS billing_credit_account LANGUAGE plpgsql AS $$
DECLARE a billing_credit_account;
BEGIN
  SELECT * INTO a FROM billing_credit_account WHERE customer_id = p_account AND environment_id = p_environment;
  IF a.next_change_at <= p_now THEN
    BEGIN
      a := billing_account_look(p_environment, p_account, p_now);
      RAISE EXCEPTION 'undo' USING ERRCODE = 'PU000';
    EXCEPTION WHEN SQLSTATE 'PU000' THEN
      NULL;
    END;
  END IF;
  RETURN a;
END $$;

-- Free credits that a metric may burn. Only accounts with blocks for certain metrics need to add them up.
CREATE OR REPLACE FUNCTION billing_free_for_metric(p_account uuid, p_metric text, p_now timestamptz)
RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(b.remaining_mc - b.held_mc), 0)::bigint FROM billing_credit_block b
  WHERE b.account_id = p_account AND b.state = 'live' AND (b.expires_at IS NULL OR b.expires_at > p_now)
    AND (b.metric_keys IS NULL OR p_metric = ANY (b.metric_keys))
$$;

-- Blocks as JSON: the live ones in burn order, then, with `p_all`, the others, newest first.
CREATE OR REPLACE FUNCTION billing_blocks_json(p_account uuid, p_all boolean)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(to_jsonb(b) ORDER BY b.state = 'live' DESC,
      CASE WHEN b.state = 'live' THEN -b.priority END, CASE WHEN b.state = 'live' THEN b.expires_at END,
      CASE WHEN b.state = 'live' THEN b.is_paid END, CASE WHEN b.state = 'live' THEN b.created_at END,
      CASE WHEN b.state = 'live' THEN b.id END, b.id DESC), '[]')
  FROM billing_credit_block b
  WHERE b.account_id = p_account AND (p_all OR b.state = 'live')
$$;

-- A customer's balance, and if wanted blocks (`p_include`: none | live | all), at `p_at`, which is `p_now` or later.
--
-- status: found | customer-not-found | catch-up-due (by `p_now`; NULL: what is known so far will do. What comes after it
-- nobody can know yet).
CREATE OR REPLACE FUNCTION billing_credits_read_v1(
  p_environment uuid, p_by text, p_reference text, p_include text, p_at timestamptz, p_now timestamptz,
  OUT status text, OUT customer uuid, OUT public_id text, OUT external_id text, OUT balance bigint, OUT reserved bigint,
  OUT lifetime_earned bigint, OUT version bigint, OUT blocks text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE a billing_credit_account;
BEGIN
  customer := customers_customer_find(p_environment, p_by, p_reference);
  SELECT c.public_id, c.external_id INTO public_id, external_id FROM customers_customer c WHERE c.id = customer;
  SELECT * INTO a FROM billing_credit_account t WHERE t.customer_id = customer AND t.environment_id = p_environment;
  status := CASE
    WHEN customer IS NULL THEN 'customer-not-found'
    WHEN a.catch_up_at <= p_now THEN 'catch-up-due'
    ELSE 'found' END;
  IF status <> 'found' THEN
    RETURN;
  END IF;
  IF a.next_change_at <= p_at THEN
    BEGIN
      a := billing_account_look(p_environment, customer, p_at);
      blocks := CASE WHEN p_include <> 'none' THEN billing_blocks_json(customer, p_include = 'all')::text END;
      RAISE EXCEPTION 'undo' USING ERRCODE = 'PU000';
    EXCEPTION WHEN SQLSTATE 'PU000' THEN
      NULL;
    END;
  ELSIF p_include <> 'none' THEN
    blocks := billing_blocks_json(customer, p_include = 'all')::text;
  END IF;
  balance := coalesce(a.balance_mc, 0);
  reserved := coalesce(a.reserved_mc, 0);
  lifetime_earned := coalesce(a.lifetime_earned_mc, 0);
  version := coalesce(a.version, 0);
END $$;

-- For sweepers, which work in all environments: accounts on which something is due that waits for nothing else. Clocked
-- environments are left to their clock.
CREATE OR REPLACE FUNCTION billing_accounts_due_v1(p_now timestamptz, p_most bigint)
RETURNS TABLE (environment_id uuid, account_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT a.environment_id, a.customer_id FROM billing_credit_account a
  JOIN customers_environment e ON e.id = a.environment_id
  WHERE a.next_change_at <= p_now AND (a.catch_up_at IS NULL OR a.next_change_at < a.catch_up_at)
    AND e.frozen_at IS NULL
  ORDER BY a.next_change_at LIMIT p_most FOR NO KEY UPDATE OF a SKIP LOCKED
$$;

-- Lock one account, making it at first touch, and do what is due on it. status: settled | catch-up-due (settled to just
-- before that).
CREATE OR REPLACE FUNCTION billing_account_settle_v1(
  p_environment uuid, p_account uuid, p_now timestamptz, OUT status text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
BEGIN
  status := CASE WHEN a.catch_up_at <= billing_account_now(a, p_now) THEN 'catch-up-due' ELSE 'settled' END;
END $$;
