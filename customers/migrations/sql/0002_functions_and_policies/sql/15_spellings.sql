-- How values are spelled on the wire; the twins of customers/kernel/ids.py and of the API's instants.

-- None has a search path of its own: nothing here has rights to protect, and callers would pay for it.

-- Eight groups of five bits, each moved into a byte of its own and made a letter from `@` to `_`.
CREATE OR REPLACE FUNCTION customers_fives(p_hex text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    v bigint := ('x' || p_hex)::bit(40)::bigint;
BEGIN
    v := (v & x'fffff'::bigint) | ((v & x'fffff00000'::bigint) << 12);
    v := (v & x'3ff000003ff'::bigint) | ((v & x'ffc00000ffc00'::bigint) << 6);
    v := (v & x'1f001f001f001f'::bigint) | ((v & x'3e003e003e003e0'::bigint) << 3);
    RETURN int8send(v | x'4040404040404040'::bigint);
END $$;

-- A TypeID: prefix, underscore, the UUID's 128 bits as 26 characters of Crockford's base 32: two of the first byte, then
-- three times eight.
CREATE OR REPLACE FUNCTION customers_typeid(p_prefix text, p_id uuid) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    v_hex text := replace(p_id::text, '-', '');
    v_first integer := get_byte(uuid_send(p_id), 0);
BEGIN
    RETURN p_prefix || '_' || translate(
        chr(64 + (v_first >> 5)) || chr(64 + (v_first & 31)) || convert_from(
            customers_fives(substr(v_hex, 3, 10)) || customers_fives(substr(v_hex, 13, 10))
                || customers_fives(substr(v_hex, 23, 10)), 'UTF8'),
        '@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_', '0123456789abcdefghjkmnpqrstvwxyz'
    );
END $$;

-- RFC 3339 in UTC, without superfluous zeros: 2026-04-03T09:01:00Z, 2026-04-03T09:01:00.25Z.
CREATE OR REPLACE FUNCTION customers_instant(p_at timestamptz) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN regexp_replace(
        to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '\.?0+Z$', 'Z'
    );
END $$;

-- The lower-case spelling of a hyphenated UUID, or null: other texts are somebody's own ids.
CREATE OR REPLACE FUNCTION customers_uuid_text(p_text text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF length(p_text) = 36 AND p_text ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN
        RETURN lower(p_text);
    END IF;
    RETURN NULL;
END $$;

ALTER FUNCTION customers_fives(text) OWNER TO purser_kernel;
ALTER FUNCTION customers_typeid(text, uuid) OWNER TO purser_kernel;
ALTER FUNCTION customers_instant(timestamptz) OWNER TO purser_kernel;
ALTER FUNCTION customers_uuid_text(text) OWNER TO purser_kernel;
