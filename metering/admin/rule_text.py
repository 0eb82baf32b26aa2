"""A rule's prices in words: `0.5 credits per unit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from customers.admin.display import instant_shown
from customers.admin.records import record_url
from customers.kernel.amounts import MC_PER_CREDIT
from customers.kernel.ids import typeid
from metering.models import MeteringRule

_RATES_SHOWN: Final = 3


def credits_of_mc(mc: object) -> str:
    """A unit price, which may be finer than a millicredit, in credits."""
    value = Decimal(str(mc)) / MC_PER_CREDIT
    text = f"{value:,f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def price_text(definition: Mapping[str, Any]) -> str:
    """What a rule charges, in a line."""
    if "rates" in definition:
        rates = definition["rates"]
        shown = [f"{value}: {_rate_text(rate)}" for value, rate in list(rates.items())[:_RATES_SHOWN]]
        more = f" and {len(rates) - _RATES_SHOWN} more" if len(rates) > _RATES_SHOWN else ""
        return f"by {definition['dimension']}: {'; '.join(shown)}{more}"
    return _rate_text(definition)


def _rate_text(rate: Mapping[str, Any]) -> str:
    minimum = (
        f", at least {credits_of_mc(rate['minimum_cost'])} per event" if rate.get("minimum_cost") else ""
    )
    return _terms_text(rate) + minimum


def _terms_text(rate: Mapping[str, Any]) -> str:
    if rate["cost_type"] == "per_unit":
        return f"{credits_of_mc(rate['unit_cost'])} credits per unit"
    if rate["cost_type"] == "flat":
        return f"{credits_of_mc(rate['unit_cost'])} credits per event"
    if rate["cost_type"] == "package":
        return f"{credits_of_mc(rate['package_cost'])} credits per {rate['package_size']} units begun"
    return (
        f"{rate.get('tier_mode', 'graduated')} tiers: {', '.join(_tier_text(tier) for tier in rate['tiers'])}"
    )


def _tier_text(tier: Mapping[str, Any]) -> str:
    bound = f"up to {tier['up_to']}" if tier.get("up_to") is not None else "beyond"
    flat = f" + {credits_of_mc(tier['flat_cost'])}" if tier.get("flat_cost") else ""
    return f"{credits_of_mc(tier['credit_cost'])}{flat} {bound}"


def version_rows(rules: Iterable[Any]) -> list[dict[str, Any]]:
    """Rules as the table of versions shows them."""
    return [
        {
            "rule": rule,
            "variant": rule.plan_variant_id and typeid("pvr", rule.plan_variant_id),
            "price": price_text(rule.definition),
            "url": record_url(MeteringRule, rule.public_id),
            "since": instant_shown(rule.effective_from),
            "until": instant_shown(rule.effective_until),
        }
        for rule in rules
    ]
