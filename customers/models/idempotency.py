from __future__ import annotations

from django.db import models

from customers.kernel.ids import uuid7
from customers.models.environment import Environment


class IdempotencyRecord(models.Model):
    """One key a caller sent, and the answer it got.

    The answer (`status`, `body`, the bytes as sent) is kept for a day. A record that has an `effect_id` moved credits:
    it stays for ever, so that the same key finds what it made. The others go with their answers.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    family = models.CharField(max_length=40)
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    effect_id = models.UUIDField(null=True)
    status = models.SmallIntegerField(null=True)
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "customers_idempotency_record"
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "family", "key"), name="an_idempotency_key_is_used_once_per_family"
            ),
        )
        indexes = (
            models.Index(
                fields=("created_at",), name="stored_answers_by_age", condition=models.Q(status__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"{self.family}:{self.key}"
