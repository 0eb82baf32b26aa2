from __future__ import annotations

from django.db import migrations

from customers.kernel.sql_files import frozen_sql

#: What lies outside of all months, and the months that the first weeks need; the rest is made as time goes by.
_FIRST = """
CREATE TABLE metering_usage_event_default PARTITION OF metering_usage_event DEFAULT;
SELECT metering_event_partition_guard('metering_usage_event_default');
SELECT metering_event_partition_make_v1(now() + n * interval '1 month', 0) FROM generate_series(0, 1) AS n;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0007_shorter_checks")]

    operations = [
        frozen_sql(__file__),
        migrations.RunSQL(_FIRST, migrations.RunSQL.noop),
    ]
