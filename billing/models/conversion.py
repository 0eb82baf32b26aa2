from __future__ import annotations

from django.db import models

from billing.models.account import CreditAccount
from customers.kernel.ids import uuid7
from customers.models import Environment


class Conversion(models.Model):
    """What one `convert` entry did: its two halves, which the entry's net amount does not tell. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey(CreditAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    entry_id = models.UUIDField()
    price_mc = models.BigIntegerField()
    credits_mc = models.BigIntegerField()
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "billing_conversion"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "entry_id"), name="an_entry_is_at_most_one_conversion"
            ),
        )
        indexes = (models.Index(fields=("account", "occurred_at"), name="conversions_of_an_account"),)

    def __str__(self) -> str:
        return f"{self.price_mc} mc for {self.credits_mc} mc"
