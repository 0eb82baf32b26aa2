-- The hours of usage, added up from the events. Derived data: whatever stands there can be made anew from the events.
--
-- An event is added once its transaction and all before it have ended: a watermark that went by time or id would step
-- over events that were committed late. See docs/decisions/rollup-watermark.md.

-- Transactions below this one have all ended, and what they committed is visible.
CREATE OR REPLACE FUNCTION metering_rollup_horizon() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint
$$;

-- Add the events of transactions from `p_from` up to, without, `p_to`, except those stored before `p_stored_before`.
CREATE OR REPLACE FUNCTION metering_rollup_add(p_from bigint, p_to bigint, p_stored_before timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE v_events bigint;
BEGIN
  WITH fresh AS (
    SELECT e.environment_id, e.customer_id, e.metric_id, date_trunc('hour', e.occurred_at, 'UTC') AS hour,
      count(*) AS events, sum(e.units) AS units_sum, max(e.units) AS units_max, min(e.units) AS units_min,
      max(e.occurred_at) AS last_at, (array_agg(e.id ORDER BY e.occurred_at DESC, e.id DESC))[1] AS last_event_id,
      (array_agg(e.units ORDER BY e.occurred_at DESC, e.id DESC))[1] AS last_units, sum(e.cost_mc)::bigint AS cost_mc
    FROM metering_usage_event e
    WHERE e.recorded_xid >= p_from AND e.recorded_xid < p_to
      AND (p_stored_before IS NULL OR e.created_at >= p_stored_before)
      AND NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = e.id)
    GROUP BY 1, 2, 3, 4
  ), added AS (
    INSERT INTO metering_usage_hour AS h (
      environment_id, customer_id, metric_id, hour, events, units_sum, units_max, units_min, last_units, last_at,
      last_event_id, cost_mc
    )
    SELECT environment_id, customer_id, metric_id, hour, events, units_sum, units_max, units_min, last_units, last_at,
      last_event_id, cost_mc
    FROM fresh ORDER BY customer_id, metric_id, hour
    ON CONFLICT (customer_id, metric_id, hour) DO UPDATE SET
      events = h.events + excluded.events,
      units_sum = h.units_sum + excluded.units_sum,
      units_max = greatest(h.units_max, excluded.units_max),
      units_min = least(h.units_min, excluded.units_min),
      last_units = CASE WHEN (excluded.last_at, excluded.last_event_id) > (h.last_at, h.last_event_id)
        THEN excluded.last_units ELSE h.last_units END,
      last_event_id = CASE WHEN (excluded.last_at, excluded.last_event_id) > (h.last_at, h.last_event_id)
        THEN excluded.last_event_id ELSE h.last_event_id END,
      last_at = greatest(h.last_at, excluded.last_at),
      cost_mc = h.cost_mc + excluded.cost_mc
  ), added_of_all AS (
    INSERT INTO metering_usage_hour_of_all AS h (
      environment_id, metric_id, hour, events, units_sum, units_max, units_min, cost_mc
    )
    SELECT environment_id, metric_id, hour, sum(events)::bigint, sum(units_sum), max(units_max), min(units_min),
      sum(cost_mc)::bigint
    FROM fresh GROUP BY 1, 2, 3 ORDER BY 2, 3
    ON CONFLICT (metric_id, hour) DO UPDATE SET
      events = h.events + excluded.events,
      units_sum = h.units_sum + excluded.units_sum,
      units_max = greatest(h.units_max, excluded.units_max),
      units_min = least(h.units_min, excluded.units_min),
      cost_mc = h.cost_mc + excluded.cost_mc
  )
  SELECT coalesce(sum(events), 0)::bigint INTO v_events FROM fresh;
  RETURN v_events;
END $$;

