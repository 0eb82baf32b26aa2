-- For sweepers, which work in all environments.

-- Payments whose provider is to be asked again what became of them. By the wall clock, so clocked environments too.
CREATE OR REPLACE FUNCTION billing_payments_due_v1(p_wall timestamptz, p_most bigint)
RETURNS TABLE (environment_id uuid, payment_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT p.environment_id, p.id FROM billing_payment p
  WHERE p.ask_again_at <= p_wall
  ORDER BY p.ask_again_at LIMIT p_most
$$;

-- Invoices that are to be charged now. One whose payment is under way waits for that; clocked environments are left to
-- their clock.
CREATE OR REPLACE FUNCTION billing_charges_due_v1(p_now timestamptz, p_most bigint)
RETURNS TABLE (environment_id uuid, invoice_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT i.environment_id, i.id FROM billing_invoice i
  JOIN customers_environment e ON e.id = i.environment_id
  WHERE i.next_charge_at <= p_now AND i.status = 'issued' AND e.frozen_at IS NULL
    AND NOT EXISTS (
      SELECT FROM billing_payment p WHERE p.environment_id = i.environment_id AND p.invoice_id = i.id
        AND p.status IN ('pending', 'processing', 'requires_action'))
  ORDER BY i.next_charge_at, i.id LIMIT p_most
$$;

-- Credit notes whose money is not on its way back yet.
CREATE OR REPLACE FUNCTION billing_refunds_due_v1(p_wall timestamptz, p_most bigint)
RETURNS TABLE (environment_id uuid, credit_note_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT c.environment_id, c.id FROM billing_credit_note c
  WHERE c.refund_status = 'pending' AND c.refund_ask_at <= p_wall ORDER BY c.refund_ask_at LIMIT p_most
$$;

ALTER FUNCTION billing_payments_due_v1(timestamptz, bigint) OWNER TO purser_kernel;
ALTER FUNCTION billing_charges_due_v1(timestamptz, bigint) OWNER TO purser_kernel;
ALTER FUNCTION billing_refunds_due_v1(timestamptz, bigint) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION billing_payments_due_v1(timestamptz, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION billing_charges_due_v1(timestamptz, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION billing_refunds_due_v1(timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION billing_payments_due_v1(timestamptz, bigint) TO purser_app;
GRANT EXECUTE ON FUNCTION billing_charges_due_v1(timestamptz, bigint) TO purser_app;
GRANT EXECUTE ON FUNCTION billing_refunds_due_v1(timestamptz, bigint) TO purser_app;
