from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from django.db.models import F, Q

from billing.engine.arithmetic import Part, parts_of
from customers.kernel.ids import typeid, uuid7
from customers.models import Customer, Environment


class InvoiceStatus(models.TextChoices):
    DRAFT = "draft", "Draft"
    ISSUED = "issued", "Issued"
    PROCESSING = "processing", "Processing"
    PAID = "paid", "Paid"
    VOID = "void", "Void"
    UNCOLLECTIBLE = "uncollectible", "Uncollectible"


class InvoiceSource(models.TextChoices):
    API = "api", "Asked for"
    BULK = "bulk", "Bulk run"
    AUTOMATIC = "automatic", "Automatic"


class Invoice(models.Model):
    """What a customer owes for a period. Once issued its amounts never change; what happens to it are its events.

    `total = subtotal + tax - credits_applied`, and `amount_due = total - paid - credited`. A subtotal below nothing
    (late corrections) is carried forward: `credits_applied` is then negative, and the total is 0.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices", db_index=False)
    status = models.CharField(max_length=13, choices=InvoiceStatus.choices)
    source = models.CharField(max_length=9, choices=InvoiceSource.choices, default=InvoiceSource.API)
    # Given at issue, without gaps in the environment; a draft has none, even when it is voided.
    number = models.CharField(max_length=40, null=True)  # noqa: DJ001 - null: not issued
    number_sequence = models.BigIntegerField(null=True)
    # As the price plan spelled it; compared in any case.
    currency = models.CharField(max_length=3)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    # What the cutoff was given as, when that was the last second of the period.
    period_end_shown = models.CharField(max_length=40, blank=True, default="")
    subtotal_minor = models.BigIntegerField()
    # Percent.
    tax_rate = models.DecimalField(max_digits=7, decimal_places=4, default=0)
    tax_minor = models.BigIntegerField(default=0)
    credits_applied_minor = models.BigIntegerField(default=0)
    total_minor = models.BigIntegerField()
    paid_minor = models.BigIntegerField(default=0)
    # By credit notes, before it was paid.
    credited_minor = models.BigIntegerField(default=0)
    # As they were when it was issued: name, email, address, tax id.
    bill_to = models.JSONField(default=dict)
    bill_from = models.JSONField(default=dict)
    memo = models.CharField(max_length=1000, blank=True, default="")
    metadata = models.JSONField(default=dict)
    # The invoice that this one was made instead of, after that was voided.
    replaces = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="replaced_by")
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: nobody gave one
    issued_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    paid_at = models.DateTimeField(null=True)
    voided_at = models.DateTimeField(null=True)
    uncollectible_at = models.DateTimeField(null=True)
    # Dunning: when it is charged again by itself, and how often that was tried.
    next_charge_at = models.DateTimeField(null=True)
    charge_attempts = models.PositiveSmallIntegerField(default=0)
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "billing_invoice"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "number_sequence"), name="an_invoice_number_is_given_once"
            ),
            models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_invoice_per_idempotency_key"
            ),
            models.CheckConstraint(
                condition=Q(status__in=InvoiceStatus.values), name="invoice_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=("draft", "void"))
                | Q(number__isnull=False, number_sequence__isnull=False, issued_at__isnull=False),
                name="an_issued_invoice_has_a_number",
            ),
            models.CheckConstraint(
                condition=Q(total_minor=F("subtotal_minor") + F("tax_minor") - F("credits_applied_minor")),
                name="an_invoice_adds_up",
            ),
            models.CheckConstraint(
                condition=Q(paid_minor__gte=0, credited_minor__gte=0)
                & Q(total_minor__gte=F("paid_minor") + F("credited_minor")),
                name="an_invoice_is_not_paid_beyond_its_total",
            ),
            models.CheckConstraint(
                condition=~Q(status="paid") | Q(total_minor=F("paid_minor") + F("credited_minor")),
                name="a_paid_invoice_leaves_nothing_due",
            ),
            models.CheckConstraint(
                condition=Q(period_end__gte=F("period_start")),
                name="an_invoice_does_not_end_before_it_starts",
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="invoices_newest_first"),
            models.Index(fields=("customer", "id"), name="invoices_of_a_customer"),
            models.Index(fields=("environment", "status", "id"), name="invoices_by_status"),
            models.Index(
                fields=("next_charge_at", "id"),
                name="invoices_to_charge_again",
                condition=Q(next_charge_at__isnull=False),
            ),
            models.Index(
                fields=("environment", "paid_at"),
                name="invoices_by_payment",
                condition=Q(paid_at__isnull=False),
            ),
            models.Index(
                fields=("environment", "due_at"),
                name="invoices_waiting_for_money",
                condition=Q(status__in=("issued", "processing")),
            ),
        )

    def __str__(self) -> str:
        return self.number or self.public_id

    @property
    def public_id(self) -> str:
        return typeid("inv", self.id)

    @property
    def amount_due_minor(self) -> int:
        """What somebody owes; nothing when it is void."""
        if self.status == InvoiceStatus.VOID:
            return 0
        return self.total_minor - self.paid_minor - self.credited_minor


class LineKind(models.TextChoices):
    USAGE = "usage", "Usage"
    FEE = "fee", "Fee"
    MINIMUM = "minimum", "Minimum"


class InvoiceLine(models.Model):
    """One line, rounded once. Its terms never change; `is_live` falls when its invoice is voided.

    What is billed bit by bit (a charge over a period: at a cutoff inside it, at its end, after late events) is a
    `series`: each line says what the series came to before and after it, and bills the difference. The database keeps
    the chain: one live line continues another, and the first begins at nothing, so nothing is on two live invoices.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="lines", db_index=False)
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=7, choices=LineKind.choices)
    # Bills what came to light after its period's invoice: late events, a change of plan.
    is_adjustment = models.BooleanField(default=False)
    description = models.CharField(max_length=500)
    # What the customer sees: units, packages or 1, of the whole series so far.
    quantity = models.DecimalField(max_digits=38, decimal_places=10)
    amount_minor = models.BigIntegerField()
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    # What is billed, in the terms of whoever rates it: its id there, a subscription's, a metric's key.
    series = models.UUIDField()
    subscription_id = models.UUIDField(null=True)
    metric_key = models.CharField(max_length=64, blank=True, default="")
    previous = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="continued_by", db_index=False
    )
    rated_before_minor = models.BigIntegerField(default=0)
    rated_minor = models.BigIntegerField()
    # The transactions whose events it counts, as PostgreSQL writes a snapshot.
    snapshot = models.TextField(blank=True, default="")
    # The charge, the arithmetic tier by tier, the aggregation: what an explanation shows.
    details = models.JSONField(default=dict)
    is_live = models.BooleanField(default=True)

    class Meta:
        db_table = "billing_invoice_line"
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "invoice", "position"), name="a_position_holds_one_line"
            ),
            models.UniqueConstraint(
                fields=("environment", "series"),
                condition=Q(is_live=True, previous__isnull=True),
                name="a_series_begins_on_one_live_invoice",
            ),
            models.UniqueConstraint(
                fields=("previous",),
                condition=Q(is_live=True),
                name="a_line_is_continued_on_one_live_invoice",
            ),
            models.CheckConstraint(
                condition=Q(amount_minor=F("rated_minor") - F("rated_before_minor")),
                name="a_line_bills_what_its_series_came_to_since",
            ),
            models.CheckConstraint(
                condition=Q(previous__isnull=False) | Q(rated_before_minor=0),
                name="a_series_begins_at_nothing",
            ),
        )
        indexes = (
            models.Index(fields=("series", "id"), name="lines_of_a_series"),
            models.Index(fields=("subscription_id", "id"), name="lines_of_a_subscription"),
        )

    def __str__(self) -> str:
        return self.description

    @property
    def public_id(self) -> str:
        return typeid("iln", self.id)

    @property
    def reckoned(self) -> Sequence[Part]:
        """The arithmetic of a line of usage; other lines need none."""
        return parts_of(self.details, self.invoice.currency) if self.metric_key else ()


