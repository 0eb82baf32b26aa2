from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from customers.kernel.conditions import one_of
from customers.kernel.ids import typeid, uuid7
from customers.models.environment import Environment
from customers.models.outbox import OutboxEvent


class EndpointStatus(models.TextChoices):
    ACTIVE = "active", "Active"
    # Events queue up and are sent after it was resumed.
    PAUSED = "paused", "Paused"
    # Nothing is queued; what waited is skipped.
    DISABLED = "disabled", "Disabled"


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    DEAD = "dead", "Dead"
    SKIPPED = "skipped", "Skipped"


class WebhookEndpoint(models.Model):
    """An address of the tenant that is told of events. Times are the wall clock's.

    Its secret is not stored: it is derived from the installation's signing key and `secret_salt`, so a copy of the
    database signs nothing. `secret_check` notices a signing key that was changed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=500, blank=True, default="")
    # Names, `noun.*`, or `*`.
    events = ArrayField(models.CharField(max_length=60))
    status = models.CharField(max_length=8, choices=EndpointStatus.choices, default=EndpointStatus.ACTIVE)
    # Why it is disabled: `gone` (it answered 410), `failing` (for days), or a person's or key's wish ("").
    status_reason = models.CharField(max_length=20, blank=True, default="")
    secret_salt = models.CharField(max_length=32)
    secret_check = models.CharField(max_length=16)
    previous_salt = models.CharField(max_length=32, blank=True, default="")
    previous_until = models.DateTimeField(null=True)
    # Attempts that failed in a row, since when, and until when the circuit breaker keeps us from trying.
    failures = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    open_until = models.DateTimeField(null=True)
    # How fast it answered of late.
    latency_ms = models.IntegerField(null=True)
    last_success_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "customers_webhook_endpoint"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(status__in=EndpointStatus.values),
                name="webhook_endpoint_is_active_paused_or_disabled",
            ),
        )
        indexes = (models.Index(fields=("environment", "id"), name="webhook_endpoints_newest_first"),)

    def __str__(self) -> str:
        return self.url

    @property
    def public_id(self) -> str:
        return typeid("whe", self.id)


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint.

    Deliveries of a lane are sent in order of `sequence`, one at a time. The lane is the customer; for an event without
    one, and for one that is sent again by hand, the delivery itself, which so neither waits nor is waited for.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="+", db_index=False)
    event = models.ForeignKey(
        OutboxEvent, on_delete=models.PROTECT, related_name="deliveries", db_index=False
    )
    customer_id = models.UUIDField(null=True)
    lane = models.UUIDField()
    sequence = models.BigIntegerField()
    state = models.CharField(max_length=9, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    # All attempts ever, and those since it was last put into the queue: these the retry schedule counts.
    attempts = models.IntegerField(default=0)
    tries = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "customers_webhook_delivery"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("event", "endpoint"), name="an_event_goes_to_an_endpoint_by_one_delivery"
            ),
            models.CheckConstraint(
                condition=one_of("state", *DeliveryState.values),
                name="webhook_delivery_state_is_one_of_four",
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="deliveries_newest_first"),
            models.Index(fields=("endpoint", "id"), name="deliveries_of_an_endpoint"),
            models.Index(fields=("environment", "customer_id", "id"), name="deliveries_of_a_customer"),
            models.Index(
                fields=("endpoint", "lane", "sequence"),
                name="deliveries_waiting_in_order",
                condition=models.Q(state="pending"),
            ),
            models.Index(
                fields=("environment", "id"), name="deliveries_dead", condition=models.Q(state="dead")
            ),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("dlv", self.id)


class WebhookLane(models.Model):
    """A queue of deliveries that wait for each other; there is a row as long as one of them is pending.

    A worker claims a lane, so that nobody else sends out of it; a claim that lapsed is anybody's.
    """

    pk = models.CompositePrimaryKey("endpoint_id", "lane")
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    lane = models.UUIDField()
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    # When its first delivery may be tried.
    next_at = models.DateTimeField()
    claim_id = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "customers_webhook_lane"
        indexes = (
            # Not by claim: so a claim is written in place.
            models.Index(fields=("endpoint", "next_at"), name="webhook_lanes_by_time"),
        )

    def __str__(self) -> str:
        return str(self.lane)


class WebhookSlot(models.Model):
    """One of the places from which an endpoint is sent to at the same time; free when nobody claims it."""

    pk = models.CompositePrimaryKey("endpoint_id", "number")
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    number = models.IntegerField()
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    claim_id = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "customers_webhook_slot"

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.number}"


class WebhookAttempt(models.Model):
    """One request to an endpoint, as it was sent, and what came of it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.PROTECT, related_name="attempt_rows")
    number = models.IntegerField()
    started_at = models.DateTimeField()
    url = models.CharField(max_length=2000)
    request_headers = models.JSONField()
    body_sha256 = models.CharField(max_length=64)
    # Null when no answer came; then `error` says why.
    response_status = models.SmallIntegerField(null=True)
    response_head = models.TextField(blank=True, default="")
    latency_ms = models.IntegerField()
    error = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        db_table = "customers_webhook_attempt"
        ordering = ("-id",)
        indexes = (models.Index(fields=("endpoint", "id"), name="attempts_at_an_endpoint"),)

    def __str__(self) -> str:
        return f"{self.number}"
