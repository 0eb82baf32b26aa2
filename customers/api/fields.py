"""Serializer fields that take exactly what the API promises: no coercion, no floats, no unknown members."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from customers.kernel.amounts import AMOUNT_MAX, decimal_parse, units_refusal, units_shown
from customers.kernel.ids import typeid, typeid_parse
from customers.kernel.instants import instant_parse, instant_text
from customers.kernel.json import json_storable
from customers.services.checks import metadata_refusal


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members it does not know, and names the one that was probably meant."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            writable = [name for name, field in self.fields.items() if not field.read_only]
            unknown = {name: [_unknown(str(name), writable)] for name in data if name not in writable}
            if unknown:
                raise serializers.ValidationError(unknown)
        return super().to_internal_value(data)


def _unknown(name: str, known: list[str]) -> ErrorDetail:
    close = difflib.get_close_matches(name[:100], known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return ErrorDetail(f"There is no such field.{hint}", code="unknown-field")


class TextField(serializers.CharField):
    """A JSON string as it is: numbers are no texts, spaces stay."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("trim_whitespace", False)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """true or false, nothing that resembles them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: no string, no fraction, no boolean."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return data


class McField(StrictIntegerField):
    """An amount in millicredits or minor units, from 0 up to the largest amount unless told otherwise."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("min_value", 0)
        options.setdefault("max_value", AMOUNT_MAX)
        super().__init__(**options)


@extend_schema_field({"type": ["number", "string"], "format": "decimal", "example": 1})
class UnitsField(serializers.Field[Decimal, Any, int | str, Any]):
    """A quantity or a unit price: a JSON number or a decimal string, exact, at most 10 decimals."""

    default_error_messages = {"invalid": "Must be a number, or a string that spells a decimal number."}

    def __init__(
        self, *, minimum: Decimal | None = None, above: Decimal | None = None, **options: Any
    ) -> None:
        self.minimum, self.above = minimum, above
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> Decimal:
        value = _decimal(data)
        if value is None:
            self.fail("invalid")
        assert value is not None  # noqa: S101 - fail() raises
        refusal = units_refusal(value)
        if refusal is None and self.minimum is not None and value < self.minimum:
            refusal = f"Must be at least {self.minimum}."
        if refusal is None and self.above is not None and value <= self.above:
            refusal = f"Must be above {self.above}."
        if refusal is not None:
            raise serializers.ValidationError(refusal, code="out-of-range")
        return value

    def to_representation(self, value: Decimal) -> int | str:
        return units_shown(value)


def _decimal(data: Any) -> Decimal | None:
    if isinstance(data, Decimal):
        return data
    if type(data) is int:
        return Decimal(data)
    return decimal_parse(data) if isinstance(data, str) else None


@extend_schema_field(OpenApiTypes.DATETIME)
class InstantField(serializers.Field[datetime, Any, str, Any]):
    """RFC 3339 with an offset; shown in UTC."""

    default_error_messages = {"invalid": "Must be an instant such as 2026-04-03T09:01:00Z."}

    def to_internal_value(self, data: Any) -> datetime:
        instant = instant_parse(data) if isinstance(data, str) else None
        if instant is None:
            self.fail("invalid")
        assert instant is not None  # noqa: S101 - fail() raises
        return instant

    def to_representation(self, value: datetime) -> str:
        return instant_text(value)


@extend_schema_field({"type": "object", "additionalProperties": True, "example": {"order": "A-17"}})
class MetadataField(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A small JSON object of the caller's own, stored as it is."""

    default_error_messages = {"invalid": "Must be a JSON object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        refusal = metadata_refusal(data)
        if refusal is not None:
            raise serializers.ValidationError(refusal, code="metadata-too-large")
        try:
            storable = json_storable(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="number-not-exact") from None
        assert isinstance(storable, dict)  # noqa: S101 - it was one
        return storable

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


@extend_schema_field(OpenApiTypes.STR)
class TypeIdField(serializers.Field[UUID, Any, str, Any]):
    """An object's id on the wire, `blk_01k…`; a UUID inside."""

    default_error_messages = {"invalid": "Must be an id that begins with {prefix}_."}

    def __init__(self, prefix: str, **options: Any) -> None:
        self.prefix = prefix
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> UUID:
        value = typeid_parse(self.prefix, data) if isinstance(data, str) else None
        if value is None:
            self.fail("invalid", prefix=self.prefix)
        assert value is not None  # noqa: S101 - fail() raises
        return value

    def to_representation(self, value: UUID) -> str:
        return typeid(self.prefix, value)