class InvoiceEvent(models.Model):
    """What happened to an invoice: its audit trail. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="events", db_index=False)
    # invoice.created, .issued, .charge_attempted, .charge_failed, .processing, .paid, .voided, .credited, .emailed, …
    type = models.CharField(max_length=40)
    data = models.JSONField(default=dict)
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000, blank=True, default="")
    request_id = models.CharField(max_length=60, blank=True, default="")
    # By the environment's clock; when it was stored is in the id.
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "billing_invoice_event"
        ordering = ("id",)
        indexes = (models.Index(fields=("invoice", "id"), name="events_of_an_invoice"),)

    def __str__(self) -> str:
        return f"{self.type} at {self.occurred_at}"

    @property
    def public_id(self) -> str:
        return typeid("iev", self.id)


class InvoiceSettings(models.Model):
    """How an environment invoices. Its row's lock gives out the numbers: no gaps, no doubles."""

    environment = models.OneToOneField(
        Environment, on_delete=models.PROTECT, related_name="+", primary_key=True
    )
    number_prefix = models.CharField(max_length=20, default="INV-")
    last_number = models.BigIntegerField(default=0)
    credit_note_prefix = models.CharField(max_length=20, default="CN-")
    last_credit_note_number = models.BigIntegerField(default=0)
    days_until_due = models.PositiveSmallIntegerField(default=14)
    # Days after each failed charge at which it is tried again; after the last the invoice is uncollectible.
    dunning_days = models.JSONField(default=list)
    # Invoices that are made by themselves are charged, and sent to the customer's e-mail address.
    charges_automatically = models.BooleanField(default=True)
    emails_invoices = models.BooleanField(default=False)
    seller_name = models.CharField(max_length=200, blank=True, default="")
    seller_address = models.TextField(max_length=1000, blank=True, default="")
    seller_tax_id = models.CharField(max_length=64, blank=True, default="")
    seller_email = models.CharField(max_length=320, blank=True, default="")
    footer = models.TextField(max_length=1000, blank=True, default="")
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "billing_invoice_settings"

    def __str__(self) -> str:
        return f"invoicing of {self.environment_id}"
