"""Real usage under a draft rule: before, after, difference; and the rules in force come to what was charged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Job
from customers.services import jobs
from customers.services.jobs import job_run
from metering.models import CycleCounter, MeteringRule
from metering.services import replays
from metering.services.rules import rule_create
from metering.services.usage import UsageInput, usage_record
from tests.conftest import Api, Character, make_character
from tests.making import make_metric

MARCH = datetime(2026, 3, 10, tzinfo=UTC)
TIERS = [{"up_to": 10, "credit_cost": 1000}, {"up_to": None, "credit_cost": 500}]
SPRING = {"from": "2026-03-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}


def make_rule(acme: Character, terms: dict[str, Any], *, now: datetime = MARCH, **scope: Any) -> MeteringRule:
    """A rule from a chosen instant on: the API knows only the present."""
    with environment_scope(acme.test.id):
        return rule_create(
            caller=acme.test.caller,
            metric_key="api_call",
            definition=terms,
            now=now - timedelta(days=60),
            **scope,
        )


def metered(api: Api, acme: Character, terms: dict[str, Any]) -> None:
    assert api.post("/v1/metrics", {"key": "api_call"}).status == 201
    make_rule(acme, terms)


def customer(api: Api, name: str = "user_1") -> str:
    """Somebody who may overdraw, so that no grant stands in the way of a past that is made up."""
    body = {"external_id": name, "overage_policy": "allow"}
    return str(api.post("/v1/customers", body)["id"])


def used(
    acme: Character, units: Sequence[Any], *, by: str = "user_1", at: datetime = MARCH, **properties: Any
) -> list[int]:
    """Events a second after each other; what they cost."""
    return [
        usage_record(
            caller=acme.test.caller,
            usage=UsageInput(
                by="external",
                reference=by,
                metric_key="api_call",
                units=one,
                key=uuid4().hex,
                properties=properties or None,
            ),
            now=at + timedelta(seconds=second),
        ).cost_mc
        for second, one in enumerate(units)
    ]


def replay(api: Api, terms: dict[str, Any], **of: Any) -> Any:
    body = {"billable_metric_key": "api_call", **terms, "replay": {**SPRING, **of}}
    return api.post("/v1/metering-rules/preview", body)


def result(api: Api, terms: dict[str, Any], **of: Any) -> dict[str, Any]:
    answer = replay(api, terms, **of)
    assert (answer.status, answer["state"]) == (202, "done"), answer
    return dict(answer["result"])


def rows(api: Api, job_id: str) -> dict[str, dict[str, Any]]:
    answer = api.get(f"/v1/jobs/{job_id}/results?limit=100")
    return {row["external_customer_id"]: row for row in answer["data"]}


def test_before_after_and_difference_of_each_customer_and_in_all(api: Api, acme: Character) -> None:
    metered(api, acme, {"cost_type": "per_unit", "unit_cost": 1000})
    customer_id = customer(api, "a")
    customer(api, "b")
    assert used(acme, [1, 2], by="a") == [1000, 2000]
    assert used(acme, [30], by="b") == [30000]

    answer = replay(api, {"cost_type": "tiered", "tiers": TIERS})

    assert answer["state"] == "done"
    assert answer["progress"] == {"done": 3, "total": 3}
    assert answer["result"] == {
        "billable_metric_key": "api_call",
        **SPRING,
        "events": 3,
        "before": 33000,
        "after": 23000,
        "difference": -10000,
        "kept_events": 0,
        "unpriced_events": 0,
        "reproduced": True,
        "mismatched_events": 0,
        "customers": 2,
        "winners": 1,
        "losers": 0,
        "unchanged": 1,
    }
    found = rows(api, answer["id"])
    assert found["a"] == {
        "customer_id": customer_id,
        "external_customer_id": "a",
        "display_name": None,
        "events": 2,
        "before": 3000,
        "after": 3000,
        "difference": 0,
        "kept_events": 0,
        "unpriced_events": 0,
        "reproduced": True,
        "mismatched_events": 0,
    }
    assert (found["b"]["before"], found["b"]["after"], found["b"]["difference"]) == (30000, 20000, -10000)


def test_nothing_is_changed(api: Api, acme: Character) -> None:
    metered(api, acme, {"cost_type": "tiered", "tiers": TIERS})
    customer(api)
    used(acme, [7])
    with environment_scope(acme.test.id):
        before = (list(MeteringRule.objects.values()), list(CycleCounter.objects.values()))
    history = api.get("/v1/customer-by-external-id/user_1/credits/history").json
    result(api, {"cost_type": "flat", "unit_cost": 1})
    with environment_scope(acme.test.id):
        assert (list(MeteringRule.objects.values()), list(CycleCounter.objects.values())) == before
    assert api.get("/v1/customer-by-external-id/user_1/credits/history").json == history


def test_tiers_begin_anew_with_each_month(api: Api, acme: Character) -> None:
    metered(api, acme, {"cost_type": "flat", "unit_cost": 0})
    customer(api)
    used(acme, [10, 10])
    used(acme, [10, 10], at=MARCH + timedelta(days=31))
    assert result(api, {"cost_type": "tiered", "tiers": TIERS})["after"] == 2 * (10000 + 5000)


def test_a_replay_from_the_middle_of_a_cycle_counts_from_where_it_stood(api: Api, acme: Character) -> None:
    # given 8 units before the beginning
    metered(api, acme, {"cost_type": "per_unit", "unit_cost": 1})
    customer(api)
    used(acme, [8])
    used(acme, [4], at=MARCH + timedelta(days=1))
    # then two of the four are in the first tier
    found = result(api, {"cost_type": "tiered", "tiers": TIERS}, **{"from": "2026-03-11T00:00:00Z"})
    assert (found["events"], found["before"], found["after"]) == (1, 4, 3000)


def test_a_subscriptions_cycle_is_known_by_what_was_counted_in_it(
    api: Api, acme: Character, superuser_sql: Any
) -> None:
    # given a cycle from the 10th to the 10th
    metered(api, acme, {"cost_type": "tiered", "tiers": TIERS})
    customer(api)
    superuser_sql.execute(
        "INSERT INTO billing_credit_account (customer_id, environment_id, cycle_started_at, cycle_ends_at) "
        "SELECT id, environment_id, '2026-03-10Z', '2026-04-10Z' FROM customers_customer WHERE environment_id = %s",
        [acme.test.id],
    )
    assert used(acme, [8], at=MARCH + timedelta(days=1)) == [8000]
    assert used(acme, [8], at=MARCH + timedelta(days=25)) == [2000 + 3000]
    superuser_sql.execute(
        "UPDATE billing_credit_account SET cycle_started_at = '2026-04-10Z', cycle_ends_at = '2026-05-10Z' "
        "WHERE environment_id = %s",
        [acme.test.id],
    )
    assert used(acme, [8], at=MARCH + timedelta(days=35)) == [8000]
    # then
    found = result(api, {"cost_type": "tiered", "tiers": TIERS})
    assert (found["before"], found["after"], found["reproduced"]) == (21000, 21000, True)


def test_a_customers_own_rule_is_kept_unless_the_draft_is_for_that_customer(
    api: Api, acme: Character
) -> None:
    metered(api, acme, {"cost_type": "per_unit", "unit_cost": 1000})
    customer(api, "a")
    own = customer(api, "b")
    from_api = api.post(
        "/v1/metering-rules",
        {"billable_metric_key": "api_call", "customer_id": own, "cost_type": "flat", "unit_cost": 7},
    )
    assert from_api.status == 201
    used(acme, [2], by="a")
    later = system_now() + timedelta(minutes=1)
    used(acme, [2], by="b", at=later)
    draft = {"cost_type": "per_unit", "unit_cost": 10}
    found = _later(api, acme, draft, later)
    assert (found["before"], found["after"], found["kept_events"]) == (2007, 27, 1)
    found = _later(api, acme, draft, later, external_customer_id="b")
    assert (found["before"], found["after"], found["kept_events"], found["customers"]) == (7, 20, 0, 1)


def _later(api: Api, acme: Character, terms: dict[str, Any], now: datetime, **of: Any) -> dict[str, Any]:
    """As `result`, an hour after `now`."""
    customer_id = None
    if "external_customer_id" in of:
        shown = api.get(f"/v1/customer-by-external-id/{of['external_customer_id']}")
        customer_id = UUID(shown["id"])
    with environment_scope(acme.test.id):
        job = replays.replay_start(
            caller=acme.test.caller,
            asked=replays.ReplayAsked(
                definition=terms,
                metric_key="api_call",
                begin=MARCH,
                end=now + timedelta(hours=1),
                customer_id=customer_id,
            ),
            now=now + timedelta(hours=1),
            clock=system_now,
        )
        assert job.result is not None
        return dict(job.result)


def test_what_the_draft_has_no_rate_for_is_told(api: Api, acme: Character) -> None:
    metered(api, acme, {"cost_type": "per_unit", "unit_cost": 10})
    customer(api)
    used(acme, [1], model="large")
    used(acme, [1, 1], model="small")
    draft = {"dimension": "model", "rates": {"large": {"cost_type": "flat", "unit_cost": 50}}}
    found = result(api, draft)
    assert (found["after"], found["unpriced_events"], found["reproduced"]) == (50, 2, True)


def test_rates_count_each_value_for_itself(api: Api, acme: Character) -> None:
    rates = {"*": {"cost_type": "tiered", "tiers": TIERS}}
    metered(api, acme, {"cost_type": "flat", "unit_cost": 0})
    customer(api)
    for model in ("a", "b"):
        used(acme, [11], at=MARCH + timedelta(minutes=ord(model)), model=model)
    assert result(api, {"dimension": "model", "rates": rates})["after"] == 2 * 10500
    assert result(api, {"cost_type": "tiered", "tiers": TIERS})["after"] == 10000 + 6000


def test_a_charge_that_its_rule_does_not_come_to_is_found(
    api: Api, acme: Character, superuser_sql: Any
) -> None:
    metered(api, acme, {"cost_type": "per_unit", "unit_cost": 10})
    customer(api)
    used(acme, [1, 2, 3])
    superuser_sql.execute("ALTER TABLE metering_usage_event DISABLE TRIGGER USER")
    superuser_sql.execute(
        "UPDATE metering_usage_event SET cost_mc = 21 WHERE units = 2 AND environment_id = %s", [acme.test.id]
    )
    superuser_sql.execute("ALTER TABLE metering_usage_event ENABLE TRIGGER USER")
    found = result(api, {"cost_type": "per_unit", "unit_cost": 10})
    assert (found["before"], found["after"], found["reproduced"], found["mismatched_events"]) == (
        61,
        60,
        False,
        1,
    )


def test_voided_events_are_left_out(api: Api, acme: Character) -> None:
    metered(api, acme, {"cost_type": "tiered", "tiers": TIERS})
    customer(api)
    assert used(acme, [8, 4]) == [8000, 3000]
    event_id = api.get("/v1/events")["data"][1]["id"]
    assert api.post(f"/v1/events/{event_id}/void", {"reason": "a test"}, idempotency_key="v").status == 200
    found = result(api, {"cost_type": "tiered", "tiers": TIERS})
    assert (found["events"], found["before"], found["after"], found["reproduced"]) == (1, 3000, 4000, True)


@pytest.fixture
def many(api: Api, acme: Character, monkeypatch: Any) -> Api:
    """Ten customers with three events each, which is much."""
    monkeypatch.setattr(replays, "AT_ONCE_MAX", 10)
    monkeypatch.setattr(replays, "_CUSTOMERS_OF_A_SAVE", 2)
    monkeypatch.setattr(replays, "_ROWS", 4)
    metered(api, acme, {"cost_type": "tiered", "tiers": TIERS})
    for number in range(10):
        customer(api, f"c{number}")
        used(acme, [8, 1, 3], by=f"c{number}")
    return api


def run(acme: Character, job_id: str, clock: Any = system_now) -> None:
    with environment_scope(acme.test.id):
        job = next(job for job in Job.objects.all() if job.public_id == job_id)
    job_run(environment_id=acme.test.id, job_id=job.id, clock=clock)


def test_much_is_a_job(many: Api, acme: Character) -> None:
    answer = replay(many, {"cost_type": "per_unit", "unit_cost": 1})
    assert (answer.status, answer["state"], answer["result"]) == (202, "queued", None)
    run(acme, answer["id"])
    done = many.get(f"/v1/jobs/{answer['id']}")
    assert (done["state"], done["progress"]) == ("done", {"done": 30, "total": 30})
    assert (done["result"]["before"], done["result"]["after"]) == (110_000, 120)
    assert done["result"]["winners"] == 10
    assert len(rows(many, answer["id"])) == 10


def test_a_worker_that_dies_in_the_middle_is_gone_on_from(
    many: Api, acme: Character, monkeypatch: Any
) -> None:
    # given a worker that is gone after its second save
    answer = replay(many, {"cost_type": "per_unit", "unit_cost": 1})
    saves: list[int] = []
    save = replays._save

    def dying(work: Any, found: Any) -> None:
        if len(saves) == 2:
            raise OperationalError("the server closed the connection")
        save(work, found)
        saves.append(1)

    monkeypatch.setattr(replays, "_save", dying)
    with pytest.raises(OperationalError):
        run(acme, answer["id"])
    monkeypatch.setattr(replays, "_save", save)
    assert len(rows(many, answer["id"])) == 4
    assert many.get(f"/v1/jobs/{answer['id']}")["progress"] == {"done": 12, "total": 30}
    # when
    run(acme, answer["id"], clock=lambda: system_now() + jobs.SILENCE * 2)
    # then
    done = many.get(f"/v1/jobs/{answer['id']}")
    assert (done["result"]["events"], done["result"]["before"], done["result"]["after"]) == (30, 110_000, 120)
    found = many.get(f"/v1/jobs/{answer['id']}/results?limit=100")["data"]
    assert len(found) == 10
    assert len({row["external_customer_id"] for row in found}) == 10


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"units": [1], "billable_metric_key": "api_call", "replay": SPRING},
        {"replay": SPRING},
        {"billable_metric_key": "api_call", "replay": {}},
        {"billable_metric_key": "api_call", "replay": {**SPRING, "to": "2026-03-01T00:00:00Z"}},
        {"billable_metric_key": "api_call", "replay": {**SPRING, "colour": "red"}},
        {"billable_metric_key": "api_call", "replay": {"from": "2126-03-01T00:00:00Z"}},
    ],
)
def test_bad_replays(api: Api, body: dict[str, Any]) -> None:
    make_metric(api)
    answer = api.post("/v1/metering-rules/preview", {"cost_type": "flat", "unit_cost": 1, **body})
    assert answer.refusal() == (422, "validation-failed")


def test_the_unknown(api: Api) -> None:
    draft = {"cost_type": "flat", "unit_cost": 1}
    assert replay(api, draft).refusal() == (422, "metric-not-found")
    make_metric(api)
    assert replay(api, draft, external_customer_id="nobody").refusal() == (404, "customer-not-found")
    assert replay(api, draft, external_customer_id="a", customer_id="a").refusal() == (
        400,
        "ambiguous-customer",
    )
    assert replay(api, {"cost_type": "flat"}).refusal() == (422, "invalid-metering-rule")


_TERMS: Any = st.sampled_from(
    [
        {"cost_type": "per_unit", "unit_cost": "0.7"},
        {"cost_type": "flat", "unit_cost": 3, "minimum_cost": 5},
        {"cost_type": "package", "package_size": 5, "package_cost": 100},
        {"cost_type": "tiered", "tiers": TIERS},
        {"cost_type": "tiered", "tiers": TIERS, "minimum_cost": 600},
        {"cost_type": "tiered", "tier_mode": "volume", "tiers": TIERS},
        {
            "dimension": "model",
            "rates": {
                "a": {"cost_type": "tiered", "tiers": TIERS},
                "*": {"cost_type": "tiered", "tier_mode": "volume", "tiers": TIERS},
            },
        },
    ]
)
#: Hours since the last event, units, model.
_USE = st.tuples(
    st.integers(0, 400),
    st.decimals(min_value="0.1", max_value=12, places=1),
    st.sampled_from(["a", "b", None]),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(terms=_TERMS, uses=st.lists(_USE, min_size=1, max_size=12))
def test_the_rule_in_force_replayed_comes_to_what_was_charged(terms: Any, uses: Any) -> None:
    acme = make_character("Replayed")
    api = Api(acme.test.secret)
    metered(api, acme, terms)
    customer(api)
    instant, charged = MARCH, 0
    for hours, units, model in uses:
        instant += timedelta(hours=hours, seconds=1)
        charged += sum(used(acme, [units], at=instant, **({"model": model} if model else {})))

    found = _later(api, acme, terms, instant)

    assert (found["before"], found["after"]) == (charged, charged)
    assert (found["reproduced"], found["events"]) == (True, len(uses))
