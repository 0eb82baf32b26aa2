from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models import Hold
from customers.kernel.conditions import one_of
from customers.kernel.ids import typeid, uuid7
from customers.models import Customer, Environment
from metering.models.metric import BillableMetric
from metering.models.rule import MeteringRule


class Reservation(models.Model):
    """What a hold was made for: the usage expected, and the rule version that will price what it really was.

    Never changes. How it stands is the hold's to tell, what became of it the steps' and the event's. Written by
    metering/sql/40_reservation.sql alone, in the same call as the hold; hence no checks of foreign keys.
    """

    hold = models.OneToOneField(
        Hold,
        primary_key=True,
        db_column="id",
        on_delete=models.PROTECT,
        related_name="reservation",
        db_constraint=False,
    )
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="reservations", db_index=False, db_constraint=False
    )
    metric = models.ForeignKey(
        BillableMetric, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    # Pinned: it prices the commit, whatever rule has taken over meanwhile.
    rule = models.ForeignKey(
        MeteringRule, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    # The property a rate table goes by, and its value; empty for rules without one.
    dimension = models.CharField(max_length=255, blank=True, default="")
    value = models.CharField(max_length=255, blank=True, default="")
    # Whether the price depends on where the customer stands in the cycle.
    is_counted = models.BooleanField()
    estimated_units = models.DecimalField(max_digits=38, decimal_places=10)
    properties = models.JSONField(null=True)
    idempotency_key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=16)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "metering_reservation"
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "idempotency_key"), name="one_reservation_per_idempotency_key"
            ),
            models.CheckConstraint(
                condition=Q(estimated_units__gt=0), name="a_reservation_expects_something"
            ),
        )
        indexes = (
            models.Index(fields=("customer", "hold"), name="reservations_of_a_customer"),
            models.Index(fields=("environment", "hold"), name="reservations_newest_first"),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("res", self.pk)


class StepKind(models.TextChoices):
    COMMIT = "commit", "Commit"
    RELEASE = "release", "Release"
    EXTEND = "extend", "Extend"


class ReservationStep(models.Model):
    """One call that moved a reservation on, under its key: the key works once per kind of call, for ever."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    reservation = models.ForeignKey(
        Reservation, on_delete=models.PROTECT, related_name="steps", db_index=False, db_constraint=False
    )
    kind = models.CharField(max_length=7, choices=StepKind.choices)
    idempotency_key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=16)
    # Of a commit: the usage event it wrote. Of an extension: the new end.
    event_id = models.UUIDField(null=True)
    expires_at = models.DateTimeField(null=True)
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "metering_reservation_step"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "kind", "idempotency_key"),
                name="one_step_of_a_kind_per_idempotency_key",
            ),
            models.UniqueConstraint(
                fields=("reservation",),
                condition=Q(kind__in=("commit", "release")),
                name="a_reservation_is_ended_once",
            ),
            models.CheckConstraint(
                condition=one_of("kind", "commit", "release", "extend"), name="step_kind_is_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {typeid('res', self.reservation_id)}"
