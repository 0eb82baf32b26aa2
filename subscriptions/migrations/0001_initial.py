import django.db.models.deletion
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.tables import CreateModels


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("billing", "0001_initial"),
        ("customers", "0001_initial"),
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
        migrations.CreateModel(
            name="Plan",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("description", models.CharField(blank=True, default="", max_length=1000)),
                ("features", models.JSONField(default=dict)),
                ("metadata", models.JSONField(default=dict)),
                ("archived_at", models.DateTimeField(null=True)),
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
                "db_table": "subscriptions_plan",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["environment", "id"], name="plans_newest_first")],
            },
        ),
        migrations.CreateModel(
            name="PricePlan",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.CharField(max_length=255)),
                ("name", models.CharField(max_length=200)),
                ("metadata", models.JSONField(default=dict)),
                ("archived_at", models.DateTimeField(null=True)),
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
                (
                    "plan",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="price_plan",
                        to="subscriptions.plan",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_price_plan",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["environment", "id"], name="price_plans_newest_first")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "key"), name="a_price_plan_id_is_unique_in_its_environment"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PricePlanVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("superseded", "Superseded"),
                            ("deprecated", "Deprecated"),
                        ],
                        max_length=10,
                    ),
                ),
                ("currency", models.CharField(max_length=3)),
                (
                    "billing_period",
                    models.CharField(
                        choices=[
                            ("hourly", "Hourly"),
                            ("daily", "Daily"),
                            ("weekly", "Weekly"),
                            ("monthly", "Monthly"),
                            ("quarterly", "Quarterly"),
                            ("yearly", "Yearly"),
                        ],
                        max_length=9,
                    ),
                ),
                ("charges", models.JSONField()),
                ("entitlements", models.JSONField(default=dict)),
                ("minimum_minor", models.BigIntegerField(null=True)),
                ("changelog", models.CharField(blank=True, default="", max_length=1000)),
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
                    "price_plan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="subscriptions.priceplan",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_price_plan_version",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "price_plan", "version"),
                        name="a_price_plan_has_each_version_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("status", "active")),
                        fields=("environment", "price_plan"),
                        name="one_version_of_a_price_plan_is_active",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "billing_period__in",
                                ["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"],
                            )
                        ),
                        name="price_plan_period_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("minimum_minor__isnull", True), ("minimum_minor__gte", 0), _connector="OR"
                        ),
                        name="price_plan_minimum_is_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PlanVariant",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("family", models.UUIDField()),
                ("version", models.PositiveIntegerField(default=1)),
                ("superseded_at", models.DateTimeField(null=True)),
                ("name", models.CharField(max_length=200)),
                ("description", models.CharField(blank=True, default="", max_length=1000)),
                (
                    "billing_cycle",
                    models.CharField(
                        choices=[
                            ("hourly", "Hourly"),
                            ("daily", "Daily"),
                            ("weekly", "Weekly"),
                            ("monthly", "Monthly"),
                            ("quarterly", "Quarterly"),
                            ("yearly", "Yearly"),
                        ],
                        max_length=9,
                    ),
                ),
                (
                    "billing_mode",
                    models.CharField(
                        choices=[("prepaid", "Prepaid"), ("postpaid", "Postpaid")], max_length=8
                    ),
                ),
                ("renewal_due_days", models.PositiveSmallIntegerField(default=3)),
                ("grace_period_days", models.PositiveSmallIntegerField(default=3)),
                ("allow_usage_while_overdue", models.BooleanField(default=True)),
                ("trial_days", models.PositiveSmallIntegerField(default=0)),
                ("price_minor", models.BigIntegerField(null=True)),
                ("currency", models.CharField(max_length=3, null=True)),
                ("metadata", models.JSONField(default=dict)),
                ("archived_at", models.DateTimeField(null=True)),
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
                (
                    "fallback_variant",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.planvariant",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="variants",
                        to="subscriptions.plan",
                    ),
                ),
                (
                    "price_plan_version",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="variants",
                        to="subscriptions.priceplanversion",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_plan_variant",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["environment", "id"], name="variants_newest_first")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "family", "version"), name="a_variant_has_each_version_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "billing_cycle__in",
                                ["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"],
                            )
                        ),
                        name="variant_cycle_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("billing_mode__in", ["prepaid", "postpaid"])),
                        name="variant_mode_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("price_minor__isnull", True),
                            models.Q(("currency__isnull", False), ("price_minor__gte", 0)),
                            _connector="OR",
                        ),
                        name="variant_price_has_a_currency",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CreditGrantTemplate",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(blank=True, default="", max_length=200)),
                ("credits_mc", models.BigIntegerField()),
                (
                    "grant_type",
                    models.CharField(
                        choices=[("recurring", "Recurring"), ("one_time", "One time")], max_length=9
                    ),
                ),
                (
                    "grant_interval",
                    models.CharField(
                        choices=[
                            ("billing_cycle", "Each billing cycle"),
                            ("hourly", "Hourly"),
                            ("daily", "Daily"),
                            ("weekly", "Weekly"),
                            ("monthly", "Monthly"),
                            ("custom", "Every so many seconds"),
                        ],
                        max_length=13,
                    ),
                ),
                ("interval_seconds", models.BigIntegerField(null=True)),
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
                ("priority", models.SmallIntegerField(default=10)),
                ("expires_after_seconds", models.BigIntegerField(null=True)),
                ("expires_at_interval_end", models.BooleanField(default=False)),
                ("rollover_percentage", models.PositiveSmallIntegerField(default=0)),
                ("accumulation_cap_mc", models.BigIntegerField(null=True)),
                ("metadata", models.JSONField(default=dict)),
                ("archived_at", models.DateTimeField(null=True)),
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
                (
                    "variant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credit_grants",
                        to="subscriptions.planvariant",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_credit_grant",
                "ordering": ("-id",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("credits_mc__gt", 0)), name="credit_grant_gives_something"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("grant_interval", "custom"), ("interval_seconds__gt", 0)),
                            models.Q(
                                models.Q(("grant_interval", "custom"), _negated=True),
                                ("interval_seconds__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="credit_grant_interval_has_seconds_if_custom",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expires_after_seconds__isnull", True),
                            models.Q(("expires_after_seconds__gt", 0), ("expires_at_interval_end", False)),
                            _connector="OR",
                        ),
                        name="credit_grant_expires_one_way",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rollover_percentage__lte", 100)),
                        name="credit_grant_rolls_over_at_most_all",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("accumulation_cap_mc__isnull", True),
                            ("accumulation_cap_mc__gte", models.F("credits_mc")),
                            _connector="OR",
                        ),
                        name="credit_grant_cap_leaves_room_for_itself",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("priority__gte", 0), ("priority__lte", 100)),
                        name="credit_grant_priority_is_between_0_and_100",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
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
                            ("trialing", "Trialing"),
                            ("active", "Active"),
                            ("overdue", "Overdue"),
                            ("paused", "Paused"),
                            ("expired", "Expired"),
                            ("canceled", "Canceled"),
                            ("contract_ended", "Contract ended"),
                        ],
                        max_length=14,
                    ),
                ),
                ("timezone", models.CharField(max_length=64)),
                ("started_at", models.DateTimeField()),
                ("anchor_at", models.DateTimeField()),
                ("anchor_steps", models.PositiveIntegerField()),
                ("current_period_start", models.DateTimeField()),
                ("current_period_end", models.DateTimeField()),
                ("trial_ends_at", models.DateTimeField(null=True)),
                ("contract_start", models.DateTimeField(null=True)),
                ("contract_end", models.DateTimeField(null=True)),
                ("contract_ending_soon_days", models.PositiveSmallIntegerField(default=30)),
                ("renewal_due_told", models.BooleanField(default=False)),
                ("trial_ending_told", models.BooleanField(default=False)),
                ("contract_ending_told", models.BooleanField(default=False)),
                ("is_renewed", models.BooleanField(default=False)),
                ("cancel_at_period_end", models.BooleanField(default=False)),
                ("canceled_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("paused_at", models.DateTimeField(null=True)),
                ("resumes_at", models.DateTimeField(null=True)),
                ("status_before_pause", models.CharField(blank=True, default="", max_length=14)),
                ("next_due_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                ("failure", models.CharField(blank=True, default="", max_length=1000)),
                ("external_subscription_id", models.CharField(max_length=255, null=True)),
                ("metadata", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
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
                    "follows",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.subscription",
                    ),
                ),
                (
                    "pending_variant",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.planvariant",
                    ),
                ),
                (
                    "variant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
                        to="subscriptions.planvariant",
                    ),
                ),
                ("holds_credits", models.BooleanField(default=True)),
                ("invoices_automatically", models.BooleanField(default=False)),
            ],
            options={
                "db_table": "subscriptions_subscription",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("failed_at__isnull", True), ("next_due_at__isnull", False)),
                        fields=["next_due_at", "id"],
                        name="subscriptions_with_work_due",
                    ),
                    models.Index(
                        condition=models.Q(("failed_at__isnull", True), ("next_due_at__isnull", False)),
                        fields=["environment", "next_due_at"],
                        name="subscriptions_by_what_is_next",
                    ),
                    models.Index(fields=["environment", "id"], name="subscriptions_newest_first"),
                    models.Index(
                        condition=models.Q(("failed_at__isnull", False)),
                        fields=["environment", "failed_at"],
                        name="subscriptions_that_failed",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("external_subscription_id__isnull", False)),
                        fields=("environment", "external_subscription_id"),
                        name="an_external_subscription_id_is_unique_in_its_environment",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "status__in",
                                [
                                    "trialing",
                                    "active",
                                    "overdue",
                                    "paused",
                                    "expired",
                                    "canceled",
                                    "contract_ended",
                                ],
                            )
                        ),
                        name="subscription_status_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("current_period_end__gt", models.F("current_period_start"))),
                        name="subscription_period_ends_after_it_starts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("paused_at__isnull", False), ("status", "paused")),
                            models.Q(
                                models.Q(("status", "paused"), _negated=True), ("paused_at__isnull", True)
                            ),
                            _connector="OR",
                        ),
                        name="a_paused_subscription_says_since_when",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(
                            ("holds_credits", True),
                            ("status__in", ("trialing", "active", "overdue", "paused")),
                        ),
                        fields=("environment", "customer"),
                        name="a_customer_has_one_live_credit_subscription",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="GrantSchedule",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("anchor_at", models.DateTimeField()),
                ("steps", models.PositiveIntegerField(default=0)),
                ("next_at", models.DateTimeField()),
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
                    "template",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.creditgranttemplate",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="schedules",
                        to="subscriptions.subscription",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_grant_schedule",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "subscription", "template"),
                        name="a_template_has_one_schedule_per_subscription",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GrantRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("credits_mc", models.BigIntegerField()),
                ("block_id", models.UUIDField()),
                ("rolled_mc", models.BigIntegerField(default=0)),
                ("rolled_block_id", models.UUIDField(null=True)),
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
                    "template",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="subscriptions.creditgranttemplate",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grant_runs",
                        to="subscriptions.subscription",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_grant_run",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "subscription", "template", "starts_at"),
                        name="a_template_fires_once_per_interval",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SubscriptionChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("what", models.CharField(max_length=40)),
                ("status_before", models.CharField(blank=True, default="", max_length=14)),
                ("status_after", models.CharField(max_length=14)),
                ("details", models.JSONField(default=dict)),
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
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="changes",
                        to="subscriptions.subscription",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_change",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["subscription", "id"], name="changes_of_a_subscription")],
            },
        ),
        migrations.CreateModel(
            name="SubscriptionPeriod",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("renewed_at", models.DateTimeField(null=True)),
                ("external_payment_id", models.CharField(max_length=255, null=True)),
                ("idempotency_key", models.CharField(max_length=255, null=True)),
                ("opening_balance_mc", models.BigIntegerField(null=True)),
                ("usage_summary", models.JSONField(null=True)),
                ("closed_at", models.DateTimeField(null=True)),
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
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="periods",
                        to="subscriptions.subscription",
                    ),
                ),
                (
                    "variant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.planvariant",
                    ),
                ),
                ("invoice_due_at", models.DateTimeField(null=True)),
                ("invoice_failure", models.CharField(blank=True, default="", max_length=1000)),
            ],
            options={
                "db_table": "subscriptions_period",
                "ordering": ("-starts_at",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("invoice_due_at__isnull", False)),
                        fields=["invoice_due_at", "id"],
                        name="periods_to_invoice",
                    ),
                    models.Index(
                        condition=models.Q(("invoice_due_at__isnull", False)),
                        fields=["environment", "invoice_due_at"],
                        name="periods_to_invoice_next",
                    ),
                    models.Index(
                        condition=models.Q(("invoice_failure", ""), _negated=True),
                        fields=["environment", "subscription"],
                        name="periods_not_invoiced",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "subscription", "starts_at"),
                        name="a_subscription_has_one_period_per_start",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("external_payment_id__isnull", False)),
                        fields=("environment", "external_payment_id"),
                        name="a_payment_renews_one_period",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("idempotency_key__isnull", False)),
                        fields=("environment", "idempotency_key"),
                        name="one_renewal_per_idempotency_key",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ends_at__gte", models.F("starts_at"))),
                        name="a_period_does_not_end_before_it_starts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PriceTerm",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField(null=True)),
                ("prorates", models.BooleanField(default=True)),
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
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="price_terms",
                        to="subscriptions.subscription",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="terms",
                        to="subscriptions.priceplanversion",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_price_term",
                "ordering": ("starts_at",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "subscription", "starts_at"), name="a_price_term_starts_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("ends_at__isnull", True)),
                        fields=("environment", "subscription"),
                        name="one_price_term_of_a_subscription_is_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ends_at__isnull", True),
                            ("ends_at__gte", models.F("starts_at")),
                            _connector="OR",
                        ),
                        name="a_price_term_does_not_end_before_it_starts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ChargeSeries",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("charge_key", models.CharField(max_length=64)),
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
                    "period",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="charge_series",
                        to="subscriptions.subscriptionperiod",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="subscriptions.subscription",
                    ),
                ),
                (
                    "term",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="charge_series",
                        to="subscriptions.priceterm",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_charge_series",
                "indexes": [models.Index(fields=["subscription", "id"], name="series_of_a_subscription")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "period", "term", "charge_key"),
                        name="a_charge_of_a_term_has_one_series_per_period",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PeriodInvoice",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("billed_until", models.DateTimeField()),
                ("is_closing", models.BooleanField()),
                ("is_live", models.BooleanField(default=True)),
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
                        related_name="period_invoices",
                        to="billing.invoice",
                    ),
                ),
                (
                    "period",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="period_invoices",
                        to="subscriptions.subscriptionperiod",
                    ),
                ),
            ],
            options={
                "db_table": "subscriptions_period_invoice",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_closing", True), ("is_live", True)),
                        fields=("environment", "period"),
                        name="a_period_is_closed_by_one_live_invoice",
                    ),
                    models.UniqueConstraint(
                        fields=("environment", "period", "invoice"), name="an_invoice_names_a_period_once"
                    ),
                ],
            },
        ),
    ]

    operations = [CreateModels(*operations)]
