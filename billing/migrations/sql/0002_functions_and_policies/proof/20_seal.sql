-- Seal up to `p_most` entries that were not sealed yet, and say how many that were: 0 when nothing is left.
--
-- The watermark is each account's own sequence. Sequences are given under the account's lock and stored with it, so an
-- account's row that can be seen proves that all its entries up to there can be seen, whatever committed late.
CREATE OR REPLACE FUNCTION billing_ledger_seal_v1(p_environment uuid, p_most bigint, p_now timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  v_previous billing_ledger_seal;
  v_number bigint;
  v_first bigint;
  v_entries bigint;
  v_accounts bigint;
  v_parts bytea;
BEGIN
  -- One sealer at a time; whoever comes second finds less to do.
  PERFORM pg_advisory_xact_lock(hashtextextended('billing_ledger_seal ' || p_environment, 0));
  SELECT * INTO v_previous FROM billing_ledger_seal WHERE environment_id = p_environment ORDER BY number DESC LIMIT 1;
  v_number := coalesce(v_previous.number, 0) + 1;
  v_first := coalesce(v_previous.last_position, 0) + 1;
  WITH moved AS (
    SELECT a.customer_id AS account, coalesce(s.sequence, 0) AS done, a.sequence AS upto,
      sum(a.sequence - coalesce(s.sequence, 0)) OVER (ORDER BY a.customer_id) AS running
    FROM billing_credit_account a LEFT JOIN billing_sealed_account s ON s.account_id = a.customer_id
    WHERE a.environment_id = p_environment AND a.sequence > coalesce(s.sequence, 0)
  ), chosen AS (
    SELECT account, done, least(upto, p_most - (running - (upto - done)) + done) AS upto FROM moved
    WHERE running - (upto - done) < p_most
  ), made AS (
    INSERT INTO billing_ledger_seal_part
      (environment_id, account_id, first_sequence, last_sequence, seal_number, hash, digests)
    SELECT p_environment, c.account, c.done + 1, c.upto, v_number, sha256(d.all_of_them), d.beginnings
    FROM chosen c CROSS JOIN LATERAL (
      SELECT count(*) AS n, string_agg(t.digest, '' ORDER BY t.sequence) AS all_of_them,
        string_agg(substr(t.digest, 1, 8), '' ORDER BY t.sequence) AS beginnings
      FROM (SELECT e.sequence, billing_entry_digest(e) AS digest FROM billing_ledger_entry e
            WHERE e.account_id = c.account AND e.sequence > c.done AND e.sequence <= c.upto) t
    ) d
    WHERE d.n = c.upto - c.done -- an account with a gap is for verify_ledger to report, not to be sealed
    RETURNING account_id, first_sequence, last_sequence, hash
  )
  SELECT count(*), coalesce(sum(last_sequence - first_sequence + 1), 0),
    string_agg(billing_seal_part_digest(account_id, first_sequence, last_sequence, hash), '' ORDER BY account_id)
    INTO v_accounts, v_entries, v_parts FROM made;
  IF v_entries = 0 THEN
    RETURN 0;
  END IF;
  v_previous.hash := coalesce(v_previous.hash, decode(repeat('00', 32), 'hex'));
  INSERT INTO billing_ledger_seal
    (id, environment_id, number, first_position, last_position, accounts, previous_hash, hash, sealed_at)
  VALUES (purser_uuid7(), p_environment, v_number, v_first, v_first + v_entries - 1, v_accounts, v_previous.hash,
    billing_seal_hash(v_previous.hash, p_environment, v_number, v_first, v_first + v_entries - 1, v_accounts, p_now,
      v_parts), p_now);
  INSERT INTO billing_sealed_account (account_id, environment_id, sequence)
    SELECT p.account_id, p_environment, p.last_sequence FROM billing_ledger_seal_part p
    WHERE p.environment_id = p_environment AND p.seal_number = v_number
    ON CONFLICT (account_id) DO UPDATE SET sequence = excluded.sequence;
  RETURN v_entries;
END $$;
