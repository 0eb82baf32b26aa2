"""Checks of the members that hot bodies share, beyond what msgspec's types say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NoReturn

from customers.api.hot import units_check
from customers.api.paths import customer_named
from customers.api.requests import EdgeRequest
from customers.errors import FieldError, IdempotencyKeyMissing, ValidationFailed
from customers.services.checks import key_refusal, metadata_refusal
from customers.services.customers import By

_ZERO: Final = Decimal(0)
_REFERENCE_MAX: Final = 255
#: Below this, an integer needs no further look.
_PLAIN_MAX: Final = 10**12


def customer_member(customer_id: str | None, external_customer_id: str | None) -> tuple[By, str]:
    """How the body names its customer, and the name."""
    by, reference = customer_named(customer_id, external_customer_id)
    if not 0 < len(reference) <= _REFERENCE_MAX:
        field = "customer_id" if by == "id" else "external_customer_id"
        refuse(field, f"Must have 1 to {_REFERENCE_MAX} characters.")
    return by, reference


def units_member(field: str, units: int | Decimal, *, zero: bool = False) -> int | Decimal:
    """A quantity above zero, or from zero on."""
    if type(units) is int and 0 < units < _PLAIN_MAX:
        return units
    value = units_check(field, Decimal(units), above=None if zero else _ZERO)
    if value < 0:
        refuse(field, "Must be at least 0.")
    return value


def key_header(request: EdgeRequest) -> str:
    """The Idempotency-Key header, which must be there."""
    return key_member(request.META.get("HTTP_IDEMPOTENCY_KEY"))


def key_member(key: str | None) -> str:
    """A key that identifies a call for ever."""
    if key is None:
        raise IdempotencyKeyMissing
    refusal = key_refusal(key)
    if refusal is not None:
        refuse("idempotency_key", refusal)
    return key


def object_member(field: str, value: dict[str, Any] | None) -> dict[str, Any] | None:
    """A small object of the caller's own."""
    refusal = metadata_refusal(value) if value else None
    if refusal is not None:
        raise ValidationFailed(errors=[FieldError(field, "too-large", refusal)])
    return value


def refuse(field: str, message: str) -> NoReturn:
    raise ValidationFailed(errors=[FieldError(field, "invalid", message)])
