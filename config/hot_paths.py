"""Which paths EdgeMiddleware answers itself, past Django's URL resolver and every other middleware.

Exact paths are one look in a dict. Customer-scoped ones are matched by their known end, because an id may hold slashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from billing.api import balance
from customers.api.hot import HotView, Operation
from metering.api import entitlements, entitlements_many, events, reservations, usage, usage_queries

EXACT: Final[Mapping[str, HotView]] = {
    "/v1/usage": usage.usage_create,
    "/v1/usage/batch": usage.usage_batch,
    "/v1/events/batch": events.events_batch,
    "/v1/events/backfill": events.events_backfill,
    "/v1/reserve": reservations.reserve,
    "/v1/usage/summary": usage_queries.usage_summary_show,
    "/v1/usage/compute": usage_queries.usage_compute_show,
    "/v1/entitlements/query": entitlements_many.entitlements_show,
}

#: Hot when something is posted there; other methods go the ordinary way.
POSTED: Final[Mapping[str, HotView]] = {"/v1/events": events.event_create}

#: What stands after `/v1/customers/{id}` or `/v1/customer-by-external-id/{external_id}`; beside these,
#: `entitlements/{metric_key}`.
OF_A_CUSTOMER: Final[Mapping[str, HotView]] = {
    "credits": balance.credits_show,
    "usage": usage_queries.customer_usage_show,
}

#: What stands after `/v1/reserve/{reservation_id}`.
OF_A_RESERVATION: Final[Mapping[str, HotView]] = {
    "": reservations.reservation_show,
    "/commit": reservations.reservation_commit,
    "/release": reservations.reservation_release,
    "/extend": reservations.reservation_extend,
}

#: The same endpoints in the API's description.
OPERATIONS: Final[tuple[Operation, ...]] = (
    *usage.OPERATIONS,
    *events.OPERATIONS,
    *reservations.OPERATIONS,
    *usage_queries.OPERATIONS,
    *entitlements.OPERATIONS,
    *entitlements_many.OPERATIONS,
    *balance.OPERATIONS,
)

_CUSTOMER: Final = (("/v1/customer-by-external-id/", "external"), ("/v1/customers/", "id"))
_ENTITLEMENT: Final = "/entitlements"
_RESERVATION: Final = re.compile(r"/v1/reserve/(?P<reservation_id>[^/]+)(?P<end>/[a-z]+)?")


def hot_view(path: str, method: str | None) -> tuple[HotView, dict[str, Any]] | None:
    """The hot view of a path and its arguments, or None."""
    view = EXACT.get(path)
    if view is None and method == "POST":
        view = POSTED.get(path)
    if view is not None:
        return view, {}
    if path.startswith("/v1/customer"):
        return _of_a_customer(path)
    if path.startswith("/v1/reserve/"):
        return _of_a_reservation(path)
    return None


def _of_a_customer(path: str) -> tuple[HotView, dict[str, Any]] | None:
    # By hand: three regular expressions would take as long as the answer's JSON.
    for start, by in _CUSTOMER:
        if path.startswith(start):
            reference, _, end = path[len(start) :].rpartition("/")
            if reference.endswith(_ENTITLEMENT):
                reference = reference.removesuffix(_ENTITLEMENT)
                return _named(entitlements.entitlement_show, by, reference, metric_key=end)
            return _named(OF_A_CUSTOMER.get(end), by, reference)
    return None


def _named(
    view: HotView | None, by: str, reference: str, **others: str
) -> tuple[HotView, dict[str, Any]] | None:
    """Whole only if nothing in it is empty."""
    if view is None or not reference or "" in others.values():
        return None
    return view, {"by": by, "reference": reference, **others}


def _of_a_reservation(path: str) -> tuple[HotView, dict[str, Any]] | None:
    found = _RESERVATION.fullmatch(path)
    view = OF_A_RESERVATION.get(found["end"] or "") if found else None
    return None if found is None or view is None else (view, {"reservation_id": found["reservation_id"]})
