"""What one fills in to price past usage again."""

from __future__ import annotations

from typing import Any

from django import forms

from metering.admin.rule_forms import RuleForm

_INSTANT = {"type": "datetime-local", "step": "1"}
_FORMAT = "%Y-%m-%dT%H:%M:%S"


class ReplayForm(RuleForm):
    """Of whom it is, is the rule's affair; the price may be another than the rule's."""

    since = forms.DateTimeField(
        label="Usage from (UTC)", widget=forms.DateTimeInput(attrs=_INSTANT, format=_FORMAT)
    )
    until = forms.DateTimeField(
        required=False,
        label="To (UTC)",
        help_text="Empty: up to now.",
        widget=forms.DateTimeInput(attrs=_INSTANT, format=_FORMAT),
    )
    field_order = ("since", "until", "cost_type")

    def __init__(self, *args: Any, definition: dict[str, Any], price: str, **options: Any) -> None:
        super().__init__(*args, metrics=[], **options)
        for name in ("metric", "customer", "plan_variant_id", "effective_from"):
            del self.fields[name]
        kind = self.fields["cost_type"]
        kind.required = False
        kind.label = "Price"
        kind.choices = [("", f"As this rule says: {price}"), *kind.choices]  # type: ignore[attr-defined]
        self._as_it_is = definition

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        since, until = data.get("since"), data.get("until")
        if since and until and until <= since:
            self.add_error("until", "Must be after the beginning.")
        return data

    def _definition(self, data: Any) -> dict[str, Any]:
        return super()._definition(data) if data["cost_type"] else self._as_it_is
