-- How values are spelled on the wire; the twins of customers/kernel/ids.py and of the API's instants.

-- A TypeID: prefix, underscore, the UUID's 128 bits as 26 characters of Crockford's base 32.
CREATE OR REPLACE FUNCTION customers_typeid(p_prefix text, p_id uuid) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, public AS $$
DECLARE
    c_alphabet CONSTANT text := '0123456789abcdefghjkmnpqrstvwxyz';
    v_hex text := replace(p_id::text, '-', '');
    -- 130 bits = two zeros and the UUID's 128, cut where groups of five and hexadecimal digits meet: 50, 40, 40.
    v_high bigint := ('x' || lpad(left(v_hex, 12), 16, '0'))::bit(64)::bigint;
    v_middle bigint := ('x' || lpad(substr(v_hex, 13, 10), 16, '0'))::bit(64)::bigint;
    v_low bigint := ('x' || lpad(right(v_hex, 10), 16, '0'))::bit(64)::bigint;
    v_text text := '';
    v_shift integer;
BEGIN
    FOR v_shift IN REVERSE 45..0 BY 5 LOOP
        v_text := v_text || substr(c_alphabet, (v_high >> v_shift & 31)::integer + 1, 1);
    END LOOP;
    FOR v_shift IN REVERSE 35..0 BY 5 LOOP
        v_text := v_text || substr(c_alphabet, (v_middle >> v_shift & 31)::integer + 1, 1);
    END LOOP;
    FOR v_shift IN REVERSE 35..0 BY 5 LOOP
        v_text := v_text || substr(c_alphabet, (v_low >> v_shift & 31)::integer + 1, 1);
    END LOOP;
    RETURN p_prefix || '_' || v_text;
END $$;

-- RFC 3339 in UTC, without superfluous zeros: 2026-04-03T09:01:00Z, 2026-04-03T09:01:00.25Z.
CREATE OR REPLACE FUNCTION customers_instant(p_at timestamptz) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, public AS $$
BEGIN
    RETURN regexp_replace(
        to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '\.?0+Z$', 'Z'
    );
END $$;

-- The lower-case spelling of a hyphenated UUID, or null: other texts are somebody's own ids.
CREATE OR REPLACE FUNCTION customers_uuid_text(p_text text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, public AS $$
BEGIN
    IF length(p_text) = 36 AND p_text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN
        RETURN lower(p_text);
    END IF;
    RETURN NULL;
END $$;

ALTER FUNCTION customers_typeid(text, uuid) OWNER TO purser_kernel;
ALTER FUNCTION customers_instant(timestamptz) OWNER TO purser_kernel;
ALTER FUNCTION customers_uuid_text(text) OWNER TO purser_kernel;
