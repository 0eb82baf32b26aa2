from __future__ import annotations

from django.db import models

from customers.kernel.conditions import one_of
from customers.kernel.ids import uuid7
from customers.models.environment import Environment


class OveragePolicy(models.TextChoices):
    BLOCK = "block", "Block"
    ALLOW = "allow", "Allow"
    NOTIFY = "notify", "Allow and notify"


class Customer(models.Model):
    """Somebody who uses the tenant's product.

    `id` is ours and inside only. On the wire the id is `public_id`: the same UUID, unless the creator chose a text.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="customers")
    public_id = models.CharField(max_length=255)
    external_id = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001 - null: has none
    # The claim on the external id. It stays with a deleted customer (calls go on reaching it) until
    # POST /v1/customers uses the id again; then the old customer keeps its external_id only as a label.
    external_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001
    display_name = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - null: not set yet
    name = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001
    email = models.CharField(max_length=320, null=True, blank=True)  # noqa: DJ001
    overage_policy = models.CharField(
        max_length=6,
        choices=OveragePolicy.choices,
        default=OveragePolicy.BLOCK,
        db_default=OveragePolicy.BLOCK,
    )
    overage_limit_mc = models.BigIntegerField(null=True, blank=True)
    low_balance_threshold_mc = models.BigIntegerField(null=True, blank=True)
    timezone = models.CharField(max_length=64, default="UTC", db_default="UTC")
    payment_provider = models.CharField(max_length=40, null=True, blank=True)  # noqa: DJ001
    payment_provider_customer_id = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001
    payment_method_id = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001
    # Percent, on invoices; null: none.
    tax_rate = models.DecimalField(max_digits=7, decimal_places=4, null=True, blank=True)
    tax_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    billing_address = models.CharField(max_length=1000, null=True, blank=True)  # noqa: DJ001
    metadata = models.JSONField(default=dict, db_default={}, blank=True)
    # Webhook events of one customer carry 1, 2, 3, … without gaps; this is the last number given.
    event_sequence = models.BigIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "customers_customer"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "public_id"), name="a_customer_id_is_unique_in_its_environment"
            ),
            models.UniqueConstraint(
                fields=("environment", "external_key"), name="an_external_id_reaches_one_customer"
            ),
            models.CheckConstraint(
                condition=one_of("overage_policy", *OveragePolicy.values),
                name="overage_policy_is_block_allow_or_notify",
            ),
            models.CheckConstraint(
                condition=models.Q(overage_limit_mc__isnull=True) | models.Q(overage_limit_mc__gte=0),
                name="overage_limit_is_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(tax_rate__isnull=True) | models.Q(tax_rate__gte=0, tax_rate__lte=100),
                name="tax_rate_is_a_percentage",
            ),
        )
        # The trigram index behind the search is in the migration that makes its function.
        indexes = (models.Index(fields=("environment", "id"), name="customers_newest_first"),)

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """What people see: the display name, or else whatever names the customer best."""
        return self.display_name or self.external_id or self.public_id
