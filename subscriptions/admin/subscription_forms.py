"""What one fills in to act on a subscription. The services check it; these only shape it."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django import forms

from customers.admin.fields import InstantInput, ReasonField
from customers.kernel.database import current_environment_id
from subscriptions.admin.price_plan_choice import PricePlanChoice
from subscriptions.admin.subscription_text import variant_text
from subscriptions.admin.terms_text import billing_text, price_shown
from subscriptions.models import PlanVariant
from subscriptions.selectors.catalogue import variants_sold

_AT_END, _NOW = "period_end", "now"
_IMMEDIATE: Final = "immediate"


class VariantChoice(forms.TypedChoiceField):
    """The variants that are sold in the environment in view; cleaned to an id."""

    def __init__(self, **options: Any) -> None:
        # Asked for at each request: the form's class is older than any variant.
        super().__init__(coerce=UUID, choices=_variants_offered, **options)


def _variants_offered() -> list[tuple[str, str]]:
    environment_id = current_environment_id()
    sold = variants_sold(environment_id=environment_id) if environment_id else ()
    return [("", "Choose one"), *((str(variant.id), _variant_label(variant)) for variant in sold)]


def _variant_label(variant: PlanVariant) -> str:
    price = f", {price_shown(variant)}" if variant.price_minor is not None else ""
    return f"{variant_text(variant)} ({billing_text(variant).lower()}{price})"


class RenewForm(forms.Form):
    external_payment_id = forms.CharField(
        required=False,
        max_length=255,
        label="Payment",
        help_text="The id of the payment in your system, if there is one. Each renews one period.",
    )
    reason = ReasonField()


class PauseForm(forms.Form):
    resumes_at = InstantInput(
        required=False, label="Resumes (UTC)", help_text="Empty: when somebody resumes it."
    )
    reason = ReasonField()


class ChangeForm(forms.Form):
    variant_id = VariantChoice(label="New variant")
    effective = forms.ChoiceField(
        choices=[(_IMMEDIATE, "At once"), (_AT_END, "With the next period")],
        initial=_IMMEDIATE,
        label="When",
        help_text="At once: if the new one gives more, the difference for the rest of the period is granted.",
    )
    reason = ReasonField()


class ChangePricePlanForm(forms.Form):
    price_plan = PricePlanChoice(label="New price plan")
    effective = forms.ChoiceField(
        choices=[(_IMMEDIATE, "At once"), (_AT_END, "With the next period")],
        initial=_IMMEDIATE,
        label="When",
        help_text="At once: usage before and after is priced apart. Another billing period waits for the next one.",
    )
    prorate = forms.BooleanField(
        required=False, initial=True, label="Share the present period's fees by the second"
    )
    reason = ReasonField()


class CancelForm(forms.Form):
    when = forms.ChoiceField(
        choices=[(_AT_END, "At the end of its period"), (_NOW, "Now")], initial=_AT_END, label="When"
    )
    reason = ReasonField()


class ExtendForm(forms.Form):
    contract_end = InstantInput(label="Contract ends (UTC)")
    reason = ReasonField()


class _SubscribeForm(forms.Form):
    start_date = InstantInput(
        required=False,
        label="Started (UTC)",
        help_text="Empty: now. If it lies back, periods count from there, and only present intervals are granted.",
    )
    contract_end = InstantInput(required=False, label="Contract ends (UTC)", help_text="Empty: never.")
    contract_ending_soon_days = forms.IntegerField(
        initial=30,
        min_value=0,
        max_value=3650,
        label="Tell of its end, days before",
        help_text="0: not at all.",
    )
    external_subscription_id = forms.CharField(
        required=False, max_length=255, label="External id", help_text="The id it has in your system."
    )
    reason = ReasonField()


class SubscribeForm(_SubscribeForm):
    variant_id = VariantChoice(label="Plan variant")
    field_order = ("variant_id",)


class SubscribeToPricePlanForm(_SubscribeForm):
    """The same for a price plan by itself."""

    price_plan = PricePlanChoice()
    invoices_automatically = forms.BooleanField(
        required=False, label="Invoice each period by itself when it is over"
    )
    field_order = ("price_plan", "start_date")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields[
            "start_date"
        ].help_text = "Empty: now. If it lies back, every period since can be invoiced."
