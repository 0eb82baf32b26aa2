"""Every call that moves credits, each done to a customer of its own, and how such a customer looks to the API."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from tests.faults.house import Answer, Backend, Lost

#: What was made beforehand that the call needs to name.
Made = dict[str, str]
Prepare = Callable[[Backend, str], Made]
Send = Callable[[Backend, str, str, Made], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    name: str
    prepare: Prepare
    #: backend, customer, idempotency key, what was made
    send: Send


def _customer(who: str) -> str:
    return f"/v1/customer-by-external-id/{who}"


def _nothing(backend: Backend, who: str) -> Made:
    return {}


def _rich(backend: Backend, who: str) -> Made:
    """Two blocks, so that what is burned comes out of both."""
    for amount in (2_000, 100_000):
        done(
            backend.post(
                f"{_customer(who)}/credits/grant",
                {"credits": amount, "priority": amount % 7},
                key=uuid4().hex,
            )
        )
    return {}


def _with_reservation(backend: Backend, who: str) -> Made:
    _rich(backend, who)
    return {"reservation": done(_reserve(backend, who, uuid4().hex, {}))["reservation_id"]}


def _with_usage(backend: Backend, who: str) -> Made:
    _rich(backend, who)
    return {"event": done(_use(backend, who, uuid4().hex, {}))["event_id"]}


def _use(backend: Backend, who: str, key: str, made: Made, *, metric: str = "api_call") -> Answer:
    return backend.post("/v1/usage", _event(who, key, metric))


def _use_counted(backend: Backend, who: str, key: str, made: Made) -> Answer:
    return _use(backend, who, key, made, metric="tiered_call")


def _use_many(backend: Backend, who: str, key: str, made: Made) -> Answer:
    events = [_event(who, f"{key}-{n}", metric) for n, metric in enumerate(("api_call", "tiered_call"))]
    return backend.post("/v1/usage/batch", {"events": events})


def _event(who: str, key: str, metric: str) -> dict[str, Any]:
    return {"external_customer_id": who, "billable_metric_key": metric, "units": 3, "idempotency_key": key}


def _grant(backend: Backend, who: str, key: str, made: Made) -> Answer:
    return backend.post(f"{_customer(who)}/credits/grant", {"credits": 5_000}, key=key)


def _adjust(delta: int) -> Send:
    def send(backend: Backend, who: str, key: str, made: Made) -> Answer:
        body = {"delta": delta, "reason": "a correction"}
        return backend.post(f"{_customer(who)}/credits/adjust", body, key=key)

    return send


def _refund(backend: Backend, who: str, key: str, made: Made) -> Answer:
    return backend.post(
        f"{_customer(who)}/credits/refund", {"event_id": made["event"], "amount": 2_500}, key=key
    )


def _convert(backend: Backend, who: str, key: str, made: Made) -> Answer:
    return backend.post(
        "/v1/credits/convert",
        {"external_customer_id": who, "price": 4_000, "credits": 9_000, "metric_keys": ["api_call"]},
        key=key,
    )


def _topup(backend: Backend, who: str, key: str, made: Made) -> Answer:
    body = {"external_customer_id": who, "credits": 7_000, "external_payment_id": f"pi_{key}"}
    return backend.post("/v1/topup/grant", body, key=key)


def _reserve(backend: Backend, who: str, key: str, made: Made) -> Answer:
    body = {
        "external_customer_id": who,
        "billable_metric_key": "api_call",
        "estimated_units": 4,
        "ttl_seconds": 600,
    }
    return backend.post("/v1/reserve", body, key=key)


def _of_reservation(end: str, body: dict[str, Any]) -> Send:
    def send(backend: Backend, who: str, key: str, made: Made) -> Answer:
        return backend.post(f"/v1/reserve/{made['reservation']}/{end}", body, key=key)

    return send


DEEDS: Final = (
    Deed(name="usage", prepare=_rich, send=_use),
    Deed(name="usage with a counter", prepare=_rich, send=_use_counted),
    Deed(name="usage batch", prepare=_rich, send=_use_many),
    Deed(name="grant", prepare=_rich, send=_grant),
    Deed(name="grant to a new customer", prepare=_nothing, send=_grant),
    Deed(name="adjust down", prepare=_rich, send=_adjust(-3_000)),
    Deed(name="adjust up", prepare=_rich, send=_adjust(3_000)),
    Deed(name="refund", prepare=_with_usage, send=_refund),
    Deed(name="convert", prepare=_rich, send=_convert),
    Deed(name="topup", prepare=_rich, send=_topup),
    Deed(name="reserve", prepare=_rich, send=_reserve),
    Deed(name="commit", prepare=_with_reservation, send=_of_reservation("commit", {"actual_units": 2})),
    Deed(name="commit more", prepare=_with_reservation, send=_of_reservation("commit", {"actual_units": 6})),
    Deed(name="release", prepare=_with_reservation, send=_of_reservation("release", {})),
    Deed(name="extend", prepare=_with_reservation, send=_of_reservation("extend", {"ttl_seconds": 1_200})),
)


def catalogue_make(backend: Backend) -> None:
    """The two metrics of the deeds: one of a flat price, one whose price depends on the cycle."""
    tiers = [{"up_to": 100, "credit_cost": 1_000}, {"up_to": None, "credit_cost": 500}]
    prices: dict[str, dict[str, Any]] = {
        "api_call": {"cost_type": "per_unit", "unit_cost": 1_000},
        "tiered_call": {"cost_type": "tiered", "unit_cost": 1_000, "tiers": tiers},
    }
    for key, price in prices.items():
        done(backend.post("/v1/billable-metrics", {"key": key, "name": key}, key=uuid4().hex))
        done(backend.post("/v1/metering-rules", {"billable_metric_key": key, **price}, key=uuid4().hex))


@dataclass(kw_only=True)
class Case:
    """One deed to one customer: may be sent, and sent again with the same key."""

    deed: Deed
    backend: Backend
    who: str = field(default_factory=lambda: f"customer-{uuid4().hex}")
    key: str = field(default_factory=lambda: uuid4().hex)
    made: Made = field(default_factory=dict)

    def prepare(self) -> None:
        self.made = self.deed.prepare(self.backend, self.who)

    def send(self) -> Answer:
        return self.deed.send(self.backend, self.who, self.key, self.made)

    def looks(self) -> Any:
        """All that this customer has, without what differs from one customer to the next: ids and instants."""
        balance = self._read("credits?include_blocks=true")
        if balance.status == 404:
            return "no such customer"
        return {
            "credits": {
                name: done(balance)[name] for name in ("balance", "reserved_balance", "effective_balance")
            },
            "blocks": _of_each(
                balance["blocks"], "original_amount", "remaining_amount", "held_amount", "source"
            ),
            "history": _of_each(self._list("credits/history"), "sequence", "kind", "amount", "balance_after"),
            "reservations": _of_each(self._list("reservations"), "status", "reserved_amount", "cost"),
        }

    def _list(self, what: str) -> list[dict[str, Any]]:
        return list(done(self._read(what))["data"])

    def _read(self, what: str) -> Answer:
        return self.backend.get(f"{_customer(self.who)}/{what}")


def _of_each(items: list[dict[str, Any]], *members: str) -> list[dict[str, Any]]:
    return [{member: item[member] for member in members} for item in items]


def done(answer: Answer) -> Answer:
    assert 200 <= answer.status < 300, answer
    return answer


def send_at_once(cases: list[Case]) -> list[Future[Answer | None]]:
    """Each from a thread of its own; None for a call of which nothing was heard again."""

    def send(case: Case) -> Answer | None:
        try:
            return case.send()
        except Lost:
            return None

    threads = ThreadPoolExecutor(max(1, len(cases)))
    flying = [threads.submit(send, case) for case in cases]
    threads.shutdown(wait=False)
    return flying
