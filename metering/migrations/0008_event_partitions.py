from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

from customers.kernel.rows import append_only, environment_rows, kernel_only
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
        migrations.CreateModel(
            name="EventArchive",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "environment_id",
                        "table_name",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                ("table_name", models.CharField(max_length=63)),
                ("first_id", models.UUIDField()),
                ("end_id", models.UUIDField()),
                ("events", models.BigIntegerField()),
                ("received_from", models.DateTimeField()),
                ("received_until", models.DateTimeField()),
                ("archived_at", models.DateTimeField()),
            ],
            options={"db_table": "metering_event_archive"},
        ),
        migrations.CreateModel(
            name="ArchivedHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "customer_id",
                        "metric_id",
                        "hour",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.billablemetric",
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("events", models.BigIntegerField()),
                ("units_sum", models.DecimalField(decimal_places=10, max_digits=38)),
                ("units_max", models.DecimalField(decimal_places=10, max_digits=38)),
                ("units_min", models.DecimalField(decimal_places=10, max_digits=38)),
                ("last_units", models.DecimalField(decimal_places=10, max_digits=38)),
                ("last_at", models.DateTimeField()),
                ("last_event_id", models.UUIDField()),
                ("cost_mc", models.BigIntegerField()),
            ],
            options={"db_table": "metering_archived_hour"},
        ),
        environment_rows("metering_event_archive", "metering_archived_hour"),
        kernel_only("metering_event_archive", "metering_archived_hour"),
        append_only("metering_event_archive"),
        frozen_sql(__file__),
        migrations.RunSQL(_FIRST, migrations.RunSQL.noop),
    ]
