-- Void an event: it stays, with the trace that it no longer counts. In the transaction that refunded what it cost.
--
-- status: voided | voided-already | not-found | catch-up-due.
CREATE OR REPLACE FUNCTION metering_event_void_v1(
  p_environment uuid, p_event uuid, p_reason text, p_refunded bigint, p_refund_entry uuid, p_actor text, p_request text,
  p_now timestamptz, OUT status text, OUT customer_id uuid
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  e metering_usage_event;
  a billing_credit_account;
  v_now timestamptz;
BEGIN
  SELECT * INTO e FROM metering_usage_event t WHERE t.id = p_event AND t.environment_id = p_environment;
  IF NOT FOUND THEN
    status := 'not-found';
    RETURN;
  END IF;
  customer_id := e.customer_id;
  a := billing_account_lock(p_environment, e.customer_id, p_now);
  v_now := billing_account_now(a, p_now);
  IF a.catch_up_at <= v_now THEN
    status := 'catch-up-due';
    RETURN;
  END IF;
  INSERT INTO metering_event_void (
    event_id, environment_id, customer_id, reason, refunded_mc, refund_entry_id, actor, request_id, voided_at
  ) VALUES (
    p_event, p_environment, e.customer_id, p_reason, p_refunded, p_refund_entry, p_actor, p_request, v_now
  ) ON CONFLICT (event_id) DO NOTHING;
  IF NOT FOUND THEN
    status := 'voided-already';
    RETURN;
  END IF;
  status := 'voided';
  -- The counter of the rule that counted it goes back by it; one of another rule may have counted it or not, and is
  -- added up anew when next asked for.
  UPDATE metering_cycle_counter c SET
      rule_id = CASE WHEN c.rule_id = e.rule_id THEN c.rule_id ELSE '00000000-0000-0000-0000-000000000000' END,
      units = c.units - e.units, charged_mc = c.charged_mc - e.cost_mc
    WHERE c.customer_id = e.customer_id AND c.metric_id = e.metric_id
      AND c.cycle_started_at = metering_cycle_start(a, v_now) AND e.received_at >= c.cycle_started_at
      AND (c.dimension = '' OR c.value = metering_dimension_value(e.properties -> c.dimension));
END $$;
