from __future__ import annotations

from django.db import migrations

from customers.kernel.rows import append_only, environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_usage_event"), ("billing", "0002_rows_and_kernel")]

    operations = [
        frozen_sql(__file__),
        environment_rows("metering_usage_event"),
        kernel_only("metering_usage_event"),
        append_only("metering_usage_event"),
    ]
