from __future__ import annotations

from datetime import datetime

from django.db import models

from customers.kernel.ids import typeid, uuid7
from customers.models.customer import Customer
from customers.models.environment import Environment
from customers.models.user import User


class ApprovalState(models.TextChoices):
    PENDING = "pending", "Waiting"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    CANCELED = "canceled", "Canceled"
    FAILED = "failed", "Failed"


_DECIDED_BY_PEOPLE = ("approved", "rejected", "canceled", "failed")


class Approval(models.Model):
    """A deed above its maker's limit, waiting for a second person; or done by an owner alone (`is_break_glass`).

    Times are the wall clock's: they are about people. A trigger refuses deletion, and every change but the one that
    ends the wait.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    # The registered deed, such as `credits.grant`, and what it is to be done with, as the maker filled it in.
    deed = models.CharField(max_length=40)
    payload = models.JSONField()
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", null=True)
    subject = models.CharField(max_length=255)
    # In mc, or in the minor unit of `currency`.
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=1000)
    requester = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    # What the maker was shown, and a hash over what it would do.
    preview = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    # The maker's: the effect carries it, whoever causes it.
    idempotency_key = models.CharField(max_length=255)
    state = models.CharField(max_length=8, choices=ApprovalState.choices, default=ApprovalState.PENDING)
    decider = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False, null=True)
    decided_by = models.CharField(max_length=200, blank=True, default="")
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.CharField(max_length=1000, blank=True, default="")
    result = models.JSONField(null=True)
    is_break_glass = models.BooleanField(default=False)

    class Meta:
        db_table = "customers_approval"
        ordering = ("-id",)
        permissions = (("break_glass", "Can act alone above a limit"),)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="a_form_asks_for_approval_once"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=ApprovalState.values), name="approval_state_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state="pending", decided_at__isnull=True)
                | (~models.Q(state="pending") & models.Q(decided_at__isnull=False)),
                name="an_approval_is_decided_when_it_says_so",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=_DECIDED_BY_PEOPLE) | models.Q(decider__isnull=False),
                name="somebody_decides_an_approval",
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=("approved", "rejected", "failed"))
                | ~models.Q(decider=models.F("requester"))
                | models.Q(is_break_glass=True),
                name="nobody_decides_their_own_request",
            ),
            models.CheckConstraint(
                condition=models.Q(is_break_glass=False)
                | models.Q(state="approved", decider=models.F("requester")),
                name="a_broken_glass_is_one_persons_deed",
            ),
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="an_approval_is_for_an_amount"),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="approvals_newest_first"),
            models.Index(
                fields=("environment", "expires_at"),
                name="approvals_that_wait",
                condition=models.Q(state="pending"),
            ),
            models.Index(
                fields=("environment", "-decided_at"),
                name="broken_glasses",
                condition=models.Q(is_break_glass=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.deed} {self.public_id}"

    @property
    def public_id(self) -> str:
        return typeid("apr", self.id)

    def state_at(self, wall_now: datetime) -> ApprovalState:
        """The state, right also before the sweep has said so of one that ran out."""
        if self.state == ApprovalState.PENDING and self.expires_at <= wall_now:
            return ApprovalState.EXPIRED
        return ApprovalState(self.state)


class ApprovalLimit(models.Model):
    """Up to which amount a role may do a deed alone, where an owner has said other than the default."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    role = models.CharField(max_length=150)
    deed = models.CharField(max_length=40)
    # For deeds with money, the one currency it is for; empty: all that have no limit of their own.
    currency = models.CharField(max_length=3, blank=True, default="")
    # In credits, or in the main unit of the currency at hand; null = any amount.
    amount = models.DecimalField(max_digits=20, decimal_places=3, null=True)

    class Meta:
        db_table = "customers_approval_limit"
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "role", "deed", "currency"), name="one_limit_for_a_role_and_a_deed"
            ),
            models.CheckConstraint(
                condition=models.Q(amount__isnull=True) | models.Q(amount__gte=0),
                name="a_limit_is_not_negative",
            ),
        )

    def __str__(self) -> str:
        return f"{self.role} {self.deed}"
