"""The home page: where an environment stands, what needs attention, and the first steps while there is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse

from billing.admin.invoice_text import sums_text
from billing.models import CreditBlock, Hold, Invoice, LedgerEntry, VerificationRun
from billing.selectors.invoice_overview import InvoiceTotals, invoice_totals
from billing.selectors.overview import (
    CreditTotals,
    credit_totals,
    last_verification,
    lowest_balances,
)
from customers.admin.approvals import deed_label
from customers.admin.display import badge, credits_shown, credits_text, instant_shown
from customers.admin.records import list_url, record_url
from customers.admin.requests import environment_of, of_admin
from customers.kernel.clock import system_now
from customers.models import (
    Approval,
    Customer,
    Environment,
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
)
from customers.selectors.overview import WAITING_MAX, CustomerTotals, WebhookHealth, customer_totals
from customers.services.approvals import amount_text
from metering.models import UsageEvent
from metering.selectors.overview import DayOfMetric, metering_begun, usage_by_day
from metering.services.event_partitions import month_after
from subscriptions.admin.terms_text import money_text
from subscriptions.models import Subscription, SubscriptionState
from subscriptions.selectors.overview import SubscriptionTotals, subscription_totals

_DAYS: Final = 30
_ATTENTION_MAX: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number and the list behind it. `tone`: neutral, good, warning or bad."""

    label: str
    value: str
    unit: str = ""
    note: str = ""
    url: str = ""
    icon: str = ""
    tone: str = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One day of the chart; `share` is its height in percent of the highest."""

    day: date
    amount: str
    share: int
    is_today: bool
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to do before there is anything to see."""

    title: str
    text: str
    url: str
    label: str
    is_done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    credits: CreditTotals
    customers: CustomerTotals
    #: Of today.
    usage: list[DayOfMetric]
    burned: dict[date, int]
    low: int
    lowest: list[Customer]
    health: VerificationRun | None
    subscriptions: SubscriptionTotals
    invoices: InvoiceTotals
    has_coming_partition: bool
    today: date


