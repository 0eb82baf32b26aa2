"""How much was used: per customer and day, in sum over an environment, and exactly for one period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast
from uuid import UUID

import msgspec

from customers.api.hot import HotAnswer, Operation, decode, hot, respond
from customers.api.paths import customer_named
from customers.api.requests import EdgeRequest
from customers.errors import CustomerNotFound, FieldError, ValidationFailed
from customers.kernel.amounts import units_shown
from customers.kernel.clock import system_now
from customers.kernel.instants import instant_parse, instant_text
from customers.services.customers import By, customer_find_id
from metering.errors import MetricUnknown
from metering.selectors.config import EnvironmentConfig, config_ask
from metering.selectors.usage_queries import Group, UsageRead, UsageRow, usage_compute, usage_read

_GROUPS: Final = ("hour", "day", "month", "all")
#: The longest time to be shown in periods of each size, so that an answer has some thousand rows at most.
_LONGEST: Final = {
    "hour": timedelta(days=31),
    "day": timedelta(days=400),
    "month": timedelta(days=3700),
    "all": timedelta(days=36600),
}


class UsageOfPeriod(msgspec.Struct):
    """A metric in one period. `quantity` is by its aggregation; units are what its events carried, cost is in mc."""

    billable_metric_key: str
    aggregation: str
    period_start: str
    period_end: str
    quantity: int | str | None
    event_count: int
    units: int | str
    max_units: int | str
    min_units: int | str
    cost: int


class UsageAnswer(msgspec.Struct, kw_only=True):
    """From whole hours: `from` and `to` are those used. `lag_seconds` 0: nothing is missing."""

    customer_id: str | None
    begin: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    group_by: str
    lag_seconds: float
    event_count: int
    cost: int
    data: list[UsageOfPeriod]


class ComputeAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of `customer_id` and `external_customer_id`; the period is [period_start, period_end)."""

    metric_key: str
    period_start: str
    period_end: str
    customer_id: str | None = None
    external_customer_id: str | None = None


class Computed(msgspec.Struct):
    """Added up from the events in one snapshot."""

    customer_id: str | None
    external_customer_id: str | None
    metric_key: str
    aggregation: str
    period_start: str
    period_end: str
    quantity: int | str
    event_count: int
    #: Of these, received after the period had ended.
    late_event_count: int
    #: What they were charged, in mc.
    cost: int


@hot(methods=("GET",), scope="usage:read", bucket="other", asks_time=True)
def customer_usage_show(request: EdgeRequest, by: By, reference: str) -> HotAnswer:
    _refuse_others(request, {"metric", "from", "to", "group_by"})
    customer_id = _customer(request, by, reference)
    return _shown(request, customer_id, _group(request, "day"))


@hot(methods=("GET",), scope="usage:read", bucket="other", asks_time=True)
def usage_summary_show(request: EdgeRequest) -> HotAnswer:
    _refuse_others(request, {"metric", "from", "to", "group_by", "customer_id", "external_customer_id"})
    named = request.GET.get("customer_id"), request.GET.get("external_customer_id")
    customer_id = None if named == (None, None) else _customer(request, *customer_named(*named))
    return _shown(request, customer_id, _group(request, "all"))


@hot(methods=("POST",), scope="usage:read", bucket="other", asks_time=True)
def usage_compute_show(request: EdgeRequest) -> HotAnswer:
    wish = decode(request.body, type=ComputeAsked)
    by, reference = customer_named(wish.customer_id, wish.external_customer_id)
    begin, end = _instant("period_start", wish.period_start), _instant("period_end", wish.period_end)
    _check_order("period_end", begin, end)
    customer_id = _customer(request, by, reference)
    found = usage_compute(
        environment_id=request.key.environment_id,
        customer_id=customer_id,
        metric_id=_metric(request, wish.metric_key),
        begin=begin,
        end=end,
    )
    computed = Computed(
        customer_id=wish.customer_id,
        external_customer_id=wish.external_customer_id,
        metric_key=wish.metric_key,
        aggregation=found.aggregation,
        period_start=instant_text(begin),
        period_end=instant_text(end),
        quantity=units_shown(found.quantity),
        event_count=found.events,
        late_event_count=found.late_events,
        cost=found.cost,
    )
    return respond(200, computed)


