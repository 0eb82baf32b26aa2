from __future__ import annotations

from django.db import migrations

from customers.kernel.rows import append_only, environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql

_WRITTEN_BY_THE_APPLICATION = ("metering_metric", "metering_rule")
_WRITTEN_BY_THE_KERNEL = (
    "metering_usage_event",
    "metering_usage_key",
    "metering_cycle_counter",
    "metering_event_void",
    "metering_reservation",
    "metering_reservation_step",
    "metering_usage_hour",
    "metering_usage_hour_of_all",
    "metering_snapshot_pause",
    "metering_event_archive",
    "metering_archived_hour",
)
_APPEND_ONLY = (
    "metering_rule",
    "metering_usage_event",
    "metering_usage_key",
    "metering_event_void",
    "metering_reservation",
    "metering_reservation_step",
    "metering_event_archive",
)
# Prices are immutable, and so is what a metric is called and counts; the kernel's functions only read both.
_PRIVILEGES = """
GRANT SELECT ON metering_metric, metering_rule TO purser_kernel;
REVOKE UPDATE, DELETE, TRUNCATE ON metering_rule, metering_metric FROM purser_app;
GRANT UPDATE (name, description, status, updated_at) ON metering_metric TO purser_app;
GRANT DELETE ON metering_usage_hour, metering_usage_hour_of_all TO purser_kernel;
"""
_SPACE = """
ALTER TABLE metering_cycle_counter SET (fillfactor = 50);
ALTER TABLE metering_usage_hour SET (fillfactor = 70);
ALTER TABLE metering_usage_hour_of_all SET (fillfactor = 50);
"""
_WATERMARK = """
INSERT INTO metering_usage_watermark (id, recorded_before)
VALUES (1, pg_snapshot_xmin(pg_current_snapshot())::text::bigint);
"""
# By id, and an environment's newest first, in one index.
_EVENT_KEY = """
ALTER TABLE metering_usage_event DROP CONSTRAINT metering_usage_event_pkey;
ALTER TABLE metering_usage_event ADD PRIMARY KEY (environment_id, id);
"""
# Partitions take over what the table has by then.
_FIRST_PARTITIONS = """
CREATE TABLE metering_usage_event_default PARTITION OF metering_usage_event DEFAULT;
SELECT metering_event_partition_guard('metering_usage_event_default');
SELECT metering_event_partition_make_v1(now() + n * interval '1 month', 0) FROM generate_series(0, 1) AS n;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_initial"), ("billing", "0002_functions_and_policies")]

    operations = [
        frozen_sql(__file__, "sql", "reservations", "rollups", "snapshots", "partitions"),
        environment_rows(*_WRITTEN_BY_THE_APPLICATION, *_WRITTEN_BY_THE_KERNEL),
        # The watermark is everybody's: it has no environment.
        kernel_only(*_WRITTEN_BY_THE_KERNEL, "metering_usage_watermark"),
        append_only(*_APPEND_ONLY),
        migrations.RunSQL(_PRIVILEGES, migrations.RunSQL.noop),
        migrations.RunSQL(_SPACE, migrations.RunSQL.noop),
        migrations.RunSQL(_WATERMARK, migrations.RunSQL.noop),
        migrations.RunSQL(_EVENT_KEY, migrations.RunSQL.noop),
        migrations.RunSQL(_FIRST_PARTITIONS, migrations.RunSQL.noop),
    ]
