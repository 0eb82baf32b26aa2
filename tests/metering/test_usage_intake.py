"""Usage from a queue: delivered at least once, recorded exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from billing.errors import CatchUpFailed
from customers.errors import MalformedRequest
from customers.kernel.clock import system_now
from metering.services import usage_intake as service
from metering.services.usage_intake import TryAgain
from metering.tasks import usage_intake_run
from tests.conftest import Api, Character
from tests.making import balance, give, make_metric, use


@pytest.fixture
def priced(api: Api) -> Api:
    """A metric `api_call` at 1,000 mc a unit, one without a price, and user_1 with 10,000 mc."""
    make_metric(api)
    api.post("/v1/metrics", {"key": "plain", "name": "plain"})
    give(api, 10_000)
    return api


def event(key: str, units: Any = 1, **more: Any) -> dict[str, Any]:
    return {
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "units": units,
        "idempotency_key": key,
        **more,
    }


def deliver(acme: Character, *events: Any) -> dict[str, int]:
    return usage_intake_run(str(acme.test.id), json.dumps(events))


def test_a_delivery_is_recorded_once_however_often_it_comes(priced: Api, acme: Character) -> None:
    events = [
        event("a"),
        event("b", "0.5"),
        {"external_customer_id": "user_1", "metric_key": "plain", "value": 0.5, "idempotency_key": "c"},
    ]
    assert deliver(acme, *events) == {"accepted": 3, "duplicates": 0, "rejected": 0}
    assert deliver(acme, *events) == {"accepted": 0, "duplicates": 3, "rejected": 0}
    assert balance(priced)["balance"] == 8500


def test_workers_that_got_the_same_message_record_it_once(
    priced: Api, acme: Character, together: Callable[..., list[Any]]
) -> None:
    events = [event(f"k{n}") for n in range(10)]
    counts = together(6, lambda index: deliver(acme, *(events if index % 2 else events[::-1])))
    assert sum(count["accepted"] for count in counts) == 10
    assert balance(priced)["balance"] == 0


def test_the_api_and_the_queue_share_their_keys(priced: Api, acme: Character) -> None:
    use(priced, 2, idempotency_key="a")
    assert deliver(acme, event("a", 2)) == {"accepted": 0, "duplicates": 1, "rejected": 0}
    assert balance(priced)["balance"] == 8000


def test_what_is_wrong_is_left_out_and_the_rest_recorded(priced: Api, acme: Character) -> None:
    found = deliver(
        acme,
        event("a"),
        event("b", 100),
        event("c", billable_metric_key="nothing"),
        event("d", 0),
        event("e", customer_id="both"),
        {"no": "event"},
        "no object",
        event("", 1),
        event("f", timestamp="soon"),
        event("g"),
    )
    assert found == {"accepted": 2, "duplicates": 0, "rejected": 8}
    assert balance(priced)["balance"] == 8000


def test_many_are_recorded_in_several_transactions(priced: Api, acme: Character) -> None:
    many = [event(f"k{n}", metric_key="plain") for n in range(1200)]
    for each in many:
        del each["billable_metric_key"], each["units"]
    assert deliver(acme, *many) == {"accepted": 1200, "duplicates": 0, "rejected": 0}


def test_what_cannot_be_decided_now_is_delivered_again(
    priced: Api, acme: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(
        service, "usages_record", lambda **arguments: [CatchUpFailed() for _ in arguments["wishes"]]
    )
    # then
    with pytest.raises(TryAgain):
        service.usage_intake(
            environment_id=acme.test.id,
            events=json.dumps([event("a")]),
            actor="system:test",
            now=system_now(),
        )


def test_a_text_that_is_no_list_is_refused(priced: Api, acme: Character) -> None:
    with pytest.raises(MalformedRequest):
        usage_intake_run(str(acme.test.id), "{}")
