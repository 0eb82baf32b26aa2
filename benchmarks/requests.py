"""HTTP requests as bytes, with places for what differs from one to the next."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

ACCOUNTS: Final = 10_000
#: As wide as what stands in their places later, so that a length counted once is right for every request.
CUSTOMER_PLACE: Final = "@@@@@"
KEY_PLACE: Final = "################"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`customers` = from how many accounts one is drawn for each request; 1 is one hot account."""

    method: str
    path: str
    expected_status: int
    secret: str = ""
    body: dict[str, Any] | None = None
    customers: int = ACCOUNTS

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
        if body:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", body]).encode()


def request_from_json(text: str) -> Request:
    return Request(**json.loads(text))


def empty() -> Request:
    """To the empty view: nothing to send, nothing to know."""
    return Request(method="GET", path="/", expected_status=200)


def usage(*, secret: str, metric: str = "bench_call", customers: int = ACCOUNTS) -> Request:
    body = {
        "external_customer_id": f"bench_{CUSTOMER_PLACE}",
        "billable_metric_key": metric,
        "units": 1,
        "idempotency_key": KEY_PLACE,
    }
    return Request(
        method="POST", path="/v1/usage", expected_status=202, secret=secret, body=body, customers=customers
    )


def entitlement(*, secret: str) -> Request:
    path = f"/v1/customer-by-external-id/bench_{CUSTOMER_PLACE}/entitlements/bench_call"
    return Request(method="GET", path=path, expected_status=200, secret=secret)


def balance(*, secret: str) -> Request:
    path = f"/v1/customer-by-external-id/bench_{CUSTOMER_PLACE}/credits"
    return Request(method="GET", path=path, expected_status=200, secret=secret)
