from __future__ import annotations

from django.db import migrations, models

from customers.kernel.rows import append_only, environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql

_TABLES = ("metering_usage_event", "metering_cycle_counter", "metering_event_void")


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_usage_event"), ("billing", "0002_rows_and_kernel")]

    operations = [
        # After the other indexes of the table: where costs are equal, as long as there are no statistics, the planner takes
        # the index made last, and plans are kept by connections. The other ones would read a whole environment.
        migrations.AddConstraint(
            model_name="usageevent",
            constraint=models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_usage_event_per_idempotency_key"
            ),
        ),
        frozen_sql(__file__),
        environment_rows(*_TABLES),
        kernel_only(*_TABLES),
        append_only("metering_usage_event", "metering_event_void"),
        # Raised with every event: room on the page keeps those updates away from the index.
        migrations.RunSQL("ALTER TABLE metering_cycle_counter SET (fillfactor = 50)", migrations.RunSQL.noop),
    ]
