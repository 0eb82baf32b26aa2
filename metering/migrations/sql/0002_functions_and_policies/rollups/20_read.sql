-- Usage as it was reported: by the events' own timestamps.

-- When the oldest event or void of an environment was stored that the hours do not know yet; NULL: they are complete.
CREATE OR REPLACE FUNCTION metering_usage_pending_v1(p_environment uuid) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT least(
    (SELECT min(e.created_at) FROM metering_usage_event e
      WHERE e.environment_id = p_environment AND e.recorded_xid >= w.recorded_before
        AND (w.stored_before IS NULL OR e.created_at >= w.stored_before)),
    (SELECT min(v.created_at) FROM metering_event_void v
      WHERE v.environment_id = p_environment AND v.recorded_xid >= w.recorded_before
        AND (w.stored_before IS NULL OR v.created_at >= w.stored_before)))
  FROM metering_usage_watermark w WHERE w.id = 1
$$;

-- The hours from `p_from` up to, without, `p_to`, per metric and period (`p_group`: hour | day | month | all); of one
-- customer, or with NULL of all; with `p_metric` of one metric only. `quantity` is by the metric's aggregation. What hours
-- do not add up to (unique_count, percentile) is read from the events of the one customer; NULL for all customers, where
-- `last` has no meaning either.
CREATE OR REPLACE FUNCTION metering_usage_read_v1(
  p_environment uuid, p_customer uuid, p_metric uuid, p_from timestamptz, p_to timestamptz, p_group text
) RETURNS TABLE (
  metric_key text, aggregation text, period_start timestamptz, period_end timestamptz, quantity numeric, events bigint,
  units numeric, units_max numeric, units_min numeric, cost bigint
) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT m.key::text, m.aggregation::text, t.began, t.ended,
    CASE
      WHEN m.aggregation = 'sum' THEN t.units
      WHEN m.aggregation = 'count' THEN t.events
      WHEN m.aggregation = 'max' THEN t.units_max
      WHEN m.aggregation = 'min' THEN t.units_min
      WHEN p_customer IS NULL THEN NULL
      WHEN m.aggregation = 'last' THEN t.units_last
      ELSE (metering_usage_compute_v1(p_environment, p_customer, m.id, t.began, t.ended)).quantity END,
    t.events, t.units, t.units_max, t.units_min, t.cost
  FROM (
    SELECT s.metric_id, p.began, p.ended, sum(s.events)::bigint AS events, sum(s.units_sum) AS units,
      max(s.units_max) AS units_max, min(s.units_min) AS units_min,
      (array_agg(s.last_units ORDER BY s.last_at DESC, s.last_event_id DESC))[1] AS units_last,
      sum(s.cost_mc)::bigint AS cost
    FROM (
      SELECT h.metric_id, h.hour, h.events, h.units_sum, h.units_max, h.units_min, h.cost_mc, h.last_units, h.last_at,
        h.last_event_id
      FROM metering_usage_hour h
      WHERE h.customer_id = p_customer AND h.environment_id = p_environment AND h.hour >= p_from AND h.hour < p_to
        AND (p_metric IS NULL OR h.metric_id = p_metric)
      UNION ALL
      SELECT h.metric_id, h.hour, h.events, h.units_sum, h.units_max, h.units_min, h.cost_mc, NULL, NULL, NULL
      FROM metering_usage_hour_of_all h
      WHERE p_customer IS NULL AND h.environment_id = p_environment AND h.hour >= p_from AND h.hour < p_to
        AND (p_metric IS NULL OR h.metric_id = p_metric)
    ) s, metering_usage_period(p_group, s.hour, p_from, p_to) p
    GROUP BY 1, 2, 3
  ) t
  JOIN metering_metric m ON m.id = t.metric_id
  ORDER BY t.began, m.key;
END $$;

