-- Everything here belongs to the kernel's role. The application seals by the one function, and verifies with the recipes.
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'billing_entry_digest(billing_ledger_entry)',
    'billing_seal_hash(bytea, uuid, bigint, bigint, bigint, bigint, timestamptz, bytea)',
    'billing_seal_part_digest(uuid, bigint, bigint, bytea)',
    'billing_ledger_seal_v1(uuid, bigint, timestamptz)'
  ] LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO purser_kernel', name);
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO purser_app', name);
  END LOOP;
END $$;
