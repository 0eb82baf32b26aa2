"""Invoices that make themselves: of each period that is over, for subscriptions that ask for it, dated at its end.

A period says by itself that it is to be invoiced (`invoice_due_at`). Whoever invoices it takes that back in the same
transaction; what cannot be invoiced says why instead, until somebody tries again or it is part of the customer's next
invoice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Min, QuerySet

from billing.models import Invoice, InvoiceSource
from billing.services.invoice_states import customer_lock
from customers.errors import DomainError
from customers.kernel.caller import Caller
from customers.kernel.database import call_table, connection_tidy, environment_scope
from customers.models import Customer
from customers.services.audit import audit_record
from customers.services.due_work import Moment
from subscriptions.errors import AlreadyInvoiced, CurrencyRequired, NothingToBill, NothingToRetry
from subscriptions.models import Subscription, SubscriptionPeriod
from subscriptions.selectors.failed_invoices import periods_not_invoiced
from subscriptions.services.billing_run import BillAsked, customer_bill

_log = logging.getLogger("purser.subscriptions")

_ACTOR: Final = "system:invoices"
_PERIODS_OF_A_BATCH: Final = 200
_CUSTOMERS_OF_A_CLOCK: Final = 500


def invoices_make(*, now: datetime) -> int:
    """Invoice what is due by `now` in all environments without a clock of their own; how many customers that were."""
    done = 0
    while due := call_table("subscriptions_invoices_due_v1", now=now, most=_PERIODS_OF_A_BATCH):
        made = sum(_visit(row.environment_id, row.customer_id, now) for row in due)
        done += made
        if not made:
            break
    return done


def invoices_next_due(*, environment_id: UUID) -> Moment | None:
    """The first period that waits to be invoiced, for a test clock."""
    due = SubscriptionPeriod.objects.filter(environment_id=environment_id, invoice_due_at__isnull=False)
    first = due.select_related("subscription__customer").order_by("invoice_due_at").first()
    if first is None or first.invoice_due_at is None:
        return None
    return Moment(at=first.invoice_due_at, what=f"the invoice of {first.subscription.customer.label}")


def invoices_run(*, environment_id: UUID, at: datetime) -> int:
    """Invoice everybody in an environment for whom that is due by `at`, for a test clock."""
    done = 0
    for customer_id in _customers_due(environment_id, at):
        customer_invoice(environment_id=environment_id, customer_id=customer_id, now=at)
        done += 1
    return done


def customer_invoice(*, environment_id: UUID, customer_id: UUID, now: datetime) -> None:
    """Invoice a customer's periods that wait for it, instant by instant."""
    with environment_scope(environment_id):
        while _one_instant(environment_id, customer_id, now):
            pass


@transaction.atomic
def invoices_retry(*, caller: Caller, customer: Customer, reason: str, now: datetime) -> list[Invoice]:
    """Make the invoices that could not be made by themselves, dated now; none, if others have billed it since.

    Raises NothingToRetry, and what billing raises: then what was wrong is wrong still, and stays as it was noted.
    """
    failed = periods_not_invoiced().filter(subscription__customer=customer).select_related("subscription")
    periods = list(failed.order_by("ends_at"))
    if not periods:
        raise NothingToRetry
    try:
        with transaction.atomic():
            made = _bill(caller, customer, cutoff=periods[-1].ends_at, now=now, reason=reason)
    except (AlreadyInvoiced, NothingToBill):
        made = []
    failed.filter(id__in=[period.id for period in periods]).update(invoice_failure="")
    for subscription in {period.subscription_id: period.subscription for period in periods}.values():
        _record_retry(caller, subscription, reason, now)
    return made


def _record_retry(caller: Caller, subscription: Subscription, reason: str, now: datetime) -> None:
    audit_record(
        caller=caller,
        action="subscription.invoice_retried",
        object_type="subscription",
        object_id=subscription.public_id,
        customer_id=subscription.customer_id,
        reason=reason,
        now=now,
    )


def _one_instant(environment_id: UUID, customer_id: UUID, now: datetime) -> bool:
    with transaction.atomic():
        customer = customer_lock(customer_id=customer_id)
        waiting = _waiting(customer_id, now)
        due_at = waiting.aggregate(first=Min("invoice_due_at"))["first"]
        if due_at is None:
            return False
        failure = _invoice(Caller(environment_id=environment_id, actor=_ACTOR), customer, due_at)
        waiting.filter(invoice_due_at=due_at).update(invoice_due_at=None, invoice_failure=failure)
    return True


def _invoice(caller: Caller, customer: Customer, due_at: datetime) -> str:
    """Why it could not be made, if it could not. One invoice for each currency."""
    try:
        with transaction.atomic():
            _bill(caller, customer, cutoff=due_at, now=due_at)
    except (AlreadyInvoiced, NothingToBill):
        return ""
    except DomainError as refusal:
        _log.warning("customer not invoiced", extra={"customer_id": str(customer.id), "code": refusal.code})
        return f"{refusal.code}: {refusal.detail}"[:1000]
    return ""


def _bill(
    caller: Caller,
    customer: Customer,
    *,
    cutoff: datetime,
    now: datetime,
    currency: str | None = None,
    reason: str = "",
) -> list[Invoice]:
    asked = BillAsked(
        cutoff=cutoff,
        currency=currency,
        source=InvoiceSource.AUTOMATIC,
        only_automatic=True,
        reason=reason,
    )
    try:
        return [customer_bill(caller=caller, customer=customer, asked=asked, now=now)]
    except CurrencyRequired as several:
        made = (
            _bill(caller, customer, cutoff=cutoff, now=now, currency=each, reason=reason)
            for each in several.extra["currencies"]
        )
        return [invoice for invoices in made for invoice in invoices]


def _waiting(customer_id: UUID, now: datetime) -> QuerySet[SubscriptionPeriod]:
    return SubscriptionPeriod.objects.filter(subscription__customer_id=customer_id, invoice_due_at__lte=now)


def _customers_due(environment_id: UUID, at: datetime) -> Iterator[UUID]:
    due = SubscriptionPeriod.objects.filter(environment_id=environment_id, invoice_due_at__lte=at)
    customers = due.order_by("subscription__customer_id").values_list("subscription__customer_id", flat=True)
    return customers.distinct().iterator(chunk_size=_CUSTOMERS_OF_A_CLOCK)


def _visit(environment_id: UUID, customer_id: UUID, now: datetime) -> bool:
    """Whether it came to an end; if not, the next run tries again."""
    try:
        customer_invoice(environment_id=environment_id, customer_id=customer_id, now=now)
    except Exception:
        _log.exception("customer not invoiced", extra={"customer_id": str(customer_id)})
        connection_tidy()
        return False
    return True
