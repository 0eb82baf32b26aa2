"""Choose a price plan."""

from __future__ import annotations

from typing import Any

from django import forms

from customers.kernel.database import current_environment_id
from subscriptions.models import PricePlanVersion
from subscriptions.selectors.price_plans import price_plans_sold
from subscriptions.services.sales import PricePlanNamed


class PricePlanChoice(forms.TypedChoiceField):
    """The price plans that are sold in the environment in view, in their newest versions."""

    def __init__(self, **options: Any) -> None:
        super().__init__(coerce=_price_plan_named, choices=_price_plans_offered, empty_value=None, **options)

    def offer(self, version: PricePlanVersion) -> None:
        """This one too, though it may not be the newest."""
        offered: Any = self.choices
        value = price_plan_value(version)
        if value not in dict(offered):
            self.choices = [*offered, (value, _plan_label(version))]


def price_plan_value(version: PricePlanVersion | None) -> str:
    """The version as a choice."""
    return f"{version.version}:{version.price_plan.key}" if version else ""


def _price_plans_offered() -> list[tuple[str, str]]:
    environment_id = current_environment_id()
    sold = price_plans_sold(environment_id=environment_id) if environment_id else ()
    return [
        ("", "Choose one"),
        *((price_plan_value(each), _plan_label(each)) for each in sold),
    ]


def _plan_label(version: PricePlanVersion) -> str:
    period = version.get_billing_period_display().lower()
    return f"{version.price_plan.name} v{version.version} ({period}, {version.currency.upper()})"


def _price_plan_named(value: str) -> PricePlanNamed:
    version, _, key = value.partition(":")
    return PricePlanNamed(key=key, version=int(version))
