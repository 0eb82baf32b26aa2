from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.rows import append_only, environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql

_SEALS = ("billing_ledger_seal", "billing_ledger_seal_part", "billing_sealed_account")


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0002_rows_and_kernel"),
        ("customers", "0002_rows_and_functions"),
    ]

    operations = [
        migrations.CreateModel(
            name="LedgerSeal",
            fields=[
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.BigIntegerField()),
                ("first_position", models.BigIntegerField()),
                ("last_position", models.BigIntegerField()),
                ("accounts", models.BigIntegerField()),
                ("previous_hash", models.BinaryField(max_length=32)),
                ("hash", models.BinaryField(max_length=32)),
                ("sealed_at", models.DateTimeField()),
            ],
            options={
                "db_table": "billing_ledger_seal",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="LedgerSealPart",
            fields=[
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.creditaccount",
                    ),
                ),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "first_sequence",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("first_sequence", models.BigIntegerField()),
                ("last_sequence", models.BigIntegerField()),
                ("seal_number", models.BigIntegerField()),
                ("hash", models.BinaryField(max_length=32)),
                ("digests", models.BinaryField()),
            ],
            options={
                "db_table": "billing_ledger_seal_part",
            },
        ),
        migrations.CreateModel(
            name="SealedAccount",
            fields=[
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="sealed",
                        serialize=False,
                        to="billing.creditaccount",
                    ),
                ),
                ("sequence", models.BigIntegerField()),
            ],
            options={
                "db_table": "billing_sealed_account",
            },
        ),
        migrations.CreateModel(
            name="VerificationRun",
            fields=[
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("customer_id", models.UUIDField(null=True)),
                ("actor", models.CharField(max_length=200)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                ("accounts", models.BigIntegerField()),
                ("entries", models.BigIntegerField()),
                ("sealed_entries", models.BigIntegerField()),
                ("head_hash", models.CharField(blank=True, default="", max_length=64)),
                ("faults", models.BigIntegerField()),
                ("findings", models.JSONField(default=list)),
                ("ok", models.BooleanField()),
            ],
            options={
                "db_table": "billing_verification_run",
                "ordering": ("-id",),
            },
        ),
        migrations.AddIndex(
            model_name="creditaccount",
            index=models.Index(fields=["environment", "customer"], name="accounts_of_an_environment"),
        ),
        migrations.AddConstraint(
            model_name="creditblock",
            constraint=models.UniqueConstraint(
                condition=models.Q(("source", "rollover"), _negated=True),
                fields=("account", "cause_id"),
                name="one_cause_makes_one_block",
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgerseal",
            constraint=models.UniqueConstraint(
                fields=("environment", "number"), name="seals_of_an_environment_are_numbered_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgerseal",
            constraint=models.CheckConstraint(
                condition=models.Q(("last_position__gte", models.F("first_position"))),
                name="a_seal_covers_at_least_one_entry",
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgersealpart",
            constraint=models.UniqueConstraint(
                fields=("environment", "seal_number", "account"), name="a_seal_has_one_part_for_an_account"
            ),
        ),
        migrations.AddIndex(
            model_name="verificationrun",
            index=models.Index(fields=["environment", "-id"], name="verification_runs_newest_first"),
        ),
        environment_rows(*_SEALS, "billing_verification_run"),
        kernel_only(*_SEALS),
        append_only("billing_ledger_seal", "billing_ledger_seal_part"),
        migrations.RunSQL(
            """
            REVOKE UPDATE ON billing_ledger_seal, billing_ledger_seal_part FROM purser_kernel;
            REVOKE UPDATE, DELETE, TRUNCATE ON billing_verification_run FROM purser_app;
            """,
            migrations.RunSQL.noop,
        ),
        frozen_sql(__file__),
    ]
