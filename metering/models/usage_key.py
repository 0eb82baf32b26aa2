from __future__ import annotations

from django.db import models

from customers.models import Customer, Environment


class UsageKey(models.Model):
    """An idempotency key, and the one event it stands for: for ever, also when the event has been archived.

    A table of its own, since one partitioned by time cannot keep unique what does not name the time. Not partitioned
    itself: docs/decisions/event-partitions.md.
    """

    pk = models.CompositePrimaryKey("environment_id", "idempotency_key")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    event_id = models.UUIDField()
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    cost_mc = models.BigIntegerField()
    idempotency_key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=16)

    class Meta:
        db_table = "metering_usage_key"

    def __str__(self) -> str:
        return self.idempotency_key