def _shown(request: EdgeRequest, customer_id: UUID | None, group: Group) -> HotAnswer:
    begin, end = _period(request, group)
    key = request.GET.get("metric")
    read = usage_read(
        environment_id=request.key.environment_id,
        customer_id=customer_id,
        metric_id=None if key is None else _metric(request, key),
        begin=begin,
        end=end,
        group=group,
    )
    return respond(200, _answer(read, request, group))


def _answer(read: UsageRead, request: EdgeRequest, group: Group) -> UsageAnswer:
    return UsageAnswer(
        customer_id=request.GET.get("customer_id"),
        begin=instant_text(read.begin),
        end=instant_text(read.end),
        group_by=group,
        lag_seconds=read.lag_seconds(system_now()),
        event_count=sum(row.events for row in read.rows),
        cost=sum(row.cost_mc for row in read.rows),
        data=[_row_shown(row) for row in read.rows],
    )


def _row_shown(row: UsageRow) -> UsageOfPeriod:
    return UsageOfPeriod(
        billable_metric_key=row.metric_key,
        aggregation=row.aggregation,
        period_start=instant_text(row.period_start),
        period_end=instant_text(row.period_end),
        quantity=None if row.quantity is None else units_shown(row.quantity),
        event_count=row.events,
        units=units_shown(row.units),
        max_units=units_shown(row.units_max),
        min_units=units_shown(row.units_min),
        cost=row.cost_mc,
    )


def _customer(request: EdgeRequest, by: By, reference: str) -> UUID:
    found = customer_find_id(environment_id=request.key.environment_id, by=by, reference=reference)
    if found is None:
        raise CustomerNotFound
    return found


def _metric(request: EdgeRequest, key: str) -> UUID:
    def question(config: EnvironmentConfig) -> UUID:
        metric = config.metric(key)
        if metric is None:
            raise MetricUnknown(f"There is no metric `{key[:64]}`.")
        return metric.id

    return config_ask(request.key.environment_id, question)


def _group(request: EdgeRequest, usual: Group) -> Group:
    given = request.GET.get("group_by", usual)
    if given not in _GROUPS:
        raise _invalid("group_by", f"Must be one of {', '.join(_GROUPS)}.")
    return cast(Group, given)


def _period(request: EdgeRequest, group: Group) -> tuple[datetime, datetime]:
    """What was asked for; without `from` since the month of `to` began, without `to` until now."""
    given_from, given_to = request.GET.get("from"), request.GET.get("to")
    end = request.now if given_to is None else _instant("to", given_to)
    month = (end - timedelta(microseconds=1)).astimezone(UTC)
    begin = (
        month.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if given_from is None
        else _instant("from", given_from)
    )
    _check_order("to", begin, end)
    if end - begin > _LONGEST[group]:
        raise _invalid("to", f"At most {_LONGEST[group].days} days can be shown by {group}.")
    return begin, end


def _instant(field: str, text: str) -> datetime:
    # A day alone is its beginning. A plus sign in a query that nobody encoded arrives as a space.
    whole = f"{text}T00:00:00Z" if len(text) == 10 else text
    instant = instant_parse(f"{whole[:-6]}+{whole[-5:]}" if whole[-6:-5] == " " else whole)
    if instant is None:
        raise _invalid(field, "Must be a day such as 2026-04-03, or an instant such as 2026-04-03T09:01:00Z.")
    return instant


def _check_order(field: str, begin: datetime, end: datetime) -> None:
    if begin >= end:
        raise _invalid(field, "Must be after the beginning.")


def _refuse_others(request: EdgeRequest, known: set[str]) -> None:
    errors = [
        FieldError(name[:200], "unknown-parameter", "There is no such parameter.")
        for name in request.GET
        if name not in known
    ]
    if errors:
        raise ValidationFailed(errors=errors)


