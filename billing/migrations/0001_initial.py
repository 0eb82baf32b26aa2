import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import django.db.models.lookups
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.tables import CreateModels


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("customers", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="CreditAccount",
            fields=[
                (
                    "customer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="credit_account",
                        serialize=False,
                        to="customers.customer",
                    ),
                ),
                ("balance_mc", models.BigIntegerField(db_default=0, default=0)),
                ("reserved_mc", models.BigIntegerField(db_default=0, default=0)),
                ("overdraft_mc", models.BigIntegerField(db_default=0, default=0)),
                ("lifetime_earned_mc", models.BigIntegerField(db_default=0, default=0)),
                ("sequence", models.BigIntegerField(db_default=0, default=0)),
                ("version", models.BigIntegerField(db_default=0, default=0)),
                ("last_entry_at", models.DateTimeField(null=True)),
                ("next_change_at", models.DateTimeField(null=True)),
                ("low_balance_told", models.BooleanField(db_default=False, default=False)),
                ("has_scoped_blocks", models.BooleanField(db_default=False, default=False)),
                ("catch_up_at", models.DateTimeField(null=True)),
                ("cycle_started_at", models.DateTimeField(null=True)),
                ("cycle_ends_at", models.DateTimeField(null=True)),
                ("plan_variant_id", models.UUIDField(null=True)),
                ("usage_suspended", models.CharField(max_length=40, null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                ("low_balance_at_mc", models.BigIntegerField(null=True)),
                ("auto_topup_at_mc", models.BigIntegerField(null=True)),
                ("topup_is_requested", models.BooleanField(db_default=False, default=False)),
            ],
            options={
                "db_table": "billing_credit_account",
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_change_at__isnull", False)),
                        fields=["next_change_at"],
                        name="accounts_with_something_due",
                    ),
                    models.Index(fields=["environment", "customer"], name="accounts_of_an_environment"),
                    models.Index(
                        condition=models.Q(("next_change_at__isnull", False)),
                        fields=["environment", "next_change_at"],
                        name="accounts_by_what_is_due_next",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CreditBlock",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("original_mc", models.BigIntegerField()),
                ("remaining_mc", models.BigIntegerField()),
                ("held_mc", models.BigIntegerField(db_default=0, default=0)),
                (
                    "state",
                    models.CharField(
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
                ("priority", models.SmallIntegerField(default=0)),
                ("effective_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(null=True)),
                (
                    "metric_keys",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), null=True, size=None
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("topup", "Topup"),
                            ("promotional", "Promotional"),
                            ("plan_grant", "Plan grant"),
                            ("rollover", "Rollover"),
                            ("adjustment", "Adjustment"),
                            ("refund", "Refund"),
                            ("manual", "Manual"),
                        ],
                        max_length=12,
                    ),
                ),
                ("price_paid_minor", models.BigIntegerField(null=True)),
                ("currency", models.CharField(max_length=3, null=True)),
                ("is_paid", models.BooleanField()),
                ("reason", models.CharField(blank=True, default="", max_length=1000)),
                ("metadata", models.JSONField(default=dict)),
                ("cause_type", models.CharField(max_length=20)),
                ("cause_id", models.UUIDField()),
                ("actor", models.CharField(max_length=200)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="blocks",
                        to="billing.creditaccount",
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
                ("voided_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "billing_credit_block",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(
                        models.F("account"),
                        models.OrderBy(models.F("priority"), descending=True),
                        models.F("expires_at"),
                        models.F("is_paid"),
                        models.F("created_at"),
                        models.F("id"),
                        condition=models.Q(("state", "live")),
                        name="live_blocks_in_burn_order",
                    ),
                    models.Index(
                        condition=models.Q(("expires_at__isnull", False), ("state", "live")),
                        fields=["account", "expires_at"],
                        name="live_blocks_by_expiry",
                    ),
                    models.Index(
                        condition=models.Q(("state", "pending")),
                        fields=["account", "effective_at"],
                        name="blocks_that_start_later",
                    ),
                    models.Index(fields=["account", "id"], name="blocks_of_an_account"),
                    models.Index(fields=["environment", "id"], name="blocks_newest_first"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("cause_type__in", ("grant", "adjustment", "conversion", "extension"))
                        ),
                        fields=("environment", "cause_type", "idempotency_key"),
                        name="one_block_per_idempotency_key",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("source__in", ("rollover", "refund")), _negated=True),
                        fields=("account", "cause_id"),
                        name="one_cause_makes_one_block",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("amount_mc", models.BigIntegerField()),
                (
                    "block_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(null=True), size=None
                    ),
                ),
                (
                    "block_amounts",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("metric_key", models.CharField(max_length=64, null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("committed", "Committed"),
                            ("released", "Released"),
                            ("expired", "Expired"),
                        ],
                        max_length=9,
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                ("metadata", models.JSONField(default=dict)),
                ("actor", models.CharField(max_length=200)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("committed_mc", models.BigIntegerField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holds",
                        to="billing.creditaccount",
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
            ],
            options={
                "db_table": "billing_hold",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "active")),
                        fields=["account", "expires_at"],
                        name="open_holds_by_end",
                    ),
                    models.Index(fields=["account", "id"], name="holds_of_an_account"),
                    models.Index(fields=["environment", "id"], name="holds_newest_first"),
                    models.Index(
                        condition=models.Q(("ended_at__isnull", False)),
                        fields=["account", "ended_at"],
                        name="ended_holds_by_end",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_mc__gte", 0)), name="held_amount_is_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Func(
                            models.F("state"),
                            models.Value("{active,committed,released,expired}"),
                            arg_joiner=" = ANY (",
                            output_field=models.BooleanField(),
                            template="%(expressions)s)",
                        ),
                        name="hold_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.Exact(
                            django.db.models.lookups.IsNull(models.F("ended_at"), True),
                            django.db.models.lookups.Exact(models.F("state"), "active"),
                        ),
                        name="a_hold_that_ended_says_when",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sequence", models.BigIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("grant", "Grant"),
                            ("debit", "Debit"),
                            ("expire", "Expiry"),
                            ("adjust", "Adjustment"),
                            ("rollover", "Rollover"),
                            ("refund", "Refund"),
                            ("convert", "Conversion"),
                        ],
                        max_length=8,
                    ),
                ),
                ("amount_mc", models.BigIntegerField()),
                (
                    "block_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(null=True), size=None
                    ),
                ),
                (
                    "block_amounts",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("balance_after_mc", models.BigIntegerField()),
                ("effective_after_mc", models.BigIntegerField()),
                ("source_type", models.CharField(max_length=20)),
                ("source_id", models.UUIDField()),
                ("reverses_id", models.UUIDField(null=True)),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.CharField(blank=True, default="", max_length=1000)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("metadata", models.JSONField(null=True)),
                ("occurred_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="billing.creditaccount",
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
            ],
            options={
                "db_table": "billing_ledger_entry",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("reverses_id__isnull", False)),
                        fields=["account", "reverses_id"],
                        name="refunds_of_a_debit",
                    ),
                    models.Index(
                        condition=models.Q(("kind", "debit"), _negated=True),
                        fields=["account", "kind", "sequence"],
                        include=("amount_mc", "source_type"),
                        name="entries_that_are_no_debits",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "sequence"), name="entries_of_an_account_are_numbered_once"
                    ),
                    models.UniqueConstraint(
                        fields=("source_id", "kind", "account"), name="one_cause_makes_one_entry_of_a_kind"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("source_type__in", ("grant", "adjustment", "refund", "conversion", "extension"))
                        ),
                        fields=("environment", "source_type", "idempotency_key"),
                        name="one_entry_per_idempotency_key",
                    ),
                ],
            },
        ),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "number"), name="seals_of_an_environment_are_numbered_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("last_position__gte", models.F("first_position"))),
                        name="a_seal_covers_at_least_one_entry",
                    ),
                ],
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "seal_number", "account"),
                        name="a_seal_has_one_part_for_an_account",
                    )
                ],
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
                "indexes": [
                    models.Index(fields=["environment", "id"], name="verification_runs_newest_first")
                ],
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
                "db_table": "billing_topup_package",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["environment", "id"], name="packages_newest_first")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("bonus_credits_mc__gte", 0), ("credits_mc__gt", 0), ("price_minor__gte", 0)
                        ),
                        name="a_package_has_credits_and_a_price",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("priority__gte", 0), ("priority__lte", 100)),
                        name="package_priority_is_between_0_and_100",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expires_after_seconds__isnull", True),
                            ("expires_after_seconds__gt", 0),
                            _connector="OR",
                        ),
                        name="package_credits_live_for_a_while",
                    ),
                ],
            },
        ),
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
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "package",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.topuppackage",
                    ),
                ),
            ],
            options={
                "db_table": "billing_auto_topup",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("monthly_limit__isnull", True), ("monthly_limit__gt", 0), _connector="OR"
                        ),
                        name="monthly_limit_allows_something",
                    )
                ],
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
                "db_table": "billing_conversion",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["account", "occurred_at"], name="conversions_of_an_account")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "entry_id"), name="an_entry_is_at_most_one_conversion"
                    )
                ],
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
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="topups",
                        to="billing.creditaccount",
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
                (
                    "package",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="topups",
                        to="billing.topuppackage",
                    ),
                ),
            ],
            options={
                "db_table": "billing_topup",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["account", "id"], name="topups_of_an_account"),
                    models.Index(fields=["environment", "id"], name="topups_newest_first"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "external_payment_id"), name="a_payment_tops_up_once"
                    ),
                    models.UniqueConstraint(
                        fields=("environment", "idempotency_key"), name="one_topup_per_idempotency_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("bonus_credits_mc__gte", 0), ("credits_mc__gt", 0)),
                        name="a_topup_brings_credits",
                    ),
                ],
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
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="topup_requests",
                        to="billing.creditaccount",
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
                (
                    "package",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.topuppackage",
                    ),
                ),
            ],
            options={
                "db_table": "billing_topup_request",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["account", "requested_at"], name="topup_requests_by_month"),
                    models.Index(fields=["environment", "id"], name="topup_requests_newest_first"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")),
                        fields=("account",),
                        name="one_topup_request_is_open_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("resolved_at__isnull", True), ("state", "open")),
                            models.Q(
                                ("resolved_at__isnull", False),
                                ("state__in", ("fulfilled", "covered", "canceled")),
                            ),
                            _connector="OR",
                        ),
                        name="a_topup_request_that_ended_says_when",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="InvoiceSettings",
            fields=[
                (
                    "environment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="customers.environment",
                    ),
                ),
                ("number_prefix", models.CharField(default="INV-", max_length=20)),
                ("last_number", models.BigIntegerField(default=0)),
                ("credit_note_prefix", models.CharField(default="CN-", max_length=20)),
                ("last_credit_note_number", models.BigIntegerField(default=0)),
                ("days_until_due", models.PositiveSmallIntegerField(default=14)),
                ("dunning_days", models.JSONField(default=list)),
                ("charges_automatically", models.BooleanField(default=True)),
                ("emails_invoices", models.BooleanField(default=False)),
                ("seller_name", models.CharField(blank=True, default="", max_length=200)),
                ("seller_address", models.TextField(blank=True, default="", max_length=1000)),
                ("seller_tax_id", models.CharField(blank=True, default="", max_length=64)),
                ("seller_email", models.CharField(blank=True, default="", max_length=320)),
                ("footer", models.TextField(blank=True, default="", max_length=1000)),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "billing_invoice_settings",
            },
        ),
        migrations.CreateModel(
            name="CreditBalance",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                ("balance_minor", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="customers.customer"
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
                "db_table": "billing_credit_balance",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "customer", "currency"),
                        name="a_customer_has_one_credit_balance_per_currency",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("balance_minor__gte", 0)), name="a_credit_balance_is_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Invoice",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("issued", "Issued"),
                            ("processing", "Processing"),
                            ("paid", "Paid"),
                            ("void", "Void"),
                            ("uncollectible", "Uncollectible"),
                        ],
                        max_length=13,
                    ),
                ),
                (
                    "source",
                    models.CharField(
                        choices=[("api", "Asked for"), ("bulk", "Bulk run"), ("automatic", "Automatic")],
                        default="api",
                        max_length=9,
                    ),
                ),
                ("number", models.CharField(max_length=40, null=True)),
                ("number_sequence", models.BigIntegerField(null=True)),
                ("currency", models.CharField(max_length=3)),
                ("period_start", models.DateTimeField()),
                ("period_end", models.DateTimeField()),
                ("period_end_shown", models.CharField(blank=True, default="", max_length=40)),
                ("subtotal_minor", models.BigIntegerField()),
                ("tax_rate", models.DecimalField(decimal_places=4, default=0, max_digits=7)),
                ("tax_minor", models.BigIntegerField(default=0)),
                ("credits_applied_minor", models.BigIntegerField(default=0)),
                ("total_minor", models.BigIntegerField()),
                ("paid_minor", models.BigIntegerField(default=0)),
                ("credited_minor", models.BigIntegerField(default=0)),
                ("bill_to", models.JSONField(default=dict)),
                ("bill_from", models.JSONField(default=dict)),
                ("memo", models.CharField(blank=True, default="", max_length=1000)),
                ("metadata", models.JSONField(default=dict)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("issued_at", models.DateTimeField(null=True)),
                ("due_at", models.DateTimeField(null=True)),
                ("paid_at", models.DateTimeField(null=True)),
                ("voided_at", models.DateTimeField(null=True)),
                ("uncollectible_at", models.DateTimeField(null=True)),
                ("next_charge_at", models.DateTimeField(null=True)),
                ("charge_attempts", models.PositiveSmallIntegerField(default=0)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="invoices",
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
                (
                    "replaces",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replaced_by",
                        to="billing.invoice",
                    ),
                ),
            ],
            options={
                "db_table": "billing_invoice",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="invoices_newest_first"),
                    models.Index(fields=["customer", "id"], name="invoices_of_a_customer"),
                    models.Index(fields=["environment", "status", "id"], name="invoices_by_status"),
                    models.Index(
                        condition=models.Q(("next_charge_at__isnull", False)),
                        fields=["next_charge_at", "id"],
                        name="invoices_to_charge_again",
                    ),
                    models.Index(
                        condition=models.Q(("paid_at__isnull", False)),
                        fields=["environment", "paid_at"],
                        name="invoices_by_payment",
                    ),
                    models.Index(
                        condition=models.Q(("status__in", ("issued", "processing"))),
                        fields=["environment", "due_at"],
                        name="invoices_waiting_for_money",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "number_sequence"), name="an_invoice_number_is_given_once"
                    ),
                    models.UniqueConstraint(
                        fields=("environment", "idempotency_key"), name="one_invoice_per_idempotency_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status__in", ["draft", "issued", "processing", "paid", "void", "uncollectible"])
                        ),
                        name="invoice_status_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status__in", ("draft", "void")),
                            models.Q(
                                ("issued_at__isnull", False),
                                ("number__isnull", False),
                                ("number_sequence__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="an_issued_invoice_has_a_number",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "total_minor",
                                django.db.models.expressions.CombinedExpression(
                                    django.db.models.expressions.CombinedExpression(
                                        models.F("subtotal_minor"), "+", models.F("tax_minor")
                                    ),
                                    "-",
                                    models.F("credits_applied_minor"),
                                ),
                            )
                        ),
                        name="an_invoice_adds_up",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("credited_minor__gte", 0),
                            ("paid_minor__gte", 0),
                            (
                                "total_minor__gte",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("paid_minor"), "+", models.F("credited_minor")
                                ),
                            ),
                        ),
                        name="an_invoice_is_not_paid_beyond_its_total",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", "paid"), _negated=True),
                            (
                                "total_minor",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("paid_minor"), "+", models.F("credited_minor")
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="a_paid_invoice_leaves_nothing_due",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("period_end__gte", models.F("period_start"))),
                        name="an_invoice_does_not_end_before_it_starts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CreditNote",
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
                        choices=[
                            ("reduction", "Less is due"),
                            ("balance", "Kept for the next invoice"),
                            ("refund", "Paid back"),
                        ],
                        max_length=9,
                    ),
                ),
                ("number", models.CharField(max_length=40)),
                ("number_sequence", models.BigIntegerField()),
                ("amount_minor", models.BigIntegerField()),
                ("tax_minor", models.BigIntegerField(default=0)),
                ("lines", models.JSONField(default=list)),
                ("reason", models.CharField(blank=True, default="", max_length=1000)),
                ("metadata", models.JSONField(default=dict)),
                (
                    "refund_status",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "None"),
                            ("pending", "Pending"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                        ],
                        default="",
                        max_length=9,
                    ),
                ),
                ("refund_ask_at", models.DateTimeField(null=True)),
                ("provider_refund_id", models.CharField(max_length=255, null=True)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
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
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_notes",
                        to="billing.invoice",
                    ),
                ),
            ],
            options={
                "db_table": "billing_credit_note",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="credit_notes_newest_first"),
                    models.Index(
                        condition=models.Q(("refund_status", "pending")),
                        fields=["refund_ask_at"],
                        name="refunds_under_way",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "number_sequence"), name="a_credit_note_number_is_given_once"
                    ),
                    models.UniqueConstraint(
                        fields=("environment", "idempotency_key"), name="one_credit_note_per_idempotency_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0), ("tax_minor__gte", 0)),
                        name="a_credit_note_takes_something_back",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["reduction", "balance", "refund"])),
                        name="credit_note_kind_is_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CreditMovement",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("amount_minor", models.BigIntegerField()),
                ("balance_after_minor", models.BigIntegerField()),
                ("what", models.CharField(max_length=20)),
                ("occurred_at", models.DateTimeField()),
                (
                    "balance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="movements",
                        to="billing.creditbalance",
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
                (
                    "credit_note",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.creditnote",
                    ),
                ),
                (
                    "invoice",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.invoice",
                    ),
                ),
            ],
            options={
                "db_table": "billing_credit_movement",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("credit_note__isnull", False)),
                        fields=("environment", "credit_note"),
                        name="a_credit_note_is_put_on_the_balance_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("credit_note__isnull", True), ("invoice__isnull", False)),
                        fields=("environment", "invoice", "what"),
                        name="an_invoice_moves_the_balance_once_each_way",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="InvoiceEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("type", models.CharField(max_length=40)),
                ("data", models.JSONField(default=dict)),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.CharField(blank=True, default="", max_length=1000)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("occurred_at", models.DateTimeField()),
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
                    "invoice",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="billing.invoice",
                    ),
                ),
            ],
            options={
                "db_table": "billing_invoice_event",
                "ordering": ("id",),
                "indexes": [models.Index(fields=["invoice", "id"], name="events_of_an_invoice")],
            },
        ),
        migrations.CreateModel(
            name="InvoiceLine",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[("usage", "Usage"), ("fee", "Fee"), ("minimum", "Minimum")], max_length=7
                    ),
                ),
                ("is_adjustment", models.BooleanField(default=False)),
                ("description", models.CharField(max_length=500)),
                ("quantity", models.DecimalField(decimal_places=10, max_digits=38)),
                ("amount_minor", models.BigIntegerField()),
                ("period_start", models.DateTimeField()),
                ("period_end", models.DateTimeField()),
                ("series", models.UUIDField()),
                ("subscription_id", models.UUIDField(null=True)),
                ("metric_key", models.CharField(blank=True, default="", max_length=64)),
                ("rated_before_minor", models.BigIntegerField(default=0)),
                ("rated_minor", models.BigIntegerField()),
                ("snapshot", models.TextField(blank=True, default="")),
                ("details", models.JSONField(default=dict)),
                ("is_live", models.BooleanField(default=True)),
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
                    "invoice",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="billing.invoice",
                    ),
                ),
                (
                    "previous",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="continued_by",
                        to="billing.invoiceline",
                    ),
                ),
            ],
            options={
                "db_table": "billing_invoice_line",
                "ordering": ("position",),
                "indexes": [
                    models.Index(fields=["series", "id"], name="lines_of_a_series"),
                    models.Index(fields=["subscription_id", "id"], name="lines_of_a_subscription"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "invoice", "position"), name="a_position_holds_one_line"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_live", True), ("previous__isnull", True)),
                        fields=("environment", "series"),
                        name="a_series_begins_on_one_live_invoice",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_live", True)),
                        fields=("previous",),
                        name="a_line_is_continued_on_one_live_invoice",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "amount_minor",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("rated_minor"), "-", models.F("rated_before_minor")
                                ),
                            )
                        ),
                        name="a_line_bills_what_its_series_came_to_since",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("previous__isnull", False), ("rated_before_minor", 0), _connector="OR"
                        ),
                        name="a_series_begins_at_nothing",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Payment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField()),
                ("provider", models.CharField(max_length=40)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("processing", "Processing"),
                            ("requires_action", "Requires action"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("canceled", "Canceled"),
                        ],
                        max_length=15,
                    ),
                ),
                ("amount_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("provider_payment_id", models.CharField(max_length=255, null=True)),
                ("provider_key", models.CharField(max_length=255)),
                ("order", models.JSONField(default=dict)),
                ("action_url", models.CharField(blank=True, default="", max_length=2000)),
                ("failure_code", models.CharField(blank=True, default="", max_length=100)),
                ("failure_message", models.CharField(blank=True, default="", max_length=1000)),
                ("refunded_minor", models.BigIntegerField(default=0)),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.CharField(blank=True, default="", max_length=1000)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(null=True)),
                ("asked_at", models.DateTimeField(null=True)),
                ("asked_until", models.DateTimeField(null=True)),
                ("ask_again_at", models.DateTimeField(null=True)),
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
                    "invoice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payments",
                        to="billing.invoice",
                    ),
                ),
            ],
            options={
                "db_table": "billing_payment",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="payments_newest_first"),
                    models.Index(
                        condition=models.Q(("ask_again_at__isnull", False)),
                        fields=["ask_again_at"],
                        name="payments_to_ask_about",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("status__in", ("pending", "processing", "requires_action", "succeeded"))
                        ),
                        fields=("environment", "invoice"),
                        name="an_invoice_has_one_payment_that_counts",
                    ),
                    models.UniqueConstraint(
                        fields=("environment", "invoice", "attempt"), name="a_payment_attempt_is_made_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("provider_payment_id__isnull", False)),
                        fields=("environment", "provider", "provider_payment_id"),
                        name="a_provider_payment_is_known_once",
                    ),
                    models.UniqueConstraint(
                        fields=("environment", "provider_key"), name="a_provider_key_names_one_attempt"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    "pending",
                                    "processing",
                                    "requires_action",
                                    "succeeded",
                                    "failed",
                                    "canceled",
                                ],
                            )
                        ),
                        name="payment_status_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount_minor__gt", 0),
                            ("refunded_minor__gte", 0),
                            ("refunded_minor__lte", models.F("amount_minor")),
                        ),
                        name="a_payment_has_an_amount_and_gives_back_no_more",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ProviderAccount",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("provider", models.CharField(max_length=40)),
                ("secret_key_encrypted", models.BinaryField()),
                ("webhook_secret_encrypted", models.BinaryField()),
                ("key_hint", models.CharField(max_length=8)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
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
                "db_table": "billing_provider_account",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "provider"), name="an_environment_has_one_account_per_provider"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ProviderEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("provider", models.CharField(max_length=40)),
                ("event_id", models.CharField(max_length=255)),
                ("type", models.CharField(max_length=100)),
                ("payload", models.JSONField()),
                ("told_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("handled_at", models.DateTimeField(null=True)),
                ("outcome", models.CharField(blank=True, default="", max_length=200)),
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
                    "payment",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="provider_events",
                        to="billing.payment",
                    ),
                ),
            ],
            options={
                "db_table": "billing_provider_event",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "provider", "event_id"),
                        name="a_provider_event_is_received_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Reconciliation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("begin", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("totals", models.JSONField(default=dict)),
                ("differences", models.JSONField(default=list)),
                ("actor", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
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
                "db_table": "billing_reconciliation",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["environment", "id"], name="reconciliations_newest_first")],
            },
        ),
    ]

    operations = [CreateModels(*operations)]
