from __future__ import annotations

from django.db import models

from customers.models import Customer, Environment
from metering.models.metric import BillableMetric


class EventArchive(models.Model):
    """That a month of events was taken away (metering/partitions/20_detach.sql), as far as it was an environment's."""

    pk = models.CompositePrimaryKey("environment_id", "table_name")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    # What the partition is called since.
    table_name = models.CharField(max_length=63)
    # The events' ids lay from the first up to, without, the other.
    first_id = models.UUIDField()
    end_id = models.UUIDField()
    events = models.BigIntegerField()
    received_from = models.DateTimeField()
    received_until = models.DateTimeField()
    archived_at = models.DateTimeField()

    class Meta:
        db_table = "metering_event_archive"

    def __str__(self) -> str:
        return self.table_name


class ArchivedHour(models.Model):
    """What archived events came to in an hour, without voided ones: UsageHour's share that has no events any more."""

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
    last_units = models.DecimalField(max_digits=38, decimal_places=10)
    last_at = models.DateTimeField()
    last_event_id = models.UUIDField()
    cost_mc = models.BigIntegerField()

    class Meta:
        db_table = "metering_archived_hour"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00}"
