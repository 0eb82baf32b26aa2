-- Reservations: a hold of credits for usage that is still going on. Each call is one round trip: due work, replay,
-- checks, the kernel's hold, the record, the webhook; all or nothing.

-- Whatever happened: a reservation as it stands at `p_now`, and its customer's account, as JSON for metering's service.
CREATE OR REPLACE FUNCTION metering_reservation_shown(p_reservation uuid, a billing_credit_account, p_now timestamptz)
RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT json_build_object(
      'id', r.id, 'customer_id', c.public_id, 'external_customer_id', c.external_id, 'metric_key', m.key,
      'rule_id', r.rule_id, 'dimension', r.dimension, 'value', r.value, 'is_counted', r.is_counted,
      'estimated_units', r.estimated_units, 'reserved_mc', h.amount_mc,
      'state', CASE WHEN l.lapsed THEN 'expired' ELSE h.state END,
      'expires_at', h.expires_at, 'created_at', h.created_at,
      'ended_at', CASE WHEN l.lapsed THEN h.expires_at + billing_hold_grace() ELSE h.ended_at END,
      'actual_units', e.units, 'cost_mc', h.committed_mc, 'event_id', s.event_id, 'entry_id', e.ledger_entry_id,
      'properties', r.properties, 'metadata', h.metadata,
      'balance_mc', coalesce(a.balance_mc, 0), 'account_reserved_mc', coalesce(a.reserved_mc, 0))::text
    FROM metering_reservation r
    JOIN billing_hold h ON h.id = r.id
    JOIN customers_customer c ON c.id = r.customer_id
    JOIN metering_metric m ON m.id = r.metric_id
    CROSS JOIN LATERAL (
      SELECT h.state = 'active' AND h.expires_at <= p_now - billing_hold_grace() AS lapsed) l
    LEFT JOIN metering_reservation_step s ON s.reservation_id = r.id AND s.kind = 'commit'
    LEFT JOIN metering_usage_event e ON e.environment_id = r.environment_id AND e.id = s.event_id
    WHERE r.id = p_reservation);
END $$;