-- Make the hours anew from which an event was voided by transactions from `p_from` up to, without, `p_to`; events from
-- `p_to` on are still to be added.
CREATE OR REPLACE FUNCTION metering_rollup_correct(p_from bigint, p_to bigint, p_stored_before timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE h record;
BEGIN
  FOR h IN
    SELECT DISTINCT e.environment_id, e.customer_id, e.metric_id, date_trunc('hour', e.occurred_at, 'UTC') AS hour
    FROM metering_event_void v JOIN metering_usage_event e ON e.environment_id = v.environment_id AND e.id = v.event_id
    WHERE v.recorded_xid >= p_from AND v.recorded_xid < p_to ORDER BY 2, 3, 4
  LOOP
    DELETE FROM metering_usage_hour t
      WHERE t.customer_id = h.customer_id AND t.metric_id = h.metric_id AND t.hour = h.hour;
    INSERT INTO metering_usage_hour (
      environment_id, customer_id, metric_id, hour, events, units_sum, units_max, units_min, last_units, last_at,
      last_event_id, cost_mc
    )
    SELECT h.environment_id, h.customer_id, h.metric_id, h.hour, count(*), sum(b.units), max(b.units), min(b.units),
      (array_agg(b.units ORDER BY b.occurred_at DESC, b.id DESC))[1], max(b.occurred_at),
      (array_agg(b.id ORDER BY b.occurred_at DESC, b.id DESC))[1], sum(b.cost_mc)::bigint
    FROM metering_events_between(h.customer_id, h.metric_id, h.hour, h.hour + interval '1 hour') b
    JOIN metering_usage_event e ON e.environment_id = h.environment_id AND e.id = b.id
    WHERE e.recorded_xid < p_to OR e.created_at < p_stored_before
    HAVING count(*) > 0;
    PERFORM metering_rollup_archived(h.customer_id, h.metric_id, h.hour);
    DELETE FROM metering_usage_hour_of_all t WHERE t.metric_id = h.metric_id AND t.hour = h.hour;
    INSERT INTO metering_usage_hour_of_all (
      environment_id, metric_id, hour, events, units_sum, units_max, units_min, cost_mc
    )
    SELECT h.environment_id, h.metric_id, h.hour, sum(t.events)::bigint, sum(t.units_sum), max(t.units_max),
      min(t.units_min), sum(t.cost_mc)::bigint
    FROM metering_usage_hour t
    WHERE t.environment_id = h.environment_id AND t.hour = h.hour AND t.metric_id = h.metric_id
    HAVING count(*) > 0;
  END LOOP;
END $$;

-- Add what archived events came to in an hour, or with NULLs in all: they are not among the events any more.
CREATE OR REPLACE FUNCTION metering_rollup_archived(p_customer uuid, p_metric uuid, p_hour timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO metering_usage_hour AS h (
    environment_id, customer_id, metric_id, hour, events, units_sum, units_max, units_min, last_units, last_at,
    last_event_id, cost_mc
  )
  SELECT a.environment_id, a.customer_id, a.metric_id, a.hour, a.events, a.units_sum, a.units_max, a.units_min,
    a.last_units, a.last_at, a.last_event_id, a.cost_mc
  FROM metering_archived_hour a
  WHERE p_customer IS NULL OR (a.customer_id, a.metric_id, a.hour) = (p_customer, p_metric, p_hour)
  ON CONFLICT (customer_id, metric_id, hour) DO UPDATE SET
    events = h.events + excluded.events,
    units_sum = h.units_sum + excluded.units_sum,
    units_max = greatest(h.units_max, excluded.units_max),
    units_min = least(h.units_min, excluded.units_min),
    last_units = CASE WHEN (excluded.last_at, excluded.last_event_id) > (h.last_at, h.last_event_id)
      THEN excluded.last_units ELSE h.last_units END,
    last_event_id = CASE WHEN (excluded.last_at, excluded.last_event_id) > (h.last_at, h.last_event_id)
      THEN excluded.last_event_id ELSE h.last_event_id END,
    last_at = greatest(h.last_at, excluded.last_at),
    cost_mc = h.cost_mc + excluded.cost_mc;
END $$;

-- Roll up the events of the next `p_transactions` transactions. `behind` transactions are left then; NULL: another
-- roller is at work. All environments in one pass, so that the events are read once.
CREATE OR REPLACE FUNCTION metering_usage_roll_v1(p_transactions bigint, OUT events bigint, OUT behind bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  w metering_usage_watermark;
  v_horizon bigint;
  v_to bigint;
BEGIN
  SELECT * INTO w FROM metering_usage_watermark WHERE id = 1 FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  -- After the lock: whatever a roller before us has done is visible now.
  v_horizon := metering_rollup_horizon();
  IF w.recorded_before > v_horizon THEN
    RAISE EXCEPTION 'the hours of usage come from another database server; run manage.py usage_rebuild'
      USING ERRCODE = 'PU409';
  END IF;
  v_to := least(w.recorded_before + p_transactions, v_horizon);
  events := metering_rollup_add(w.recorded_before, v_to, w.stored_before);
  PERFORM metering_rollup_correct(w.recorded_before, v_to, w.stored_before);
  UPDATE metering_usage_watermark SET recorded_before = v_to WHERE id = 1;
  behind := v_horizon - v_to;
END $$;

-- Make all hours anew from all events, and from what was written down of archived ones. Events stored before `p_now` are counted by this, whatever transaction numbers
-- they brought from a backup; so nobody may write events meanwhile.
CREATE OR REPLACE FUNCTION metering_usage_rebuild_v1(p_now timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE v_events bigint;
BEGIN
  PERFORM 1 FROM metering_usage_watermark WHERE id = 1 FOR UPDATE;
  DELETE FROM metering_usage_hour;
  DELETE FROM metering_usage_hour_of_all;
  UPDATE metering_usage_watermark SET recorded_before = metering_rollup_horizon(), stored_before = p_now WHERE id = 1;
  v_events := metering_rollup_add(0, 9223372036854775807, NULL);
  PERFORM metering_rollup_archived(NULL, NULL, NULL);
  INSERT INTO metering_usage_hour_of_all AS h (
    environment_id, metric_id, hour, events, units_sum, units_max, units_min, cost_mc
  )
  SELECT a.environment_id, a.metric_id, a.hour, sum(a.events)::bigint, sum(a.units_sum), max(a.units_max),
    min(a.units_min), sum(a.cost_mc)::bigint
  FROM metering_archived_hour a GROUP BY 1, 2, 3
  ON CONFLICT (metric_id, hour) DO UPDATE SET
    events = h.events + excluded.events,
    units_sum = h.units_sum + excluded.units_sum,
    units_max = greatest(h.units_max, excluded.units_max),
    units_min = least(h.units_min, excluded.units_min),
    cost_mc = h.cost_mc + excluded.cost_mc;
  RETURN v_events;
END $$;
