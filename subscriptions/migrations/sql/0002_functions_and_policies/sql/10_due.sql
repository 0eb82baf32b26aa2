-- Subscriptions on which something is due, in all environments without a clock of their own, the longest due first; the
-- next page begins after the last one's instant and id. Only a list: who works on one locks its account first, and
-- looks again.
CREATE OR REPLACE FUNCTION subscriptions_due_v1(
  p_now timestamptz, p_after_at timestamptz, p_after_id uuid, p_most bigint
)
RETURNS TABLE (environment_id uuid, subscription_id uuid, customer_id uuid, due_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT s.environment_id, s.id, s.customer_id, s.next_due_at FROM subscriptions_subscription s
  JOIN customers_environment e ON e.id = s.environment_id
  WHERE s.next_due_at <= p_now AND (s.next_due_at, s.id) > (p_after_at, p_after_id)
    AND s.failed_at IS NULL AND e.frozen_at IS NULL
  ORDER BY s.next_due_at, s.id LIMIT p_most
$$;

ALTER FUNCTION subscriptions_due_v1(timestamptz, timestamptz, uuid, bigint) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION subscriptions_due_v1(timestamptz, timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION subscriptions_due_v1(timestamptz, timestamptz, uuid, bigint) TO purser_app;
