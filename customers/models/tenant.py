from __future__ import annotations

from django.db import models

from customers.kernel.ids import uuid7


class Tenant(models.Model):
    """A company that sells something and runs Purser to bill its customers."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "customers_tenant"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
