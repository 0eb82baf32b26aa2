"""What may need a second person: deeds that apps register, each with an amount that limits are compared with.

    deed_register(ApprovalDeed(name="credits.grant", label="Grant credits", permission="billing.grant_credits", …))

`perform` is the deed itself: run and rolled back for a preview, run for good when it is approved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from customers.errors import ValidationFailed
from customers.kernel.amounts import MC_PER_CREDIT
from customers.kernel.caller import Caller
from customers.kernel.json import json_bytes
from customers.models import Customer

#: The pseudo-currency of credits, in millicredits.
MC: Final = "mc"

#: Above every amount.
UNLIMITED: Final = Decimal("Infinity")

#: Up to how many credits a role moves at once by itself; unlisted roles none at all. An owner may say otherwise.
CREDIT_LIMITS: Final[Mapping[str, Decimal]] = {
    "support": Decimal(1_000),
    "operator": Decimal(100_000),
    "finance": Decimal(100_000),
    "owner": UNLIMITED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a preview, in plain text."""

    label: str
    before: str
    after: str
    difference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a deed does. `effect`: what must still be so when it is approved; without it, all that is shown."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    effect: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        shown = self.effect or (
            *(f"{line.label}: {line.before} > {line.after}" for line in self.lines),
            *self.notes,
        )
        return hashlib.sha256(json_bytes(list(shown))).hexdigest()

    def to_json(self) -> dict[str, Any]:
        lines = [[line.label, line.before, line.after, line.difference] for line in self.lines]
        return {"lines": lines, "notes": list(self.notes)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Preview:
        lines = tuple(
            Line(label=label, before=before, after=after, difference=difference)
            for label, before, after, difference in kept["lines"]
        )
        return cls(lines=lines, notes=tuple(kept["notes"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """What was done, or would be."""

    message: str
    preview: Preview
    effect_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeedCall:
    """A deed to be done, in the name of its maker; `metadata` names the request and who approved it."""

    caller: Caller
    customer: Customer | None
    payload: Mapping[str, Any]
    idempotency_key: str
    metadata: Mapping[str, Any]
    now: datetime


#: The same for money, in main units of the currency at hand; owners set other ones for a currency.
MONEY_LIMITS: Final[Mapping[str, Decimal]] = {
    "operator": Decimal(1_000),
    "finance": Decimal(10_000),
    "owner": UNLIMITED,
}


def credits_of(amount: int, _currency: str) -> Decimal:
    return Decimal(amount) / MC_PER_CREDIT


def credits_words(amount: int, _currency: str) -> str:
    return f"{credits_of(amount, ''):,f} credits"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDeed:
    """`units_of`: an amount in what limits are written in: the `unit` or, without one, its currency's main unit."""

    name: str
    label: str
    permission: str
    perform: Callable[[DeedCall], Performed]
    unit: str = "credits"
    units_of: Callable[[int, str], Decimal] = credits_of
    text_of: Callable[[int, str], str] = credits_words
    limits: Mapping[str, Decimal] = field(default_factory=lambda: CREDIT_LIMITS)

    def unit_in(self, currency: str) -> str:
        """`credits`, or `EUR`."""
        return self.unit or currency.upper() or "main units of each currency"


_deeds: Final[dict[str, ApprovalDeed]] = {}


def deed_register(deed: ApprovalDeed) -> None:
    _deeds[deed.name] = deed


def deed_find(name: str) -> ApprovalDeed | None:
    return _deeds.get(name)


def deed_named(name: str) -> ApprovalDeed:
    """Raises ValidationFailed for one that this version does not know."""
    deed = deed_find(name)
    if deed is None:
        raise ValidationFailed(f"This version of Purser does not know how to do {name}.")
    return deed


def deeds() -> list[ApprovalDeed]:
    return sorted(_deeds.values(), key=lambda deed: deed.name)
