from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.rows import append_only, environment_rows, kernel_only

_WRITTEN_BY_THE_APPLICATION = (
    "billing_topup_package",
    "billing_topup",
    "billing_auto_topup",
    "billing_conversion",
)
_READ_BY_THE_KERNEL = (
    "GRANT SELECT ON billing_topup_package, billing_auto_topup, billing_conversion TO purser_kernel"
)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_seals_and_verification"),
        ("customers", "0002_rows_and_functions"),
    ]

    operations = [
        migrations.CreateModel(
            name="AutoTopup",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="auto_topup",
                        serialize=False,
                        to="billing.creditaccount",
                    ),
                ),
                ("threshold_mc", models.BigIntegerField()),
                ("monthly_limit", models.IntegerField(null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "billing_auto_topup",
            },
        ),
        migrations.CreateModel(
            name="Conversion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("entry_id", models.UUIDField()),
                ("price_mc", models.BigIntegerField()),
                ("credits_mc", models.BigIntegerField()),
                ("occurred_at", models.DateTimeField()),
            ],
            options={
                "db_table": "billing_conversion",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Topup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("credits_mc", models.BigIntegerField()),
                ("bonus_credits_mc", models.BigIntegerField(default=0)),
                ("price_paid_minor", models.BigIntegerField(null=True)),
                ("currency", models.CharField(max_length=3, null=True)),
                ("external_payment_id", models.CharField(max_length=255, null=True)),
                ("topup_request_id", models.UUIDField(null=True)),
                ("priority", models.SmallIntegerField(default=0)),
                ("expires_at", models.DateTimeField(null=True)),
                ("metadata", models.JSONField(default=dict)),
                ("actor", models.CharField(max_length=200)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "billing_topup",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="TopupPackage",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("credits_mc", models.BigIntegerField()),
                ("bonus_credits_mc", models.BigIntegerField(default=0)),
                ("price_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("expires_after_seconds", models.BigIntegerField(blank=True, null=True)),
                ("priority", models.SmallIntegerField(default=0)),
                ("active", models.BooleanField(default=True)),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "billing_topup_package",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="TopupRequest",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("threshold_mc", models.BigIntegerField()),
                ("effective_mc", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("fulfilled", "Fulfilled by a topup"),
                            ("covered", "Covered by other credits"),
                            ("canceled", "Canceled"),
                        ],
                        max_length=9,
                    ),
                ),
                ("requested_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(null=True)),
                ("topup_id", models.UUIDField(null=True)),
            ],
            options={
                "db_table": "billing_topup_request",
                "ordering": ("-id",),
            },
        ),
        migrations.RemoveConstraint(
            model_name="creditblock",
            name="block_state_is_known",
        ),
        migrations.AddField(
            model_name="creditaccount",
            name="auto_topup_at_mc",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="creditaccount",
            name="topup_is_requested",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="creditblock",
            name="voided_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="creditblock",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "Starts later"),
                    ("live", "Live"),
                    ("spent", "Spent"),
                    ("expired", "Expired"),
                    ("voided", "Voided before it started"),
                ],
                max_length=8,
            ),
        ),
        migrations.AddIndex(
            model_name="hold",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", False)),
                fields=["account", "ended_at"],
                name="ended_holds_by_end",
            ),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(
                condition=models.Q(("amount_mc__gt", 0), ("kind__in", ("grant", "adjust"))),
                fields=["account", "occurred_at"],
                include=("amount_mc",),
                name="earnings_of_an_account",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditblock",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ("pending", "live", "spent", "expired", "voided"))),
                name="block_state_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditblock",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "voided"), ("voided_at__isnull", False)),
                    models.Q(models.Q(("state", "voided"), _negated=True), ("voided_at__isnull", True)),
                    _connector="OR",
                ),
                name="a_block_that_was_voided_says_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditblock",
            constraint=models.UniqueConstraint(
                condition=models.Q(("cause_type__in", ("grant", "adjustment", "conversion"))),
                fields=("environment", "cause_type", "idempotency_key"),
                name="one_block_per_idempotency_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="ledgerentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("source_type__in", ("grant", "adjustment", "refund", "conversion"))),
                fields=("environment", "source_type", "idempotency_key"),
                name="one_entry_per_idempotency_key",
            ),
        ),
        migrations.AddField(
            model_name="autotopup",
            name="environment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.environment"
            ),
        ),
        migrations.AddField(
            model_name="conversion",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="billing.creditaccount",
            ),
        ),
        migrations.AddField(
            model_name="conversion",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="topup",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="topups",
                to="billing.creditaccount",
            ),
        ),
        migrations.AddField(
            model_name="topup",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="topuppackage",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="topup",
            name="package",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="topups",
                to="billing.topuppackage",
            ),
        ),
        migrations.AddField(
            model_name="autotopup",
            name="package",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="billing.topuppackage"
            ),
        ),
        migrations.AddField(
            model_name="topuprequest",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="topup_requests",
                to="billing.creditaccount",
            ),
        ),
        migrations.AddField(
            model_name="topuprequest",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="topuprequest",
            name="package",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="billing.topuppackage",
            ),
        ),
        migrations.AddIndex(
            model_name="conversion",
            index=models.Index(fields=["account", "occurred_at"], name="conversions_of_an_account"),
        ),
        migrations.AddConstraint(
            model_name="conversion",
            constraint=models.UniqueConstraint(
                fields=("environment", "entry_id"), name="an_entry_is_at_most_one_conversion"
            ),
        ),
        migrations.AddIndex(
            model_name="topuppackage",
            index=models.Index(fields=["environment", "-id"], name="packages_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="topuppackage",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("bonus_credits_mc__gte", 0), ("credits_mc__gt", 0), ("price_minor__gte", 0)
                ),
                name="a_package_has_credits_and_a_price",
            ),
        ),
        migrations.AddConstraint(
            model_name="topuppackage",
            constraint=models.CheckConstraint(
                condition=models.Q(("priority__gte", 0), ("priority__lte", 100)),
                name="package_priority_is_between_0_and_100",
            ),
        ),
        migrations.AddConstraint(
            model_name="topuppackage",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("expires_after_seconds__isnull", True), ("expires_after_seconds__gt", 0), _connector="OR"
                ),
                name="package_credits_live_for_a_while",
            ),
        ),
        migrations.AddIndex(
            model_name="topup",
            index=models.Index(fields=["account", "-id"], name="topups_of_an_account"),
        ),
        migrations.AddIndex(
            model_name="topup",
            index=models.Index(fields=["environment", "-id"], name="topups_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="topup",
            constraint=models.UniqueConstraint(
                fields=("environment", "external_payment_id"), name="a_payment_tops_up_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="topup",
            constraint=models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_topup_per_idempotency_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="topup",
            constraint=models.CheckConstraint(
                condition=models.Q(("bonus_credits_mc__gte", 0), ("credits_mc__gt", 0)),
                name="a_topup_brings_credits",
            ),
        ),
        migrations.AddConstraint(
            model_name="autotopup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("monthly_limit__isnull", True), ("monthly_limit__gt", 0), _connector="OR"
                ),
                name="monthly_limit_allows_something",
            ),
        ),
        migrations.AddIndex(
            model_name="topuprequest",
            index=models.Index(fields=["account", "requested_at"], name="topup_requests_by_month"),
        ),
        migrations.AddIndex(
            model_name="topuprequest",
            index=models.Index(fields=["environment", "-id"], name="topup_requests_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="topuprequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "open")),
                fields=("account",),
                name="one_topup_request_is_open_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="topuprequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("resolved_at__isnull", True), ("state", "open")),
                    models.Q(
                        ("resolved_at__isnull", False), ("state__in", ("fulfilled", "covered", "canceled"))
                    ),
                    _connector="OR",
                ),
                name="a_topup_request_that_ended_says_when",
            ),
        ),
        environment_rows(*_WRITTEN_BY_THE_APPLICATION, "billing_topup_request"),
        kernel_only("billing_topup_request"),
        append_only("billing_topup", "billing_conversion"),
        migrations.RunSQL(_READ_BY_THE_KERNEL, migrations.RunSQL.noop),
    ]
