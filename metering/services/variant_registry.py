"""The seam to plans: variants belong to a higher app, which says here which ones there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from customers.errors import FieldError
from metering.errors import PlanVariantUnknown

VariantExists = Callable[..., bool]

_who_knows: Final[list[VariantExists]] = []


def variants_register(exists: VariantExists) -> None:
    """Have `exists(environment_id=…, plan_variant_id=…)` asked before a rule is made for a plan variant."""
    _who_knows.append(exists)


def variant_check(*, environment_id: UUID, plan_variant_id: UUID) -> None:
    """Raises PlanVariantUnknown when nobody knows the variant."""
    if any(exists(environment_id=environment_id, plan_variant_id=plan_variant_id) for exists in _who_knows):
        return
    message = "There is no such plan variant."
    raise PlanVariantUnknown(message, errors=(FieldError("plan_variant_id", "unknown", message),))
