from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

from customers.kernel.rows import environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0003_jobs"),
        ("metering", "0005_rollups"),
    ]

    operations = [
        migrations.CreateModel(
            name="SnapshotPause",
            fields=[
                (
                    "environment",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="customers.environment",
                    ),
                ),
                ("paused_until", models.DateTimeField()),
            ],
            options={
                "db_table": "metering_snapshot_pause",
            },
        ),
        environment_rows("metering_snapshot_pause"),
        kernel_only("metering_snapshot_pause"),
        frozen_sql(__file__),
    ]
