"""A moved clock is the time of every process at once; and what goes by the wall clock goes on by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import override_settings
from standardwebhooks import Webhook

from customers.api import rate_limits
from customers.kernel.clock import elapsed_seconds, system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse
from customers.kernel.rate_limit import RateLimiter
from customers.models import IdempotencyRecord
from customers.services import authentication
from customers.services.authentication import KnownKey
from customers.services.idempotency import answers_purge
from customers.services.webhook_dispatch import endpoint_deliver, events_hand_out
from metering.selectors import config as metering_config
from tests.conftest import Api
from tests.customers.webhook_receiver import receiving
from tests.making import balance, give, history, make_metric, use

NEW_YEAR = "2026-01-01T00:00:00Z"
MARCH = "2026-03-01T00:00:00Z"


@pytest.fixture
def clocked(api: Api) -> Api:
    assert api.post("/v1/test-clock", {"frozen_time": NEW_YEAR}).status == 200
    make_metric(api)
    give(api, 100_000)
    return api


class OtherProcess:
    """What another process remembers: this one's memory from before, put back behind the clock's back."""

    def __init__(self) -> None:
        self.keys: dict[bytes, tuple[KnownKey, float]] = dict(authentication._remembered)

    def remembers(self, catalogue: str) -> None:
        """With a `new` catalogue it read metrics and rules since, for another key."""
        later = elapsed_seconds() + 60
        for digest, (key, _) in self.keys.items():
            authentication._remembered[digest] = (key, later)
            metering_config._outdated.discard(key.environment_id)
            if catalogue == "new":
                metering_config.config_reload(key.environment_id)


WISH: dict[str, Any] = {"external_customer_id": "user_1", "billable_metric_key": "api_call"}


def used(api: Api) -> str:
    assert use(api, 1).status == 202
    return str(history(api)[0]["occurred_at"])


def used_in_a_batch(api: Api) -> str:
    events = [{**WISH, "units": 1, "idempotency_key": uuid4().hex}]
    assert api.post("/v1/usage/batch", {"events": events})["accepted"] == 1
    return str(history(api)[0]["occurred_at"])


def reserved(api: Api) -> str:
    wish = {**WISH, "estimated_units": 1, "ttl_seconds": 60}
    return str(api.post("/v1/reserve", wish, idempotency_key=uuid4().hex)["created_at"])


def checked(api: Api) -> str:
    return str(api.get("/v1/customer-by-external-id/user_1/entitlements/api_call")["as_of"])


def checked_together(api: Api) -> str:
    asked = {"customers": [{"external_customer_id": "user_1"}], "metric_keys": ["api_call"]}
    return str(api.post("/v1/entitlements/query", asked)["as_of"])


def reported(api: Api) -> str:
    asked = "metric=api_call&from=2025-12-01T00:00:00Z"
    return str(api.get(f"/v1/customer-by-external-id/user_1/usage?{asked}")["to"])


#: What tells by which time it was answered.
READS: dict[str, Callable[[Api], str]] = {
    "usage": used,
    "batch": used_in_a_batch,
    "balance": lambda api: str(balance(api)["as_of"]),
    "entitlement": checked,
    "entitlements": checked_together,
    "reservation": reserved,
    "usage report": reported,
}


@pytest.mark.parametrize("what", READS)
@pytest.mark.parametrize("catalogue", ["old", "new"])
def test_a_process_that_knew_the_old_time_answers_by_the_new_one(clocked, what, catalogue):
    read = READS[what]
    assert read(clocked) == NEW_YEAR
    other = OtherProcess()
    assert clocked.post("/v1/test-clock/advance", {"to": MARCH}).status == 200
    other.remembers(catalogue)

    assert read(clocked) == MARCH


def test_a_rule_that_begins_meanwhile_is_in_effect_at_once(clocked):
    clocked.post("/v1/billable-metrics", {"key": "later", "name": "later"})
    rule = {"billable_metric_key": "later", "cost_type": "flat", "unit_cost": 7, "effective_from": MARCH}
    assert clocked.post("/v1/metering-rules", rule).status == 201
    assert use(clocked, 1, metric="later").refusal()[1] == "no-active-metering-rule"
    other = OtherProcess()
    clocked.post("/v1/test-clock/advance", {"to": MARCH})
    other.remembers("new")

    assert use(clocked, 1, metric="later")["estimated_cost"] == 7


def test_keys_expire_by_the_wall_clock(clocked):
    soon = (system_now() + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    key = Api(clocked.post("/v1/api-keys", {"name": "short", "expires_at": soon})["secret"])

    clocked.post("/v1/test-clock/advance", {"to": "2099-01-01T00:00:00Z"})

    assert key.get("/v1/customers").status == 200
    assert balance(key)["as_of"] == "2099-01-01T00:00:00Z"
    past = {"name": "past", "expires_at": "2098-01-01T00:00:00Z"}
    assert clocked.post("/v1/api-keys", past).status == 201


def test_answers_are_kept_by_the_wall_clock(clocked, acme):
    body = {"credits": 5}
    path = "/v1/customer-by-external-id/user_1/credits/grant"
    first = clocked.post(path, body, idempotency_key="kept")
    clocked.post("/v1/test-clock/advance", {"to": "2099-01-01T00:00:00Z"})

    answers_purge(now=system_now())

    assert clocked.post(path, body, idempotency_key="kept").bytes == first.bytes
    with environment_scope(acme.test.id):
        record = IdempotencyRecord.objects.get(key="kept")
        assert abs(record.created_at - system_now()) < timedelta(minutes=5)
        assert record.status == 201


def test_rate_limits_go_by_the_wall_clock(clocked, monkeypatch):
    narrow = RateLimiter(redis_url=settings.REDIS_URL, rates={"other": 1}, burst_seconds=3)
    monkeypatch.setattr(rate_limits, "limiter", narrow)

    # Years give no tokens back.
    statuses = [
        clocked.post("/v1/test-clock/advance", {"to": f"{year}-01-01T00:00:00Z"}).status
        for year in range(2027, 2037)
    ]

    assert (statuses[:3], statuses[-1]) == ([200, 200, 200], 429)


def test_webhooks_are_delivered_and_signed_by_the_wall_clock(clocked, acme):
    with receiving() as receiver, override_settings(WEBHOOKS_ALLOW_PRIVATE=True, WEBHOOKS_DOORBELL=False):
        made = clocked.post("/v1/webhook-endpoints", {"url": receiver.url, "events": ["credit.expired"]})
        assert made.status == 201, made
        give(clocked, 500, expires_at="2026-02-01T00:00:00Z", priority=9)
        clocked.post("/v1/test-clock/advance", {"to": MARCH})
        with environment_scope(acme.test.id):
            events_hand_out(environment_id=acme.test.id)
            endpoint = typeid_parse("whe", made["id"])
            assert endpoint is not None
            assert endpoint_deliver(environment_id=acme.test.id, endpoint_id=endpoint) == 1

    (got,) = receiver.received
    # Refuses timestamps that are more than five minutes off.
    told = Webhook(made["secret"]).verify(got.body, got.headers)
    assert (told["event"], told["created_at"]) == ("credit.expired", "2026-02-01T00:00:00Z")
