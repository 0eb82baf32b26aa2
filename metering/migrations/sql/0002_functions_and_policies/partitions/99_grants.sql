-- Owned by who owns the tables; the application may call the public functions that take nothing away.
GRANT EXECUTE ON FUNCTION metering_event_partition_make_v1, metering_event_partitions_v1,
  metering_event_partition_instant TO purser_app;
