from __future__ import annotations

from django.db import models
from django.db.models import Q

from customers.kernel.ids import typeid, uuid7
from customers.models import Customer, Environment
from subscriptions.models.plan import CreditGrantTemplate, PlanVariant


class SubscriptionState(models.TextChoices):
    TRIALING = "trialing", "Trialing"
    ACTIVE = "active", "Active"
    OVERDUE = "overdue", "Overdue"
    PAUSED = "paused", "Paused"
    EXPIRED = "expired", "Expired"
    CANCELED = "canceled", "Canceled"
    CONTRACT_ENDED = "contract_ended", "Contract ended"


#: A customer has at most one credit subscription in these.
LIVE_STATES = (
    SubscriptionState.TRIALING,
    SubscriptionState.ACTIVE,
    SubscriptionState.OVERDUE,
    SubscriptionState.PAUSED,
)


class Subscription(models.Model):
    """A customer's deal over time: a variant, where its period stands, and what is to happen next.

    The period's end is always `anchor_steps` cycles after `anchor_at`, counted in `timezone` (engine/calendar.py), so
    that ends never drift; a pause moves the anchor to the shifted end and starts the count at 0. `next_due_at` is the
    earliest instant at which something is due; the customer's account carries it as `catch_up_at`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    variant = models.ForeignKey(PlanVariant, on_delete=models.PROTECT, related_name="subscriptions")
    status = models.CharField(max_length=14, choices=SubscriptionState.choices)
    # Whether it drives the customer's credit account; one to a price plan alone does not, and may be one of several.
    holds_credits = models.BooleanField(default=True)
    # Each period is invoiced by itself when it is over.
    invoices_automatically = models.BooleanField(default=False)
    timezone = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    anchor_at = models.DateTimeField()
    anchor_steps = models.PositiveIntegerField()
    current_period_start = models.DateTimeField()
    current_period_end = models.DateTimeField()
    trial_ends_at = models.DateTimeField(null=True)
    contract_start = models.DateTimeField(null=True)
    contract_end = models.DateTimeField(null=True)
    contract_ending_soon_days = models.PositiveSmallIntegerField(default=30)
    # Told once for each end of a period, of a trial, of a contract.
    renewal_due_told = models.BooleanField(default=False)
    trial_ending_told = models.BooleanField(default=False)
    contract_ending_told = models.BooleanField(default=False)
    # The period after the current one was renewed (prepaid); it starts when this one ends.
    is_renewed = models.BooleanField(default=False)
    cancel_at_period_end = models.BooleanField(default=False)
    canceled_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    resumes_at = models.DateTimeField(null=True)
    status_before_pause = models.CharField(max_length=14, blank=True, default="")
    pending_variant = models.ForeignKey(PlanVariant, null=True, on_delete=models.PROTECT, related_name="+")
    # That this one took the place of, when it expired or was canceled.
    follows = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    next_due_at = models.DateTimeField(null=True)
    # Parked: the work that was due failed; it is tried again when somebody asks.
    failed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=1000, blank=True, default="")
    external_subscription_id = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: none was given
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_subscription"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "customer"),
                condition=Q(status__in=("trialing", "active", "overdue", "paused"), holds_credits=True),
                name="a_customer_has_one_live_credit_subscription",
            ),
            models.UniqueConstraint(
                fields=("environment", "external_subscription_id"),
                condition=Q(external_subscription_id__isnull=False),
                name="an_external_subscription_id_is_unique_in_its_environment",
            ),
            models.CheckConstraint(
                condition=Q(status__in=SubscriptionState.values), name="subscription_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(current_period_end__gt=models.F("current_period_start")),
                name="subscription_period_ends_after_it_starts",
            ),
            models.CheckConstraint(
                condition=Q(status="paused", paused_at__isnull=False)
                | ~Q(status="paused") & Q(paused_at__isnull=True),
                name="a_paused_subscription_says_since_when",
            ),
        )
        indexes = (
            models.Index(
                fields=("next_due_at", "id"),
                name="subscriptions_with_work_due",
                condition=Q(next_due_at__isnull=False, failed_at__isnull=True),
            ),
            models.Index(
                fields=("environment", "next_due_at"),
                name="subscriptions_by_what_is_next",
                condition=Q(next_due_at__isnull=False, failed_at__isnull=True),
            ),
            models.Index(fields=("environment", "id"), name="subscriptions_newest_first"),
            models.Index(
                fields=("environment", "failed_at"),
                name="subscriptions_that_failed",
                condition=Q(failed_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return typeid("sub", self.id)


class SubscriptionPeriod(models.Model):
    """One period of a subscription, `[starts_at, ends_at)`; the periods of a subscription tile its time.

    `opening_balance_mc` is the balance once the period's grants had fired. `usage_summary` and `closed_at` are written
    when it ends; an early end (immediate change, cancellation, contract) also moves `ends_at`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="periods", db_index=False
    )
    variant = models.ForeignKey(PlanVariant, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    # Prepaid: when it was paid for, and by which payment.
    renewed_at = models.DateTimeField(null=True)
    external_payment_id = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: none was given
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 - null: nobody asked for it
    opening_balance_mc = models.BigIntegerField(null=True)
    usage_summary = models.JSONField(null=True)
    closed_at = models.DateTimeField(null=True)
    # That it is to be invoiced by itself, and since when; or why that could not be done.
    invoice_due_at = models.DateTimeField(null=True)
    invoice_failure = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_period"
        ordering = ("-starts_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "subscription", "starts_at"),
                name="a_subscription_has_one_period_per_start",
            ),
            models.UniqueConstraint(
                fields=("environment", "external_payment_id"),
                condition=Q(external_payment_id__isnull=False),
                name="a_payment_renews_one_period",
            ),
            models.UniqueConstraint(
                fields=("environment", "idempotency_key"),
                condition=Q(idempotency_key__isnull=False),
                name="one_renewal_per_idempotency_key",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gte=models.F("starts_at")), name="a_period_does_not_end_before_it_starts"
            ),
        )
        indexes = (
            models.Index(
                fields=("invoice_due_at", "id"),
                name="periods_to_invoice",
                condition=Q(invoice_due_at__isnull=False),
            ),
            models.Index(
                fields=("environment", "invoice_due_at"),
                name="periods_to_invoice_next",
                condition=Q(invoice_due_at__isnull=False),
            ),
            models.Index(
                fields=("environment", "subscription"),
                name="periods_not_invoiced",
                condition=~Q(invoice_failure=""),
            ),
        )

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d} to {self.ends_at:%Y-%m-%d}"


