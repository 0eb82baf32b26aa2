-- The events' table is partitioned by ranges of the key, one a month (UTC) of the time at which they were stored, and a
-- default partition for what lies outside, so that an insert never fails. See docs/decisions/event-partitions.md.
--
-- These functions are the owner's: only the owner of a table may give it partitions.

-- The least id that can be given at an instant or later.
CREATE OR REPLACE FUNCTION metering_event_partition_floor(p_at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex(floor(extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- When an id was given.
CREATE OR REPLACE FUNCTION metering_event_partition_instant(p_id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT to_timestamp(('x' || left(replace(p_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
$$;

-- The partitions there are, oldest first, the default one last, without a range. `events` is estimated.
CREATE OR REPLACE FUNCTION metering_event_partitions_v1()
RETURNS TABLE (name text, begins_at timestamptz, ends_at timestamptz, events bigint, bytes bigint)
LANGUAGE sql STABLE AS $$
  SELECT c.relname::text, metering_event_partition_instant(b.ends[1]::uuid),
    metering_event_partition_instant(b.ends[2]::uuid), greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  CROSS JOIN LATERAL (
    SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), $re$FROM \('(.*?)'\) TO \('(.*?)'\)$re$) AS ends) b
  WHERE i.inhparent = 'metering_usage_event'::regclass
  ORDER BY 2 NULLS LAST, 1
$$;

-- Who asks a partition itself, past the table it is a part of, may do no more there: nothing is granted, and the rules for
-- rows stand there too. What refuses changes of rows is inherited; what refuses TRUNCATE is not.
CREATE OR REPLACE FUNCTION metering_event_partition_guard(p_table text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('REVOKE ALL ON %I FROM purser_app, purser_kernel', p_table);
  EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION customers_refuse_change()',
    p_table || '_is_never_emptied', p_table);
  EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', p_table);
  EXECUTE format('CREATE POLICY %I ON %I TO purser_app USING (environment_id = (SELECT '
    || 'nullif(current_setting(''purser.environment_id'', true), '''')::uuid)) WITH CHECK (false)',
    p_table || '_of_one_environment', p_table);
  EXECUTE format('CREATE POLICY %I ON %I TO purser_kernel USING (true) WITH CHECK (true)',
    p_table || '_for_the_kernel', p_table);
END $$;

-- Make the partition of the month of `p_at`, and move there what the default partition has of it.
--
-- Writers go on, but for those that need the default partition, and for as long as looking through it takes; so this
-- waits for its locks no longer than two seconds (the caller asks again some time), and not at all when the default
-- partition holds more than `p_events_max`. status: made | there | crowded.
CREATE OR REPLACE FUNCTION metering_event_partition_make_v1(
  p_at timestamptz, p_events_max bigint, OUT status text, OUT name text, OUT moved bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '2s' AS $$
DECLARE
  v_begins timestamptz := date_trunc('month', p_at, 'UTC');
  v_ends timestamptz := (v_begins AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
  v_from uuid := metering_event_partition_floor(v_begins);
  v_to uuid := metering_event_partition_floor(v_ends);
BEGIN
  name := 'metering_usage_event_' || to_char(v_begins AT TIME ZONE 'UTC', 'YYYY_MM');
  moved := 0;
  -- Makers take turns; whoever reads or writes events does not wait for this lock.
  LOCK TABLE ONLY metering_usage_event IN SHARE UPDATE EXCLUSIVE MODE;
  IF to_regclass(name) IS NOT NULL THEN
    status := 'there';
    RETURN;
  ELSIF (SELECT count(*) FROM (SELECT FROM metering_usage_event_default LIMIT p_events_max + 1) d) > p_events_max THEN
    status := 'crowded';
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE public.%I (LIKE metering_usage_event INCLUDING ALL EXCLUDING INDEXES)', name);
  PERFORM metering_event_partition_guard(name);
  LOCK TABLE metering_usage_event_default IN ACCESS EXCLUSIVE MODE;
  IF EXISTS (SELECT FROM metering_usage_event_default d WHERE d.id >= v_from AND d.id < v_to) THEN
    ALTER TABLE metering_usage_event_default DISABLE TRIGGER USER;
    EXECUTE format('INSERT INTO %I SELECT * FROM metering_usage_event_default d WHERE d.id >= $1 AND d.id < $2', name)
      USING v_from, v_to;
    DELETE FROM metering_usage_event_default d WHERE d.id >= v_from AND d.id < v_to;
    GET DIAGNOSTICS moved = ROW_COUNT;
    ALTER TABLE metering_usage_event_default ENABLE TRIGGER USER;
  END IF;
  EXECUTE format('ALTER TABLE metering_usage_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, v_from, v_to);
  status := 'made';
END $$;
