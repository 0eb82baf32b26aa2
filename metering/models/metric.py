from __future__ import annotations

from django.db import models
from django.db.models import Q

from customers.kernel.ids import typeid, uuid7
from customers.models import Environment


class Aggregation(models.TextChoices):
    """How a period's events become one quantity on an invoice. Credits are charged per event in any case."""

    SUM = "sum", "Sum"
    COUNT = "count", "Count"
    MAX = "max", "Maximum"
    MIN = "min", "Minimum"
    LAST = "last", "Last"
    UNIQUE_COUNT = "unique_count", "Unique count"
    PERCENTILE = "percentile", "Percentile"


class MetricStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    INACTIVE = "inactive", "Inactive"


class BillableMetric(models.Model):
    """Something that is counted: API calls, tokens, seats. Events and rules name it by its permanent key."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="metrics", db_index=False
    )
    key = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=1000, blank=True, default="")
    aggregation = models.CharField(max_length=12, choices=Aggregation.choices, default=Aggregation.SUM)
    # The event property whose different values unique_count counts.
    aggregation_property = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - null: none
    percentile = models.DecimalField(max_digits=13, decimal_places=10, null=True, blank=True)
    # Inactive: takes no new events; what there is stays.
    status = models.CharField(max_length=8, choices=MetricStatus.choices, default=MetricStatus.ACTIVE)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "metering_metric"
        verbose_name = "billable metric"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "key"), name="a_metric_key_is_unique_in_its_environment"
            ),
            models.CheckConstraint(
                condition=Q(key__regex=r"^[a-z][a-z0-9_.-]{0,63}$"), name="metric_key_is_well_formed"
            ),
            models.CheckConstraint(
                condition=Q(aggregation__in=Aggregation.values), name="aggregation_is_one_of_the_seven"
            ),
            models.CheckConstraint(
                condition=Q(status__in=MetricStatus.values), name="metric_status_is_active_or_inactive"
            ),
            models.CheckConstraint(
                condition=Q(aggregation="unique_count", aggregation_property__isnull=False)
                | (~Q(aggregation="unique_count") & Q(aggregation_property__isnull=True)),
                name="unique_count_and_only_it_names_a_property",
            ),
            models.CheckConstraint(
                condition=Q(aggregation="percentile", percentile__gte=0, percentile__lte=100)
                | (~Q(aggregation="percentile") & Q(percentile__isnull=True)),
                name="percentile_and_only_it_has_a_percentile_from_0_to_100",
            ),
        )
        indexes = (models.Index(fields=("environment", "id"), name="metrics_newest_first"),)

    def __str__(self) -> str:
        return self.key

    @property
    def public_id(self) -> str:
        return typeid("met", self.id)
