from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import Exact, IsNull

from billing.models.account import CreditAccount
from customers.kernel.conditions import exactly_when, one_of
from customers.kernel.ids import typeid, uuid7
from customers.models import Environment


class HoldState(models.TextChoices):
    ACTIVE = "active", "Active"
    COMMITTED = "committed", "Committed"
    RELEASED = "released", "Released"
    EXPIRED = "expired", "Expired"


class Hold(models.Model):
    """Credits set aside for work under way, pinned to parts of blocks. Only the ledger kernel writes it.

    Ends exactly once: committed, released, or expired five seconds after `expires_at`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Not checked at each insert, as with blocks.
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    account = models.ForeignKey(
        CreditAccount, on_delete=models.PROTECT, related_name="holds", db_index=False, db_constraint=False
    )
    amount_mc = models.BigIntegerField()
    block_ids = ArrayField(models.UUIDField(null=True))
    block_amounts = ArrayField(models.BigIntegerField())
    metric_key = models.CharField(max_length=64, null=True)  # noqa: DJ001 - null: held from any block
    state = models.CharField(max_length=9, choices=HoldState.choices)
    expires_at = models.DateTimeField()
    metadata = models.JSONField(default=dict)
    actor = models.CharField(max_length=200)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001
    request_id = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    committed_mc = models.BigIntegerField(null=True)

    class Meta:
        db_table = "billing_hold"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=Q(amount_mc__gte=0), name="held_amount_is_not_negative"),
            models.CheckConstraint(
                condition=one_of("state", "active", "committed", "released", "expired"),
                name="hold_state_is_known",
            ),
            models.CheckConstraint(
                condition=exactly_when(IsNull(F("ended_at"), True), Exact(F("state"), "active")),
                name="a_hold_that_ended_says_when",
            ),
        )
        indexes = (
            models.Index(
                fields=("account", "expires_at"), name="open_holds_by_end", condition=Q(state="active")
            ),
            models.Index(
                fields=("account", "ended_at"), name="ended_holds_by_end", condition=Q(ended_at__isnull=False)
            ),
            models.Index(fields=("account", "id"), name="holds_of_an_account"),
            models.Index(fields=("environment", "id"), name="holds_newest_first"),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("res", self.id)
