-- Void what has not started yet: blocks dated into the future will not start. Nothing was booked, so nothing is booked.
CREATE OR REPLACE FUNCTION billing_pending_blocks_void_v1(
  p_environment uuid, p_account uuid, p_now timestamptz, OUT blocks uuid[], OUT credits bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  a billing_credit_account := billing_account_lock(p_environment, p_account, p_now);
  v_now timestamptz := billing_account_now(a, p_now);
BEGIN
  WITH voided AS (
    UPDATE billing_credit_block SET state = 'voided', voided_at = v_now
      WHERE account_id = p_account AND state = 'pending' RETURNING id, original_mc)
  SELECT coalesce(array_agg(id ORDER BY id), '{}'), coalesce(sum(original_mc), 0)::bigint INTO blocks, credits FROM voided;
END $$;
