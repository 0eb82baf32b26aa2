from __future__ import annotations

from django.db import models

from customers.models import Customer, Environment
from metering.models.metric import BillableMetric


class CycleCounter(models.Model):
    """Where a customer stands in a cycle of a metric: what tiers and packages count from.

    Derived from the events, and right for `rule_id` only (metering/sql/10_counter.sql); dropping rows changes nothing.
    """

    pk = models.CompositePrimaryKey("customer_id", "metric_id", "dimension", "value", "cycle_started_at")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    metric = models.ForeignKey(
        BillableMetric, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    # The event property a rate table goes by, and its value; empty for rules without one.
    dimension = models.CharField(max_length=255)
    value = models.CharField(max_length=255)
    cycle_started_at = models.DateTimeField()
    rule_id = models.UUIDField()
    units = models.DecimalField(max_digits=38, decimal_places=10)
    charged_mc = models.BigIntegerField()

    class Meta:
        db_table = "metering_cycle_counter"

    def __str__(self) -> str:
        return f"{self.units}"
