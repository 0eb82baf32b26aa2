-- Customers with periods that are to be invoiced by themselves, in all environments without a clock of their own, the
-- longest due first, each with the earliest instant.
CREATE OR REPLACE FUNCTION subscriptions_invoices_due_v1(p_now timestamptz, p_most bigint)
RETURNS TABLE (environment_id uuid, customer_id uuid, due_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT p.environment_id, s.customer_id, min(p.invoice_due_at) FROM (
    SELECT d.environment_id, d.subscription_id, d.invoice_due_at FROM subscriptions_period d
    JOIN customers_environment e ON e.id = d.environment_id
    WHERE d.invoice_due_at <= p_now AND e.frozen_at IS NULL
    ORDER BY d.invoice_due_at, d.id LIMIT p_most
  ) p JOIN subscriptions_subscription s ON s.id = p.subscription_id
  GROUP BY 1, 2 ORDER BY 3
$$;

ALTER FUNCTION subscriptions_invoices_due_v1(timestamptz, bigint) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION subscriptions_invoices_due_v1(timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION subscriptions_invoices_due_v1(timestamptz, bigint) TO purser_app;
