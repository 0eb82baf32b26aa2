-- Refuses a block whose numbers or terms do not fit, whoever writes it. A trigger where other tables have checks: PostgreSQL
-- reads a check's text anew in each statement that writes to the table, and those of a block were a sixth of a debit. Each
-- refusal names its rule as a check would.
CREATE OR REPLACE FUNCTION billing_block_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- A live block that is not all held, as nearly always: each comparison more would be a three-hundredth of a debit.
  IF NEW.state = 'live' AND NEW.held_mc >= 0 AND NEW.remaining_mc > NEW.held_mc AND NEW.remaining_mc <= NEW.original_mc
    AND NEW.voided_at IS NULL AND (NEW.expires_at > NEW.effective_at) IS NOT FALSE
  THEN
    RETURN NULL;
  ELSIF NEW.held_mc BETWEEN 0 AND NEW.remaining_mc AND NEW.remaining_mc <= NEW.original_mc
    AND (NEW.remaining_mc > 0) = (NEW.state = 'live') AND (NEW.voided_at IS NOT NULL) = (NEW.state = 'voided')
    AND (NEW.expires_at > NEW.effective_at) IS NOT FALSE
  THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'block % is impossible', NEW.id USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, CONSTRAINT = CASE
    WHEN NEW.held_mc NOT BETWEEN 0 AND NEW.remaining_mc THEN 'block_held_is_between_zero_and_remaining'
    WHEN NEW.remaining_mc > NEW.original_mc THEN 'block_remaining_is_between_zero_and_original'
    WHEN (NEW.remaining_mc > 0) <> (NEW.state = 'live') THEN 'block_is_live_while_something_remains'
    WHEN (NEW.voided_at IS NOT NULL) <> (NEW.state = 'voided') THEN 'a_block_that_was_voided_says_when'
    ELSE 'block_expires_after_it_starts' END;
END $$;
