"""What one fills in to price usage. Prices are in the currency's major unit, one charge a line."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from billing.engine.currencies import currency_is_known
from customers.admin.fields import MetadataInput, ReasonField
from customers.kernel.amounts import UNITS_MAX
from subscriptions.admin.price_plan_text import UnreadableCharge, charge_read, charge_written
from subscriptions.engine.charges import charges_parse
from subscriptions.engine.features import features_parse
from subscriptions.errors import InvalidPricePlan
from subscriptions.models import BillingCycle, PricePlanVersion
from subscriptions.services.price_plans import key_refusal

_EXAMPLE: Final = (
    "fee 49.00 | Base fee\ntiered api_calls 100000: 0, 1000000: 0.0001, rest: 0.00005 | API calls"
)
_HELP: Final = (
    "One charge a line; what stands behind a bar is its text on invoices. “fee 49.00”, “fee 49.00 in advance”, "
    "“per_unit seats 5”, “package emails 2.00 per 1000”, “tiered” and “volume”: up to how many units, a colon, the "
    "price per unit; the last tier begins with “rest”."
)


class PriceTermsForm(forms.Form):
    """The terms of a version."""

    currency = forms.CharField(max_length=3, help_text="Such as USD.")
    billing_period = forms.ChoiceField(choices=BillingCycle.choices, initial=BillingCycle.MONTHLY)
    charges = forms.CharField(
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 6, "class": "p-mono", "placeholder": _EXAMPLE, "spellcheck": "false"}
        ),
        help_text=_HELP,
    )
    minimum = forms.DecimalField(
        required=False,
        min_value=0,
        max_digits=22,
        decimal_places=4,
        help_text="Of each period, such as 100.00: a period that comes to less is made up for. Empty: none.",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "class": "p-number"}),
    )
    entitlements = MetadataInput(
        help_text='What customers may do, as JSON: {"sso": true, "seats": 5, "calls": {"type": "limit", '
        '"limit": 1000, "metric_key": "api_calls"}}.'
    )
    changelog = forms.CharField(
        required=False, max_length=1000, help_text="What this version changes, for those who ask later."
    )
    sample = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=UNITS_MAX,
        decimal_places=10,
        label="Try with a quantity",
        help_text="The preview says what this much usage of each metric costs, before and after.",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "class": "p-number"}),
    )

    def clean_currency(self) -> str:
        code = str(self.cleaned_data["currency"])
        if not currency_is_known(code) or code.lower() == "mc":
            raise forms.ValidationError("This is no currency.", code="unknown-currency")
        return code

    def clean_charges(self) -> list[dict[str, Any]]:
        lines = [line for line in self.cleaned_data["charges"].splitlines() if line.strip()]
        try:
            return [charge_read(line) for line in lines]
        except UnreadableCharge as error:
            raise forms.ValidationError(f"This is no charge: {error}", code="unreadable") from None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            self._check("charges", lambda: charges_parse(data["charges"], currency=data["currency"]))
            self._check("entitlements", lambda: features_parse(data["entitlements"]))
        return data

    def _check(self, field: str, parse: Any) -> None:
        try:
            parse()
        except InvalidPricePlan as refusal:
            for error in refusal.errors:
                self.add_error(field, f"{_place(error.field)}: {error.message}")


class PricePlanForm(PriceTermsForm):
    """A new price plan."""

    key = forms.CharField(max_length=255, label="Id", help_text="Your choice, such as plan_growth; it stays.")
    name = forms.CharField(max_length=200)
    field_order = ("key", "name")

    def clean_key(self) -> str:
        key = str(self.cleaned_data["key"])
        refusal = key_refusal(key)
        if refusal is not None:
            raise forms.ValidationError(refusal, code="invalid")
        return key


class LabelForm(forms.Form):
    name = forms.CharField(max_length=200)
    metadata = MetadataInput()


class MoveForm(forms.Form):
    """Where a price plan's subscribers go."""

    from_version = forms.ChoiceField(label="Those on")
    to_version = forms.ChoiceField(label="To")
    effective = forms.ChoiceField(
        choices=[("period_end", "With the next period"), ("immediate", "At once")], label="When"
    )
    prorate = forms.BooleanField(
        required=False, initial=True, label="Share the present period's fees by the second"
    )
    reason = ReasonField()

    def __init__(self, *args: Any, versions: list[PricePlanVersion], **options: Any) -> None:
        super().__init__(*args, **options)
        numbers = [(str(each.version), f"Version {each.version}") for each in versions]
        self.fields["from_version"].choices = [("", "Any version"), *numbers]  # type: ignore[attr-defined]
        self.fields["from_version"].required = False
        self.fields["to_version"].choices = numbers  # type: ignore[attr-defined]


def terms_initial(version: PricePlanVersion, minimum: str) -> dict[str, Any]:
    """The version as the form for the next one shows it."""
    return {
        "currency": version.currency,
        "billing_period": version.billing_period,
        "charges": "\n".join(charge_written(charge, index) for index, charge in enumerate(version.charges)),
        "minimum": minimum,
        "entitlements": version.entitlements or "",
        "sample": "1000",
    }


def _place(field: str) -> str:
    """`charges.0.tiers.1.up_to` as people count: `line 1, tiers 2, up_to`."""
    words = [str(int(word) + 1) if word.isdigit() else word for word in field.split(".")]
    return " ".join(words).replace("charges ", "line ", 1).removeprefix("entitlements ")
