"""Up to which amount a person does a deed alone: the highest limit of their roles, in one environment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.models import ApprovalLimit, User
from customers.services.approval_deeds import UNLIMITED, ApprovalDeed, deed_named
from customers.services.audit import audit_record

OWNER: Final = "owner"
#: Who breaks the glass, and decides requests above their own limit: owners and superusers.
BREAK_GLASS: Final = "customers.break_glass"
_AMOUNT_MAX: Final = Decimal(10) ** 15


def roles_of(person: User) -> set[str]:
    """The names of a person's roles; a superuser counts as an owner."""
    names = set(person.groups.values_list("name", flat=True))
    return names | {OWNER} if person.is_superuser else names


def limit_of(*, person: User, environment_id: UUID, deed: ApprovalDeed, currency: str = "") -> Decimal:
    """In the deed's units; UNLIMITED above every amount, 0 for whoever always needs a second person."""
    roles = roles_of(person)
    said = limits_said(environment_id=environment_id, deeds=(deed.name,))
    return max((limit_for(said, role, deed, currency) for role in roles), default=Decimal(0))


def limits_said(
    *, environment_id: UUID, deeds: Collection[str] | None = None
) -> dict[tuple[str, str, str], Decimal]:
    """What owners have said, by role, deed and currency, which is empty where it is none or any."""
    rows = ApprovalLimit.objects.filter(environment_id=environment_id)
    if deeds is not None:
        rows = rows.filter(deed__in=deeds)
    return {
        (row.role, row.deed, row.currency): UNLIMITED if row.amount is None else row.amount for row in rows
    }


def limit_for(
    said: Mapping[tuple[str, str, str], Decimal], role: str, deed: ApprovalDeed, currency: str
) -> Decimal:
    """What was said for the currency, else for all, else the default."""
    of_currency = said.get((role, deed.name, currency.lower()))
    if of_currency is not None:
        return of_currency
    return said.get((role, deed.name, ""), deed.limits.get(role, Decimal(0)))


@transaction.atomic
def limit_set(
    *,
    caller: Caller,
    role: str,
    deed: str,
    currency: str = "",
    amount: Decimal | None,
    reason: str,
    now: datetime,
) -> None:
    """Let a role do a deed alone up to `amount`; UNLIMITED for any, None for the default again.

    With a `currency` for that one only, and then None means what is said for all.
    """
    known = deed_named(deed)
    if currency and known.unit:
        raise ValidationFailed(
            errors=[FieldError("currency", "invalid", f"This is counted in {known.unit}.")]
        )
    if amount is not None and amount != UNLIMITED and not 0 <= amount < _AMOUNT_MAX:
        raise ValidationFailed(errors=[FieldError("amount", "invalid", f"Must be 0 to {_AMOUNT_MAX:,}.")])
    said = limits_said(environment_id=caller.environment_id, deeds=(deed,))
    before = limit_for(said, role, known, currency)
    named: dict[str, Any] = {
        "environment_id": caller.environment_id,
        "role": role,
        "deed": deed,
        "currency": currency,
    }
    if amount is None:
        ApprovalLimit.objects.filter(**named).delete()
    else:
        ApprovalLimit.objects.update_or_create(
            **named, defaults={"amount": None if amount == UNLIMITED else amount}
        )
    said = limits_said(environment_id=caller.environment_id, deeds=(deed,))
    audit_record(
        caller=caller,
        action="approval_limit.set",
        object_type="approval_limit",
        object_id=f"{role} {deed} {currency}".rstrip(),
        reason=reason,
        changes={"amount": [_text(before), _text(limit_for(said, role, known, currency))]},
        now=now,
    )


def _text(amount: Decimal) -> str:
    return "any" if amount == UNLIMITED else f"{amount.normalize():f}"
