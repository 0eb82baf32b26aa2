"""What one fills in to sell something. Credits are asked for in credits, prices in the currency's major unit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django import forms

from billing.engine.currencies import currency_exponent, currency_is_known
from billing.models import BlockSource
from customers.admin.fields import CreditsField, MetadataInput
from customers.kernel.amounts import AMOUNT_MAX
from subscriptions.admin.price_plan_choice import PricePlanChoice, price_plan_value
from subscriptions.models import (
    BillingCycle,
    BillingMode,
    CreditGrantTemplate,
    GrantInterval,
    GrantType,
    PlanVariant,
    PricePlanVersion,
)
from subscriptions.services.plans import features_refusal

_LIFE_MAX_SECONDS: Final = 100 * 366 * 24 * 3600
_NEVER, _WITH_INTERVAL, _AFTER = "never", "interval_end", "after"
_EXPIRES: Final = (
    (_WITH_INTERVAL, "When the interval ends"),
    (_AFTER, "After so many seconds"),
    (_NEVER, "Never"),
)


class FeaturesInput(MetadataInput):
    """A JSON object of what a plan includes."""

    def clean(self, value: Any) -> Any:
        features = super().clean(value)
        refusal = features_refusal(features)
        if refusal is not None:
            raise forms.ValidationError(refusal, code="invalid")
        return features


class PlanForm(forms.Form):
    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
    features = FeaturesInput(
        help_text='What it includes beside credits, as JSON, such as {"sso": true, "seats": 5}.'
    )


class VariantForm(forms.Form):
    name = forms.CharField(max_length=200)
    description = forms.CharField(required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
    billing_cycle = forms.ChoiceField(choices=BillingCycle.choices, initial=BillingCycle.MONTHLY)
    billing_mode = forms.ChoiceField(
        choices=BillingMode.choices,
        widget=forms.Select(attrs={"data-switch": "mode"}),
        help_text="Prepaid: each period is renewed before it begins. Postpaid: used first, billed afterwards.",
    )
    price = forms.DecimalField(
        required=False,
        min_value=0,
        max_digits=22,
        decimal_places=4,
        help_text="Of one period, such as 20.00. Empty: nothing is said.",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "class": "p-number"}),
    )
    currency = forms.CharField(required=False, max_length=3, help_text="Such as USD.")
    renewal_due_days = forms.IntegerField(
        initial=3, min_value=0, max_value=366, label="Renewal due, days before the end"
    )
    grace_period_days = forms.IntegerField(
        initial=3, min_value=0, max_value=366, label="Grace, days until an overdue one expires"
    )
    allow_usage_while_overdue = forms.BooleanField(
        initial=True, required=False, label="Credits can be spent while overdue"
    )
    trial_days = forms.IntegerField(initial=0, min_value=0, max_value=366, label="Trial, days")
    price_plan = PricePlanChoice(
        required=False,
        help_text="What usage costs in money beside the credits it grants. Of the same billing cycle.",
    )
    fallback_variant_id = forms.ChoiceField(
        required=False,
        label="Falls back to",
        help_text="What a customer is subscribed to when this one expires or is canceled.",
    )

    def __init__(
        self,
        *args: Any,
        fallbacks: list[tuple[str, str]],
        present: PricePlanVersion | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        if present is not None:
            self.fields["price_plan"].offer(present)  # type: ignore[attr-defined]
        self.fields["fallback_variant_id"].choices = [("", "Nothing"), *fallbacks]  # type: ignore[attr-defined]
        for name in ("renewal_due_days", "grace_period_days", "allow_usage_while_overdue"):
            self.fields[name].shown_for = BillingMode.PREPAID.value  # type: ignore[attr-defined]

    def clean_currency(self) -> str | None:
        code = str(self.cleaned_data["currency"])
        if code and not currency_is_known(code):
            raise forms.ValidationError("This is no currency.", code="unknown-currency")
        return code or None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors:
            data["fallback_variant_id"] = data["fallback_variant_id"] or None
            named = data.pop("price_plan")
            data["price_plan_id"] = named.key if named else None
            data["price_plan_version"] = named.version if named else None
            data["price_minor"] = self._price_minor(data.pop("price"), data["currency"])
        return data

    def _price_minor(self, price: Decimal | None, currency: str | None) -> int | None:
        if price is None or currency is None:
            if price is not None or currency is not None:
                self.add_error("price", "A price and its currency are given together.")
            return None
        minor = price.scaleb(currency_exponent(currency))
        if minor != minor.to_integral_value():
            self.add_error("price", f"{currency.upper()} has no such fractions.")
        elif minor > AMOUNT_MAX:
            self.add_error("price", "This is too much.")
        return int(minor)


class CreditGrantForm(forms.Form):
    name = forms.CharField(required=False, max_length=200)
    credits_mc = CreditsField(label="Credits")
    grant_type = forms.ChoiceField(choices=GrantType.choices, label="How often")
    grant_interval = forms.ChoiceField(
        choices=GrantInterval.choices,
        label="Interval",
        widget=forms.Select(attrs={"data-switch": "interval"}),
    )
    interval_seconds = forms.IntegerField(
        required=False, min_value=1, max_value=_LIFE_MAX_SECONDS, label="Seconds of the interval"
    )
    expires = forms.ChoiceField(
        choices=_EXPIRES,
        help_text="After 30 days (2592000 seconds) leaves the 31st day of a long month without a budget.",
    )
    expires_after_seconds = forms.IntegerField(
        required=False, min_value=1, max_value=_LIFE_MAX_SECONDS, label="Expires after seconds"
    )
    rollover_percentage = forms.IntegerField(initial=0, min_value=0, max_value=100, label="Rolls over, %")
    accumulation_cap_mc = CreditsField(
        required=False, label="Cap (credits)", help_text="A new grant and what rolls over stay within it."
    )
    priority = forms.IntegerField(
        initial=10, min_value=0, max_value=100, help_text="Higher burns first: 10 before 0."
    )
    source = forms.ChoiceField(choices=BlockSource.choices, initial=BlockSource.PLAN_GRANT)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["interval_seconds"].shown_for = GrantInterval.CUSTOM.value  # type: ignore[attr-defined]

    def clean_credits_mc(self) -> Any:
        given = self.cleaned_data["credits_mc"]
        if given == 0:
            raise forms.ValidationError("Must be more than zero.", code="zero")
        return given

    def clean(self) -> dict[str, Any]:
        """What the other choices make meaningless is not kept, though the page only hides it."""
        data = super().clean() or {}
        expires = data.pop("expires", None)
        if expires == _AFTER and data.get("expires_after_seconds") is None:
            self.add_error("expires_after_seconds", "This field is required.")
        if expires != _AFTER:
            data["expires_after_seconds"] = None
        if data.get("grant_interval") != GrantInterval.CUSTOM:
            data["interval_seconds"] = None
        data["expires_at_interval_end"] = expires == _WITH_INTERVAL
        return data


def variant_initial(variant: PlanVariant) -> dict[str, Any]:
    """The variant as its form shows it."""
    fields = set(VariantForm.base_fields) - {"price", "price_plan"}
    shown = {name: getattr(variant, name) for name in fields}
    shown["price_plan"] = price_plan_value(variant.price_plan_version)
    if variant.price_minor is not None and variant.currency is not None:
        exponent = currency_exponent(variant.currency)
        shown["price"] = f"{Decimal(variant.price_minor).scaleb(-exponent):.{exponent}f}"
    return shown


def grant_initial(grant: CreditGrantTemplate) -> dict[str, Any]:
    """The credit grant as its form shows it."""
    shown = {name: getattr(grant, name) for name in set(CreditGrantForm.base_fields) - {"expires"}}
    after = _AFTER if grant.expires_after_seconds is not None else _NEVER
    return {**shown, "expires": _WITH_INTERVAL if grant.expires_at_interval_end else after}
