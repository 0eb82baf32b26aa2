from __future__ import annotations

from django.db import models

from customers.models import Customer, Environment
from metering.models.metric import BillableMetric


class UsageHour(models.Model):
    """A customer's events of one metric in one hour (UTC, by the events' own timestamps), added up.

    Derived from the events by metering/rollups/*.sql, and right for those below the watermark; can be made anew at any
    time.
    """

    pk = models.CompositePrimaryKey("customer_id", "metric_id", "hour")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    metric = models.ForeignKey(
        BillableMetric, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    hour = models.DateTimeField()
    events = models.BigIntegerField()
    units_sum = models.DecimalField(max_digits=38, decimal_places=10)
    units_max = models.DecimalField(max_digits=38, decimal_places=10)
    units_min = models.DecimalField(max_digits=38, decimal_places=10)
    # The event with the latest timestamp; of several at that instant, the one received last.
    last_units = models.DecimalField(max_digits=38, decimal_places=10)
    last_at = models.DateTimeField()
    last_event_id = models.UUIDField()
    cost_mc = models.BigIntegerField()

    class Meta:
        db_table = "metering_usage_hour"
        indexes = (models.Index(fields=("environment", "hour"), name="usage_hours_of_an_environment"),)

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00}"


class UsageHourOfAll(models.Model):
    """The same for all customers of an environment together: sums over many customers are few rows."""

    pk = models.CompositePrimaryKey("metric_id", "hour")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    metric = models.ForeignKey(
        BillableMetric, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    hour = models.DateTimeField()
    events = models.BigIntegerField()
    units_sum = models.DecimalField(max_digits=38, decimal_places=10)
    units_max = models.DecimalField(max_digits=38, decimal_places=10)
    units_min = models.DecimalField(max_digits=38, decimal_places=10)
    cost_mc = models.BigIntegerField()

    class Meta:
        db_table = "metering_usage_hour_of_all"
        indexes = (models.Index(fields=("environment", "hour"), name="usage_hours_of_all"),)

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00}"


class UsageWatermark(models.Model):
    """How far the roll-up has come: one row for all environments, whose lock makes rollers take turns."""

    id = models.SmallIntegerField(primary_key=True)
    # Events of transactions below this one are in the hours.
    recorded_before = models.BigIntegerField()
    # Events stored before this instant are in them whatever their transaction: they came from a backup, whose
    # transaction numbers mean nothing here.
    stored_before = models.DateTimeField(null=True)

    class Meta:
        db_table = "metering_usage_watermark"
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="there_is_one_usage_watermark"),)

    def __str__(self) -> str:
        return str(self.recorded_before)
