"""How a line was reckoned, as its details say, in words: for its page, and for the PDF's appendix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billing.engine.money import money_exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One tier, package or price of a line; the exact amounts add up to what is rounded once."""

    name: str
    quantity: str
    unit_price: str
    amount: str


def parts_of(details: Mapping[str, Any], currency: str) -> list[Part]:
    """The arithmetic, part by part; empty where none was written down."""
    return [_part(part, currency) for part in details.get("breakdown") or ()]


def share_text(details: Mapping[str, Any]) -> str:
    """Of a fee for a part of its period: for how much of it. Empty when it is for all of it."""
    seconds, whole = details.get("seconds"), details.get("of_seconds")
    if seconds is None or whole is None or seconds == whole:
        return ""
    return f"for {seconds:,} of {whole:,} seconds"


def _part(part: Mapping[str, Any], currency: str) -> Part:
    return Part(
        name=_name(part),
        quantity=_number(part.get("quantity")),
        unit_price=str(part.get("unit_price", "")),
        amount=money_exact(Decimal(str(part.get("amount", 0))), currency),
    )


def _name(part: Mapping[str, Any]) -> str:
    kind = str(part.get("kind", "")).replace("_", " ").capitalize()
    if part.get("tier") is None:
        return kind
    up_to = part.get("up_to")
    bounds = f"up to {_number(up_to)}" if up_to is not None else f"above {_number(part.get('from', 0))}"
    return f"{kind} {part['tier']}, {bounds}"


def _number(value: object) -> str:
    if value is None:
        return ""
    text = f"{Decimal(str(value)):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
