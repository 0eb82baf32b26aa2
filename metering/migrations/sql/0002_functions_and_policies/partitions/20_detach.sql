-- Take the partition of the month of `p_at` away from the events: it stays as a table of its own, to be kept elsewhere or
-- dropped. What is to be known of its events later is written down: how many, of which time, and their sums by the hour.
--
-- Only the owner may, and nothing is waited for longer than two seconds. Whether somebody may still need the events is
-- asked before by the caller, except for what only the database knows.
-- status: detached | not-there | not-over | not-rolled-up | cycle-open.
CREATE OR REPLACE FUNCTION metering_event_partition_detach_v1(
  p_at timestamptz, p_now timestamptz, OUT status text, OUT name text, OUT events bigint
) LANGUAGE plpgsql SET search_path = pg_catalog, public SET lock_timeout = '2s' AS $$
#variable_conflict use_column
DECLARE
  v_begins timestamptz := date_trunc('month', p_at, 'UTC');
  v_ends timestamptz := (v_begins AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
  v_from uuid := metering_event_partition_floor(v_begins);
  v_to uuid := metering_event_partition_floor(v_ends);
  v_month text := to_char(v_begins AT TIME ZONE 'UTC', 'YYYY_MM');
  v_table text := 'metering_usage_event_' || v_month;
  w metering_usage_watermark;
  v_found boolean;
BEGIN
  name := 'metering_archived_event_' || v_month;
  LOCK TABLE ONLY metering_usage_event IN SHARE UPDATE EXCLUSIVE MODE;
  IF to_regclass(v_table) IS NULL THEN
    status := 'not-there';
    RETURN;
  ELSIF v_ends > p_now THEN
    status := 'not-over';
    RETURN;
  END IF;
  -- Nobody rolls up, voids or writes here until this is over.
  SELECT * INTO w FROM metering_usage_watermark WHERE id = 1 FOR UPDATE;
  LOCK TABLE metering_event_void IN SHARE MODE;
  EXECUTE format('LOCK TABLE %I IN SHARE MODE', v_table);
  EXECUTE format('SELECT EXISTS (SELECT FROM %I e WHERE e.recorded_xid >= $1 AND ($2 IS NULL OR e.created_at >= $2)) '
    || 'OR EXISTS (SELECT FROM metering_event_void v WHERE v.recorded_xid >= $1 AND ($2 IS NULL OR v.created_at >= $2) '
    || 'AND v.event_id >= $3 AND v.event_id < $4)', v_table)
    INTO v_found USING w.recorded_before, w.stored_before, v_from, v_to;
  IF v_found THEN
    status := 'not-rolled-up';
    RETURN;
  END IF;
  -- Counters that are lost, or of a new rule, are added up anew from the cycle's events.
  EXECUTE format('SELECT EXISTS (SELECT FROM (SELECT e.customer_id, e.environment_id, max(e.received_at) AS latest FROM %I e '
    || 'GROUP BY 1, 2) l JOIN customers_environment n ON n.id = l.environment_id '
    || 'LEFT JOIN billing_credit_account a ON a.customer_id = l.customer_id '
    || 'WHERE a.cycle_started_at <= l.latest AND a.cycle_ends_at > coalesce(n.frozen_at, $1) '
    || 'OR date_trunc(''month'', coalesce(n.frozen_at, $1), ''UTC'') <= l.latest)', v_table)
    INTO v_found USING p_now;
  IF v_found THEN
    status := 'cycle-open';
    RETURN;
  END IF;
  EXECUTE format('INSERT INTO metering_event_archive (environment_id, table_name, first_id, end_id, events, '
    || 'received_from, received_until, archived_at) SELECT e.environment_id, $1, $2, $3, count(*), min(e.received_at), '
    || 'max(e.received_at), $4 FROM %I e GROUP BY 1', v_table)
    USING name, v_from, v_to, p_now;
  EXECUTE format('INSERT INTO metering_archived_hour AS h (environment_id, customer_id, metric_id, hour, events, units_sum, '
    || 'units_max, units_min, last_units, last_at, last_event_id, cost_mc) '
    || 'SELECT e.environment_id, e.customer_id, e.metric_id, date_trunc(''hour'', e.occurred_at, ''UTC''), count(*), '
    || 'sum(e.units), max(e.units), min(e.units), (array_agg(e.units ORDER BY e.occurred_at DESC, e.id DESC))[1], '
    || 'max(e.occurred_at), (array_agg(e.id ORDER BY e.occurred_at DESC, e.id DESC))[1], sum(e.cost_mc)::bigint '
    || 'FROM %I e WHERE NOT EXISTS (SELECT FROM metering_event_void v WHERE v.event_id = e.id) GROUP BY 1, 2, 3, 4 '
    || 'ON CONFLICT (customer_id, metric_id, hour) DO UPDATE SET events = h.events + excluded.events, '
    || 'units_sum = h.units_sum + excluded.units_sum, units_max = greatest(h.units_max, excluded.units_max), '
    || 'units_min = least(h.units_min, excluded.units_min), cost_mc = h.cost_mc + excluded.cost_mc, '
    || 'last_units = CASE WHEN excluded.last_at >= h.last_at THEN excluded.last_units ELSE h.last_units END, '
    || 'last_event_id = CASE WHEN excluded.last_at >= h.last_at THEN excluded.last_event_id ELSE h.last_event_id END, '
    || 'last_at = greatest(h.last_at, excluded.last_at)', v_table);
  EXECUTE format('SELECT count(*) FROM %I', v_table) INTO events;
  -- Last, and at once: from here on every call that needs events waits. CONCURRENTLY is not to be had where there is a
  -- default partition.
  EXECUTE format('ALTER TABLE metering_usage_event DETACH PARTITION %I', v_table);
  EXECUTE format('ALTER TABLE %I RENAME TO %I', v_table, name);
  status := 'detached';
END $$;
