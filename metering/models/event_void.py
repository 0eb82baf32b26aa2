from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from customers.kernel.ids import typeid
from customers.models import Customer, Environment
from metering.models.usage_event import StoringTransaction, UsageEvent


class EventVoid(models.Model):
    """That a usage event does not count: it stays, its debit was refunded, and nothing adds it up any more.

    Written once, by metering_event_void; the event is the key, so an event is voided once.
    """

    event = models.OneToOneField(
        UsageEvent, primary_key=True, on_delete=models.PROTECT, related_name="void", db_constraint=False
    )
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    reason = models.CharField(max_length=1000, blank=True, default="")
    # What came back: less than the event cost when a part was refunded before.
    refunded_mc = models.BigIntegerField()
    refund_entry_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=60, blank=True, default="")
    voided_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    # How the roll-up learns of it, as of events.
    recorded_xid = models.BigIntegerField(db_default=StoringTransaction())

    class Meta:
        db_table = "metering_event_void"
        ordering = ("-pk",)
        constraints = (
            models.CheckConstraint(condition=models.Q(refunded_mc__gte=0), name="a_void_gives_nothing_twice"),
        )
        indexes = (
            models.Index(fields=("recorded_xid",), name="voids_by_transaction"),
            models.Index(fields=("customer",), name="voids_of_a_customer"),
        )

    def __str__(self) -> str:
        return typeid("evt", self.pk)
