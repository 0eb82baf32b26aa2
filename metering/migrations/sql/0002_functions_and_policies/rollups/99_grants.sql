-- Owned by the kernel's role, except those that make and take away partitions (metering/partitions/); the application
-- may call the public (versioned) functions only.
DO $$
DECLARE f record;
BEGIN
  FOR f IN
    SELECT p.oid::regprocedure AS name, p.proname ~ '_v[0-9]+$' AS is_public FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'metering\_%'
      AND pg_get_userbyid(p.proowner) <> 'purser_kernel'
      AND p.proname NOT LIKE 'metering\_event\_partition%'
      AND p.prorettype <> 'trigger'::regtype
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
    IF f.is_public THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO purser_app', f.name);
    END IF;
    EXECUTE format('ALTER FUNCTION %s OWNER TO purser_kernel', f.name);
  END LOOP;
END $$;
