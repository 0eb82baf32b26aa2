from __future__ import annotations

from datetime import timedelta

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.db.models.lookups import GreaterThan

from customers.kernel.ids import typeid, uuid7
from customers.models import Customer, Environment
from metering.models.metric import BillableMetric
from metering.models.rule import MeteringRule


class StoringTransaction(models.Func):
    """The number of the transaction that inserts the row, never reused."""

    template = "pg_current_xact_id()::text::bigint"
    output_field = models.BigIntegerField()


class UsageEvent(models.Model):
    """Something a customer used. Written once, by metering_usage_record; its key (UsageKey) is its identity for ever.

    The table is partitioned by ranges of the key, which are months of the time it was stored (metering/partitions/): a
    month can be taken away whole. What is unique beyond the key of a single month stands in UsageKey.

    The database does not check these foreign keys at each insert: the one function that writes here has just read the
    rows, none of them can be deleted, and four checks would be a fifth of a hot call.
    """

    # The database's own primary key is (environment, id), as the ledger's is: one index for an event's id and for the
    # newest events of an environment. Whoever looks one up names the environment; for the application row-level
    # security does.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="usage_events", db_index=False, db_constraint=False
    )
    metric = models.ForeignKey(
        BillableMetric, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    # The rule version that priced it; null when the metric is only metered.
    rule = models.ForeignKey(
        MeteringRule,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    units = models.DecimalField(max_digits=38, decimal_places=10)
    cost_mc = models.BigIntegerField()
    # Where the customer stood in the cycle before it, when its price depends on that: what the explanation starts from.
    cycle_units = models.DecimalField(max_digits=38, decimal_places=10, null=True)
    cycle_charged_mc = models.BigIntegerField(null=True)
    ledger_entry_id = models.UUIDField(null=True)
    idempotency_key = models.CharField(max_length=255)
    # When it happened (the event's own timestamp), when we received it by the environment's clock, when it was stored.
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    # The transaction that stored it: how the roll-up finds every event once (docs/decisions/rollup-watermark.md).
    recorded_xid = models.BigIntegerField(db_default=StoringTransaction())
    properties = models.JSONField(null=True)
    metadata = models.JSONField(null=True)
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=60, blank=True, default="")

    class Meta:
        db_table = "metering_usage_event"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=models.Q(cost_mc__gte=0), name="usage_cost_is_not_negative"),
        )
        indexes = (
            models.Index(fields=("customer", "metric", "received_at"), name="events_as_received"),
            # Rows lie in about the order of their transactions, so a few pages of index lead to the newest. Its upkeep
            # costs an insert next to nothing.
            BrinIndex(
                fields=("recorded_xid",), name="events_by_transaction", pages_per_range=64, autosummarize=True
            ),
            # Events happen about when they are received, and are found by that. Those told of later have this.
            models.Index(
                fields=("customer", "metric", "occurred_at"),
                name="events_told_of_later",
                condition=models.Q(
                    GreaterThan(
                        models.ExpressionWrapper(
                            models.F("received_at") - models.F("occurred_at"), models.DurationField()
                        ),
                        timedelta(hours=1),
                    )
                ),
            ),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("evt", self.id)
