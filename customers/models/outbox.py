from __future__ import annotations

from django.db import models

from customers.kernel.ids import uuid7
from customers.models.environment import Environment


class OutboxEvent(models.Model):
    """A webhook event, written in the transaction of its cause and frozen there.

    Nothing is checked or indexed here that need not be: the function that writes has just read the environment.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    event = models.CharField(max_length=60)
    customer_id = models.UUIDField(null=True)
    # 1, 2, 3, … per customer, without gaps; null for events without a customer.
    sequence = models.BigIntegerField(null=True)
    payload = models.JSONField()
    occurred_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True)
    # 1, 2, 3, … per environment in the order in which events were handed out, given when they are: by one worker at a
    # time, so a reader who knows all up to a number has missed none that commits late.
    position = models.BigIntegerField(null=True)

    class Meta:
        db_table = "customers_outbox_event"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "customer_id", "sequence"),
                name="events_of_a_customer_are_numbered_once",
            ),
            models.UniqueConstraint(
                fields=("environment", "position"),
                name="events_are_handed_out_one_after_another",
                condition=models.Q(position__isnull=False),
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="webhook_events_newest_first"),
            models.Index(
                fields=("environment", "id"),
                name="webhook_events_to_hand_out",
                condition=models.Q(dispatched_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return self.event


class UntoldDebit(models.Model):
    """What there is to tell of a debit, written in its transaction while an endpoint names `credit.consumed`.

    It becomes an `OutboxEvent` when it is handed out, or before something else happens to its customer: then it gets
    its number, and its payload is put together. Every debit writes one, so there is one index, and nothing is checked.
    """

    pk = models.CompositePrimaryKey("environment_id", "customer_id", "sequence")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    customer_id = models.UUIDField()
    # The ledger entry's: debits of a customer are told in the order of the ledger.
    sequence = models.BigIntegerField()
    # The event goes by it too.
    entry_id = models.UUIDField()
    amount_mc = models.BigIntegerField()
    source_type = models.CharField(max_length=20)
    source_id = models.UUIDField()
    # What the debit left.
    balance_mc = models.BigIntegerField()
    reserved_mc = models.BigIntegerField()
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "customers_untold_debit"

    def __str__(self) -> str:
        return str(self.entry_id)
