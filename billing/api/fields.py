"""Fields of billing's own."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.engine.currencies import currency_is_known
from customers.api.fields import TextField


class CurrencyField(TextField):
    """An ISO 4217 code in any case, or `mc` for what was paid in credits; shown as it was given."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", "ISO 4217, in any case, or `mc`: paid in credits.")
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data)
        if not currency_is_known(code):
            raise serializers.ValidationError(
                "Must be an ISO 4217 currency code or mc.", code="unknown-currency"
            )
        return code
