from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from customers.kernel.ids import uuid7
from customers.models import Environment
from subscriptions.models.plan import BillingCycle, Plan


class PricePlan(models.Model):
    """What usage costs in money, under an id that its creator chose; how much exactly are its versions.

    It is sold by itself through a `plan` of its own, each version through a variant of that plan which grants nothing:
    so a price plan's subscription lives by the same table of states, periods and actions as any other.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    name = models.CharField(max_length=200)
    plan = models.OneToOneField(Plan, on_delete=models.PROTECT, related_name="price_plan")
    metadata = models.JSONField(default=dict)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_price_plan"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "key"), name="a_price_plan_id_is_unique_in_its_environment"
            ),
        )
        indexes = (models.Index(fields=("environment", "id"), name="price_plans_newest_first"),)

    def __str__(self) -> str:
        return self.name


class PricePlanStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    SUPERSEDED = "superseded", "Superseded"
    DEPRECATED = "deprecated", "Deprecated"


class PricePlanVersion(models.Model):
    """One version of a price plan. Only its status ever changes; a subscription stays on its version until moved.

    `charges` is a list in the order of the invoice's lines, each as engine/charges.py writes it, with a `key` of its
    own (`0`, `1`, …); `entitlements` maps feature keys to what engine/features.py writes.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    price_plan = models.ForeignKey(
        PricePlan, on_delete=models.PROTECT, related_name="versions", db_index=False
    )
    version = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=PricePlanStatus.choices)
    # As its creator spelled it; compared in any case.
    currency = models.CharField(max_length=3)
    billing_period = models.CharField(max_length=9, choices=BillingCycle.choices)
    charges = models.JSONField()
    entitlements = models.JSONField(default=dict)
    # Of each period, in minor units.
    minimum_minor = models.BigIntegerField(null=True)
    changelog = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_price_plan_version"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "price_plan", "version"), name="a_price_plan_has_each_version_once"
            ),
            models.UniqueConstraint(
                fields=("environment", "price_plan"),
                condition=Q(status="active"),
                name="one_version_of_a_price_plan_is_active",
            ),
            models.CheckConstraint(
                condition=Q(billing_period__in=BillingCycle.values), name="price_plan_period_is_known"
            ),
            models.CheckConstraint(
                condition=Q(minimum_minor__isnull=True) | Q(minimum_minor__gte=0),
                name="price_plan_minimum_is_not_negative",
            ),
        )

    def __str__(self) -> str:
        return f"{self.price_plan.name} v{self.version}"


class PriceTerm(models.Model):
    """Which version of which price plan holds for a subscription, `[starts_at, ends_at)`; terms do not overlap.

    The next begins where a change of plan ended this one, or after a time without any.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(
        "subscriptions.Subscription", on_delete=models.PROTECT, related_name="price_terms", db_index=False
    )
    version = models.ForeignKey(PricePlanVersion, on_delete=models.PROTECT, related_name="terms")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    # Whether fees of the period that it began in are shared by the second with the term before; else that one keeps
    # them whole, and its own fees begin with the next period.
    prorates = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_price_term"
        ordering = ("starts_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "subscription", "starts_at"), name="a_price_term_starts_once"
            ),
            models.UniqueConstraint(
                fields=("environment", "subscription"),
                condition=Q(ends_at__isnull=True),
                name="one_price_term_of_a_subscription_is_open",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gte=F("starts_at")),
                name="a_price_term_does_not_end_before_it_starts",
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} from {self.starts_at}"