-- status: found | not-found | catch-up-due.
CREATE OR REPLACE FUNCTION metering_reservation_read_v1(
  p_environment uuid, p_reservation uuid, p_now timestamptz, OUT status text, OUT customer_id uuid, OUT shown text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE a billing_credit_account;
BEGIN
  SELECT r.customer_id INTO customer_id FROM metering_reservation r
    WHERE r.id = p_reservation AND r.environment_id = p_environment;
  IF customer_id IS NOT NULL THEN
    a := billing_account_at(p_environment, customer_id, p_now);
  END IF;
  status := CASE
    WHEN customer_id IS NULL THEN 'not-found'
    WHEN a.catch_up_at <= p_now THEN 'catch-up-due'
    ELSE 'found' END;
  IF status = 'found' THEN
    shown := metering_reservation_shown(p_reservation, a, p_now);
  END IF;
END $$;

-- A quantity as JSON shows it: whole ones as numbers, others as decimal strings.
CREATE OR REPLACE FUNCTION metering_units_json(p_units numeric) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN trunc(p_units) = p_units THEN to_jsonb(trunc(p_units)) ELSE to_jsonb(trim_scale(p_units)::text) END
$$;

CREATE OR REPLACE FUNCTION metering_reservation_emit(
  a billing_credit_account, p_event text, p_reservation uuid, p_metric_key text, p_more jsonb, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM customers_event_emit(a.environment_id, a.customer_id, p_event, p_more || jsonb_build_object(
    'reservation_id', customers_typeid('res', p_reservation), 'billable_metric_key', p_metric_key,
    'balance', a.balance_mc, 'reserved_balance', a.reserved_mc,
    'effective_balance', a.balance_mc - a.reserved_mc), p_now);
END $$;

-- The reservation this key made before, if any: `duplicate`, or `key-reused` when something else was asked for then; or
-- `catch-up-due`, since it is shown with the account as it is now.
CREATE OR REPLACE FUNCTION metering_reserve_replay(
  p_environment uuid, p_customer uuid, p_key text, p_fingerprint bytea, p_now timestamptz,
  OUT status text, OUT shown text
) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  a billing_credit_account;
BEGIN
  SELECT t.id, t.customer_id, t.fingerprint INTO r FROM metering_reservation t
    WHERE t.environment_id = p_environment AND t.idempotency_key = p_key;
  IF NOT FOUND THEN
    RETURN;
  ELSIF r.customer_id IS DISTINCT FROM p_customer OR r.fingerprint <> p_fingerprint THEN
    status := 'key-reused';
    RETURN;
  END IF;
  a := billing_account_at(p_environment, r.customer_id, p_now);
  IF a.catch_up_at <= p_now THEN
    status := 'catch-up-due';
  ELSE
    status := 'duplicate';
    shown := metering_reservation_shown(r.id, a, p_now);
  END IF;
END $$;

CREATE OR REPLACE FUNCTION metering_reserve_find_v1(
  p_environment uuid, p_by text, p_reference text, p_key text, p_fingerprint bytea, p_now timestamptz,
  OUT status text, OUT customer_id uuid, OUT shown text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  customer_id := customers_customer_find(p_environment, p_by, p_reference);
  SELECT r.status, r.shown INTO status, shown
    FROM metering_reserve_replay(p_environment, customer_id, p_key, p_fingerprint, p_now) r;
END $$;

-- Hold the price of `p_units`. Parameters as in metering_usage_record_v1.
--
-- status: held | duplicate | key-reused | stale-config | reprice | stale-counter | customer-not-found | suspended |
-- insufficient | catch-up-due.
CREATE OR REPLACE FUNCTION metering_reserve_v1(
  p_environment uuid, p_config_version bigint, p_by text, p_reference text, p_new_customer uuid, p_reservation uuid,
  p_metric uuid, p_metric_key text, p_rule uuid, p_scoped boolean, p_priced_customer uuid, p_priced_variant uuid,
  p_dimension text, p_value text, p_cycle_units numeric, p_cycle_charged bigint, p_units numeric, p_cost bigint,
  p_ttl_seconds bigint, p_key text, p_fingerprint bytea, p_properties jsonb, p_metadata jsonb, p_actor text,
  p_request text, p_now timestamptz,
  OUT status text, OUT customer_id uuid, OUT plan_variant_id uuid, OUT effective bigint, OUT cycle_units numeric,
  OUT cycle_charged bigint, OUT shown text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  a billing_credit_account;
  v_customer uuid := customers_customer_find(p_environment, p_by, p_reference);
  v_known boolean := v_customer IS NOT NULL;
  v_now timestamptz;
  v_expires_at timestamptz;
  v_hold record;
BEGIN
  IF (SELECT e.config_version FROM customers_environment e WHERE e.id = p_environment) <> p_config_version THEN
    status := 'stale-config';
    RETURN;
  END IF;
  SELECT r.status, r.shown INTO status, shown
    FROM metering_reserve_replay(p_environment, v_customer, p_key, p_fingerprint, p_now) r;
  customer_id := v_customer;
  IF status IS NOT NULL THEN
    RETURN;
  END IF;
  IF NOT v_known THEN
    -- A new customer has no credits, no plan and an empty cycle: what costs is refused, and then leaves no customer.
    IF p_by = 'id' AND customers_uuid_text(p_reference) IS NULL THEN
      status := 'customer-not-found';
      RETURN;
    ELSIF (p_priced_customer, p_priced_variant) IS DISTINCT FROM (NULL::uuid, NULL::uuid) THEN
      status := 'reprice';
      RETURN;
    ELSIF p_cost > 0 THEN
      status := 'insufficient';
      effective := 0;
      RETURN;
    END IF;
    v_customer := (customers_customer_ensure_v1(p_environment, p_by, p_reference, p_new_customer, p_now)).customer_id;
  END IF;
  a := billing_account_lock(p_environment, v_customer, p_now);
  customer_id := v_customer;
  -- What another call with this key did before we had the lock.
  SELECT r.status, r.shown INTO status, shown
    FROM metering_reserve_replay(p_environment, v_customer, p_key, p_fingerprint, p_now) r;
  IF status IS NOT NULL THEN
    RETURN;
  END IF;
  v_now := billing_account_now(a, p_now);
  v_expires_at := v_now + make_interval(secs => p_ttl_seconds);
  plan_variant_id := a.plan_variant_id;
  effective := a.balance_mc - a.reserved_mc;
  IF p_cycle_units IS NOT NULL THEN
    SELECT r.units, r.charged INTO cycle_units, cycle_charged
      FROM metering_counter_read(a, v_customer, p_metric, p_rule, p_dimension, p_value, v_now) r;
  END IF;
  status := CASE
    WHEN a.catch_up_at <= v_now THEN 'catch-up-due'
    WHEN a.usage_suspended IS NOT NULL THEN 'suspended'
    WHEN p_scoped AND v_known
      AND (p_priced_customer, p_priced_variant) IS DISTINCT FROM (v_customer, a.plan_variant_id) THEN 'reprice'
    WHEN (cycle_units, cycle_charged) IS DISTINCT FROM (p_cycle_units, p_cycle_charged) THEN 'stale-counter' END;
  IF status IS NOT NULL THEN
    RETURN;
  END IF;
  SELECT * INTO v_hold FROM billing_hold_create(p_environment, v_customer, p_reservation, p_cost, p_metric_key,
    v_expires_at, p_metadata, p_actor, p_key, p_request, p_now);
  status := v_hold.status;
  IF status <> 'held' THEN
    RETURN;
  END IF;
  -- The same key for another customer at the same moment ends here, with everything undone; the caller asks again.
  INSERT INTO metering_reservation (
    id, environment_id, customer_id, metric_id, rule_id, dimension, value, is_counted, estimated_units, properties,
    idempotency_key, fingerprint, created_at
  ) VALUES (
    p_reservation, p_environment, v_customer, p_metric, p_rule, p_dimension, p_value, p_cycle_units IS NOT NULL, p_units,
    p_properties, p_key, p_fingerprint, v_now
  );
  a.balance_mc := v_hold.balance;
  a.reserved_mc := v_hold.reserved;
  PERFORM metering_reservation_emit(a, 'reservation.created', p_reservation, p_metric_key, jsonb_build_object(
    'estimated_units', metering_units_json(p_units), 'reserved_amount', p_cost,
    'expires_at', customers_instant(v_expires_at)), v_now);
  shown := metering_reservation_shown(p_reservation, a, v_now);
END $$;

-- What a commit, release or extension under this key did before: `duplicate` or `key-reused`, or NULL.
CREATE OR REPLACE FUNCTION metering_step_replay(
  p_environment uuid, p_kind text, p_reservation uuid, p_key text, p_fingerprint bytea
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s record;
BEGIN
  SELECT t.reservation_id, t.fingerprint INTO s FROM metering_reservation_step t
    WHERE t.environment_id = p_environment AND t.kind = p_kind AND t.idempotency_key = p_key;
  IF FOUND THEN
    RETURN CASE WHEN s.reservation_id = p_reservation AND s.fingerprint = p_fingerprint THEN 'duplicate' ELSE 'key-reused' END;
  END IF;
  RETURN NULL;
END $$;

-- Find a reservation, lock its account, and say why the call cannot go on, if so: stale-config | not-found | duplicate |
-- key-reused | committed-already | released-already | expired-already | catch-up-due.
CREATE OR REPLACE FUNCTION metering_step_begin(
  p_environment uuid, p_config_version bigint, p_kind text, p_reservation uuid, p_key text, p_fingerprint bytea,
  p_now timestamptz, OUT status text, OUT r metering_reservation, OUT a billing_credit_account, OUT h billing_hold
) LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT e.config_version FROM customers_environment e WHERE e.id = p_environment) <> p_config_version THEN
    status := 'stale-config';
    RETURN;
  END IF;
  status := metering_step_replay(p_environment, p_kind, p_reservation, p_key, p_fingerprint);
  SELECT * INTO r FROM metering_reservation t WHERE t.id = p_reservation AND t.environment_id = p_environment;
  IF NOT FOUND THEN
    status := coalesce(status, 'not-found');
    RETURN;
  END IF;
  IF status IS NOT NULL THEN
    a := billing_account_at(p_environment, r.customer_id, p_now);
    IF status = 'duplicate' AND a.catch_up_at <= p_now THEN
      status := 'catch-up-due';
    END IF;
    RETURN;
  END IF;
  a := billing_account_lock(p_environment, r.customer_id, p_now);
  -- Again under the lock: the same call may have been on its way twice.
  status := metering_step_replay(p_environment, p_kind, p_reservation, p_key, p_fingerprint);
  IF status = 'duplicate' AND a.catch_up_at <= p_now THEN
    status := 'catch-up-due';
  ELSIF status IS NULL THEN
    SELECT * INTO h FROM billing_hold t WHERE t.id = p_reservation;
    status := billing_hold_refusal(a, h, billing_account_now(a, p_now));
  END IF;
END $$;

CREATE OR REPLACE FUNCTION metering_step_write(
  r metering_reservation, p_step uuid, p_kind text, p_key text, p_fingerprint bytea, p_event uuid,
  p_expires_at timestamptz, p_actor text, p_request text, p_now timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO metering_reservation_step (
    id, environment_id, reservation_id, kind, idempotency_key, fingerprint, event_id, expires_at, actor, request_id,
    created_at
  ) VALUES (
    p_step, r.environment_id, r.id, p_kind, p_key, p_fingerprint, p_event, p_expires_at, p_actor, p_request, p_now
  );
END $$;

-- Debit what was really used and give the rest of the hold back; the usage counts like any other.
--
-- `p_units` NULL = as estimated. `p_rule` says by which rule `p_cost` was made; NULL: the caller does not know the
-- reservation, and it is priced by the answer `reprice` unless the hold itself tells the price: what a rule that does not
-- depend on the cycle made of as many units.
--
-- status: committed | insufficient (the hold stays) | reprice | stale-counter | those of metering_step_begin.
CREATE OR REPLACE FUNCTION metering_reservation_commit_v1(
  p_environment uuid, p_config_version bigint, p_reservation uuid, p_units numeric, p_rule uuid, p_cost bigint,
  p_cycle_units numeric, p_cycle_charged bigint, p_event uuid, p_step uuid, p_key text, p_fingerprint bytea,
  p_actor text, p_request text, p_now timestamptz,
  OUT status text, OUT customer_id uuid, OUT metric_id uuid, OUT rule_id uuid, OUT dimension text, OUT value text,
  OUT units numeric, OUT effective bigint, OUT cycle_units numeric, OUT cycle_charged bigint, OUT shown text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  b record;
  r metering_reservation;
  a billing_credit_account;
  h billing_hold;
  v_now timestamptz;
  v_cost bigint := p_cost;
  v_key text;
  v_done record;
BEGIN
  SELECT * INTO b FROM metering_step_begin(p_environment, p_config_version, 'commit',
    p_reservation, p_key, p_fingerprint, p_now);
  status := b.status;
  r := b.r;
  a := b.a;
  h := b.h;
  customer_id := r.customer_id;
  IF status IS NOT NULL THEN
    shown := CASE WHEN status = 'duplicate' THEN metering_reservation_shown(p_reservation, a, p_now) END;
    RETURN;
  END IF;
  v_now := billing_account_now(a, p_now);
  metric_id := r.metric_id;
  rule_id := r.rule_id;
  dimension := r.dimension;
  value := r.value;
  units := coalesce(p_units, r.estimated_units);
  effective := a.balance_mc - a.reserved_mc;
  IF r.is_counted THEN
    SELECT c.units, c.charged INTO cycle_units, cycle_charged
      FROM metering_counter_read(a, r.customer_id, r.metric_id, r.rule_id, r.dimension, r.value, v_now) c;
  END IF;
  IF NOT r.is_counted AND units = r.estimated_units THEN
    v_cost := h.amount_mc;
  ELSIF p_rule IS DISTINCT FROM r.rule_id THEN
    status := 'reprice';
    RETURN;
  ELSIF (cycle_units, cycle_charged) IS DISTINCT FROM (p_cycle_units, p_cycle_charged) THEN
    status := 'stale-counter';
    RETURN;
  END IF;
  SELECT * INTO v_done FROM billing_hold_commit(p_environment, r.customer_id, p_reservation, v_cost, p_actor, p_key,
    p_request, h.metadata, p_now);
  status := v_done.status;
  IF status <> 'committed' THEN
    RETURN;
  END IF;
  -- No caller's key begins with §, so this one is nobody's.
  v_key := '§reservation:' || customers_typeid('res', p_reservation);
  INSERT INTO metering_usage_key (environment_id, event_id, customer_id, cost_mc, idempotency_key, fingerprint)
    VALUES (p_environment, p_event, r.customer_id, v_cost, v_key, p_fingerprint);
  INSERT INTO metering_usage_event (
    id, environment_id, customer_id, metric_id, rule_id, units, cost_mc, idempotency_key, occurred_at, received_at,
    properties, metadata, ledger_entry_id, actor, request_id, cycle_units, cycle_charged_mc
  ) VALUES (
    p_event, p_environment, r.customer_id, r.metric_id, r.rule_id, units, v_cost, v_key, v_now, v_now, r.properties,
    h.metadata, v_done.entry_id, p_actor, p_request, cycle_units, cycle_charged
  );
  IF r.is_counted THEN
    PERFORM metering_counter_write(a, r.metric_id, r.rule_id, r.dimension, r.value, cycle_units + units,
      cycle_charged + v_cost, v_now);
  END IF;
  PERFORM metering_step_write(r, p_step, 'commit', p_key, p_fingerprint, p_event, NULL, p_actor, p_request, v_now);
  a.balance_mc := v_done.balance;
  a.reserved_mc := v_done.reserved;
  PERFORM metering_reservation_emit(a, 'reservation.committed', p_reservation, h.metric_key, jsonb_build_object(
    'event_id', customers_typeid('evt', p_event), 'actual_units', metering_units_json(units), 'amount', v_cost,
    'reserved_amount', h.amount_mc, 'released_amount', v_done.released), v_now);
  shown := metering_reservation_shown(p_reservation, a, v_now);
END $$;

-- Let a reservation go. status: released | those of metering_step_begin.
CREATE OR REPLACE FUNCTION metering_reservation_release_v1(
  p_environment uuid, p_config_version bigint, p_reservation uuid, p_step uuid, p_key text, p_fingerprint bytea,
  p_actor text, p_request text, p_now timestamptz, OUT status text, OUT customer_id uuid, OUT shown text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  b record;
  r metering_reservation;
  a billing_credit_account;
  h billing_hold;
  v_done record;
BEGIN
  SELECT * INTO b FROM metering_step_begin(p_environment, p_config_version, 'release',
    p_reservation, p_key, p_fingerprint, p_now);
  status := b.status;
  r := b.r;
  a := b.a;
  h := b.h;
  customer_id := r.customer_id;
  IF status IS NULL THEN
    SELECT * INTO v_done FROM billing_hold_release(p_environment, r.customer_id, p_reservation, p_now);
    status := v_done.status;
    a.balance_mc := v_done.balance;
    a.reserved_mc := v_done.reserved;
    PERFORM metering_step_write(r, p_step, 'release', p_key, p_fingerprint, NULL, NULL, p_actor, p_request,
      billing_account_now(a, p_now));
    PERFORM metering_reservation_emit(a, 'reservation.released', p_reservation, h.metric_key,
      jsonb_build_object('reserved_amount', h.amount_mc), billing_account_now(a, p_now));
  END IF;
  IF status IN ('released', 'duplicate') THEN
    shown := metering_reservation_shown(p_reservation, a, p_now);
  END IF;
END $$;

-- Give a reservation `p_ttl_seconds` from now; what it has already is not taken from it. status: extended | those of
-- metering_step_begin.
CREATE OR REPLACE FUNCTION metering_reservation_extend_v1(
  p_environment uuid, p_config_version bigint, p_reservation uuid, p_ttl_seconds bigint, p_step uuid, p_key text,
  p_fingerprint bytea, p_actor text, p_request text, p_now timestamptz,
  OUT status text, OUT customer_id uuid, OUT shown text
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
DECLARE
  b record;
  r metering_reservation;
  a billing_credit_account;
  h billing_hold;
  v_now timestamptz;
  v_expires_at timestamptz;
BEGIN
  SELECT * INTO b FROM metering_step_begin(p_environment, p_config_version, 'extend',
    p_reservation, p_key, p_fingerprint, p_now);
  status := b.status;
  r := b.r;
  a := b.a;
  h := b.h;
  customer_id := r.customer_id;
  IF status IS NULL THEN
    v_now := billing_account_now(a, p_now);
    v_expires_at := greatest(h.expires_at, v_now + make_interval(secs => p_ttl_seconds));
    SELECT x.status INTO status
      FROM billing_hold_extend(p_environment, r.customer_id, p_reservation, v_expires_at, p_now) x;
    PERFORM metering_step_write(r, p_step, 'extend', p_key, p_fingerprint, NULL, v_expires_at, p_actor, p_request, v_now);
  END IF;
  IF status IN ('extended', 'duplicate') THEN
    shown := metering_reservation_shown(p_reservation, a, p_now);
  END IF;
END $$;
