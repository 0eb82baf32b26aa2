"""Price plans in words: a charge as one line that people write and read, `tiered api_calls 1000: 0.01, rest: 0.005`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.utils.safestring import SafeString

from customers.admin.display import badge, link
from customers.admin.records import record_url
from subscriptions.models import PricePlan, PricePlanStatus, PricePlanVersion

_LINE: Final = re.compile(
    r"(?:\[(?P<key>[^\]]+)\]\s*)?(?P<model>fee|per_unit|package|tiered|volume)\s+(?P<rest>[^|]+?)"
    r"(?:\s*\|\s*(?P<description>.+))?"
)
_REST: Final[Mapping[str, re.Pattern[str]]] = {
    "fee": re.compile(r"(?P<amount>\S+)(?P<pay_in>\s+in\s+advance)?"),
    "per_unit": re.compile(r"(?P<metric_key>\S+)\s+(?P<unit_price>\S+)"),
    "package": re.compile(r"(?P<metric_key>\S+)\s+(?P<package_price>\S+)\s+per\s+(?P<package_size>\S+)"),
    "tiered": re.compile(r"(?P<metric_key>\S+)\s+(?P<tiers>.+)"),
    "volume": re.compile(r"(?P<metric_key>\S+)\s+(?P<tiers>.+)"),
}
_TIER: Final = re.compile(r"\s*(?P<up_to>\S+?)\s*:\s*(?P<unit_price>\S+)\s*")
_TONES: Final = {
    PricePlanStatus.ACTIVE: "good",
    PricePlanStatus.SUPERSEDED: "neutral",
    PricePlanStatus.DEPRECATED: "warning",
}
_SAYS: Final = {
    "flat_fee": "Flat fee",
    "per_unit": "Per unit",
    "package": "Per package begun",
    "tiered": "Tiered: each unit at its tier's price",
    "volume": "Volume: all units at the price of the tier reached",
}


class UnreadableCharge(Exception):
    """A line that says nothing known."""


def charge_read(line: str) -> dict[str, Any]:
    """The charge that a line describes; whether its prices make sense is asked elsewhere. Raises UnreadableCharge."""
    whole = _LINE.fullmatch(line.strip())
    rest = _REST[whole["model"]].fullmatch(whole["rest"].strip()) if whole else None
    if whole is None or rest is None:
        raise UnreadableCharge(line)
    members: dict[str, Any] = {name: value for name, value in rest.groupdict().items() if value is not None}
    if "tiers" in members:
        members["tiers"] = [_tier_read(tier, line) for tier in members["tiers"].split(",")]
    if "pay_in" in members:
        members["pay_in"] = "advance"
    model = "flat_fee" if whole["model"] == "fee" else whole["model"]
    named = {name: whole[name] for name in ("key", "description") if whole[name]}
    return {"pricing_model": model, **members, **named}


def charge_written(charge: Mapping[str, Any], index: int) -> str:
    """The line that describes a stored charge."""
    model = charge["pricing_model"]
    words = [f"[{charge['key']}]"] if charge["key"] != str(index) else []
    words.append("fee" if model == "flat_fee" else model)
    words.extend(_prices_written(model, charge))
    line = " ".join(words)
    return f"{line} | {charge['description']}" if charge.get("description") else line


def charge_rows(version: PricePlanVersion) -> Iterator[dict[str, Any]]:
    """The charges as a table shows them."""
    for charge in version.charges:
        yield {
            "description": charge.get("description", ""),
            "metric": charge.get("metric_key"),
            "model": _SAYS[charge["pricing_model"]],
            "when": "in advance" if charge["pay_in"] == "advance" else "in arrears",
            "prices": list(_prices_shown(charge)),
        }


def charges_text(version: PricePlanVersion) -> str:
    """`Flat fee 49, tiered api_calls`: what a list has room for."""
    return ", ".join(
        f"{charge['pricing_model'].replace('_', ' ')} {charge.get('metric_key') or charge.get('amount')}"
        for charge in version.charges
    )


def status_badge(version: PricePlanVersion) -> SafeString:
    if version.price_plan.archived_at is not None:
        return badge("Archived")
    return badge(PricePlanStatus(version.status).label, _TONES[PricePlanStatus(version.status)])


def price_plan_link(version: PricePlanVersion) -> SafeString:
    """`Growth v2`, to that version's charges."""
    url = f"{record_url(PricePlan, version.price_plan_id)}?version={version.version}"
    return link(url, f"{version.price_plan.name} v{version.version}")


def _tier_read(text: str, line: str) -> dict[str, Any]:
    tier = _TIER.fullmatch(text)
    if tier is None:
        raise UnreadableCharge(line)
    return {"up_to": None if tier["up_to"] == "rest" else tier["up_to"], "unit_price": tier["unit_price"]}


def _prices_written(model: str, charge: Mapping[str, Any]) -> list[str]:
    if model == "flat_fee":
        return [charge["amount"], *(["in advance"] if charge["pay_in"] == "advance" else [])]
    if model == "per_unit":
        return [charge["metric_key"], charge["unit_price"]]
    if model == "package":
        return [charge["metric_key"], f"{charge['package_price']} per {charge['package_size']}"]
    tiers = (f"{_up_to(tier)}: {tier['unit_price']}" for tier in charge["tiers"])
    return [charge["metric_key"], ", ".join(tiers)]


def _prices_shown(charge: Mapping[str, Any]) -> Iterator[str]:
    if "tiers" in charge:
        for tier in charge["tiers"]:
            yield f"{'beyond' if tier['up_to'] is None else f'up to {_thousands(tier)}'}: {tier['unit_price']}"
    elif "package_price" in charge:
        yield f"{charge['package_price']} per {charge['package_size']}"
    else:
        yield str(charge.get("amount") or charge.get("unit_price"))


def _thousands(tier: Mapping[str, Any]) -> str:
    return f"{tier['up_to']:,}" if isinstance(tier["up_to"], int) else str(tier["up_to"])


def _up_to(tier: Mapping[str, Any]) -> str:
    return "rest" if tier["up_to"] is None else str(tier["up_to"])
