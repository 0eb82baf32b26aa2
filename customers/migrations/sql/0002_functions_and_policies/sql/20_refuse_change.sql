-- Behind append-only tables: whoever tries, whatever the role.
CREATE OR REPLACE FUNCTION customers_refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

ALTER FUNCTION customers_refuse_change() OWNER TO purser_kernel;
