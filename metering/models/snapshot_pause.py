from __future__ import annotations

from django.db import models

from customers.models import Environment


class SnapshotPause(models.Model):
    """Until when no snapshot of an environment may be kept: a writer could not tell Redis of its write."""

    environment = models.OneToOneField(
        Environment, primary_key=True, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    # The wall clock's.
    paused_until = models.DateTimeField()

    class Meta:
        db_table = "metering_snapshot_pause"

    def __str__(self) -> str:
        return f"{self.paused_until}"
