from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.rows import append_only, environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql

_TABLES = ("metering_reservation", "metering_reservation_step")


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_topups"),
        ("customers", "0002_rows_and_functions"),
        ("metering", "0003_usage_functions"),
    ]

    operations = [
        migrations.AddField(
            model_name="usageevent",
            name="cycle_charged_mc",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="usageevent",
            name="cycle_units",
            field=models.DecimalField(decimal_places=10, max_digits=38, null=True),
        ),
        migrations.CreateModel(
            name="Reservation",
            fields=[
                (
                    "hold",
                    models.OneToOneField(
                        db_column="id",
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="reservation",
                        serialize=False,
                        to="billing.hold",
                    ),
                ),
                ("dimension", models.CharField(blank=True, default="", max_length=255)),
                ("value", models.CharField(blank=True, default="", max_length=255)),
                ("is_counted", models.BooleanField()),
                ("estimated_units", models.DecimalField(decimal_places=10, max_digits=38)),
                ("properties", models.JSONField(null=True)),
                ("idempotency_key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=16)),
                ("created_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reservations",
                        to="customers.customer",
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
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.billablemetric",
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.meteringrule",
                    ),
                ),
            ],
            options={
                "db_table": "metering_reservation",
                "ordering": ("-pk",),
            },
        ),
        migrations.CreateModel(
            name="ReservationStep",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("commit", "Commit"), ("release", "Release"), ("extend", "Extend")],
                        max_length=7,
                    ),
                ),
                ("idempotency_key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=16)),
                ("event_id", models.UUIDField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
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
                    "reservation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="metering.reservation",
                    ),
                ),
            ],
            options={
                "db_table": "metering_reservation_step",
                "ordering": ("-id",),
            },
        ),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(fields=["customer", "-hold"], name="reservations_of_a_customer"),
        ),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(fields=["environment", "-hold"], name="reservations_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="reservation",
            constraint=models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_reservation_per_idempotency_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="reservation",
            constraint=models.CheckConstraint(
                condition=models.Q(("estimated_units__gt", 0)), name="a_reservation_expects_something"
            ),
        ),
        migrations.AddConstraint(
            model_name="reservationstep",
            constraint=models.UniqueConstraint(
                fields=("environment", "kind", "idempotency_key"),
                name="one_step_of_a_kind_per_idempotency_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="reservationstep",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind__in", ("commit", "release"))),
                fields=("reservation",),
                name="a_reservation_is_ended_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="reservationstep",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ("commit", "release", "extend"))), name="step_kind_is_known"
            ),
        ),
        frozen_sql(__file__),
        environment_rows(*_TABLES),
        kernel_only(*_TABLES),
        append_only(*_TABLES),
    ]
