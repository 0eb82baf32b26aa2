from __future__ import annotations

from typing import Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing.models.account import CreditAccount
from customers.kernel.ids import typeid, uuid7
from customers.models import Environment


class EntryKind(models.TextChoices):
    GRANT = "grant", "Grant"
    DEBIT = "debit", "Debit"
    EXPIRE = "expire", "Expiry"
    ADJUST = "adjust", "Adjustment"
    ROLLOVER = "rollover", "Rollover"
    REFUND = "refund", "Refund"
    CONVERT = "convert", "Conversion"


_CAUSE_PREFIXES: Final = {
    "event": "evt",
    "reservation": "res",
    "block": "blk",
    "grant": "blk",
    "topup": "top",
    "extension": "blk",
}


class LedgerEntry(models.Model):
    """One movement of one account, and what it took from or put into each block. Append-only, in the database itself.

    `block_ids[i]` moved by `block_amounts[i]` mc; a null block is overdraft. Their sum is `amount_mc`.
    Foreign keys are not checked at each insert: only the kernel writes here, holding the account's lock.
    """

    # The database's own primary key is (environment, id): one index for an entry's id and for the newest entries of an
    # environment. Whoever looks an entry up names the environment; for the application row-level security does.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    account = models.ForeignKey(
        CreditAccount, on_delete=models.PROTECT, related_name="entries", db_index=False, db_constraint=False
    )
    # 1, 2, 3, … per account.
    sequence = models.BigIntegerField()
    # A domain in the database knows the kinds.
    kind = models.CharField(max_length=8, choices=EntryKind.choices)
    amount_mc = models.BigIntegerField()
    block_ids = ArrayField(models.UUIDField(null=True))
    block_amounts = ArrayField(models.BigIntegerField())
    balance_after_mc = models.BigIntegerField()
    effective_after_mc = models.BigIntegerField()
    # The one thing that caused it. The same thing cannot cause the same kind of entry twice.
    source_type = models.CharField(max_length=20)
    source_id = models.UUIDField()
    # For a refund: the debit it gives back.
    reverses_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000, blank=True, default="")
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: none was sent
    request_id = models.CharField(max_length=60, blank=True, default="")
    metadata = models.JSONField(null=True)
    # When it happened, by the environment's clock: never before the account's previous entry, so instants are found by
    # number (billing_last_before_v1) and have no index. And when we learned it.
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "billing_ledger_entry"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("account", "sequence"), name="entries_of_an_account_are_numbered_once"
            ),
            # The cause first: causes are numbered by time, so new entries go to the end of the index, which is in
            # memory, and not to the account's leaf somewhere in the middle.
            models.UniqueConstraint(
                fields=("source_id", "kind", "account"), name="one_cause_makes_one_entry_of_a_kind"
            ),
            # Usage keeps its keys with its events, topups with theirs.
            models.UniqueConstraint(
                fields=("environment", "source_type", "idempotency_key"),
                condition=Q(source_type__in=("grant", "adjustment", "refund", "conversion", "extension")),
                name="one_entry_per_idempotency_key",
            ),
        )
        indexes = (
            models.Index(
                fields=("account", "reverses_id"),
                name="refunds_of_a_debit",
                condition=Q(reverses_id__isnull=False),
            ),
            # What is rare among an account's debits: what it earned by an instant, and lists of one kind.
            models.Index(
                fields=("account", "kind", "sequence"),
                include=("amount_mc", "source_type"),
                name="entries_that_are_no_debits",
                condition=~Q(kind="debit"),
            ),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("led", self.id)

    @property
    def source_public_id(self) -> str:
        """The id of what caused it, as that is shown."""
        prefix = _CAUSE_PREFIXES.get(self.source_type)
        return typeid(prefix, self.source_id) if prefix else str(self.source_id)
