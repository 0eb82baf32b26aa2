from __future__ import annotations

from django.db import models

from customers.kernel.ids import uuid7
from customers.models.tenant import Tenant


class EnvironmentKind(models.TextChoices):
    LIVE = "live", "Live"
    TEST = "test", "Test"


class Environment(models.Model):
    """One of a tenant's two worlds, fully apart: every row of every other table belongs to exactly one."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="environments")
    kind = models.CharField(max_length=4, choices=EnvironmentKind.choices)
    # Whatever processes keep in memory (metrics, rules, keys, the clock) is right as long as this number stands.
    config_version = models.BigIntegerField(default=1)
    # The test clock's instant; null = the system's clock.
    frozen_at = models.DateTimeField(null=True, blank=True)
    # Whether an endpoint names `credit.consumed`: one event for every debit is made for those who asked only.
    tells_consumption = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "customers_environment"
        ordering = ("tenant", "kind")
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "kind"), name="one_environment_of_each_kind_per_tenant"
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=("live", "test")), name="environment_kind_is_live_or_test"
            ),
            models.CheckConstraint(
                condition=models.Q(frozen_at__isnull=True) | models.Q(kind="test"),
                name="only_a_test_environment_has_a_test_clock",
            ),
        )

    def __str__(self) -> str:
        return f"{self.tenant.name} ({self.kind})"
