-- Everything here belongs to the kernel's role; the application may call the public (versioned) functions only.
DO $$
DECLARE f record;
BEGIN
  FOR f IN
    SELECT p.oid::regprocedure AS name, p.proname ~ '_v[0-9]+$' AS is_public FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE 'billing\_%'
      AND pg_get_userbyid(p.proowner) <> 'purser_kernel'
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.name);
    IF f.is_public THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO purser_app', f.name);
    END IF;
    EXECUTE format('ALTER FUNCTION %s OWNER TO purser_kernel', f.name);
  END LOOP;
END $$;
GRANT USAGE ON TYPE billing_cause TO purser_kernel;
