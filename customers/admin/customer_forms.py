"""What one fills in to make or change a customer. The services check it; these only shape it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django import forms

from customers.admin.fields import CreditsField, MetadataInput, ReasonField
from customers.models import Customer, OveragePolicy

_POLICY_HELP = (
    "Block refuses usage that blocks do not cover. Allow goes into overdraft; notify also sends a webhook."
)
_LABELS = ("display_name", "name", "email", "billing_address", "tax_id", "tax_rate")
_SETTINGS = ("overage_policy", "overage_limit_mc", "low_balance_threshold_mc", "timezone", "metadata")


class _SettingsForm(forms.Form):
    """What a new and an old customer have in common."""

    display_name = forms.CharField(required=False, max_length=200, help_text="What people see. A label only.")
    name = forms.CharField(required=False, max_length=200, label="Legal name")
    email = forms.CharField(required=False, max_length=320, label="E-mail")
    billing_address = forms.CharField(
        required=False,
        max_length=1000,
        label="Billing address",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="As invoices print it.",
    )
    tax_id = forms.CharField(required=False, max_length=64, label="Tax id")
    tax_rate = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=100,
        max_digits=7,
        decimal_places=4,
        label="Tax rate (%)",
        help_text="On invoices to come. Empty: no tax.",
    )
    overage_policy = forms.ChoiceField(
        choices=OveragePolicy.choices,
        initial=OveragePolicy.BLOCK,
        label="When credits run out",
        help_text=_POLICY_HELP,
    )
    overage_limit_mc = CreditsField(
        required=False, label="Overdraft limit (credits)", help_text="Only without block. Empty: no limit."
    )
    low_balance_threshold_mc = CreditsField(
        required=False,
        signed=True,
        label="Low balance at (credits)",
        help_text="Sends credit.balance_low once per crossing.",
    )
    timezone = forms.CharField(
        initial="UTC",
        label="Time zone",
        widget=forms.TextInput(attrs={"list": "p-time-zones", "autocomplete": "off"}),
    )
    metadata = MetadataInput(help_text="A JSON object of your own.")

    datalists = {"p-time-zones": sorted(available_timezones())}


class NewCustomerForm(_SettingsForm):
    external_id = forms.CharField(
        required=False,
        max_length=255,
        label="External id",
        help_text="The id this customer has in your system.",
    )
    id = forms.CharField(
        required=False,
        max_length=255,
        label="Id",
        help_text="Only if it must be one of your choice. Empty: a new UUID.",
    )

    field_order = ("external_id", *_LABELS)


class CustomerForm(_SettingsForm):
    external_id = forms.CharField(required=False, max_length=255, label="External id")
    reason = ReasonField(required=False)

    field_order = ("display_name", "external_id", *_LABELS, *_SETTINGS, "reason")


class ReasonForm(forms.Form):
    """A deed that needs nothing but a reason."""

    reason = ReasonField()


def customer_initial(customer: Customer) -> Mapping[str, Any]:
    """The customer as the form shows it."""
    fields = ("external_id", *_LABELS, *_SETTINGS)
    return {name: value for name in fields if (value := getattr(customer, name)) is not None}


def customer_attributes(data: Mapping[str, Any]) -> dict[str, Any]:
    """The form's data as the service takes it: an emptied field is null."""
    return {name: None if value == "" else value for name, value in data.items() if name != "reason"}
