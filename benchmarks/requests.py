"""HTTP requests as bytes, with places for what differs from one to the next."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

ACCOUNTS: Final = 10_000
#: As wide as what stands in their places later, so that a length counted once is right for every request.
CUSTOMER_PLACE: Final = "@@@@@"
KEY_PLACE: Final = "################"
#: In the path of what follows an answer: the id that the answer gave.
ANSWER_PLACE: Final = "&&&&"
EVENTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`customers` = from how many accounts one is drawn for each request; 1 is one hot account. `then` is sent when the
    answer is there, about what it made; both together are one operation.
    """

    method: str
    path: str
    expected_status: int
    secret: str = ""
    body: dict[str, Any] | None = None
    customers: int = ACCOUNTS
    then: Request | None = None
    #: Whether a key goes along as a header.
    has_key: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def body_text(self) -> str:
        return "" if self.body is None else json.dumps(self.body)

    def http(self) -> bytes:
        """What goes over the wire, with the places still in it."""
        body = self.body_text()
        head = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        if self.secret:
            head.append(f"X-API-Key: {self.secret}")
        if self.has_key:
            head.append(f"Idempotency-Key: {KEY_PLACE}")
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", body]).encode()


def request_from_json(text: str) -> Request:
    return request_made(json.loads(text))


def request_made(members: dict[str, Any]) -> Request:
    then = members.pop("then", None)
    return Request(**members, then=request_made(then) if then else None)


def empty() -> Request:
    """To the empty view: nothing to send, nothing to know."""
    return Request(method="GET", path="/", expected_status=200)


def _event(metric: str) -> dict[str, Any]:
    return {
        "external_customer_id": f"bench_{CUSTOMER_PLACE}",
        "billable_metric_key": metric,
        "units": 1,
        "idempotency_key": KEY_PLACE,
    }


def usage(*, secret: str, metric: str = "bench_call", customers: int = ACCOUNTS) -> Request:
    body = _event(metric)
    return Request(
        method="POST", path="/v1/usage", expected_status=202, secret=secret, body=body, customers=customers
    )


def entitlement(*, secret: str) -> Request:
    path = f"/v1/customer-by-external-id/bench_{CUSTOMER_PLACE}/entitlements/bench_call"
    return Request(method="GET", path=path, expected_status=200, secret=secret)


def balance(*, secret: str) -> Request:
    path = f"/v1/customer-by-external-id/bench_{CUSTOMER_PLACE}/credits"
    return Request(method="GET", path=path, expected_status=200, secret=secret)


def batch(*, secret: str, with_everybodys: bool = False) -> Request:
    """Events of customers drawn at random; `with_everybodys`, the first is always the same customer's."""
    events = [_event("bench_call") for _ in range(EVENTS)]
    if with_everybodys:
        events[0]["external_customer_id"] = "bench_00000"
    body = {"events": events}
    return Request(method="POST", path="/v1/usage/batch", expected_status=202, secret=secret, body=body)


def reservation(*, secret: str) -> Request:
    """Reserve, and commit when that is answered."""
    commit = Request(
        method="POST",
        path=f"/v1/reserve/{ANSWER_PLACE}/commit",
        expected_status=200,
        secret=secret,
        body={"actual_units": 1},
        has_key=True,
    )
    body = {
        "external_customer_id": f"bench_{CUSTOMER_PLACE}",
        "billable_metric_key": "bench_call",
        "estimated_units": 2,
        "ttl_seconds": 3600,
    }
    return Request(
        method="POST",
        path="/v1/reserve",
        expected_status=201,
        secret=secret,
        body=body,
        then=commit,
        has_key=True,
    )


def entitlements(*, secret: str) -> Request:
    """A hundred customers by a hundred metrics."""
    body = {
        "customers": [{"external_customer_id": f"bench_{number:05}"} for number in range(100)],
        "metric_keys": [f"bench_{number:02}" for number in range(100)],
        "units": 1,
    }
    return Request(
        method="POST", path="/v1/entitlements/query", expected_status=200, secret=secret, body=body
    )
