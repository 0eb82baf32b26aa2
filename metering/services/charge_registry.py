"""The seam to price plans: a higher app says which of them charge money for a metric that a rule is made for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

ChargedBy = Callable[..., list[str]]

_who_knows: Final[list[ChargedBy]] = []


def charges_register(charged_by: ChargedBy) -> None:
    """Have `charged_by(environment_id=…, metric_key=…)` say which price plans charge the metric."""
    _who_knows.append(charged_by)


def priced_twice_warnings(*, environment_id: UUID, metric_key: str) -> list[dict[str, str]]:
    """One, if usage of the metric costs money as well."""
    plans = [
        plan
        for charged_by in _who_knows
        for plan in charged_by(environment_id=environment_id, metric_key=metric_key)
    ]
    if not plans:
        return []
    message = f"Usage of {metric_key} costs money by {', '.join(plans)} as well; both apply."
    return [{"code": "priced-twice", "metric_key": metric_key, "message": message}]
