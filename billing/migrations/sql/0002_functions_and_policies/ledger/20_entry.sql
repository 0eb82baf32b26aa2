-- Append one entry to the ledger; `a` is the account as it is after the movement, with its new sequence.
CREATE OR REPLACE FUNCTION billing_entry_append(
  a billing_credit_account, p_entry uuid, p_kind text, p_amount bigint, p_blocks uuid[], p_amounts bigint[],
  p_cause billing_cause, p_reverses uuid DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO billing_ledger_entry (
    id, environment_id, account_id, sequence, kind, amount_mc, block_ids, block_amounts, balance_after_mc,
    effective_after_mc, source_type, source_id, reverses_id, actor, reason, idempotency_key, request_id, metadata,
    occurred_at
  ) VALUES (
    p_entry, a.environment_id, a.customer_id, a.sequence, p_kind, p_amount, p_blocks, p_amounts, a.balance_mc,
    a.balance_mc - a.reserved_mc, p_cause.source_type, p_cause.source_id, p_reverses, p_cause.actor,
    coalesce(p_cause.reason, ''), p_cause.idempotency_key, coalesce(p_cause.request_id, ''), p_cause.metadata,
    a.last_entry_at
  );
END $$;
