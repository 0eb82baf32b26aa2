-- Where a customer stands in the current cycle of a metric: units so far, and what they cost.
--
-- A counter row is right for the rule that wrote it. With another rule, or none yet in this cycle, the events are added
-- up once; from then on the row is raised with every event, under the account's lock.

-- The current cycle: the subscription's period, else the UTC calendar month.
CREATE OR REPLACE FUNCTION metering_cycle_start(a billing_credit_account, p_now timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN a.cycle_started_at <= p_now AND p_now < a.cycle_ends_at THEN a.cycle_started_at
    ELSE date_trunc('month', p_now AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' END
$$;

CREATE OR REPLACE FUNCTION metering_counter_read(
  a billing_credit_account, p_customer uuid, p_metric uuid, p_rule uuid, p_dimension text, p_value text,
  p_now timestamptz, OUT units numeric, OUT charged bigint
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE v_cycle timestamptz := metering_cycle_start(a, p_now);
BEGIN
  SELECT c.units, c.charged_mc INTO units, charged FROM metering_cycle_counter c
    WHERE c.customer_id = p_customer AND c.metric_id = p_metric AND c.dimension = p_dimension AND c.value = p_value
      AND c.cycle_started_at = v_cycle AND c.rule_id = p_rule;
  IF NOT FOUND THEN
    SELECT coalesce(sum(greatest(e.units, 0)), 0), coalesce(sum(e.cost_mc), 0)::bigint INTO units, charged
      FROM metering_usage_event e
      WHERE e.customer_id = p_customer AND e.metric_id = p_metric AND e.received_at >= v_cycle
        AND (p_dimension = '' OR metering_dimension_value(e.properties -> p_dimension) = p_value)
        AND NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = e.id);
  END IF;
END $$;

-- A property's value as the text it is counted by; the twin of metering/engine/rates.py.
CREATE OR REPLACE FUNCTION metering_dimension_value(p_property jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN jsonb_typeof(p_property) IN ('string', 'number', 'boolean') AND length(p_property #>> '{}') <= 255
      THEN p_property #>> '{}'
    ELSE '' END
$$;

CREATE OR REPLACE FUNCTION metering_counter_write(
  a billing_credit_account, p_metric uuid, p_rule uuid, p_dimension text, p_value text, p_units numeric,
  p_charged bigint, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO metering_cycle_counter (
    environment_id, customer_id, metric_id, dimension, value, cycle_started_at, rule_id, units, charged_mc
  ) VALUES (
    a.environment_id, a.customer_id, p_metric, p_dimension, p_value, metering_cycle_start(a, p_now), p_rule, p_units,
    p_charged
  ) ON CONFLICT (customer_id, metric_id, dimension, value, cycle_started_at)
    DO UPDATE SET rule_id = excluded.rule_id, units = excluded.units, charged_mc = excluded.charged_mc;
END $$;

-- Lock a customer's account for the rest of the transaction and read the counter: whoever was told twice that the
-- counter had moved prices under the lock. All NULL for a customer that does not exist yet.
CREATE OR REPLACE FUNCTION metering_counter_lock_v1(
  p_environment uuid, p_customer uuid, p_metric uuid, p_rule uuid, p_dimension text, p_value text, p_now timestamptz,
  OUT units numeric, OUT charged bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE a billing_credit_account := billing_account_lock(p_environment, p_customer, p_now);
BEGIN
  SELECT c.units, c.charged INTO units, charged
    FROM metering_counter_read(a, p_customer, p_metric, p_rule, p_dimension, p_value, billing_account_now(a, p_now)) c;
END $$;
