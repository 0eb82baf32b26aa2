"""How a body names what one subscribes or moves to: a plan variant, or a price plan and perhaps its version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from rest_framework import serializers

from customers.api.fields import TextField
from customers.errors import FieldError, ValidationFailed
from subscriptions.services.price_plans import key_refusal
from subscriptions.services.sales import Offer, PricePlanNamed

OFFER_FIELDS: Final = ("plan_variant_id", "plan_id", "plan_version")


class PricePlanIdField(TextField):
    """A price plan's id, as its creator chose it."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_length", 255)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str:
        key = super().to_internal_value(data)
        refusal = key_refusal(key)
        if refusal is not None:
            raise serializers.ValidationError(refusal, code="invalid")
        return key


def offer_in(given: Mapping[str, Any]) -> Offer:
    """Of a body that must name exactly one of them. Raises ValidationFailed."""
    variant_id, key, version = (given.get(name) for name in OFFER_FIELDS)
    if (variant_id is None) == (key is None):
        field, message = "plan_variant_id", "Name either a plan variant or, by plan_id, a price plan."
        raise ValidationFailed(errors=[FieldError(field, "required", message)])
    if variant_id is not None and version is not None:
        raise ValidationFailed(errors=[FieldError("plan_version", "refused", "Belongs to plan_id.")])
    if key is not None:
        return PricePlanNamed(key=key, version=version)
    assert isinstance(variant_id, UUID)  # noqa: S101 - its field reads one, and one of the two is given
    return variant_id
