from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.account import CreditAccount
from customers.kernel.ids import typeid, uuid7
from customers.models import Environment


class TopupPackage(models.Model):
    """What a tenant sells: so many credits for so much money. Topups copy its terms, so changing it changes no past."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=200)
    credits_mc = models.BigIntegerField()
    bonus_credits_mc = models.BigIntegerField(default=0)
    price_minor = models.BigIntegerField()
    # As the tenant spelled it; compared in any case.
    currency = models.CharField(max_length=3)
    expires_after_seconds = models.BigIntegerField(null=True, blank=True)
    priority = models.SmallIntegerField(default=0)
    active = models.BooleanField(default=True)
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "billing_topup_package"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(credits_mc__gt=0, bonus_credits_mc__gte=0, price_minor__gte=0),
                name="a_package_has_credits_and_a_price",
            ),
            models.CheckConstraint(
                condition=Q(priority__gte=0, priority__lte=100), name="package_priority_is_between_0_and_100"
            ),
            models.CheckConstraint(
                condition=Q(expires_after_seconds__isnull=True) | Q(expires_after_seconds__gt=0),
                name="package_credits_live_for_a_while",
            ),
        )
        indexes = (models.Index(fields=("environment", "id"), name="packages_newest_first"),)

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return typeid("pkg", self.id)


class Topup(models.Model):
    """Credits that were bought. Append-only; its block and its ledger entry name it as their cause.

    The two unique constraints are what makes a payment, and a call, count once for ever.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey(
        CreditAccount, on_delete=models.PROTECT, related_name="topups", db_index=False
    )
    credits_mc = models.BigIntegerField()
    bonus_credits_mc = models.BigIntegerField(default=0)
    price_paid_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, null=True)  # noqa: DJ001 - null: nothing was said
    package = models.ForeignKey(TopupPackage, on_delete=models.PROTECT, null=True, related_name="topups")
    external_payment_id = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: none was named
    # The auto-topup request it answers.
    topup_request_id = models.UUIDField(null=True)
    priority = models.SmallIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    metadata = models.JSONField(default=dict)
    actor = models.CharField(max_length=200)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: made by an operator
    request_id = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "billing_topup"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "external_payment_id"), name="a_payment_tops_up_once"
            ),
            models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_topup_per_idempotency_key"
            ),
            models.CheckConstraint(
                condition=Q(credits_mc__gt=0, bonus_credits_mc__gte=0), name="a_topup_brings_credits"
            ),
        )
        indexes = (
            models.Index(fields=("account", "id"), name="topups_of_an_account"),
            models.Index(fields=("environment", "id"), name="topups_newest_first"),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("top", self.id)
