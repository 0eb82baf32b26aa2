from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.invoice import Invoice
from customers.kernel.ids import typeid, uuid7
from customers.models import Environment


class PaymentStatus(models.TextChoices):
    # Written before the provider is called: a lost answer is found again under its idempotency key.
    PENDING = "pending", "Pending"
    PROCESSING = "processing", "Processing"
    REQUIRES_ACTION = "requires_action", "Requires action"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELED = "canceled", "Canceled"


class Payment(models.Model):
    """One attempt to have an invoice paid. At most one of an invoice is under way or has succeeded."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    attempt = models.PositiveSmallIntegerField()
    provider = models.CharField(max_length=40)
    status = models.CharField(max_length=15, choices=PaymentStatus.choices)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    provider_payment_id = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: not known yet
    # Sent to the provider: the same attempt, however often it is asked for, is one charge.
    provider_key = models.CharField(max_length=255)
    # What the provider was asked beside amount and currency, so that it can be asked the very same again.
    order = models.JSONField(default=dict)
    # Where the payer goes for a requires_action.
    action_url = models.CharField(max_length=2000, blank=True, default="")
    failure_code = models.CharField(max_length=100, blank=True, default="")
    failure_message = models.CharField(max_length=1000, blank=True, default="")
    refunded_minor = models.BigIntegerField(default=0)
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000, blank=True, default="")
    request_id = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    # By the wall clock, as the provider goes by it: when it was first asked, until when somebody waits for its answer,
    # and when it is asked again what became of this.
    asked_at = models.DateTimeField(null=True)
    asked_until = models.DateTimeField(null=True)
    ask_again_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "billing_payment"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "invoice"),
                condition=Q(status__in=("pending", "processing", "requires_action", "succeeded")),
                name="an_invoice_has_one_payment_that_counts",
            ),
            models.UniqueConstraint(
                fields=("environment", "invoice", "attempt"), name="a_payment_attempt_is_made_once"
            ),
            models.UniqueConstraint(
                fields=("environment", "provider", "provider_payment_id"),
                condition=Q(provider_payment_id__isnull=False),
                name="a_provider_payment_is_known_once",
            ),
            models.UniqueConstraint(
                fields=("environment", "provider_key"), name="a_provider_key_names_one_attempt"
            ),
            models.CheckConstraint(
                condition=Q(status__in=PaymentStatus.values), name="payment_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, refunded_minor__gte=0)
                & Q(refunded_minor__lte=models.F("amount_minor")),
                name="a_payment_has_an_amount_and_gives_back_no_more",
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="payments_newest_first"),
            models.Index(
                fields=("ask_again_at",),
                name="payments_to_ask_about",
                condition=Q(ask_again_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("pay", self.id)


class ProviderAccount(models.Model):
    """A tenant's own account at a payment provider, for one environment. Secrets are stored encrypted, shown never."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    provider = models.CharField(max_length=40)
    secret_key_encrypted = models.BinaryField()
    webhook_secret_encrypted = models.BinaryField()
    # The last four characters of the key, to know it by.
    key_hint = models.CharField(max_length=8)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "billing_provider_account"
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "provider"), name="an_environment_has_one_account_per_provider"
            ),
        )

    def __str__(self) -> str:
        return f"{self.provider} …{self.key_hint}"


class ProviderEvent(models.Model):
    """What a provider told us, once per event of its. Only its handling changes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    provider = models.CharField(max_length=40)
    event_id = models.CharField(max_length=255)
    type = models.CharField(max_length=100)
    payload = models.JSONField()
    # What it was about, when that is known.
    payment = models.ForeignKey(Payment, null=True, on_delete=models.PROTECT, related_name="provider_events")
    told_at = models.DateTimeField()
    received_at = models.DateTimeField()
    handled_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "billing_provider_event"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "provider", "event_id"), name="a_provider_event_is_received_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class Reconciliation(models.Model):
    """One comparison of invoices, payments and the provider; `differences` has a row for each that does not agree."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    begin = models.DateTimeField()
    end = models.DateTimeField()
    totals = models.JSONField(default=dict)
    differences = models.JSONField(default=list)
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "billing_reconciliation"
        ordering = ("-id",)
        indexes = (models.Index(fields=("environment", "id"), name="reconciliations_newest_first"),)

    def __str__(self) -> str:
        return f"{self.begin:%Y-%m-%d} to {self.end:%Y-%m-%d}"

    @property
    def public_id(self) -> str:
        return typeid("rcn", self.id)
