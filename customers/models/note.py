from __future__ import annotations

from django.db import models

from customers.kernel.ids import typeid, uuid7
from customers.models.customer import Customer
from customers.models.environment import Environment


class CustomerNote(models.Model):
    """What a colleague should know about a customer. It stays as it was written until it is withdrawn: then its text
    goes, and who wrote and who withdrew it stays. A trigger refuses every other change, and removal.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", db_index=False)
    # Empty once it is withdrawn.
    text = models.CharField(max_length=4000, blank=True)
    author = models.CharField(max_length=200)
    is_pinned = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.CharField(max_length=200, blank=True, default="")
    withdrawal_reason = models.CharField(max_length=1000, blank=True, default="")

    class Meta:
        db_table = "customers_customer_note"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=(models.Q(withdrawn_at__isnull=True) & ~models.Q(text=""))
                | models.Q(withdrawn_at__isnull=False, text="", is_pinned=False),
                name="a_note_says_something_until_it_is_withdrawn",
            ),
            models.CheckConstraint(
                condition=models.Q(withdrawn_at__isnull=True) | ~models.Q(withdrawn_by=""),
                name="somebody_withdraws_a_note",
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="notes_newest_first"),
            models.Index(fields=("customer", "created_at", "id"), name="notes_of_a_customer"),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("nte", self.id)
