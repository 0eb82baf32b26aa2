from __future__ import annotations

from uuid import UUID

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from customers.kernel.ids import typeid, uuid7
from customers.models import Customer, Environment
from metering.models.metric import BillableMetric

#: The scope of rules for everyone.
EVERYONE = UUID(int=0)


class CostType(models.TextChoices):
    FLAT = "flat", "Flat"
    PER_UNIT = "per_unit", "Per unit"
    PACKAGE = "package", "Package"
    TIERED = "tiered", "Tiered"
    RATES = "rates", "By a property"


class MeteringRule(models.Model):
    """What a metric costs in credits, for everyone, for the customers of a plan variant, or for one customer.

    A rule never changes: a new version for the same metric and scope takes over at its `effective_from`, and
    events keep pointing at the version that priced them. That a rule is superseded is therefore not stored.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    metric = models.ForeignKey(BillableMetric, on_delete=models.PROTECT, related_name="rules", db_index=False)
    # The scope. Variants belong to a higher app, hence no foreign key.
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    plan_variant_id = models.UUIDField(null=True, blank=True)
    # What the scope is compared by: null does not equal null.
    scope_id = models.GeneratedField(
        expression=Coalesce("customer_id", "plan_variant_id", Value(EVERYONE)),
        output_field=models.UUIDField(),
        db_persist=True,
    )
    # 1, 2, 3, … per metric and scope.
    version = models.IntegerField()
    cost_type = models.CharField(max_length=8, choices=CostType.choices)
    # As metering.engine writes it: whole numbers, and other decimals as text.
    definition = models.JSONField()
    effective_from = models.DateTimeField()
    # The environment's config version that brought it: how a process finds the rules it has not seen yet.
    config_version = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "metering_rule"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "metric", "scope_id", "version"),
                name="a_rule_version_exists_once_per_metric_and_scope",
            ),
            models.CheckConstraint(
                condition=Q(customer__isnull=True) | Q(plan_variant_id__isnull=True),
                name="a_rule_is_for_a_customer_or_a_variant_not_both",
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="rule_versions_count_from_1"),
            models.CheckConstraint(
                condition=Q(cost_type__in=CostType.values), name="cost_type_is_one_of_the_five"
            ),
            models.CheckConstraint(
                condition=Q(effective_from__gte=F("created_at")),
                name="a_rule_begins_no_earlier_than_it_was_made",
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="rules_newest_first"),
            models.Index(
                fields=("environment", "customer"),
                condition=Q(customer__isnull=False),
                name="rules_of_a_customer",
            ),
            models.Index(fields=("environment", "config_version"), name="rules_by_config_version"),
        )

    def __str__(self) -> str:
        return f"{self.metric_id} v{self.version}"

    @property
    def public_id(self) -> str:
        return typeid("rul", self.id)
