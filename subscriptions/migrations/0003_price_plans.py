from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.rows import append_only, environment_rows
from customers.kernel.sql_files import frozen_sql


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0007_invoices"),
        ("customers", "0009_billing_details"),
        ("subscriptions", "0002_plans_and_subscriptions"),
    ]

    operations = [
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
            ],
            options={
                "db_table": "subscriptions_charge_series",
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
            ],
            options={
                "db_table": "subscriptions_period_invoice",
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
            ],
            options={
                "db_table": "subscriptions_price_plan",
                "ordering": ("-id",),
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
            ],
            options={
                "db_table": "subscriptions_price_plan_version",
                "ordering": ("-id",),
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
            ],
            options={
                "db_table": "subscriptions_price_term",
                "ordering": ("starts_at",),
            },
        ),
        migrations.RemoveConstraint(
            model_name="subscription",
            name="a_customer_has_one_live_credit_subscription",
        ),
        migrations.AddField(
            model_name="subscription",
            name="holds_credits",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="subscription",
            name="invoices_automatically",
            field=models.BooleanField(default=False),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("holds_credits", True), ("status__in", ("trialing", "active", "overdue", "paused"))
                ),
                fields=("environment", "customer"),
                name="a_customer_has_one_live_credit_subscription",
            ),
        ),
        migrations.AddField(
            model_name="chargeseries",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="chargeseries",
            name="period",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="charge_series",
                to="subscriptions.subscriptionperiod",
            ),
        ),
        migrations.AddField(
            model_name="chargeseries",
            name="subscription",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="subscriptions.subscription",
            ),
        ),
        migrations.AddField(
            model_name="periodinvoice",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="periodinvoice",
            name="invoice",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="period_invoices",
                to="billing.invoice",
            ),
        ),
        migrations.AddField(
            model_name="periodinvoice",
            name="period",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="period_invoices",
                to="subscriptions.subscriptionperiod",
            ),
        ),
        migrations.AddField(
            model_name="priceplan",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="priceplan",
            name="plan",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="price_plan",
                to="subscriptions.plan",
            ),
        ),
        migrations.AddField(
            model_name="priceplanversion",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="priceplanversion",
            name="price_plan",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="versions",
                to="subscriptions.priceplan",
            ),
        ),
        migrations.AddField(
            model_name="planvariant",
            name="price_plan_version",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="variants",
                to="subscriptions.priceplanversion",
            ),
        ),
        migrations.AddField(
            model_name="priceterm",
            name="environment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="customers.environment",
            ),
        ),
        migrations.AddField(
            model_name="priceterm",
            name="subscription",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="price_terms",
                to="subscriptions.subscription",
            ),
        ),
        migrations.AddField(
            model_name="priceterm",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="terms",
                to="subscriptions.priceplanversion",
            ),
        ),
        migrations.AddField(
            model_name="chargeseries",
            name="term",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="charge_series",
                to="subscriptions.priceterm",
            ),
        ),
        migrations.AddConstraint(
            model_name="periodinvoice",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_closing", True), ("is_live", True)),
                fields=("environment", "period"),
                name="a_period_is_closed_by_one_live_invoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="periodinvoice",
            constraint=models.UniqueConstraint(
                fields=("environment", "period", "invoice"), name="an_invoice_names_a_period_once"
            ),
        ),
        migrations.AddIndex(
            model_name="priceplan",
            index=models.Index(fields=["environment", "-id"], name="price_plans_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="priceplan",
            constraint=models.UniqueConstraint(
                fields=("environment", "key"), name="a_price_plan_id_is_unique_in_its_environment"
            ),
        ),
        migrations.AddConstraint(
            model_name="priceplanversion",
            constraint=models.UniqueConstraint(
                fields=("environment", "price_plan", "version"), name="a_price_plan_has_each_version_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="priceplanversion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status", "active")),
                fields=("environment", "price_plan"),
                name="one_version_of_a_price_plan_is_active",
            ),
        ),
        migrations.AddConstraint(
            model_name="priceplanversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("billing_period__in", ["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"])
                ),
                name="price_plan_period_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="priceplanversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("minimum_minor__isnull", True), ("minimum_minor__gte", 0), _connector="OR"
                ),
                name="price_plan_minimum_is_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="priceterm",
            constraint=models.UniqueConstraint(
                fields=("environment", "subscription", "starts_at"), name="a_price_term_starts_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="priceterm",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ends_at__isnull", True)),
                fields=("environment", "subscription"),
                name="one_price_term_of_a_subscription_is_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="priceterm",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("ends_at__isnull", True), ("ends_at__gte", models.F("starts_at")), _connector="OR"
                ),
                name="a_price_term_does_not_end_before_it_starts",
            ),
        ),
        migrations.AddIndex(
            model_name="chargeseries",
            index=models.Index(fields=["subscription", "-id"], name="series_of_a_subscription"),
        ),
        migrations.AddConstraint(
            model_name="chargeseries",
            constraint=models.UniqueConstraint(
                fields=("environment", "period", "term", "charge_key"),
                name="a_charge_of_a_term_has_one_series_per_period",
            ),
        ),
        migrations.AddField(
            model_name="subscriptionperiod",
            name="invoice_due_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="subscriptionperiod",
            name="invoice_failure",
            field=models.CharField(blank=True, default="", max_length=1000),
        ),
        migrations.AddIndex(
            model_name="subscriptionperiod",
            index=models.Index(
                condition=models.Q(("invoice_due_at__isnull", False)),
                fields=["invoice_due_at", "id"],
                name="periods_to_invoice",
            ),
        ),
        migrations.AddIndex(
            model_name="subscriptionperiod",
            index=models.Index(
                condition=models.Q(("invoice_due_at__isnull", False)),
                fields=["environment", "invoice_due_at"],
                name="periods_to_invoice_next",
            ),
        ),
        migrations.AddIndex(
            model_name="subscriptionperiod",
            index=models.Index(
                condition=models.Q(("invoice_failure", ""), _negated=True),
                fields=["environment", "subscription"],
                name="periods_not_invoiced",
            ),
        ),
        environment_rows(
            "subscriptions_price_plan",
            "subscriptions_price_plan_version",
            "subscriptions_price_term",
            "subscriptions_charge_series",
            "subscriptions_period_invoice",
        ),
        append_only("subscriptions_charge_series"),
        migrations.RunSQL(
            """
            REVOKE UPDATE ON subscriptions_price_plan_version, subscriptions_price_term, subscriptions_period_invoice
              FROM purser_app;
            GRANT UPDATE (status) ON subscriptions_price_plan_version TO purser_app;
            GRANT UPDATE (ends_at) ON subscriptions_price_term TO purser_app;
            GRANT UPDATE (is_live) ON subscriptions_period_invoice TO purser_app;
            """,
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL("GRANT SELECT ON subscriptions_period TO purser_kernel", migrations.RunSQL.noop),
        frozen_sql(__file__),
    ]
