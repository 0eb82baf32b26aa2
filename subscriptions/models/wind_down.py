from __future__ import annotations

from django.db import models

from customers.kernel.ids import uuid7
from customers.models import Customer, Environment


class WindDown(models.Model):
    """A customer's end: what was canceled, released and voided, as it was answered. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="wind_downs")
    reason = models.CharField(max_length=1000, blank=True, default="")
    outcome = models.JSONField()
    actor = models.CharField(max_length=200)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: done by an operator
    request_id = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_wind_down"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_wind_down_per_idempotency_key"
            ),
        )

    def __str__(self) -> str:
        return f"wind-down of {self.customer_id}"
