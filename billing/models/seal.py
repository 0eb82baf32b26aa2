from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.models.account import CreditAccount
from customers.kernel.ids import uuid7
from customers.models import Environment


class LedgerSeal(models.Model):
    """A link of an environment's hash chain over its ledger entries. Written off the hot path, never changed.

    A seal covers, for each of its accounts, the entries that followed those sealed before: its parts. Its hash is made
    of the seal before it and of its parts' hashes, so nothing sealed can change unseen (docs/decisions/).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    # 1, 2, 3, … per environment.
    number = models.BigIntegerField()
    # Which of the environment's entries, counted in the order they were sealed.
    first_position = models.BigIntegerField()
    last_position = models.BigIntegerField()
    accounts = models.BigIntegerField()
    # 32 zero bytes before the first.
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField()

    class Meta:
        db_table = "billing_ledger_seal"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "number"), name="seals_of_an_environment_are_numbered_once"
            ),
            models.CheckConstraint(
                condition=Q(last_position__gte=F("first_position")), name="a_seal_covers_at_least_one_entry"
            ),
        )

    def __str__(self) -> str:
        return f"seal {self.number}"

    @property
    def entries(self) -> int:
        return self.last_position - self.first_position + 1


class LedgerSealPart(models.Model):
    """What one seal covers of one account: entries `first_sequence` to `last_sequence`."""

    pk = models.CompositePrimaryKey("account_id", "first_sequence")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey(CreditAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    first_sequence = models.BigIntegerField()
    last_sequence = models.BigIntegerField()
    seal_number = models.BigIntegerField()
    # SHA-256 of the entries' digests one after the other; and the first eight bytes of each, which tell which entry
    # it is that changed.
    hash = models.BinaryField(max_length=32)
    digests = models.BinaryField()

    class Meta:
        db_table = "billing_ledger_seal_part"
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "seal_number", "account"), name="a_seal_has_one_part_for_an_account"
            ),
        )

    def __str__(self) -> str:
        return f"entries {self.first_sequence} to {self.last_sequence}"


class SealedAccount(models.Model):
    """How far an account is sealed, so that the next seal need not look."""

    account = models.OneToOneField(
        CreditAccount, primary_key=True, on_delete=models.PROTECT, related_name="sealed"
    )
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    sequence = models.BigIntegerField()

    class Meta:
        db_table = "billing_sealed_account"

    def __str__(self) -> str:
        return f"sealed up to {self.sequence}"