-- The days (UTC) from `p_from` up to, without, `p_to`, of all customers together: the hours, and what they do not know yet. A
-- void that came after its event was added up is left out once the hours know of it.
CREATE OR REPLACE FUNCTION metering_usage_days_v1(p_environment uuid, p_from timestamptz, p_to timestamptz)
RETURNS TABLE (day date, metric_key text, events bigint, cost bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT d.day, m.key::text, sum(d.events)::bigint, sum(d.cost)::bigint
  FROM (
    SELECT (h.hour AT TIME ZONE 'UTC')::date AS day, h.metric_id, h.events, h.cost_mc AS cost
    FROM metering_usage_hour_of_all h
    WHERE h.environment_id = p_environment AND h.hour >= p_from AND h.hour < p_to
    UNION ALL
    SELECT (e.occurred_at AT TIME ZONE 'UTC')::date, e.metric_id, 1, e.cost_mc
    FROM metering_usage_event e
    -- Known before the events are looked for, and so found by their index: joined, all of them are read.
    WHERE e.environment_id = p_environment
      AND e.recorded_xid >= (SELECT w.recorded_before FROM metering_usage_watermark w WHERE w.id = 1)
      AND e.created_at >= (SELECT coalesce(w.stored_before, '-infinity') FROM metering_usage_watermark w WHERE w.id = 1)
      AND e.occurred_at >= p_from AND e.occurred_at < p_to
      AND NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = e.id)
  ) d JOIN metering_metric m ON m.id = d.metric_id
  GROUP BY 1, 2
$$;

-- The period an hour belongs to, in UTC, as far as it was asked for.
CREATE OR REPLACE FUNCTION metering_usage_period(
  p_group text, p_hour timestamptz, p_from timestamptz, p_to timestamptz, OUT began timestamptz, OUT ended timestamptz
) LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_group = 'all' THEN p_from ELSE greatest(date_trunc(p_group, p_hour, 'UTC'), p_from) END,
    CASE WHEN p_group = 'all' THEN p_to ELSE least(p_to,
      (date_trunc(p_group, p_hour, 'UTC') AT TIME ZONE 'UTC' + ('1 ' || p_group)::interval) AT TIME ZONE 'UTC') END
$$;

-- A customer's events of a metric that happened from `p_from` up to, without, `p_to`. Those received within an hour are
-- found by when they were received (at most five minutes before they happened), the others by an index of their own.
-- Voided events are not among them; most customers have none, which is asked once. Both halves must stay scans of one
-- table: joins in them are not merged into the caller's plan, which costs a third more.
CREATE OR REPLACE FUNCTION metering_events_between(
  p_customer uuid, p_metric uuid, p_from timestamptz, p_to timestamptz
) RETURNS TABLE (
  id uuid, units numeric, cost_mc bigint, occurred_at timestamptz, received_at timestamptz, properties jsonb
) LANGUAGE sql STABLE AS $$
  SELECT e.id, e.units, e.cost_mc, e.occurred_at, e.received_at, e.properties FROM metering_usage_event e
  WHERE e.customer_id = p_customer AND e.metric_id = p_metric
    AND e.received_at >= p_from - interval '5 minutes' AND e.received_at < p_to + interval '1 hour'
    AND e.received_at - e.occurred_at <= interval '1 hour' AND e.occurred_at >= p_from AND e.occurred_at < p_to
    AND ((SELECT NOT EXISTS (SELECT FROM metering_event_void v WHERE v.customer_id = p_customer))
      OR NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = e.id))
  UNION ALL
  SELECT e.id, e.units, e.cost_mc, e.occurred_at, e.received_at, e.properties FROM metering_usage_event e
  WHERE e.customer_id = p_customer AND e.metric_id = p_metric
    AND e.received_at - e.occurred_at > interval '1 hour' AND e.occurred_at >= p_from AND e.occurred_at < p_to
    AND ((SELECT NOT EXISTS (SELECT FROM metering_event_void v WHERE v.customer_id = p_customer))
      OR NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = e.id))
$$;

-- One quantity, exactly, from the events themselves; the twin of metering/engine/aggregation.py. STABLE: all of it sees
-- one snapshot. `late_events` were received after the period had ended.
CREATE OR REPLACE FUNCTION metering_usage_compute_v1(
  p_environment uuid, p_customer uuid, p_metric uuid, p_from timestamptz, p_to timestamptz,
  OUT aggregation text, OUT quantity numeric, OUT events bigint, OUT late_events bigint, OUT cost bigint
) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  m metering_metric;
  v_less float8;
  v_ranked numeric[];
