from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.account import CreditAccount
from billing.models.topup import TopupPackage
from customers.kernel.ids import typeid, uuid7
from customers.models import Environment


class AutoTopup(models.Model):
    """At which effective balance a customer's credits should be topped up, with what, and how often at most.

    The kernel watches `auto_topup_at_mc` on the account, which is this threshold pushed down.
    """

    account = models.OneToOneField(
        CreditAccount, primary_key=True, on_delete=models.PROTECT, related_name="auto_topup"
    )
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    threshold_mc = models.BigIntegerField()
    package = models.ForeignKey(TopupPackage, on_delete=models.PROTECT, related_name="+")
    # How many requests a calendar month (UTC) may see; null: as many as it takes.
    monthly_limit = models.IntegerField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "billing_auto_topup"
        constraints = (
            models.CheckConstraint(
                condition=Q(monthly_limit__isnull=True) | Q(monthly_limit__gt=0),
                name="monthly_limit_allows_something",
            ),
        )

    def __str__(self) -> str:
        return f"at {self.threshold_mc} mc"


class TopupRequestState(models.TextChoices):
    OPEN = "open", "Open"
    FULFILLED = "fulfilled", "Fulfilled by a topup"
    COVERED = "covered", "Covered by other credits"
    CANCELED = "canceled", "Canceled"


class TopupRequest(models.Model):
    """`topup.requested` was emitted and waits for its topup; one at a time is open. Only the kernel writes it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey(
        CreditAccount, on_delete=models.PROTECT, related_name="topup_requests", db_index=False
    )
    package = models.ForeignKey(TopupPackage, on_delete=models.PROTECT, related_name="+", db_index=False)
    threshold_mc = models.BigIntegerField()
    effective_mc = models.BigIntegerField()
    state = models.CharField(max_length=9, choices=TopupRequestState.choices)
    requested_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    topup_id = models.UUIDField(null=True)

    class Meta:
        db_table = "billing_topup_request"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("account",), condition=Q(state="open"), name="one_topup_request_is_open_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(state="open", resolved_at__isnull=True)
                | Q(state__in=("fulfilled", "covered", "canceled"), resolved_at__isnull=False),
                name="a_topup_request_that_ended_says_when",
            ),
        )
        indexes = (
            models.Index(fields=("account", "requested_at"), name="topup_requests_by_month"),
            models.Index(fields=("environment", "id"), name="topup_requests_newest_first"),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("tpr", self.id)
