"""What one fills in to move credits by hand."""

from __future__ import annotations

from typing import Any

from django import forms

from billing.models import BlockSource
from customers.admin.fields import CreditsField, InstantInput, ReasonField

#: What people grant by hand. The other sources belong to what makes them: topups, plans, rollover, refunds.
_BY_HAND = (BlockSource.MANUAL, BlockSource.PROMOTIONAL, BlockSource.TOPUP)


class GrantForm(forms.Form):
    credits_mc = CreditsField(label="Credits")
    source = forms.ChoiceField(
        choices=[(one.value, one.label) for one in _BY_HAND], initial=BlockSource.MANUAL
    )
    priority = forms.IntegerField(
        initial=0,
        min_value=0,
        max_value=100,
        help_text="Higher burns first: 10 before 0.",
        widget=forms.NumberInput,
    )
    expires_at = InstantInput(required=False, label="Expires (UTC)", help_text="Empty: never.")
    reason = ReasonField()

    def clean_credits_mc(self) -> Any:
        given = self.cleaned_data["credits_mc"]
        if given == 0:
            raise forms.ValidationError("Must be more than zero.", code="zero")
        return given


class AdjustForm(forms.Form):
    delta_mc = CreditsField(
        signed=True, label="Credits, up or down", help_text="250 gives, −250 takes in burn order."
    )
    reason = ReasonField()

    def clean_delta_mc(self) -> Any:
        given = self.cleaned_data["delta_mc"]
        if given == 0:
            raise forms.ValidationError("Must not be zero.", code="zero")
        return given
