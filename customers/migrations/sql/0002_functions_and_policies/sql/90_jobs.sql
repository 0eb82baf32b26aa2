-- For the sweep, which works in all environments: jobs that wait for a worker, and those whose worker has not been heard
-- of since `p_silent_since`. A job that was just made has its doorbell on the way: hence `p_made_before`.
CREATE OR REPLACE FUNCTION customers_jobs_due_v1(p_silent_since timestamptz, p_made_before timestamptz, p_most bigint)
RETURNS TABLE (environment_id uuid, job_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT j.environment_id, j.id FROM customers_job j
    WHERE (j.state = 'queued' AND j.created_at < p_made_before)
        OR (j.state = 'running' AND j.heartbeat_at < p_silent_since)
    ORDER BY j.id LIMIT p_most
$$;

ALTER FUNCTION customers_jobs_due_v1(timestamptz, timestamptz, bigint) OWNER TO purser_kernel;
REVOKE ALL ON FUNCTION customers_jobs_due_v1(timestamptz, timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION customers_jobs_due_v1(timestamptz, timestamptz, bigint) TO purser_app;
