-- Sealing: a hash chain per environment over finished ledger entries, made off the hot path.
-- Why it is built so: docs/decisions/sealing-the-ledger.md.

-- What is sealed of an entry: every column. Instants are counted in microseconds and jsonb orders its keys, so the text
-- depends on no setting of the session. The 1 is the version of this recipe.
CREATE OR REPLACE FUNCTION billing_entry_digest(e billing_ledger_entry) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT sha256(convert_to(jsonb_build_array(
    1, e.id, e.environment_id, e.account_id, e.sequence, e.kind, e.amount_mc, e.block_ids, e.block_amounts,
    e.balance_after_mc, e.effective_after_mc, e.source_type, e.source_id, e.reverses_id, e.actor, e.reason,
    e.idempotency_key, e.request_id, e.metadata, extract(epoch FROM e.occurred_at), extract(epoch FROM e.created_at)
  )::text, 'UTF8'))
$$;

-- What a seal says of itself and of its parts, given as one string in the order of their accounts.
CREATE OR REPLACE FUNCTION billing_seal_hash(
  p_previous bytea, p_environment uuid, p_number bigint, p_first bigint, p_last bigint, p_accounts bigint,
  p_sealed_at timestamptz, p_parts bytea
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT sha256(p_previous || convert_to(jsonb_build_array(
    1, p_environment, p_number, p_first, p_last, p_accounts, extract(epoch FROM p_sealed_at))::text, 'UTF8') || p_parts)
$$;

-- What a part adds to its seal's hash.
CREATE OR REPLACE FUNCTION billing_seal_part_digest(p_account uuid, p_first bigint, p_last bigint, p_hash bytea)
RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT uuid_send(p_account) || int8send(p_first) || int8send(p_last) || p_hash
$$;
