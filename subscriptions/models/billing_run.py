from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models import Invoice
from customers.kernel.ids import uuid7
from customers.models import Environment
from subscriptions.models.price_plan import PriceTerm
from subscriptions.models.subscription import Subscription, SubscriptionPeriod


class ChargeSeries(models.Model):
    """One charge of one price term over one period: what is rated again and again, and billed by differences.

    Its id is the `series` of invoice lines, whose chain in the database keeps usage from being billed twice.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+", db_index=False)
    period = models.ForeignKey(
        SubscriptionPeriod, on_delete=models.PROTECT, related_name="charge_series", db_index=False
    )
    term = models.ForeignKey(PriceTerm, on_delete=models.PROTECT, related_name="charge_series")
    # Of the version's charges, or `minimum`.
    charge_key = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_charge_series"
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "period", "term", "charge_key"),
                name="a_charge_of_a_term_has_one_series_per_period",
            ),
        )
        indexes = (models.Index(fields=("subscription", "id"), name="series_of_a_subscription"),)

    def __str__(self) -> str:
        return f"{self.charge_key} of {self.period_id}"


class PeriodInvoice(models.Model):
    """That an invoice bills a period: in part, or (`is_closing`) all of it. `is_live` falls when it is voided."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    period = models.ForeignKey(
        SubscriptionPeriod, on_delete=models.PROTECT, related_name="period_invoices", db_index=False
    )
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="period_invoices")
    # Up to where its usage was counted.
    billed_until = models.DateTimeField()
    is_closing = models.BooleanField()
    is_live = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_period_invoice"
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "period"),
                condition=Q(is_closing=True, is_live=True),
                name="a_period_is_closed_by_one_live_invoice",
            ),
            models.UniqueConstraint(
                fields=("environment", "period", "invoice"), name="an_invoice_names_a_period_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.invoice_id} bills {self.period_id}"
