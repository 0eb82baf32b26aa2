from __future__ import annotations

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.rows import append_only, environment_rows
from customers.kernel.sql_files import frozen_sql

_TABLES = (
    "billing_invoice",
    "billing_invoice_line",
    "billing_invoice_event",
    "billing_invoice_settings",
    "billing_credit_note",
    "billing_credit_balance",
    "billing_credit_movement",
    "billing_payment",
    "billing_provider_account",
    "billing_provider_event",
    "billing_reconciliation",
)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_blocks_of_a_refund"),
        ("customers", "0009_billing_details"),
    ]

    operations = [
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
            },
        ),
        migrations.AddConstraint(
            model_name="creditbalance",
            constraint=models.UniqueConstraint(
                fields=("environment", "customer", "currency"),
                name="a_customer_has_one_credit_balance_per_currency",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditbalance",
            constraint=models.CheckConstraint(
                condition=models.Q(("balance_minor__gte", 0)), name="a_credit_balance_is_not_negative"
            ),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(fields=["environment", "-id"], name="invoices_newest_first"),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(fields=["customer", "-id"], name="invoices_of_a_customer"),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(fields=["environment", "status", "-id"], name="invoices_by_status"),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(
                condition=models.Q(("next_charge_at__isnull", False)),
                fields=["next_charge_at", "id"],
                name="invoices_to_charge_again",
            ),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(
                condition=models.Q(("paid_at__isnull", False)),
                fields=["environment", "paid_at"],
                name="invoices_by_payment",
            ),
        ),
        migrations.AddIndex(
            model_name="invoice",
            index=models.Index(
                condition=models.Q(("status__in", ("issued", "processing"))),
                fields=["environment", "due_at"],
                name="invoices_waiting_for_money",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.UniqueConstraint(
                fields=("environment", "number_sequence"), name="an_invoice_number_is_given_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_invoice_per_idempotency_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["draft", "issued", "processing", "paid", "void", "uncollectible"])
                ),
                name="invoice_status_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.CheckConstraint(
                condition=models.Q(("period_end__gte", models.F("period_start"))),
                name="an_invoice_does_not_end_before_it_starts",
            ),
        ),
        migrations.AddIndex(
            model_name="creditnote",
            index=models.Index(fields=["environment", "-id"], name="credit_notes_newest_first"),
        ),
        migrations.AddIndex(
            model_name="creditnote",
            index=models.Index(
                condition=models.Q(("refund_status", "pending")),
                fields=["refund_ask_at"],
                name="refunds_under_way",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditnote",
            constraint=models.UniqueConstraint(
                fields=("environment", "number_sequence"), name="a_credit_note_number_is_given_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="creditnote",
            constraint=models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_credit_note_per_idempotency_key"
            ),
        ),
        migrations.AddConstraint(
            model_name="creditnote",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gt", 0), ("tax_minor__gte", 0)),
                name="a_credit_note_takes_something_back",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditnote",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["reduction", "balance", "refund"])),
                name="credit_note_kind_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditmovement",
            constraint=models.UniqueConstraint(
                condition=models.Q(("credit_note__isnull", False)),
                fields=("environment", "credit_note"),
                name="a_credit_note_is_put_on_the_balance_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="creditmovement",
            constraint=models.UniqueConstraint(
                condition=models.Q(("credit_note__isnull", True), ("invoice__isnull", False)),
                fields=("environment", "invoice", "what"),
                name="an_invoice_moves_the_balance_once_each_way",
            ),
        ),
        migrations.AddIndex(
            model_name="invoiceevent",
            index=models.Index(fields=["invoice", "id"], name="events_of_an_invoice"),
        ),
        migrations.AddIndex(
            model_name="invoiceline",
            index=models.Index(fields=["series", "id"], name="lines_of_a_series"),
        ),
        migrations.AddIndex(
            model_name="invoiceline",
            index=models.Index(fields=["subscription_id", "-id"], name="lines_of_a_subscription"),
        ),
        migrations.AddConstraint(
            model_name="invoiceline",
            constraint=models.UniqueConstraint(
                fields=("environment", "invoice", "position"), name="a_position_holds_one_line"
            ),
        ),
        migrations.AddConstraint(
            model_name="invoiceline",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_live", True), ("previous__isnull", True)),
                fields=("environment", "series"),
                name="a_series_begins_on_one_live_invoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoiceline",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_live", True)),
                fields=("previous",),
                name="a_line_is_continued_on_one_live_invoice",
            ),
        ),
        migrations.AddConstraint(
            model_name="invoiceline",
            constraint=models.CheckConstraint(
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
        ),
        migrations.AddConstraint(
            model_name="invoiceline",
            constraint=models.CheckConstraint(
                condition=models.Q(("previous__isnull", False), ("rated_before_minor", 0), _connector="OR"),
                name="a_series_begins_at_nothing",
            ),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(fields=["environment", "-id"], name="payments_newest_first"),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("ask_again_at__isnull", False)),
                fields=["ask_again_at"],
                name="payments_to_ask_about",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ("pending", "processing", "requires_action", "succeeded"))),
                fields=("environment", "invoice"),
                name="an_invoice_has_one_payment_that_counts",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                fields=("environment", "invoice", "attempt"), name="a_payment_attempt_is_made_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("provider_payment_id__isnull", False)),
                fields=("environment", "provider", "provider_payment_id"),
                name="a_provider_payment_is_known_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.UniqueConstraint(
                fields=("environment", "provider_key"), name="a_provider_key_names_one_attempt"
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        ["pending", "processing", "requires_action", "succeeded", "failed", "canceled"],
                    )
                ),
                name="payment_status_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("amount_minor__gt", 0),
                    ("refunded_minor__gte", 0),
                    ("refunded_minor__lte", models.F("amount_minor")),
                ),
                name="a_payment_has_an_amount_and_gives_back_no_more",
            ),
        ),
        migrations.AddConstraint(
            model_name="provideraccount",
            constraint=models.UniqueConstraint(
                fields=("environment", "provider"), name="an_environment_has_one_account_per_provider"
            ),
        ),
        migrations.AddConstraint(
            model_name="providerevent",
            constraint=models.UniqueConstraint(
                fields=("environment", "provider", "event_id"), name="a_provider_event_is_received_once"
            ),
        ),
        migrations.AddIndex(
            model_name="reconciliation",
            index=models.Index(fields=["environment", "-id"], name="reconciliations_newest_first"),
        ),
        environment_rows(*_TABLES),
        append_only("billing_invoice_event", "billing_credit_movement", "billing_reconciliation"),
        migrations.RunSQL(
            """
            -- A line says what its series came to before it: what the line before it says it came to.
            ALTER TABLE billing_invoice_line
              ADD CONSTRAINT a_line_and_what_its_series_came_to UNIQUE (id, series, rated_minor),
              ADD CONSTRAINT a_line_continues_where_its_series_stood
                FOREIGN KEY (previous_id, series, rated_before_minor)
                REFERENCES billing_invoice_line (id, series, rated_minor);
            """,
            """
            ALTER TABLE billing_invoice_line
              DROP CONSTRAINT a_line_continues_where_its_series_stood,
              DROP CONSTRAINT a_line_and_what_its_series_came_to;
            """,
        ),
        migrations.RunSQL(
            "GRANT SELECT ON billing_invoice, billing_payment, billing_credit_note TO purser_kernel",
            migrations.RunSQL.noop,
        ),
        frozen_sql(__file__),
        migrations.RunSQL(
            """
            CREATE TRIGGER an_issued_invoice_is_sealed BEFORE UPDATE OR DELETE ON billing_invoice
              FOR EACH ROW EXECUTE FUNCTION billing_invoice_guard();
            CREATE TRIGGER a_line_continues_a_live_one BEFORE INSERT ON billing_invoice_line
              FOR EACH ROW WHEN (NEW.previous_id IS NOT NULL) EXECUTE FUNCTION billing_invoice_line_continues();
            CREATE TRIGGER a_line_is_sealed BEFORE UPDATE OR DELETE ON billing_invoice_line
              FOR EACH ROW EXECUTE FUNCTION billing_invoice_line_guard();
            """,
            migrations.RunSQL.noop,
        ),
    ]