def _invalid(field: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, "invalid", message)])


def _query(name: str, description: str, kind: Literal["string"] = "string", **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind, **schema}}


_REFERENCE: Final = {"name": "reference", "in": "path", "required": True, "schema": {"type": "string"}}
_PERIOD: Final = (
    _query("metric", "The key of one metric; all without it."),
    _query("from", "An instant or a day; the beginning of the month without it.", example="2026-04-01"),
    _query("to", "An instant or a day, not included; now without it.", example="2026-05-01"),
)
_EXAMPLE: Final = {
    "customer_id": None,
    "from": "2026-04-01T00:00:00Z",
    "to": "2026-05-01T00:00:00Z",
    "group_by": "day",
    "lag_seconds": 0,
    "event_count": 3,
    "cost": 12000,
    "data": [
        {
            "billable_metric_key": "api_call",
            "aggregation": "sum",
            "period_start": "2026-04-03T00:00:00Z",
            "period_end": "2026-04-04T00:00:00Z",
            "quantity": 12,
            "event_count": 3,
            "units": 12,
            "max_units": 9,
            "min_units": 1,
            "cost": 12000,
        }
    ],
}

OPERATIONS: Final = (
    *(
        Operation(
            path=path,
            method="get",
            operation_id=operation_id,
            summary="A customer's usage, by day",
            tag="usage",
            description="By the events' own timestamps, in UTC, from sums by the hour that are some seconds behind: "
            "`lag_seconds` says how much. `from` and `to` are widened to whole hours.",
            scope="usage:read",
            responses={200: UsageAnswer},
            parameters=(
                _REFERENCE,
                *_PERIOD,
                _query("group_by", "The size of the periods.", enum=list(_GROUPS), default="day"),
            ),
            response_example=_EXAMPLE,
            problems=("customer-not-found", "metric-not-found", "usage-archived"),
        )
        for path, operation_id in (
            ("/v1/customers/{reference}/usage", "customer_usage_show"),
            ("/v1/customer-by-external-id/{reference}/usage", "customer_usage_show_by_external_id"),
        )
    ),
    Operation(
        path="/v1/usage/summary",
        method="get",
        operation_id="usage_summary",
        summary="Usage in sum",
        tag="usage",
        description="Of all customers, or of one; from sums by the hour. For all customers, metrics that are "
        "aggregated by unique_count, percentile or last have no `quantity`.",
        scope="usage:read",
        responses={200: UsageAnswer},
        parameters=(
            *_PERIOD,
            _query("customer_id", "Of this customer only."),
            _query("external_customer_id", "Of this customer only."),
            _query("group_by", "The size of the periods.", enum=list(_GROUPS), default="all"),
        ),
        response_example={**_EXAMPLE, "group_by": "all"},
        problems=("ambiguous-customer", "customer-not-found", "metric-not-found", "usage-archived"),
    ),
    Operation(
        path="/v1/usage/compute",
        method="post",
        operation_id="usage_compute",
        summary="Compute a quantity exactly",
        tag="usage",
        description="What an invoice would count: the metric's aggregation over the events that happened in "
        "[period_start, period_end), in one snapshot, without any delay.",
        scope="usage:read",
        request=ComputeAsked,
        responses={200: Computed},
        request_example={
            "external_customer_id": "user_quickstart",
            "metric_key": "api_call",
            "period_start": "2026-04-01T00:00:00Z",
            "period_end": "2026-05-01T00:00:00Z",
        },
        response_example={
            "customer_id": None,
            "external_customer_id": "user_quickstart",
            "metric_key": "api_call",
            "aggregation": "sum",
            "period_start": "2026-04-01T00:00:00Z",
            "period_end": "2026-05-01T00:00:00Z",
            "quantity": 12,
            "event_count": 3,
            "late_event_count": 0,
            "cost": 12000,
        },
        problems=("ambiguous-customer", "customer-not-found", "metric-not-found", "usage-archived"),
    ),
)
