from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from billing.models.account import CreditAccount
from customers.kernel.ids import typeid, uuid7
from customers.models import Environment


class BlockSource(models.TextChoices):
    TOPUP = "topup", "Topup"
    PROMOTIONAL = "promotional", "Promotional"
    PLAN_GRANT = "plan_grant", "Plan grant"
    ROLLOVER = "rollover", "Rollover"
    ADJUSTMENT = "adjustment", "Adjustment"
    REFUND = "refund", "Refund"
    MANUAL = "manual", "Manual"


class BlockState(models.TextChoices):
    PENDING = "pending", "Starts later"
    LIVE = "live", "Live"
    SPENT = "spent", "Spent"
    EXPIRED = "expired", "Expired"
    VOIDED = "voided", "Voided before it started"


class CreditBlock(models.Model):
    """Credits that came in together, on one set of terms. Only the ledger kernel writes it; terms never change.

    `remaining_mc` = Σ allocations to the block; `held_mc` of it is pinned by open holds. What its numbers and terms
    must be to each other, the database sees to (billing/ledger/32_block_guard.sql; domains of priority and state).
    Account and environment are not checked at each insert: only the kernel writes here, holding the account's lock.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    account = models.ForeignKey(
        CreditAccount, on_delete=models.PROTECT, related_name="blocks", db_index=False, db_constraint=False
    )
    original_mc = models.BigIntegerField()
    remaining_mc = models.BigIntegerField()
    held_mc = models.BigIntegerField(default=0, db_default=0)
    state = models.CharField(max_length=8, choices=BlockState.choices)
    priority = models.SmallIntegerField(default=0)
    effective_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    # Null: burns for everything.
    metric_keys = ArrayField(models.CharField(max_length=64), null=True)
    source = models.CharField(max_length=12, choices=BlockSource.choices)
    price_paid_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, null=True)  # noqa: DJ001 - null: nothing was said
    is_paid = models.BooleanField()
    reason = models.CharField(max_length=1000, blank=True, default="")
    metadata = models.JSONField(default=dict)
    # What the block's grant entry says of its cause; a block that starts later needs it then.
    cause_type = models.CharField(max_length=20)
    cause_id = models.UUIDField()
    actor = models.CharField(max_length=200)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001
    request_id = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()
    voided_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "billing_credit_block"
        ordering = ("-id",)
        constraints = (
            # Grants and adjustments by call: their key makes one block, or, going down, one entry, for ever.
            models.UniqueConstraint(
                fields=("environment", "cause_type", "idempotency_key"),
                condition=Q(cause_type__in=("grant", "adjustment", "conversion", "extension")),
                name="one_block_per_idempotency_key",
            ),
            # A block that starts later makes its entry then; a second of the same cause could not, and would wedge.
            # Those that never start later may be several: what rolls over, and a refund out of several dead blocks.
            models.UniqueConstraint(
                fields=("account", "cause_id"),
                condition=~Q(source__in=("rollover", "refund")),
                name="one_cause_makes_one_block",
            ),
        )
        indexes = (
            # The burn order, as in billing_blocks_plan.
            models.Index(
                F("account"),
                F("priority").desc(),
                F("expires_at"),
                F("is_paid"),
                F("created_at"),
                F("id"),
                name="live_blocks_in_burn_order",
                condition=Q(state="live"),
            ),
            models.Index(
                fields=("account", "expires_at"),
                name="live_blocks_by_expiry",
                condition=Q(state="live", expires_at__isnull=False),
            ),
            models.Index(
                fields=("account", "effective_at"),
                name="blocks_that_start_later",
                condition=Q(state="pending"),
            ),
            models.Index(fields=("account", "id"), name="blocks_of_an_account"),
            models.Index(fields=("environment", "id"), name="blocks_newest_first"),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("blk", self.id)
