from __future__ import annotations

from django.db import models

from customers.kernel.ids import uuid7
from customers.models.environment import Environment


class AuditRecord(models.Model):
    """Who changed what, when, from where and why. Append-only: a trigger refuses UPDATE and DELETE."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=255)
    customer_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=1000, blank=True, default="")
    changes = models.JSONField(default=dict)
    request_id = models.CharField(max_length=60, blank=True, default="")
    address = models.CharField(max_length=60, blank=True, default="")
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "customers_audit_record"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("environment", "id"), name="audit_newest_first"),
            models.Index(fields=("environment", "customer_id", "id"), name="audit_of_a_customer"),
            models.Index(fields=("environment", "object_type", "object_id"), name="audit_of_an_object"),
            models.Index(fields=("environment", "request_id"), name="audit_of_a_request"),
        )

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.object_id}"
