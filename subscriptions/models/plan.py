from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.models import BlockSource
from customers.kernel.ids import typeid, uuid7
from customers.models import Environment


class BillingCycle(models.TextChoices):
    HOURLY = "hourly", "Hourly"
    DAILY = "daily", "Daily"
    WEEKLY = "weekly", "Weekly"
    MONTHLY = "monthly", "Monthly"
    QUARTERLY = "quarterly", "Quarterly"
    YEARLY = "yearly", "Yearly"


class BillingMode(models.TextChoices):
    PREPAID = "prepaid", "Prepaid"
    POSTPAID = "postpaid", "Postpaid"


class Plan(models.Model):
    """What is sold, under one name; how it is sold are its variants."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=1000, blank=True, default="")
    # What the plan includes beside credits: key → true, a number, or a text.
    features = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_plan"
        ordering = ("-id",)
        indexes = (models.Index(fields=("environment", "id"), name="plans_newest_first"),)

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return typeid("plan", self.id)


class PlanVariant(models.Model):
    """Terms on which a plan is sold. In use they never change: other terms are a new version, a row of its own.

    `family` is the id of the first version; subscriptions stay on the version they were made on until they are moved.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="variants")
    family = models.UUIDField()
    version = models.PositiveIntegerField(default=1)
    # Until another version took its place.
    superseded_at = models.DateTimeField(null=True)
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=1000, blank=True, default="")
    billing_cycle = models.CharField(max_length=9, choices=BillingCycle.choices)
    billing_mode = models.CharField(max_length=8, choices=BillingMode.choices)
    renewal_due_days = models.PositiveSmallIntegerField(default=3)
    grace_period_days = models.PositiveSmallIntegerField(default=3)
    allow_usage_while_overdue = models.BooleanField(default=True)
    trial_days = models.PositiveSmallIntegerField(default=0)
    price_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, null=True)  # noqa: DJ001 - null: nothing was said
    fallback_variant = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    # What usage costs in money beside what the variant grants in credits.
    price_plan_version = models.ForeignKey(
        "subscriptions.PricePlanVersion", null=True, on_delete=models.PROTECT, related_name="variants"
    )
    metadata = models.JSONField(default=dict)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_plan_variant"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "family", "version"), name="a_variant_has_each_version_once"
            ),
            models.CheckConstraint(
                condition=Q(billing_cycle__in=BillingCycle.values), name="variant_cycle_is_known"
            ),
            models.CheckConstraint(
                condition=Q(billing_mode__in=BillingMode.values), name="variant_mode_is_known"
            ),
            models.CheckConstraint(
                condition=Q(price_minor__isnull=True) | Q(price_minor__gte=0, currency__isnull=False),
                name="variant_price_has_a_currency",
            ),
        )
        indexes = (models.Index(fields=("environment", "id"), name="variants_newest_first"),)

    def __str__(self) -> str:
        return f"{self.name} v{self.version}" if self.version > 1 else self.name

    @property
    def public_id(self) -> str:
        return typeid("pvr", self.id)

    @property
    def is_price_plan(self) -> bool:
        """Whether it is how a price plan is sold by itself: it grants nothing, and nobody sees it."""
        version = self.price_plan_version
        return version is not None and version.price_plan.plan_id == self.plan_id

    @property
    def is_prepaid(self) -> bool:
        return self.billing_mode == BillingMode.PREPAID


class GrantType(models.TextChoices):
    RECURRING = "recurring", "Recurring"
    ONE_TIME = "one_time", "One time"


class GrantInterval(models.TextChoices):
    BILLING_CYCLE = "billing_cycle", "Each billing cycle"
    HOURLY = "hourly", "Hourly"
    DAILY = "daily", "Daily"
    WEEKLY = "weekly", "Weekly"
    MONTHLY = "monthly", "Monthly"
    CUSTOM = "custom", "Every so many seconds"


class CreditGrantTemplate(models.Model):
    """Credits that subscribers of a variant are given, once or at the start of each interval."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    variant = models.ForeignKey(PlanVariant, on_delete=models.PROTECT, related_name="credit_grants")
    name = models.CharField(max_length=200, blank=True, default="")
    credits_mc = models.BigIntegerField()
    grant_type = models.CharField(max_length=9, choices=GrantType.choices)
    grant_interval = models.CharField(max_length=13, choices=GrantInterval.choices)
    interval_seconds = models.BigIntegerField(null=True)
    source = models.CharField(max_length=12, choices=BlockSource.choices)
    priority = models.SmallIntegerField(default=10)
    # At most one of the two; neither: the credits never expire.
    expires_after_seconds = models.BigIntegerField(null=True)
    expires_at_interval_end = models.BooleanField(default=False)
    rollover_percentage = models.PositiveSmallIntegerField(default=0)
    accumulation_cap_mc = models.BigIntegerField(null=True)
    metadata = models.JSONField(default=dict)
    archived_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_credit_grant"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=Q(credits_mc__gt=0), name="credit_grant_gives_something"),
            models.CheckConstraint(
                condition=Q(grant_interval="custom", interval_seconds__gt=0)
                | ~Q(grant_interval="custom") & Q(interval_seconds__isnull=True),
                name="credit_grant_interval_has_seconds_if_custom",
            ),
            models.CheckConstraint(
                condition=Q(expires_after_seconds__isnull=True)
                | Q(expires_after_seconds__gt=0, expires_at_interval_end=False),
                name="credit_grant_expires_one_way",
            ),
            models.CheckConstraint(
                condition=Q(rollover_percentage__lte=100), name="credit_grant_rolls_over_at_most_all"
            ),
            models.CheckConstraint(
                condition=Q(accumulation_cap_mc__isnull=True) | Q(accumulation_cap_mc__gte=F("credits_mc")),
                name="credit_grant_cap_leaves_room_for_itself",
            ),
            models.CheckConstraint(
                condition=Q(priority__gte=0, priority__lte=100),
                name="credit_grant_priority_is_between_0_and_100",
            ),
        )

    def __str__(self) -> str:
        return self.name or self.public_id

    @property
    def public_id(self) -> str:
        return typeid("cgt", self.id)
