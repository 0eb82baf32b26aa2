-- What a customer is found by, as one text.
CREATE OR REPLACE FUNCTION customers_search_text(
    p_display_name text, p_external_id text, p_name text, p_email text, p_public_id text
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lower(
        coalesce(p_display_name, '') || ' ' || coalesce(p_external_id, '') || ' ' || coalesce(p_name, '') || ' '
        || coalesce(p_email, '') || ' ' || coalesce(p_public_id, '')
    )
$$;

ALTER FUNCTION customers_search_text(text, text, text, text, text) OWNER TO purser_kernel;
-- Whoever writes a customer writes the index, too.
GRANT EXECUTE ON FUNCTION customers_search_text(text, text, text, text, text) TO purser_app, purser_owner;

-- The newest customers whose names or ids contain the text. In an id of ours (a UUID) eight characters must: short words
-- of the letters a to f stand in many. A definer function, because under row-level security the
-- planner may not use the trigram index: its operators are not leakproof. Planned with the text known (EXECUTE), so
-- that a rare text uses that index and a common one walks the newest customers.
CREATE OR REPLACE FUNCTION customers_search_v1(
    p_environment uuid, p_query text, p_include_deleted boolean, p_max integer
) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100 SET search_path = pg_catalog, public AS $$
DECLARE
    v_pattern text := '%' || regexp_replace(lower(btrim(p_query)), '([\\%_])', '\\\1', 'g') || '%';
    v_may_be_uuid boolean := length(btrim(p_query)) >= 8;
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT id FROM customers_customer WHERE environment_id = %L AND (%L OR deleted_at IS NULL)'
        ' AND customers_search_text(display_name, external_id, name, email, public_id) LIKE %L'
        ' AND (%L OR customers_search_text(display_name, external_id, name, email,'
        ' CASE WHEN public_id <> id::text THEN public_id END) LIKE %L)'
        ' ORDER BY id DESC LIMIT %L',
        p_environment, p_include_deleted, v_pattern, v_may_be_uuid, v_pattern, p_max
    );
END $$;

ALTER FUNCTION customers_search_v1(uuid, text, boolean, integer) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_search_v1(uuid, text, boolean, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_search_v1(uuid, text, boolean, integer) TO purser_app;
