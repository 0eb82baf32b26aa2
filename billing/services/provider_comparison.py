"""Our payments beside the provider's: each of ours is there with the same amount, and each of theirs is ours.

What the provider has is looked at first. A payment that moves meanwhile is no difference: what seems to differ is asked
about again, alone, before it is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from billing.gateways.payments.provider import (
    ENVIRONMENT_MARK,
    PaymentProvider,
    ProviderPayment,
    ProviderRefused,
    Told,
)
from billing.gateways.payments.stripe_api import KEY
from billing.models import Payment, PaymentStatus, Topup
from billing.selectors.reconciliation import Difference
from billing.services.payment_outcomes import UNDER_WAY
from billing.services.provider_accounts import STRIPE
from customers.kernel.clock import system_now
from customers.models import Environment

#: Its clock and ours, and the time from our row to its answer.
_SLACK: Final = timedelta(hours=1)
#: Under way for so long, a payment is worth a look.
_SLOW: Final = timedelta(days=1)


@dataclass(slots=True, kw_only=True)
class Listed:
    """What the provider has made in a window: ours by id and by key, and how much of it is somebody else's."""

    ours: dict[str, ProviderPayment] = field(default_factory=dict)
    others: dict[str, ProviderPayment] = field(default_factory=dict)

    def totals(self) -> list[dict[str, Any]]:
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for each in self.ours.values():
            if each.told is Told.SUCCEEDED:
                row = sums[each.currency.upper()]
                row[0], row[1], row[2] = (
                    row[0] + 1,
                    row[1] + each.amount_minor,
                    row[2] + each.refunded_minor,
                )
        return [
            {"currency": currency, "count": count, "amount": amount, "refunded": refunded}
            for currency, (count, amount, refunded) in sorted(sums.items())
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Our payments of a window, and when that was by the wall clock, which is the provider's."""

    environment_id: UUID
    payments: Sequence[Payment]
    begin: datetime
    end: datetime


def compared_window(*, environment_id: UUID, begin: datetime, end: datetime) -> Window:
    """[begin, end) by the environment's clock. Where that is a test clock, the payments say when it was really."""
    rows = Payment.objects.filter(
        environment_id=environment_id, provider=STRIPE, created_at__gte=begin, created_at__lt=end
    )
    payments = list(rows.select_related("invoice__customer").order_by("id"))
    asked = [payment.asked_at for payment in payments if payment.asked_at is not None]
    if Environment.objects.get(id=environment_id).frozen_at is not None and asked:
        begin, end = min(asked), max(asked)
    return Window(environment_id=environment_id, payments=payments, begin=begin, end=end)


def provider_listed(*, provider: PaymentProvider, window: Window) -> Listed:
    """Everything that was made there in the window, give or take. Raises ProviderUnavailable, ProviderRefused."""
    listed = Listed()
    for each in provider.payments(begin=window.begin - _SLACK, end=window.end + _SLACK):
        is_ours = each.metadata.get(ENVIRONMENT_MARK) == str(window.environment_id)
        kept = listed.ours if is_ours else listed.others
        kept[str(each.id)] = each
    return listed


def differences_with_provider(
    *, provider: PaymentProvider, listed: Listed, window: Window
) -> Iterator[Difference]:
    """What of the window is not the same on both sides. Raises ProviderUnavailable."""
    for payment in window.payments:
        yield from _of_payment(provider, listed, payment)
    keys = [each.metadata.get(KEY, "") for each in listed.ours.values()]
    rows = Payment.objects.filter(environment_id=window.environment_id, provider_key__in=keys)
    known = {payment.provider_key: payment for payment in rows.select_related("invoice__customer")}
    yield from _of_provider(listed, known)
    yield from _of_topups(listed, window.environment_id)


def _of_payment(provider: PaymentProvider, listed: Listed, payment: Payment) -> Iterator[Difference]:
    if payment.status == PaymentStatus.SUCCEEDED:
        theirs = listed.ours.get(str(payment.provider_payment_id)) or _fetched(provider, payment)
        yield from _compared(payment, theirs)
    elif payment.status in UNDER_WAY and payment.asked_at and payment.asked_at < system_now() - _SLOW:
        yield _about(payment, "payment-unsettled", "Under way for more than a day.", payment.amount_minor)


def _compared(payment: Payment, theirs: ProviderPayment | None) -> Iterator[Difference]:
    if theirs is None:
        yield _about(
            payment, "missing-at-provider", "The provider does not have it.", payment.amount_minor, None
        )
    elif theirs.told is not Told.SUCCEEDED:
        yield _about(
            payment,
            "not-paid-at-provider",
            f"The provider says {theirs.told.value}.",
            payment.amount_minor,
            0,
        )
    elif (theirs.amount_minor, theirs.currency.upper()) != (payment.amount_minor, payment.currency.upper()):
        yield _about(
            payment,
            "amount-differs",
            f"The provider took {theirs.currency.upper()}.",
            payment.amount_minor,
            theirs.amount_minor,
        )
    elif theirs.refunded_minor != payment.refunded_minor:
        yield _about(
            payment,
            "refund-differs",
            "More or less went back than credit notes say.",
            payment.refunded_minor,
            theirs.refunded_minor,
        )


def _of_provider(listed: Listed, known: Mapping[str, Payment]) -> Iterator[Difference]:
    """What was paid there, and does not count here."""
    for theirs in listed.ours.values():
        payment = known.get(theirs.metadata.get(KEY, ""))
        if theirs.told is not Told.SUCCEEDED:
            continue
        if payment is None:
            yield Difference(
                kind="unknown-here",
                detail="It carries our mark, and there is no such payment.",
                theirs=theirs.amount_minor,
                currency=theirs.currency.upper(),
                provider_payment_id=theirs.id,
            )
        elif payment.status in {PaymentStatus.FAILED, PaymentStatus.CANCELED}:
            yield _about(
                payment,
                "paid-at-provider",
                "It failed here, and was paid there: the customer may have paid twice.",
                0,
                theirs.amount_minor,
                provider_payment_id=theirs.id,
            )


def _of_topups(listed: Listed, environment_id: UUID) -> Iterator[Difference]:
    """Credits that were bought with a payment there which was made by somebody else's code."""
    named = Topup.objects.filter(environment_id=environment_id, external_payment_id__in=list(listed.others))
    for topup in named.select_related("account__customer").order_by("id"):
        theirs = listed.others[str(topup.external_payment_id)]
        paid = theirs.amount_minor if theirs.told is Told.SUCCEEDED else 0
        is_same = topup.price_paid_minor in {None, paid} and (
            topup.currency is None or topup.currency.upper() == theirs.currency.upper()
        )
        if not is_same or not paid:
            yield Difference(
                kind="topup-differs",
                detail=f"The provider says {theirs.told.value}.",
                ours=topup.price_paid_minor,
                theirs=paid,
                currency=theirs.currency.upper(),
                customer_id=topup.account.customer.public_id,
                topup_id=topup.public_id,
                provider_payment_id=theirs.id,
            )


def _fetched(provider: PaymentProvider, payment: Payment) -> ProviderPayment | None:
    try:
        return provider.fetch(str(payment.provider_payment_id))
    except ProviderRefused:
        return None


def _about(
    payment: Payment,
    kind: str,
    detail: str,
    ours: int | None,
    theirs: int | None = None,
    *,
    provider_payment_id: str | None = None,
) -> Difference:
    return Difference(
        kind=kind,
        detail=detail,
        ours=ours,
        theirs=theirs,
        currency=payment.currency.upper(),
        customer_id=payment.invoice.customer.public_id,
        invoice_id=payment.invoice.public_id,
        payment_id=payment.public_id,
        provider_payment_id=provider_payment_id or payment.provider_payment_id,
    )
