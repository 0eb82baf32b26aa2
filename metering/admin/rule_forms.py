"""What one fills in to set a price. Prices are asked for in credits; rules keep millicredits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django import forms

from customers.kernel.amounts import MC_PER_CREDIT, decimal_parse, units_shown
from customers.kernel.ids import typeid_parse

_TIER: Final = re.compile(r"(?P<up_to>[\d.]+|rest)\s*:\s*(?P<cost>[\d.]+)(?:\s*\+\s*(?P<flat>[\d.]+))?")
_TIERS_EXAMPLE: Final = "1000: 0.5\n10000: 0.4\nrest: 0.3"
_TYPES: Final = (
    ("per_unit", "Per unit"),
    ("flat", "Flat: per event, whatever its units"),
    ("package", "Package: per so many units begun in a cycle"),
    ("graduated", "Tiered, graduated: each unit at its tier's price"),
    ("volume", "Tiered, volume: all units at the price of the tier reached"),
)


class PriceField(forms.DecimalField):
    """A unit price in credits; cleaned to mc, which may have ten decimals."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "class": "p-number"})
        super().__init__(
            required=False, min_value=0, max_digits=25, decimal_places=13, widget=widget, **options
        )

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        return None if cleaned is None else units_shown(cleaned * MC_PER_CREDIT)


class RuleForm(forms.Form):
    metric = forms.ChoiceField()
    cost_type = forms.ChoiceField(
        choices=_TYPES, label="Kind of price", widget=forms.Select(attrs={"data-switch": "cost"})
    )
    unit_cost = PriceField(label="Credits per unit or event")
    package_size = forms.DecimalField(
        required=False, min_value=0, max_digits=25, decimal_places=10, label="Units per package"
    )
    package_cost = PriceField(label="Credits per package")
    tiers = forms.CharField(
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 4, "class": "p-mono", "placeholder": _TIERS_EXAMPLE, "spellcheck": "false"}
        ),
        help_text="One tier a line: up to how many units in a cycle, a colon, credits per unit; the last begins with "
        "“rest”. “1000: 0.5 + 2” adds 2 credits on entering the tier.",
    )
    minimum_cost = PriceField(label="Minimum per event (credits)")
    customer = forms.CharField(
        required=False,
        max_length=255,
        label="Only for customer",
        help_text="An id or external id. Empty: for everyone.",
    )
    plan_variant_id = forms.CharField(
        required=False,
        max_length=40,
        label="Only for plan variant",
        help_text="Its id, pvr_…. Empty: whatever the plan.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "p-mono"}),
    )
    effective_from = forms.DateTimeField(
        required=False,
        label="From (UTC)",
        help_text="Empty: from now on. Events before keep the version that priced them.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"),
    )

    #: Which fields belong to which kind of price; the others are hidden.
    switched = {
        "unit_cost": "per_unit flat",
        "package_size": "package",
        "package_cost": "package",
        "tiers": "graduated volume",
    }

    def __init__(self, *args: Any, metrics: list[tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["metric"].choices = metrics  # type: ignore[attr-defined]
        for name, kinds in self.switched.items():
            self.fields[name].shown_for = kinds  # type: ignore[attr-defined]

    def clean_plan_variant_id(self) -> UUID | None:
        given = self.cleaned_data["plan_variant_id"].strip()
        found = typeid_parse("pvr", given)
        if given and found is None:
            raise forms.ValidationError("Must be an id that begins with pvr_.", code="invalid")
        return found

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for field in _NEEDED.get(data.get("cost_type", ""), ()):
            if data.get(field) in (None, "") and field not in self.errors:
                self.add_error(field, "This field is required.")
        if not self.errors:
            data["definition"] = self._definition(data)
        return data

    def _definition(self, data: Mapping[str, Any]) -> dict[str, Any]:
        given = data["cost_type"]
        definition: dict[str, Any] = {"cost_type": "tiered" if given in {"graduated", "volume"} else given}
        definition |= {field: data[field] for field in _NEEDED[given] if field != "tiers"}
        if "package_size" in definition:
            definition["package_size"] = units_shown(definition["package_size"])
        if definition["cost_type"] == "tiered":
            definition |= {"tier_mode": given, "tiers": self._tiers(data["tiers"])}
        if data.get("minimum_cost") is not None:
            definition["minimum_cost"] = data["minimum_cost"]
        return definition

    def _tiers(self, text: str) -> list[dict[str, Any]]:
        found = [_TIER.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
        if None in found:
            self.add_error("tiers", "Each line reads like “1000: 0.5”; the last like “rest: 0.3”.")
        return [_tier(match) for match in found if match]


_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "per_unit": ("unit_cost",),
    "flat": ("unit_cost",),
    "package": ("package_size", "package_cost"),
    "graduated": ("tiers",),
    "volume": ("tiers",),
}


def _tier(match: re.Match[str]) -> dict[str, Any]:
    tier = {
        "up_to": None if match["up_to"] == "rest" else _number(match["up_to"]),
        "credit_cost": _mc(match["cost"]),
    }
    return tier | ({"flat_cost": _mc(match["flat"])} if match["flat"] else {})


def _number(text: str) -> object:
    value = decimal_parse(text)
    return text if value is None else units_shown(value)


def _mc(text: str) -> object:
    value = decimal_parse(text)
    return text if value is None else units_shown(value * Decimal(MC_PER_CREDIT))
