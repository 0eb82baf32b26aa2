"""A customer is billed: everything up to a cutoff that no invoice has billed yet becomes one.

The customer's lock makes runs take turns, so a second one finds what the first one billed. What may be billed once is
kept by the database (docs/decisions/price-plans.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import prefetch_related_objects

from billing.errors import InvoiceNotFound
from billing.models import Invoice, InvoiceSource, InvoiceStatus
from billing.selectors.invoices import last_lines
from billing.services.invoice_states import customer_lock
from billing.services.invoices import invoice_create
from customers.errors import FieldError
from customers.kernel.caller import Caller
from customers.kernel.instants import instant_text
from customers.models import Customer, Environment, EnvironmentKind
from metering.models import BillableMetric
from metering.selectors.windows import SeenWindow, Window, windows_changed
from subscriptions.errors import (
    AlreadyInvoiced,
    CurrencyRequired,
    CutoffInFuture,
    NothingToBill,
    ReplacesRefused,
)
from subscriptions.models import ChargeSeries, PeriodInvoice, Subscription, SubscriptionPeriod
from subscriptions.selectors.billables import Billable, billables, billed_subscriptions, period_end_meant
from subscriptions.services.billing_lines import Bill, bills_make
from subscriptions.services.due_work import subscription_catch_up
from subscriptions.services.rating import billables_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class BillAsked:
    """What is to be billed, and how the invoice is to be. No `cutoff`: up to now."""

    cutoff: datetime | None = None
    currency: str | None = None
    source: str = InvoiceSource.API
    is_draft: bool = False
    #: A voided invoice that this one is made instead of.
    replaces_id: UUID | None = None
    #: Only subscriptions that ask to be invoiced by themselves.
    only_automatic: bool = False
    idempotency_key: str | None = None
    memo: str = ""
    reason: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@transaction.atomic
def customer_bill(*, caller: Caller, customer: Customer, asked: BillAsked, now: datetime) -> Invoice:
    """Bill what is unbilled up to the cutoff, in one snapshot of the events.

    Raises NothingToBill, AlreadyInvoiced, CurrencyRequired, CutoffInFuture, ReplacesRefused, AmountTooLarge.
    """
    _due_work_first(caller.environment_id, customer.id, now)
    customer_lock(customer_id=customer.id)
    replaced = _replaced(caller.environment_id, customer, asked)
    given = asked.cutoff or (replaced.period_end if replaced else now)
    subscriptions = _subscriptions_locked(customer, asked)
    cutoff = _cutoff(caller.environment_id, subscriptions, given, now)
    run = _Run(caller=caller, customer=customer, cutoff=cutoff, now=now)
    bills = run.bills(subscriptions, currency=asked.currency)
    shown = instant_text(given) if cutoff != given else ""
    return run.invoice(bills, asked, replaced, shown)


def customer_bill_preview(*, caller: Caller, customer: Customer, asked: BillAsked, now: datetime) -> Invoice:
    """The invoice as it would be made, with its lines; nothing of it stays. Raises what billing does."""
    with transaction.atomic():
        invoice = customer_bill(caller=caller, customer=customer, asked=asked, now=now)
        prefetch_related_objects([invoice], "lines")
        transaction.set_rollback(True)
    return invoice


def cutoff_check(*, environment_id: UUID, cutoff: datetime, now: datetime) -> None:
    """Nobody knows what will be used; in a test environment one may try. Raises CutoffInFuture."""
    environment = Environment.objects.only("kind").get(id=environment_id)
    if environment.kind == EnvironmentKind.LIVE and cutoff > now:
        message = "Must not lie in the future."
        raise CutoffInFuture(errors=[FieldError("cutoff_date", "out-of-range", message)])


def _due_work_first(environment_id: UUID, customer_id: UUID, now: datetime) -> None:
    """Periods that are over by now are over; the account is left alone when nothing is due."""
    due = Subscription.objects.filter(customer_id=customer_id, next_due_at__lte=now, failed_at=None)
    if due.exists():
        subscription_catch_up(environment_id=environment_id, customer_id=customer_id, now=now)


def _subscriptions_locked(customer: Customer, asked: BillAsked) -> list[Subscription]:
    """No plan is changed, nothing cancelled while it is billed."""
    subscriptions = billed_subscriptions(customer_id=customer.id)
    if asked.only_automatic:
        subscriptions = subscriptions.filter(invoices_automatically=True)
    return list(subscriptions.select_for_update(of=("self",), no_key=True))


def _cutoff(
    environment_id: UUID, subscriptions: Sequence[Subscription], given: datetime, now: datetime
) -> datetime:
    cutoff = period_end_meant(subscriptions, given)
    cutoff_check(environment_id=environment_id, cutoff=cutoff, now=now)
    return cutoff


def _replaced(environment_id: UUID, customer: Customer, asked: BillAsked) -> Invoice | None:
    if asked.replaces_id is None:
        return None
    found = Invoice.objects.filter(environment_id=environment_id, id=asked.replaces_id, customer=customer)
    invoice = found.first()
    if invoice is None:
        raise InvoiceNotFound
    if (
        invoice.status != InvoiceStatus.VOID
        or invoice.replaced_by.exclude(status=InvoiceStatus.VOID).exists()
    ):
        raise ReplacesRefused
    return invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One customer, up to one cutoff."""

    caller: Caller
    customer: Customer
    cutoff: datetime
    now: datetime

    def bills(self, subscriptions: Sequence[Subscription], *, currency: str | None) -> list[Bill]:
        """What an invoice is to bill. Raises NothingToBill, AlreadyInvoiced, CurrencyRequired."""
        found = self._to_rate(billables(subscriptions, cutoff=self.cutoff))
        rated = billables_rate(
            environment_id=self.caller.environment_id, customer_id=self.customer.id, found=found
        )
        currencies = {part.currency.upper(): part.currency for each in found for part in each.stretch.parts}
        wanted = [currency.upper()] if currency else sorted(currencies)
        bills = {code: bills_make(rated, currency=code, now=self.now) for code in wanted}
        worth = [code for code in wanted if any(bill.is_worth_an_invoice for bill in bills[code])]
        if not worth:
            raise self._nothing(subscriptions)
        if len(worth) > 1:
            raise CurrencyRequired(extra={"currencies": worth})
        return bills[worth[0]]

    def _to_rate(self, found: Sequence[Billable]) -> list[Billable]:
        """Periods that are still open; of those that were closed, the ones that events have come late for."""
        late = self._late([each for each in found if each.is_closed])
        return [each for each in found if not each.is_closed or each.period.id in late]

    def _late(self, closed: Sequence[Billable]) -> set[UUID]:
        series = ChargeSeries.objects.filter(period__in=[each.period for each in closed])
        period_of = dict(series.values_list("id", "period_id"))
        lines = [line for line in last_lines(period_of).values() if line.metric_key]
        metrics = BillableMetric.objects.filter(environment_id=self.caller.environment_id)
        metric_ids = dict(metrics.values_list("key", "id"))
        taken = dict(
            Invoice.objects.filter(id__in={line.invoice_id for line in lines}).values_list("id", "created_at")
        )
        seen = [
            SeenWindow(
                window=Window(
                    metric_id=metric_ids[line.metric_key],
                    begins_at=line.period_start,
                    ends_at=line.period_end,
                ),
                snapshot=line.snapshot,
                taken_at=taken[line.invoice_id],
            )
            for line in lines
        ]
        changed = windows_changed(customer_id=self.customer.id, seen=seen)
        return {period_of[line.series] for line, is_changed in zip(lines, changed, strict=True) if is_changed}

    def _nothing(self, subscriptions: Sequence[Subscription]) -> AlreadyInvoiced | NothingToBill:
        live = PeriodInvoice.objects.filter(
            period__subscription__in=subscriptions, period__starts_at__lt=self.cutoff, is_live=True
        )
        latest = live.select_related("invoice").order_by("-period__starts_at", "-is_closing", "-id").first()
        if latest is None:
            return NothingToBill()
        named = latest.invoice
        return AlreadyInvoiced(
            f"Everything up to {instant_text(self.cutoff)} is billed, last by {named}.",
            extra={"invoice_id": named.public_id},
        )

    def invoice(
        self, bills: Sequence[Bill], asked: BillAsked, replaced: Invoice | None, cutoff_shown: str
    ) -> Invoice:
        starts_at, ends_at = _period(bills, self.cutoff)
        invoice = invoice_create(
            caller=self.caller,
            customer=self.customer,
            currency=_currency(bills),
            lines=[line for bill in bills for line in bill.lines],
            period_start=starts_at,
            period_end=ends_at,
            period_end_shown=cutoff_shown if ends_at == self.cutoff else "",
            source=asked.source,
            is_draft=asked.is_draft,
            replaces=replaced,
            idempotency_key=asked.idempotency_key,
            memo=asked.memo,
            metadata=asked.metadata,
            reason=asked.reason,
            now=self.now,
        )
        PeriodInvoice.objects.bulk_create(self._period_invoice(bill, invoice) for bill in bills)
        failed = [bill.billable.period.id for bill in bills if bill.billable.period.invoice_failure]
        if failed:
            SubscriptionPeriod.objects.filter(id__in=failed).update(invoice_failure="")
        return invoice

    def _period_invoice(self, bill: Bill, invoice: Invoice) -> PeriodInvoice:
        return PeriodInvoice(
            environment_id=self.caller.environment_id,
            period=bill.billable.period,
            invoice=invoice,
            billed_until=bill.billable.stretch.until,
            is_closing=bill.is_closing,
            created_at=self.now,
        )


def _period(bills: Sequence[Bill], cutoff: datetime) -> tuple[datetime, datetime]:
    """From the first period that is billed up to the cutoff; corrections of earlier ones are only by the way."""
    stretches = [bill.billable.stretch for bill in bills if not bill.billable.is_closed]
    stretches = stretches or [bill.billable.stretch for bill in bills]
    starts_at = min(stretch.starts_at for stretch in stretches)
    return starts_at, max(min(max(stretch.until for stretch in stretches), cutoff), starts_at)


def _currency(bills: Sequence[Bill]) -> str:
    """As the first price plan spells it."""
    keys = {line.series for line in bills[0].lines}
    series = ChargeSeries.objects.filter(id__in=keys).select_related("term__version").first()
    assert series is not None  # noqa: S101 - its line is there
    return str(series.term.version.currency)
