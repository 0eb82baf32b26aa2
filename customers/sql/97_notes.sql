-- A note stays as it was written: until it is withdrawn, once, its pin alone moves. With that its text goes.
CREATE OR REPLACE FUNCTION customers_note_guard() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    v_moves text[] := ARRAY['is_pinned'];
BEGIN
    IF OLD.withdrawn_at IS NOT NULL THEN
        RAISE EXCEPTION 'the note % is withdrawn', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.withdrawn_at IS NOT NULL THEN
        v_moves := v_moves || ARRAY['text', 'withdrawn_at', 'withdrawn_by', 'withdrawal_reason'];
    END IF;
    IF to_jsonb(NEW) - v_moves <> to_jsonb(OLD) - v_moves THEN
        RAISE EXCEPTION 'the note % stays as it was written', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

ALTER FUNCTION customers_note_guard() OWNER TO purser_kernel;