BEGIN
  SELECT * INTO STRICT m FROM metering_metric WHERE id = p_metric AND environment_id = p_environment;
  PERFORM 1 FROM customers_customer WHERE id = p_customer AND environment_id = p_environment;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no customer % in environment %', p_customer, p_environment USING ERRCODE = 'PU404';
  END IF;
  PERFORM 1 FROM metering_archived_hour a WHERE a.customer_id = p_customer AND a.metric_id = p_metric
    AND a.hour > p_from - interval '1 hour' AND a.hour < p_to LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'events of metric % from % to % are archived', m.key, p_from, p_to USING ERRCODE = 'PU410';
  END IF;
  aggregation := m.aggregation;
  -- Each aggregation in a statement of its own: a million events are read, and added up, for nothing that is not asked.
  CASE m.aggregation
    WHEN 'sum' THEN
      SELECT count(*), count(*) FILTER (WHERE e.received_at >= p_to), sum(e.cost_mc), sum(e.units)
        INTO events, late_events, cost, quantity FROM metering_events_between(p_customer, p_metric, p_from, p_to) e;
    WHEN 'max' THEN
      SELECT count(*), count(*) FILTER (WHERE e.received_at >= p_to), sum(e.cost_mc), max(e.units)
        INTO events, late_events, cost, quantity FROM metering_events_between(p_customer, p_metric, p_from, p_to) e;
    WHEN 'min' THEN
      SELECT count(*), count(*) FILTER (WHERE e.received_at >= p_to), sum(e.cost_mc), min(e.units)
        INTO events, late_events, cost, quantity FROM metering_events_between(p_customer, p_metric, p_from, p_to) e;
    WHEN 'unique_count' THEN
      SELECT count(*), count(*) FILTER (WHERE e.received_at >= p_to), sum(e.cost_mc),
          count(DISTINCT metering_unique_value(e.properties -> m.aggregation_property))
        INTO events, late_events, cost, quantity FROM metering_events_between(p_customer, p_metric, p_from, p_to) e;
    WHEN 'percentile' THEN
      -- Nearest rank. percentile_disc reckons it in floats, which may land one beside: asked for a trifle less and a trifle
      -- more, one of both lands on it, and which one is known together with their number.
      v_less := (m.percentile / 100)::float8 * (1 - 1e-15);
      SELECT count(*), count(*) FILTER (WHERE e.received_at >= p_to), sum(e.cost_mc),
          percentile_disc(ARRAY[v_less, least(v_less * (1 + 2e-15), 1)]) WITHIN GROUP (ORDER BY e.units)
        INTO events, late_events, cost, v_ranked FROM metering_events_between(p_customer, p_metric, p_from, p_to) e;
      quantity := v_ranked[CASE WHEN ceil(v_less * events) >= ceil(m.percentile * events / 100) THEN 1 ELSE 2 END];
    ELSE
      SELECT count(*), count(*) FILTER (WHERE e.received_at >= p_to), sum(e.cost_mc)
        INTO events, late_events, cost FROM metering_events_between(p_customer, p_metric, p_from, p_to) e;
  END CASE;
  IF m.aggregation = 'count' THEN
    quantity := events;
  ELSIF m.aggregation = 'last' THEN
    SELECT e.units INTO quantity FROM metering_events_between(p_customer, p_metric, p_from, p_to) e
      ORDER BY e.occurred_at DESC, e.id DESC LIMIT 1;
  END IF;
  cost := coalesce(cost, 0);
  quantity := coalesce(quantity, 0);
END $$;

-- What unique_count tells apart: texts, numbers and booleans as texts. Whatever else a property holds is no value.
CREATE OR REPLACE FUNCTION metering_unique_value(p_property jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN jsonb_typeof(p_property) IN ('string', 'number', 'boolean') THEN p_property #>> '{}' END
$$;
