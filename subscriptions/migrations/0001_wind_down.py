from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.rows import append_only, environment_rows


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("customers", "0003_jobs"),
    ]

    operations = [
        migrations.CreateModel(
            name="WindDown",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=1000)),
                ("outcome", models.JSONField()),
                ("actor", models.CharField(max_length=200)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="wind_downs",
                        to="customers.customer",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_wind_down",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "idempotency_key"), name="one_wind_down_per_idempotency_key"
                    )
                ],
            },
        ),
        environment_rows("subscriptions_wind_down"),
        append_only("subscriptions_wind_down"),
    ]
