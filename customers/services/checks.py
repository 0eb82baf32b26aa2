"""What a customer's fields may hold, whoever asks: API, admin or an import."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final
from zoneinfo import available_timezones

from django.conf import settings

from customers.errors import FieldError
from customers.kernel.amounts import AMOUNT_MAX
from customers.models import OveragePolicy

_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}")
EXTERNAL_ID_MAX: Final = 255
_KEY_MAX: Final = 255
#: What is nested deeper than Python's stack could be stored, and then never be read again.
DEPTH_MAX: Final = 50
_RATE_DECIMALS: Final = 4
_TEXTS: Final = {
    "display_name": 200,
    "name": 200,
    "payment_provider": 40,
    "payment_provider_customer_id": 255,
    "payment_method_id": 255,
    "tax_id": 64,
    "billing_address": 1000,
}


def text_refusal(value: Any, maximum: int) -> str | None:
    """Why this cannot be stored as a text, or None."""
    if not isinstance(value, str) or not 1 <= len(value) <= maximum:
        return f"Must be 1 to {maximum} characters."
    if "\x00" in value:
        return "Must not contain NUL characters."
    return None


def key_refusal(key: str) -> str | None:
    """Why this cannot be the key that identifies a call, or an event, for ever; or None."""
    if 0 < len(key) <= _KEY_MAX and key.isascii() and key.isprintable():
        return None
    return f"Must be 1 to {_KEY_MAX} printable ASCII characters."


def metadata_refusal(value: Any) -> str | None:
    """Why this cannot be metadata, or None."""
    if not isinstance(value, dict):
        return "Must be a JSON object."
    if len(value) > settings.METADATA_MAX_KEYS:
        return f"Must have at most {settings.METADATA_MAX_KEYS} keys."
    if _is_deeper_than(DEPTH_MAX, value):
        return "Is nested too deeply."
    text = json.dumps(value, default=str, ensure_ascii=False)
    if len(text.encode("utf-8", "replace")) > settings.METADATA_MAX_BYTES:
        return f"Must be at most {settings.METADATA_MAX_BYTES} bytes of JSON."
    if "\\u0000" in text:
        return "Must not contain NUL characters."
    return None


def _is_deeper_than(depth: int, value: Any) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def customer_refusals(attributes: Mapping[str, Any]) -> list[FieldError]:
    """Everything that is wrong with these fields of a customer."""
    found = ((field, _refusal(field, value)) for field, value in attributes.items())
    return [FieldError(field, "invalid", message) for field, message in found if message is not None]


def _refusal(field: str, value: Any) -> str | None:
    if field in _CHECKS:
        return _CHECKS[field](value)
    if field in _TEXTS:
        return None if value is None else text_refusal(value, _TEXTS[field])
    raise ValueError(f"a customer has no field {field!r} to set")


def _email_refusal(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and _EMAIL.fullmatch(value)):
        return None
    return "Must be an email address."


def _timezone_refusal(value: Any) -> str | None:
    return None if value in available_timezones() else "Must be a time zone such as Europe/Berlin."


def _policy_refusal(value: Any) -> str | None:
    return None if value in OveragePolicy.values else f"Must be one of {', '.join(OveragePolicy.values)}."


def _limit_refusal(value: Any) -> str | None:
    if value is None or (type(value) is int and 0 <= value <= AMOUNT_MAX):
        return None
    return f"Must be a whole number of millicredits from 0 to {AMOUNT_MAX}."


def _threshold_refusal(value: Any) -> str | None:
    if value is None or (type(value) is int and -AMOUNT_MAX <= value <= AMOUNT_MAX):
        return None
    return f"Must be a whole number of millicredits of at most {AMOUNT_MAX}."


def _tax_rate_refusal(value: Any) -> str | None:
    if value is None or (isinstance(value, Decimal) and _is_rate(value)):
        return None
    return f"Must be a percentage from 0 to 100, with at most {_RATE_DECIMALS} decimals."


def _is_rate(value: Decimal) -> bool:
    # The bounds first: only then is the number short enough to be written out.
    return 0 <= value <= 100 and value == round(value, _RATE_DECIMALS)


_CHECKS: Final[dict[str, Callable[[Any], str | None]]] = {
    "email": _email_refusal,
    "timezone": _timezone_refusal,
    "tax_rate": _tax_rate_refusal,
    "overage_policy": _policy_refusal,
    "overage_limit_mc": _limit_refusal,
    "low_balance_threshold_mc": _threshold_refusal,
    "metadata": metadata_refusal,
}
