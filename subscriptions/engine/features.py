"""What a plan lets its customers do: features that are on or off, limits, and anything else; and several plans' merged.

    {"sso": true, "seats": 5, "support": "email",
     "api_calls": {"type": "limit", "limit": 1000000, "metric_key": "api_calls"},
     "model": {"type": "custom", "value": {"name": "large", "context": 128000}}}

`true`, a number and a text are short for a boolean, a limit and a custom value. A limit of null has no end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from customers.errors import FieldError
from customers.kernel.amounts import UNITS_MAX, units_shown
from metering.engine.exact import exact_decimal, total
from subscriptions.errors import InvalidPricePlan

FEATURES_MAX: Final = 100
KEY_MAX: Final = 64

FeatureType = Literal["boolean", "limit", "custom"]
_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "boolean": frozenset({"type", "value"}),
    "limit": frozenset({"type", "limit", "metric_key"}),
    "custom": frozenset({"type", "value"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """`value` of a boolean or a custom one; `limit` (null: none) of a limit, counted by `metric_key` if it has one."""

    type: FeatureType
    value: Any = None
    limit: Decimal | None = None
    metric_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        if self.type != "limit":
            return {"type": self.type, "value": self.value}
        limit = None if self.limit is None else units_shown(self.limit)
        return {"type": self.type, "limit": limit, "metric_key": self.metric_key}


def features_parse(given: Mapping[str, Any]) -> dict[str, Feature]:
    """The features that `given` describes, as sent or as stored. Raises InvalidPricePlan, with each fault."""
    errors: list[FieldError] = []
    if len(given) > FEATURES_MAX:
        errors.append(FieldError("entitlements", "too-many", f"Must be at most {FEATURES_MAX}."))
    features = {key: _feature(key, value, errors) for key, value in given.items()}
    if errors:
        raise InvalidPricePlan(errors=errors)
    return {key: feature for key, feature in features.items() if feature is not None}


def features_json(given: Mapping[str, Any]) -> dict[str, Any]:
    """The form to store."""
    return {key: feature.to_json() for key, feature in features_parse(given).items()}


def merged(features: Sequence[Feature]) -> Feature:
    """Of several subscriptions, the newest first: on if any is, limits together, and else what the newest says.

    What is of another type, or of another metric, than the newest is left out.
    """
    newest = features[0]
    alike = [each for each in features if (each.type, each.metric_key) == (newest.type, newest.metric_key)]
    if newest.type == "boolean":
        return Feature(type="boolean", value=any(each.value for each in alike))
    if newest.type == "custom":
        return newest
    limits = [each.limit for each in alike if each.limit is not None]
    limit = total(limits) if len(limits) == len(alike) else None
    return Feature(type="limit", limit=limit, metric_key=newest.metric_key)


def _feature(key: object, given: Any, errors: list[FieldError]) -> Feature | None:
    at = f"entitlements.{key}"[:200]
    if not isinstance(key, str) or not 0 < len(key) <= KEY_MAX or "\0" in key:
        errors.append(FieldError(at, "invalid", f"A feature's key is a text of 1 to {KEY_MAX} characters."))
        return None
    members = given if isinstance(given, Mapping) else _short(given)
    kind = members.get("type")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        errors.append(FieldError(f"{at}.type"[:200], "invalid", "Must be boolean, limit or custom."))
        return None
    for name in members.keys() - _MEMBERS[kind]:
        message = f"Does not belong to the type {kind}."
        errors.append(FieldError(f"{at}.{name}"[:200], "unknown-field", message))
    return _limit(members, at, errors) if kind == "limit" else _valued(kind, members, at, errors)


def _short(given: Any) -> Mapping[str, Any]:
    if isinstance(given, bool):
        return {"type": "boolean", "value": given}
    if isinstance(given, int | float | Decimal):
        return {"type": "limit", "limit": given}
    return {"type": "custom", "value": given} if isinstance(given, str) else {}


def _exact(number: Any) -> Any:
    """What JSON stored as a double was one that prints the same."""
    return Decimal(repr(number)) if isinstance(number, float) else number


def _limit(members: Mapping[str, Any], at: str, errors: list[FieldError]) -> Feature | None:
    metric_key, limit = members.get("metric_key"), members.get("limit")
    read = exact_decimal(_exact(limit))
    if "limit" not in members or (limit is not None and (read is None or not 0 <= read <= UNITS_MAX)):
        message = "Must be a number from 0, or null for no limit."
        errors.append(FieldError(f"{at}.limit"[:200], "invalid", message))
        return None
    if metric_key is not None and not isinstance(metric_key, str):
        errors.append(FieldError(f"{at}.metric_key"[:200], "invalid", "Must be the key of a metric."))
        return None
    return Feature(type="limit", limit=read, metric_key=metric_key)


def _valued(kind: str, members: Mapping[str, Any], at: str, errors: list[FieldError]) -> Feature | None:
    value = members.get("value")
    if kind == "custom" and "value" in members:
        return Feature(type="custom", value=value)
    if kind == "boolean" and isinstance(value, bool):
        return Feature(type="boolean", value=value)
    message = "Must be true or false." if kind == "boolean" else "This field is required."
    errors.append(FieldError(f"{at}.value"[:200], "invalid", message))
    return None