def home_show(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The home page's context; the theme calls it."""
    return {**context, **_home(request)}


def _home(request: HttpRequest) -> dict[str, Any]:
    environment = environment_of(request)
    if environment is None:
        return {"home": None, "new_tenant_url": reverse("admin:customers_tenant_add")}
    if not request.user.has_perm("customers.view_customer"):
        return {"home": None, "has_no_role": True}
    now = of_admin(request).now
    numbers = _numbers(environment, now)
    steps = list(_steps(numbers))
    return {
        "home": {
            "tiles": list(_tiles(numbers)),
            "bars": _bars(numbers),
            "burned_total": credits_text(sum(numbers.burned.values())),
            "usage": _usage_lines(numbers),
            "attention": _attention(numbers),
            "attention_more": list(_attention_more(numbers)),
            "steps": [] if all(step.is_done for step in steps) else steps,
            "now": instant_shown(now),
            "environment": environment,
            "is_clocked": environment.frozen_at is not None,
        }
    }


def _numbers(environment: Environment, now: datetime) -> _Numbers:
    totals = credit_totals(environment_id=environment.id, now=now)
    today = now.date()
    days, has_coming_partition = usage_by_day(
        environment_id=environment.id,
        since=today - timedelta(days=_DAYS - 1),
        until=today + timedelta(days=1),
        coming=month_after(system_now(), 1),
    )
    low, lowest = lowest_balances(limit=_ATTENTION_MAX) if totals.accounts else (0, [])
    return _Numbers(
        credits=totals,
        customers=customer_totals(environment_id=environment.id, wall_now=system_now()),
        usage=[each for each in days if each.day == today],
        burned=_burned(days),
        low=low,
        lowest=lowest,
        health=last_verification() if totals.accounts else None,
        subscriptions=subscription_totals(environment_id=environment.id, named=_ATTENTION_MAX),
        invoices=invoice_totals(environment_id=environment.id, now=now),
        has_coming_partition=has_coming_partition,
        today=today,
    )


def _debits_url(day: date) -> str:
    return list_url(LedgerEntry, kind__exact="debit", day=day)


def _burned(days: list[DayOfMetric]) -> dict[date, int]:
    burned: dict[date, int] = {}
    for each in days:
        burned[each.day] = burned.get(each.day, 0) + each.cost_mc
    return burned


def _tiles(numbers: _Numbers) -> Iterator[Tile]:
    """First what waits for a person, last whether all is well."""
    if numbers.customers.approvals.waiting:
        yield _approvals_tile(numbers.customers.approvals.waiting)
    yield _outstanding_tile(numbers.credits)
    yield from _today_tiles(numbers)
    yield _customers_tile(numbers.customers)
    if numbers.subscriptions.live or numbers.subscriptions.parked:
        yield from _subscription_tiles(numbers.subscriptions)
    if not numbers.invoices.is_empty:
        yield _invoices_tile(numbers.invoices)
    yield _holds_tile(numbers.credits)
    yield _low_tile(numbers.low, numbers.credits)
    yield _webhooks_tile(numbers.customers)
    if numbers.customers.webhooks.endpoints:
        yield _endpoints_tile(numbers.customers.webhooks)
    yield _health_tile(numbers.health)


def _approvals_tile(waiting: int) -> Tile:
    return Tile(
        label="Waiting for approval",
        value=f"{waiting:,}",
        note="a second person decides",
        url=list_url(Approval),
        icon="approval",
        tone="warning",
    )


def _outstanding_tile(totals: CreditTotals) -> Tile:
    return Tile(
        label="Credits outstanding",
        value=credits_text(totals.outstanding_mc),
        unit="credits",
        note=f"{credits_text(totals.overdraft_mc)} in overdraft" if totals.overdraft_mc else "no overdraft",
        url=list_url(CreditBlock, state__exact="live"),
        icon="account_balance_wallet",
    )


def _today_tiles(numbers: _Numbers) -> Iterator[Tile]:
    yield Tile(
        label="Burned today",
        value=credits_text(numbers.burned.get(numbers.today, 0)),
        unit="credits",
        note="since 00:00 UTC",
        url=_debits_url(numbers.today),
        icon="local_fire_department",
    )
    yield Tile(
        label="Events today",
        value=f"{sum(each.events for each in numbers.usage):,}",
        note=_plural(len(numbers.usage), "metric"),
        url=list_url(UsageEvent, day=numbers.today),
        icon="bolt",
    )


def _customers_tile(totals: CustomerTotals) -> Tile:
    return Tile(
        label="Customers",
        value=f"{totals.customers:,}",
        note="not counting deleted ones",
        url=list_url(Customer),
        icon="group",
    )


def _holds_tile(totals: CreditTotals) -> Tile:
    return Tile(
        label="Open holds",
        value=f"{totals.open_holds:,}",
        note=f"{credits_text(totals.reserved_mc)} credits reserved",
        url=list_url(Hold, state__exact="active"),
        icon="lock_clock",
    )


def _low_tile(low: int, totals: CreditTotals) -> Tile:
    return Tile(
        label="Low balances",
        value=f"{low:,}",
        note=f"{totals.overdrawn:,} in overdraft",
        url=list_url(Customer, balance="low"),
        icon="trending_down",
        tone="warning" if low else "good",
    )


def _subscription_tiles(totals: SubscriptionTotals) -> Iterator[Tile]:
    def number(state: str) -> int:
        return totals.by_state.get(state, 0)

    overdue = number(SubscriptionState.OVERDUE)
    trialing, paused = number(SubscriptionState.TRIALING), number(SubscriptionState.PAUSED)
    yield Tile(
        label="Active subscriptions",
        value=f"{number(SubscriptionState.ACTIVE):,}",
        note=f"and {trialing:,} on trial, {paused:,} paused",
        url=list_url(Subscription, state=SubscriptionState.ACTIVE),
        icon="event_repeat",
    )
    yield Tile(
        label="Overdue subscriptions",
        value=f"{overdue:,}",
        note="not renewed in time",
        url=list_url(Subscription, state=SubscriptionState.OVERDUE),
        icon="event_busy",
        tone="warning" if overdue else "good",
    )
    if totals.parked:
        yield Tile(
            label="Parked subscriptions",
            value=f"{totals.parked:,}",
            note="their due work failed",
            url=list_url(Subscription, parked="yes"),
            icon="error",
            tone="bad",
        )
    if totals.monthly_minor:
        yield _recurring_tile(totals.monthly_minor)


def _recurring_tile(monthly_minor: Mapping[str, int]) -> Tile:
    """The largest in big letters, the other currencies beneath."""
    amounts = sorted(monthly_minor.items(), key=lambda each: (-each[1], each[0]))
    first, *others = [money_text(minor, currency) for currency, minor in amounts]
    return Tile(
        label="Recurring",
        value=first,
        unit="a month",
        note=f"and {', '.join(others)}" if others else "active and overdue, by their price",
        url=list_url(Subscription, state="live"),
        icon="payments",
    )


def _invoices_tile(totals: InvoiceTotals) -> Tile:
    first, others = sums_text(totals.unpaid.minor)
    late = totals.overdue.count
    return Tile(
        label="Unpaid invoices",
        value=f"{totals.unpaid.count:,}",
        unit=first,
        note=f"{late:,} overdue" if late else others or "none overdue",
        url=list_url(Invoice, status="unpaid"),
        icon="request_quote",
        tone="warning" if late else "neutral" if totals.unpaid.count else "good",
    )


def _webhooks_tile(customers: CustomerTotals) -> Tile:
    since = customers.waiting_since
    return Tile(
        label="Webhook events waiting",
        value=f"{customers.waiting:,}{'+' if customers.waiting >= WAITING_MAX else ''}",
        note=f"oldest {since:%Y-%m-%d %H:%M} UTC" if since else "nothing waits",
        url=list_url(OutboxEvent, dispatch="pending"),
        icon="webhook",
    )


def _endpoints_tile(webhooks: WebhookHealth) -> Tile:
    ill = webhooks.failing + webhooks.disabled
    dead = list_url(WebhookDelivery, state__exact="dead")
    return Tile(
        label="Webhook health",
        value=f"{ill:,} of {webhooks.endpoints:,} ill" if ill else "In order",
        note=f"{webhooks.failing:,} failing, {webhooks.disabled:,} disabled; dead deliveries: {webhooks.dead:,}",
        url=dead if webhooks.dead and not ill else list_url(WebhookEndpoint),
        icon="dns",
        tone="bad" if webhooks.disabled else "warning" if ill or webhooks.dead else "good",
    )


def _health_tile(run: VerificationRun | None) -> Tile:
    if run is None:
        return Tile(
            label="Ledger health",
            value="Unproved",
            note="run manage.py verify_ledger",
            url=list_url(VerificationRun),
            icon="verified_user",
        )
    return Tile(
        label="Ledger health",
        value="In order" if run.ok else _plural(run.faults, "fault"),
        note=f"{run.entries:,} entries proved {run.finished_at:%Y-%m-%d %H:%M} UTC",
        url=list_url(VerificationRun),
        icon="verified_user",
        tone="good" if run.ok else "bad",
    )


def _bars(numbers: _Numbers) -> list[Bar]:
    days = [numbers.today - timedelta(days=ago) for ago in range(_DAYS - 1, -1, -1)]
    highest = max((numbers.burned.get(day, 0) for day in days), default=0) or 1
    return [
        Bar(
            day=day,
            amount=credits_text(numbers.burned.get(day, 0)),
            share=-(-numbers.burned.get(day, 0) * 100 // highest),
            is_today=day == numbers.today,
            url=_debits_url(day),
        )
        for day in days
    ]


def _usage_lines(numbers: _Numbers) -> list[dict[str, Any]]:
    return [
        {
            "key": each.metric_key,
            "events": f"{each.events:,}",
            "credits": credits_text(each.cost_mc),
            "url": list_url(UsageEvent, metric=each.metric_key, day=each.day),
        }
        for each in numbers.usage[:8]
    ]


def _attention(numbers: _Numbers) -> list[dict[str, Any]]:
    """What owners did alone; whose due work or invoice failed; and who runs out first, or has run out."""
    broken = [
        {
            "label": f"{deed_label(approval)}: {amount_text(approval)}",
            "url": record_url(Approval, approval.public_id),
            "note": f"{approval.requested_by} for {approval.subject}: {approval.reason}",
            "value": badge("Break-glass", "bad"),
        }
        for approval in numbers.customers.approvals.broken_glasses
    ]
    failed = [
        {
            "label": parked.customer,
            "url": record_url(Subscription, parked.public_id),
            "note": parked.failure,
            "value": badge("Parked", "bad"),
        }
        for parked in numbers.subscriptions.parked_latest
    ]
    not_invoiced = [
        {
            "label": failed.customer,
            "url": record_url(Subscription, failed.public_id),
            "note": failed.failure,
            "value": badge("Not invoiced", "bad"),
        }
        for failed in numbers.subscriptions.not_invoiced_latest
    ]
    low = [
        {
            "label": customer.label,
            "url": record_url(Customer, customer.pk),
            "value": credits_shown(customer.credit_account.balance_mc),
        }
        for customer in numbers.lowest
    ]
    return [*broken, *_partition_missing(numbers), *failed, *not_invoiced, *low]


def _partition_missing(numbers: _Numbers) -> list[dict[str, Any]]:
    """Without one the next month's events all go to the default partition, and have to be moved some time."""
    if numbers.has_coming_partition:
        return []
    note = "Is the scheduler running? manage.py event_partitions --ahead 3 makes it"
    label = "No partition for next month's usage events"
    return [
        {"label": label, "url": list_url(UsageEvent), "note": note, "value": badge("Operations", "warning")}
    ]


def _attention_more(numbers: _Numbers) -> Iterator[tuple[str, str]]:
    """Names and addresses of the whole lists."""
    if numbers.customers.approvals.waiting:
        yield "All that wait for approval", list_url(Approval)
    if numbers.customers.approvals.broken_glasses:
        yield "All that was done alone", list_url(Approval, queue="broken-glass")
    if numbers.subscriptions.parked:
        yield "All that are parked", list_url(Subscription, parked="yes")
    if numbers.subscriptions.not_invoiced:
        count = numbers.subscriptions.not_invoiced
        yield f"All that were not invoiced ({count:,})", list_url(Subscription, invoice="failed")
    if numbers.lowest:
        yield "All that are low", list_url(Customer, balance="low")


def _steps(numbers: _Numbers) -> Iterator[Step]:
    has_metrics, has_rules = metering_begun()
    yield Step(
        title="Define a metric",
        text="What you count: messages, tokens, images, seconds.",
        url=reverse("admin:metering_billablemetric_add"),
        label="New metric",
        is_done=has_metrics,
    )
    yield Step(
        title="Set its price",
        text="A metering rule says what a unit costs in credits.",
        url=reverse("admin:metering_meteringrule_add"),
        label="New rule",
        is_done=has_rules,
    )
    yield Step(
        title="Add a customer and grant credits",
        text="Open a customer and press Grant, or let your backend do it over the API.",
        url=reverse("admin:customers_customer_add"),
        label="New customer",
        is_done=numbers.credits.has_blocks,
    )


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