class GrantSchedule(models.Model):
    """When a template fires next for a subscription, if its interval is not the billing cycle.

    Interval n is `[step n, step n + 1)` of `anchor_at`; `steps` is the number of the one that fires next, at `next_at`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="schedules", db_index=False
    )
    template = models.ForeignKey(CreditGrantTemplate, on_delete=models.PROTECT, related_name="+")
    anchor_at = models.DateTimeField()
    steps = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_grant_schedule"
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "subscription", "template"),
                name="a_template_has_one_schedule_per_subscription",
            ),
        )

    def __str__(self) -> str:
        return f"next at {self.next_at}"


class GrantRun(models.Model):
    """One firing of a template for one interval of a subscription: it happens once. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="grant_runs", db_index=False
    )
    template = models.ForeignKey(CreditGrantTemplate, on_delete=models.PROTECT, related_name="runs")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    credits_mc = models.BigIntegerField()
    # Of billing's blocks.
    block_id = models.UUIDField()
    rolled_mc = models.BigIntegerField(default=0)
    rolled_block_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_grant_run"
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "subscription", "template", "starts_at"),
                name="a_template_fires_once_per_interval",
            ),
        )

    def __str__(self) -> str:
        return f"{self.credits_mc} mc at {self.starts_at}"


class SubscriptionChange(models.Model):
    """What was done to a subscription, by whom, and why: its timeline. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="changes", db_index=False
    )
    # created, renewal_due, renewed, advanced, overdue, expired, paused, resumed, changed, canceled, uncanceled, …
    what = models.CharField(max_length=40)
    status_before = models.CharField(max_length=14, blank=True, default="")
    status_after = models.CharField(max_length=14)
    details = models.JSONField(default=dict)
    actor = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000, blank=True, default="")
    request_id = models.CharField(max_length=60, blank=True, default="")
    # By the environment's clock; when it was stored is in the id.
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "subscriptions_change"
        ordering = ("-id",)
        indexes = (models.Index(fields=("subscription", "id"), name="changes_of_a_subscription"),)

    def __str__(self) -> str:
        return f"{self.what} at {self.occurred_at}"
