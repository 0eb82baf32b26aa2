"""Topups: credits that were bought. One payment, and one call, tops up once for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.errors import PaymentUsedBefore, TopupPackageInactive, TopupPackageUnknown, TopupRequestUnknown
from billing.events import topup_granted
from billing.models import CreditAccount, CreditBlock, EntryKind, LedgerEntry, Topup, TopupPackage
from billing.services.accounts import account_settle
from billing.services.credits import Cause, Movement, credits_grant
from customers.errors import FieldError, ValidationFailed
from customers.kernel.amounts import AMOUNT_MAX
from customers.kernel.caller import Caller
from customers.kernel.database import call_function
from customers.models import Customer


@dataclass(frozen=True, slots=True, kw_only=True)
class TopupTerms:
    """What was bought, for what; a package's terms with whatever the call said otherwise."""

    credits_mc: int
    bonus_credits_mc: int = 0
    price_paid_minor: int | None = None
    currency: str | None = None
    package_id: UUID | None = None
    priority: int = 0
    expires_at: datetime | None = None

    @property
    def total_mc(self) -> int:
        return self.credits_mc + self.bonus_credits_mc


@dataclass(frozen=True, slots=True, kw_only=True)
class ToppedUp:
    """A topup and what it did; `duplicate`: its payment had topped up before."""

    topup: Topup
    movement: Movement
    duplicate: bool


def topup_terms(
    *, environment_id: UUID, package_id: UUID | None, said: Mapping[str, Any], now: datetime
) -> TopupTerms:
    """The terms of a call that may name a package; `said` holds those of its members that were given.

    Raises TopupPackageUnknown, TopupPackageInactive, ValidationFailed.
    """
    inherited = _package_terms(environment_id, package_id, now) if package_id else {}
    terms = {**inherited, **said}
    if "credits_mc" not in terms:
        raise _invalid("credits", "required", "Give credits, or a package that has some.")
    made = TopupTerms(package_id=package_id, **terms)
    if made.price_paid_minor and made.currency is None:
        raise _invalid("currency", "required", "A price needs its currency.")
    if made.total_mc > AMOUNT_MAX:
        raise _invalid("bonus_credits", "out-of-range", f"Must be at most {AMOUNT_MAX} with the credits.")
    return made


def _package_terms(environment_id: UUID, package_id: UUID, now: datetime) -> dict[str, Any]:
    package = TopupPackage.objects.filter(environment_id=environment_id, id=package_id).first()
    if package is None:
        raise TopupPackageUnknown
    if not package.active:
        raise TopupPackageInactive
    lives = package.expires_after_seconds
    return {
        "credits_mc": package.credits_mc,
        "bonus_credits_mc": package.bonus_credits_mc,
        "price_paid_minor": package.price_minor,
        "currency": package.currency,
        "priority": package.priority,
        "expires_at": now + timedelta(seconds=lives) if lives else None,
    }


def topup_grant(
    *,
    caller: Caller,
    customer: Customer,
    terms: TopupTerms,
    external_payment_id: str | None = None,
    topup_request_id: UUID | None = None,
    metadata: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    now: datetime,
) -> ToppedUp:
    """Book what was bought as one block. A payment that topped up before answers with that topup and moves nothing.

    Raises PaymentUsedBefore when it was for another customer or other credits; TopupRequestUnknown,
    BlockWouldBeExpired, BalanceTooLarge.
    """
    with transaction.atomic():
        _account_make(caller, customer, now)
        topup = Topup(
            environment_id=caller.environment_id,
            account_id=customer.id,
            credits_mc=terms.credits_mc,
            bonus_credits_mc=terms.bonus_credits_mc,
            price_paid_minor=terms.price_paid_minor,
            currency=terms.currency,
            package_id=terms.package_id,
            external_payment_id=external_payment_id,
            topup_request_id=topup_request_id,
            priority=terms.priority,
            expires_at=terms.expires_at,
            metadata=metadata or {},
            actor=caller.actor,
            idempotency_key=idempotency_key,
            request_id=caller.request_id,
            created_at=now,
        )
        earlier = _claim_payment(topup)
        if earlier is not None:
            return _topped_up_before(earlier, topup)
        _answer_request(caller, topup, now)
        movement = _book(caller, customer, topup, now)
        assert movement.block is not None and movement.entry_id is not None  # noqa: S101, PT018 - booked at once
        topup_granted(
            caller=caller,
            account=movement.account,
            topup=topup,
            block_id=movement.block.id,
            entry_id=movement.entry_id,
            now=now,
        )
    return ToppedUp(topup=topup, movement=movement, duplicate=False)


def topup_found(topup: Topup) -> ToppedUp:
    """A topup of before, and its customer's account as it is now."""
    cause = {"account_id": topup.account_id}
    entry = LedgerEntry.objects.filter(kind=EntryKind.GRANT, source_id=topup.id, **cause)
    movement = Movement(
        account=CreditAccount.objects.get(customer_id=topup.account_id),
        amount_mc=topup.credits_mc + topup.bonus_credits_mc,
        entry_id=entry.values_list("id", flat=True).first(),
        block=CreditBlock.objects.filter(cause_id=topup.id, **cause).first(),
    )
    return ToppedUp(topup=topup, movement=movement, duplicate=True)


def _account_make(caller: Caller, customer: Customer, now: datetime) -> None:
    """The topup's row points at the account, which the kernel makes at first touch."""
    account_settle(environment_id=caller.environment_id, customer_id=customer.id, now=now)


def _claim_payment(topup: Topup) -> Topup | None:
    """Store the topup, or find the one that its payment made. Two at once: the second waits for the first."""
    if topup.external_payment_id is None:
        topup.save(force_insert=True)
        return None
    Topup.objects.bulk_create([topup], ignore_conflicts=True)
    holder = Topup.objects.get(
        environment_id=topup.environment_id, external_payment_id=topup.external_payment_id
    )
    return None if holder.id == topup.id else holder


def _topped_up_before(earlier: Topup, asked: Topup) -> ToppedUp:
    same = (earlier.account_id, earlier.credits_mc) == (asked.account_id, asked.credits_mc)
    if not same:
        raise PaymentUsedBefore(extra={"existing_id": earlier.public_id})
    return topup_found(earlier)


def _answer_request(caller: Caller, topup: Topup, now: datetime) -> None:
    if topup.topup_request_id is None:
        return
    answer = call_function(
        "billing_topup_request_fulfil_v1",
        environment=caller.environment_id,
        account=topup.account_id,
        request=topup.topup_request_id,
        topup=topup.id,
        now=now,
    )
    if not answer.is_known:
        raise TopupRequestUnknown


def _book(caller: Caller, customer: Customer, topup: Topup, now: datetime) -> Movement:
    return credits_grant(
        caller=caller,
        customer=customer,
        credits_mc=topup.credits_mc + topup.bonus_credits_mc,
        source="topup",
        priority=topup.priority,
        expires_at=topup.expires_at,
        price_paid_minor=topup.price_paid_minor,
        currency=topup.currency,
        metadata=topup.metadata,
        cause=Cause(source_type="topup", source_id=topup.id, idempotency_key=topup.idempotency_key),
        now=now,
    )


def _invalid(field: str, code: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, code, message)])
