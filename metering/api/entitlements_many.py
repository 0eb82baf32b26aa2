"""`POST /v1/entitlements/query`: many customers by many metrics, each answered as the single check."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

import msgspec

from customers.api.hot import HotAnswer, Operation, decode, hot, respond, units_check
from customers.api.paths import customer_named
from customers.api.requests import EdgeRequest
from customers.kernel.instants import instant_text
from metering.api.entitlements import RESPONSE_EXAMPLE, Entitlement, entitlement_shown
from metering.services.entitlements import Number
from metering.services.entitlements_many import Unknown, entitlements_query

_ZERO: Final = Decimal(0)
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_MOST: Final = 100


class CustomerNamed(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of the two ids."""

    customer_id: _Text | None = None
    external_customer_id: _Text | None = None


class EntitlementsAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Every customer is checked for every metric."""

    customers: Annotated[list[CustomerNamed], msgspec.Meta(min_length=1, max_length=_MOST)]
    metric_keys: Annotated[list[_Text], msgspec.Meta(min_length=1, max_length=_MOST)]
    units: int | Decimal = 1


class EntitlementUnknown(msgspec.Struct):
    """A pair without an answer; the customer is named as it was asked for."""

    customer_id: str | None
    external_customer_id: str | None
    billable_metric_key: str
    #: customer-not-found or metric-not-found.
    error: str
    allowed: bool = False


class EntitlementResult(msgspec.Struct):
    """As the single check answers; or, with `error`, only which pair it was and `allowed: false`."""

    allowed: bool
    billable_metric_key: str
    customer_id: str | None
    external_customer_id: str | None
    #: customer-not-found or metric-not-found; absent otherwise.
    error: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    units: int | str | msgspec.UnsetType = msgspec.UNSET
    balance: int | msgspec.UnsetType = msgspec.UNSET
    reserved_balance: int | msgspec.UnsetType = msgspec.UNSET
    effective_balance: int | msgspec.UnsetType = msgspec.UNSET
    estimated_cost: int | msgspec.UnsetType | None = msgspec.UNSET
    balance_after: int | msgspec.UnsetType | None = msgspec.UNSET
    affordable_units: int | msgspec.UnsetType | None = msgspec.UNSET
    overage_policy: str | msgspec.UnsetType = msgspec.UNSET
    as_of: str | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET


class EntitlementsAnswer(msgspec.Struct):
    """Customer by customer in the order asked, in each the metrics in the order asked."""

    as_of: str
    results: list[EntitlementResult]


class _Written(msgspec.Struct):
    """The answer as it is written: each result holds what it has."""

    as_of: str
    results: list[Entitlement | EntitlementUnknown]


@hot(methods=("POST",), scope="entitlements:read", bucket="entitlements")
def entitlements_show(request: EdgeRequest) -> HotAnswer:
    wish = decode(request.body, type=EntitlementsAsked)
    answers = entitlements_query(
        environment_id=request.key.environment_id,
        config_version=request.key.config_version,
        customers=[customer_named(named.customer_id, named.external_customer_id) for named in wish.customers],
        metric_keys=wish.metric_keys,
        units=_units(wish.units),
        now=request.now,
    )
    shown = [
        _unknown_shown(answer) if isinstance(answer, Unknown) else entitlement_shown(answer)
        for answer in answers
    ]
    return respond(200, _Written(as_of=instant_text(request.now), results=shown))


def _units(units: int | Decimal) -> Number:
    if type(units) is int and 0 < units < 10**12:
        return units
    return units_check("units", Decimal(units), above=_ZERO)


def _unknown_shown(answer: Unknown) -> EntitlementUnknown:
    return EntitlementUnknown(
        customer_id=answer.reference if answer.by == "id" else None,
        external_customer_id=answer.reference if answer.by == "external" else None,
        billable_metric_key=answer.metric_key,
        error=f"{answer.what}-not-found",
    )


OPERATIONS: Final = (
    Operation(
        path="/v1/entitlements/query",
        method="post",
        operation_id="entitlements_query",
        summary="May these customers do these things?",
        tag="entitlements",
        description="Up to 100 customers by 100 metrics at once, each pair answered as the single check would. An "
        "unknown customer or metric is a result with an `error`, and refuses nothing else.",
        scope="entitlements:read",
        request=EntitlementsAsked,
        responses={200: EntitlementsAnswer},
        request_example={
            "customers": [{"external_customer_id": "user_quickstart"}],
            "metric_keys": ["api_call"],
            "units": 1,
        },
        response_example={"as_of": "2026-04-03T09:01:00Z", "results": [RESPONSE_EXAMPLE]},
        problems=("ambiguous-customer",),
    ),
)
