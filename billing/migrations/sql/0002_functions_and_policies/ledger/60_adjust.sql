-- Correct a balance by `p_delta`, which is not 0: up repays overdraft and leaves the rest as a block `adjustment`; down
-- drains in burn order, whatever the blocks are for.
--
-- status: adjusted | insufficient | balance-too-large | catch-up-due.
CREATE OR REPLACE FUNCTION billing_credits_adjust_v1(
  p_environment uuid, p_account uuid, p_delta bigint, p_block uuid, p_source_type text, p_source_id uuid, p_actor text,
  p_reason text, p_key text, p_request text, p_metadata jsonb, p_now timestamptz, OUT status text, OUT entry_id uuid
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM billing_require(p_delta <> 0, 'an adjustment of nothing');
  IF p_delta < 0 THEN
    SELECT d.status, d.entry_id INTO status, entry_id
      FROM billing_credits_debit_v1(p_environment, p_account, 'adjust', -p_delta, NULL, p_source_type, p_source_id,
        p_actor, p_reason, p_key, p_request, p_metadata, p_now) d;
  ELSE
    SELECT g.status, g.entry_id INTO status, entry_id
      FROM billing_credits_grant_v1(p_environment, p_account, p_block, 'adjust', p_delta, 0, NULL, NULL, NULL,
        'adjustment', NULL, NULL, p_metadata, p_source_type, p_source_id, p_actor, p_reason, p_key, p_request, p_now) g;
  END IF;
  status := CASE WHEN status IN ('debited', 'granted') THEN 'adjusted' ELSE status END;
END $$;
