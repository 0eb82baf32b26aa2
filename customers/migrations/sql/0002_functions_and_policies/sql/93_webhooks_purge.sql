-- Forget webhook events that are older than an instant, each whole: with its deliveries and their attempts. Only what
-- was handed out and is over: no delivery is on its way, and none ended after `p_before`. Looks at `p_most` events after
-- `p_after`; says how many went, how many it looked at, and which was the last.
--
-- Whatever somebody else holds at the moment is left for the next time, so this waits for nobody.
CREATE OR REPLACE FUNCTION customers_webhooks_purge_v1(
    p_below uuid, p_before timestamptz, p_after uuid, p_most bigint,
    OUT purged bigint, OUT looked_at bigint, OUT last uuid
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    v_old uuid[];
    v_free uuid[];
    v_over uuid[];
BEGIN
    SELECT array_agg(o.id), count(*), max(o.id::text)::uuid INTO v_old, looked_at, last FROM (
        SELECT e.id FROM customers_outbox_event e
        WHERE e.id < p_below AND e.id > p_after AND e.dispatched_at IS NOT NULL
            -- The newest stays: positions go on from it.
            AND (e.position IS NULL OR EXISTS (
                SELECT FROM customers_outbox_event n
                WHERE n.environment_id = e.environment_id AND n.position > e.position
            ))
        ORDER BY e.id LIMIT p_most FOR UPDATE SKIP LOCKED
    ) o;
    -- With its event locked nobody queues another delivery; these are looked at once they are locked themselves.
    SELECT coalesce(array_agg(l.id), '{}') INTO v_free FROM (
        SELECT d.id FROM customers_webhook_delivery d WHERE d.event_id = ANY(v_old) FOR UPDATE SKIP LOCKED
    ) l;
    SELECT array_agg(u.id) INTO v_over FROM unnest(v_old) u(id) WHERE NOT EXISTS (
        SELECT FROM customers_webhook_delivery d WHERE d.event_id = u.id AND (
            d.id <> ALL(v_free) OR d.state = 'pending' OR d.finished_at IS NULL OR d.finished_at >= p_before
        )
    );
    DELETE FROM customers_webhook_attempt a USING customers_webhook_delivery d
    WHERE a.delivery_id = d.id AND d.event_id = ANY(v_over);
    DELETE FROM customers_webhook_delivery d WHERE d.event_id = ANY(v_over);
    DELETE FROM customers_outbox_event e WHERE e.id = ANY(v_over);
    purged := coalesce(cardinality(v_over), 0);
END $$;

ALTER FUNCTION customers_webhooks_purge_v1(uuid, timestamptz, uuid, bigint) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_webhooks_purge_v1(uuid, timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_webhooks_purge_v1(uuid, timestamptz, uuid, bigint) TO purser_app;
