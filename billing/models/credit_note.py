from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.invoice import Invoice
from customers.kernel.ids import typeid, uuid7
from customers.models import Customer, Environment


class CreditNoteKind(models.TextChoices):
    REDUCTION = "reduction", "Less is due"
    BALANCE = "balance", "Kept for the next invoice"
    REFUND = "refund", "Paid back"


class RefundStatus(models.TextChoices):
    NONE = "", "None"
    PENDING = "pending", "Pending"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"


class CreditNote(models.Model):
    """Money taken back from an invoice that stands: from what is due, onto the customer's credit, or paid back."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="credit_notes")
    kind = models.CharField(max_length=9, choices=CreditNoteKind.choices)
    number = models.CharField(max_length=40)
    number_sequence = models.BigIntegerField()
    # Tax included.
    amount_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField(default=0)
    # [{"invoice_line_id", "amount"}], when it is about certain lines.
    lines = models.JSONField(default=list)
    reason = models.CharField(max_length=1000, blank=True, default="")
    metadata = models.JSONField(default=dict)
    refund_status = models.CharField(
        max_length=9, choices=RefundStatus.choices, blank=True, default=RefundStatus.NONE
    )
    # While it is pending: when the provider is asked (again), by the wall clock.
    refund_ask_at = models.DateTimeField(null=True)
    provider_refund_id = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: nothing was paid back
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: made by an operator
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "billing_credit_note"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "number_sequence"), name="a_credit_note_number_is_given_once"
            ),
            models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_credit_note_per_idempotency_key"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, tax_minor__gte=0), name="a_credit_note_takes_something_back"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=CreditNoteKind.values), name="credit_note_kind_is_known"
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="credit_notes_newest_first"),
            models.Index(
                fields=("refund_ask_at",), name="refunds_under_way", condition=Q(refund_status="pending")
            ),
        )

    def __str__(self) -> str:
        return self.number

    @property
    def public_id(self) -> str:
        return typeid("cnt", self.id)


class CreditBalance(models.Model):
    """Money that a customer has with us in one currency, for the next invoices: Σ its movements."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    # Upper case.
    currency = models.CharField(max_length=3)
    balance_minor = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "billing_credit_balance"
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "customer", "currency"),
                name="a_customer_has_one_credit_balance_per_currency",
            ),
            models.CheckConstraint(
                condition=Q(balance_minor__gte=0), name="a_credit_balance_is_not_negative"
            ),
        )

    def __str__(self) -> str:
        return f"{self.balance_minor} {self.currency}"


class CreditMovement(models.Model):
    """Money put onto a customer's credit balance, or used from it. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    balance = models.ForeignKey(CreditBalance, on_delete=models.PROTECT, related_name="movements")
    amount_minor = models.BigIntegerField()
    balance_after_minor = models.BigIntegerField()
    # The invoice that used it or carried it forward, or that a credit note took it from.
    invoice = models.ForeignKey(Invoice, null=True, on_delete=models.PROTECT, related_name="+")
    credit_note = models.ForeignKey(CreditNote, null=True, on_delete=models.PROTECT, related_name="+")
    what = models.CharField(max_length=20)
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "billing_credit_movement"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "credit_note"),
                condition=Q(credit_note__isnull=False),
                name="a_credit_note_is_put_on_the_balance_once",
            ),
            models.UniqueConstraint(
                fields=("environment", "invoice", "what"),
                condition=Q(invoice__isnull=False, credit_note__isnull=True),
                name="an_invoice_moves_the_balance_once_each_way",
            ),
        )

    def __str__(self) -> str:
        return f"{self.amount_minor} at {self.occurred_at}"
