from __future__ import annotations

from django.db import models

from customers.kernel.ids import uuid7
from customers.models import Environment


class VerificationRun(models.Model):
    """What `verify_ledger` found in one environment: "Ledger health" in the admin."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    # Null: everybody.
    customer_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    accounts = models.BigIntegerField()
    entries = models.BigIntegerField()
    sealed_entries = models.BigIntegerField()
    # The hash of the last seal, in hexadecimal: kept elsewhere, it proves that no seal was taken off the end.
    head_hash = models.CharField(max_length=64, blank=True, default="")
    faults = models.BigIntegerField()
    # The first of them: [{code, object, customer_id, message}].
    findings = models.JSONField(default=list)
    ok = models.BooleanField()

    class Meta:
        db_table = "billing_verification_run"
        ordering = ("-id",)
        indexes = (models.Index(fields=("environment", "id"), name="verification_runs_newest_first"),)

    def __str__(self) -> str:
        return "in order" if self.ok else f"{self.faults} faults"
