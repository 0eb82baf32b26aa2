"""`GET …/entitlements/{metric_key}`: may this customer do this? One round trip, writes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
from django.http import HttpRequest

from customers.api.hot import HotAnswer, Operation, hot, respond, units_check
from customers.api.requests import EdgeRequest
from customers.errors import FieldError, ValidationFailed
from customers.kernel.amounts import decimal_parse, units_shown
from customers.kernel.instants import instant_text
from metering.services.entitlements import Entitlement as Found
from metering.services.entitlements import Number, entitlement_check

_ZERO: Final = Decimal(0)


class Entitlement(msgspec.Struct):
    """The answer as of `as_of`. Amounts in mc; `affordable_units` null = as many as they like."""

    allowed: bool
    #: Why not: insufficient_credits, no_metering_rule, subscription_overdue, subscription_paused, usage_suspended.
    reason: str | None
    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str
    units: int | str
    balance: int
    reserved_balance: int
    effective_balance: int
    estimated_cost: int | None
    balance_after: int | None
    affordable_units: int | None
    overage_policy: str
    as_of: str
    source: str


@hot(methods=("GET",), scope="entitlements:read", bucket="entitlements")
def entitlement_show(request: EdgeRequest, by: str, reference: str, metric_key: str) -> HotAnswer:
    units = _units(request)
    found = entitlement_check(
        environment_id=request.key.environment_id,
        config_version=request.key.config_version,
        by=by,
        reference=reference,
        metric_key=metric_key,
        units=units,
        now=request.now,
    )
    return respond(200, entitlement_shown(found))


def entitlement_shown(found: Found) -> Entitlement:
    units, estimated_mc = found.units, found.estimated_cost_mc
    return Entitlement(
        allowed=found.allowed,
        reason=found.reason,
        customer_id=found.customer_id,
        external_customer_id=found.external_customer_id,
        billable_metric_key=found.metric_key,
        units=units if type(units) is int else units_shown(Decimal(units)),
        balance=found.balance_mc,
        reserved_balance=found.reserved_mc,
        effective_balance=found.effective_mc,
        estimated_cost=estimated_mc,
        balance_after=None if estimated_mc is None else found.balance_mc - estimated_mc,
        affordable_units=found.affordable_units,
        overage_policy=found.overage_policy,
        as_of=instant_text(found.as_of),
        source=found.source,
    )


def _units(request: HttpRequest) -> Number:
    text = request.GET.get("units") if request.META.get("QUERY_STRING") else None
    if text is None:
        return 1
    if text.isascii() and text.isdigit() and 0 < len(text) <= 12 and int(text) > 0:
        return int(text)
    value = decimal_parse(text)
    if value is None:
        raise ValidationFailed(errors=[FieldError("units", "invalid", "Must be a decimal number above 0.")])
    return units_check("units", value, above=_ZERO)


_PARAMETERS: Final = (
    {"name": "reference", "in": "path", "required": True, "schema": {"type": "string"}},
    {"name": "metric_key", "in": "path", "required": True, "schema": {"type": "string"}},
    {
        "name": "units",
        "in": "query",
        "description": "How many.",
        "schema": {"type": ["number", "string"], "default": 1},
    },
)

RESPONSE_EXAMPLE: Final = {
    "allowed": True,
    "reason": None,
    "customer_id": "019d6258-07ba-7418-83be-58f5fde53e4e",
    "external_customer_id": "user_quickstart",
    "billable_metric_key": "api_call",
    "units": 1,
    "balance": 100000,
    "reserved_balance": 0,
    "effective_balance": 100000,
    "estimated_cost": 1000,
    "balance_after": 99000,
    "affordable_units": 100,
    "overage_policy": "block",
    "as_of": "2026-04-03T09:01:00Z",
    "source": "database",
}

OPERATIONS: Final = tuple(
    Operation(
        path=path,
        method="get",
        operation_id=operation_id,
        summary="May this customer do this?",
        tag="entitlements",
        description="Decides as usage would at this instant, and changes nothing.",
        scope="entitlements:read",
        responses={200: Entitlement},
        parameters=_PARAMETERS,
        response_example=RESPONSE_EXAMPLE,
        problems=("customer-not-found", "metric-not-found"),
    )
    for path, operation_id in (
        ("/v1/customers/{reference}/entitlements/{metric_key}", "entitlement_show"),
        (
            "/v1/customer-by-external-id/{reference}/entitlements/{metric_key}",
            "entitlement_show_by_external_id",
        ),
    )
)
