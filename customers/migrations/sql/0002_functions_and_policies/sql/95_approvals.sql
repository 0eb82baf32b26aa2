-- A request for approval stays as it was made. The one change it knows is the decision, once.
CREATE OR REPLACE FUNCTION customers_approval_guard() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    v_decision text[] := ARRAY['state', 'decider_id', 'decided_by', 'decided_at', 'decision_reason', 'result'];
BEGIN
    IF OLD.state <> 'pending' THEN
        RAISE EXCEPTION 'the approval % is decided', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF to_jsonb(NEW) - v_decision <> to_jsonb(OLD) - v_decision THEN
        RAISE EXCEPTION 'what the approval % asks for stays', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

ALTER FUNCTION customers_approval_guard() OWNER TO purser_kernel;

-- For the sweep, which works in all environments: requests that nobody decided in time.
CREATE OR REPLACE FUNCTION customers_approvals_due_v1(p_now timestamptz, p_most bigint)
RETURNS TABLE (environment_id uuid, approval_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT a.environment_id, a.id FROM customers_approval a
    WHERE a.state = 'pending' AND a.expires_at <= p_now
    ORDER BY a.expires_at LIMIT p_most
$$;

ALTER FUNCTION customers_approvals_due_v1(timestamptz, bigint) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_approvals_due_v1(timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_approvals_due_v1(timestamptz, bigint) TO purser_app;
