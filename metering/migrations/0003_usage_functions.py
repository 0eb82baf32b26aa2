from __future__ import annotations

from django.db import migrations

from customers.kernel.rows import append_only, environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql

_TABLES = ("metering_usage_event", "metering_usage_key", "metering_cycle_counter", "metering_event_void")


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_usage_event"), ("billing", "0002_rows_and_kernel")]

    operations = [
        frozen_sql(__file__),
        environment_rows(*_TABLES),
        kernel_only(*_TABLES),
        append_only("metering_usage_event", "metering_usage_key", "metering_event_void"),
        # Raised with every event: room on the page keeps those updates away from the index.
        migrations.RunSQL("ALTER TABLE metering_cycle_counter SET (fillfactor = 50)", migrations.RunSQL.noop),
    ]
