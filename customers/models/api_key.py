from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from customers.kernel.ids import typeid, uuid7
from customers.models.environment import Environment


class ApiKey(models.Model):
    """A secret that selects tenant and environment. Only a SHA-256 of it is stored: its 256 bits need no slow hash."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=200)
    # What is shown of the secret afterwards, to tell keys apart: `sk_test_…abcd`.
    hint = models.CharField(max_length=20)
    secret_sha256 = models.BinaryField(max_length=32, unique=True)
    # Empty = everything.
    scopes = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "customers_api_key"
        ordering = ("-id",)
        indexes = (models.Index(fields=("environment", "id"), name="api_keys_newest_first"),)

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"

    @property
    def public_id(self) -> str:
        return typeid("key", self.id)
