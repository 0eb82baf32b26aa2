"""Form fields in the words of the domain: credits with three decimals, instants in UTC, metadata as JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from customers.kernel.amounts import AMOUNT_MAX, MC_PER_CREDIT, decimal_parse
from customers.services.checks import metadata_refusal

REASON_MAX: Final = 1000


class CreditsField(forms.CharField):
    """Credits as people write them; cleaned to mc. Separators are refused, because 1,000 means two things."""

    #: Tells the template to show the exact mc beneath.
    is_credits = True

    def __init__(self, *, signed: bool = False, **options: Any) -> None:
        self.signed = signed
        attributes = {"inputmode": "decimal", "autocomplete": "off", "data-credits": "1", "class": "p-number"}
        options.setdefault("widget", forms.TextInput(attrs=attributes))
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        return credits_plain(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value).replace("−", "-").replace(" ", "").removeprefix("+")
        return self._mc(text) if text else None

    def _mc(self, text: str) -> int:
        credits_given = decimal_parse(text)
        if credits_given is None:
            raise ValidationError(
                "Write a number such as 1250 or 0.5, without thousands separators.", code="invalid"
            )
        if abs(credits_given) > Decimal(AMOUNT_MAX // MC_PER_CREDIT):
            raise ValidationError(f"At most {AMOUNT_MAX // MC_PER_CREDIT:,} credits.", code="too-large")
        amount = credits_given * MC_PER_CREDIT
        if amount != amount.to_integral_value():
            raise ValidationError(
                "At most three decimals: a millicredit is the smallest amount.", code="too-fine"
            )
        if amount < 0 and not self.signed:
            raise ValidationError("Must not be negative.", code="negative")
        return int(amount)


def credits_plain(mc: int) -> str:
    """mc as an input shows it: `1250`, `0.5`."""
    text = f"{Decimal(mc) / MC_PER_CREDIT:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class InstantInput(forms.DateTimeField):
    """Date and time in UTC."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput(
            attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"
        )
        super().__init__(widget=widget, **options)


class ReasonField(forms.CharField):
    """Why, in a sentence that a colleague understands in a year. People must give one."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("label", "Reason")
        options.setdefault("max_length", REASON_MAX)
        options.setdefault("widget", forms.Textarea(attrs={"rows": 2}))
        options.setdefault("help_text", "Stays on the record with your name.")
        super().__init__(**options)


class MetadataInput(forms.CharField):
    """A JSON object."""

    def __init__(self, **options: Any) -> None:
        options.setdefault(
            "widget", forms.Textarea(attrs={"rows": 4, "class": "p-mono", "spellcheck": "false"})
        )
        super().__init__(required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value).strip()
        try:
            parsed = json.loads(text) if text else {}
        except ValueError:
            raise ValidationError("This is not valid JSON.", code="invalid") from None
        refused = metadata_refusal(parsed)
        if refused is not None:
            raise ValidationError(refused, code="invalid")
        return parsed
