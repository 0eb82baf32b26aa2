"""Checks from the Redis snapshot: the same answers as the database's, whatever was written, and whatever Redis does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from time import sleep
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings as django_settings
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from customers.kernel.changes import customer_changed
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.instants import instant_text
from customers.models import Environment
from customers.services.customers import customer_resolve, customer_update
from customers.services.environments import config_bump
from metering.gateways import snapshot_store
from metering.services import snapshots
from metering.services.snapshots import Snapshots, snapshots_install, snapshots_remove
from tests.conftest import Api, Character, make_character, run_together
from tests.making import give, make_metric, make_rule, use

PATH = "/v1/customer-by-external-id/user_1"
TIERS = [{"up_to": 10, "credit_cost": 1000}, {"up_to": None, "credit_cost": 500}]


@pytest.fixture(scope="module")
def server() -> Any:
    return redis.Redis.from_url(django_settings.REDIS_URL)


@pytest.fixture(autouse=True)
def cache(server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Snapshots]:
    # A busy machine may take longer to answer than a product would wait.
    monkeypatch.setattr(snapshot_store, "_TIMEOUT_SECONDS", 2.0)
    with override_settings(ENTITLEMENTS_CACHE_SECONDS=2.0):
        yield snapshots_install()
    snapshots_remove()


def check(api: Api, *, metric: str = "api_call", of: str = "user_1", units: Any = 1) -> dict[str, Any]:
    answer = api.get(f"/v1/customer-by-external-id/{of}/entitlements/{metric}?units={units}")
    assert answer.status == 200, answer
    return dict(answer.json)


def cached(api: Api, **asked: Any) -> dict[str, Any]:
    """An answer from the snapshot: the first check learns the customer's id, the second fills, the third finds."""
    for _ in range(2):
        check(api, **asked)
    found = check(api, **asked)
    assert found["source"] == "cache"
    return found


def from_database(api: Api, **asked: Any) -> dict[str, Any]:
    installed = snapshots._installed[:]
    snapshots._installed.clear()
    try:
        return check(api, **asked)
    finally:
        snapshots._installed.extend(installed)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert {**one, "as_of": "", "source": ""} == {**other, "as_of": "", "source": ""}


@pytest.fixture
def priced(api: Api) -> Api:
    make_metric(api)
    give(api, 100_000)
    return api


def test_the_third_check_comes_from_the_snapshot_and_says_the_same(priced: Api) -> None:
    assert check(priced)["source"] == "database"
    assert check(priced)["source"] == "database"
    found = check(priced)
    assert found["source"] == "cache"
    same(found, from_database(priced))


def test_by_either_id_and_for_each_metric(priced: Api) -> None:
    make_metric(priced, key="tiered", cost_type="tiered", tiers=TIERS)
    use(priced, 8, metric="tiered")
    same(cached(priced, metric="tiered", units=5), from_database(priced, metric="tiered", units=5))
    customer_id = cached(priced)["customer_id"]
    answers = [priced.get(f"/v1/customers/{customer_id.upper()}/entitlements/api_call") for _ in range(3)]
    assert answers[-1]["source"] == "cache"


WRITES: dict[str, Callable[[Api], Any]] = {
    "usage": lambda api: use(api, 3),
    "usage in a batch": lambda api: api.post(
        "/v1/usage/batch",
        {"events": [{"external_customer_id": "user_1", "billable_metric_key": "api_call", "units": 2}]},
        idempotency_key=uuid4().hex,
    ),
    "a grant": lambda api: give(api, 777),
    "a grant for one metric": lambda api: give(api, 777, metric_keys=["other"]),
    "an adjustment": lambda api: api.post(
        "/v1/customer-by-external-id/user_1/credits/adjust", {"delta": -500}, idempotency_key=uuid4().hex
    ),
    "a policy": lambda api: api.patch(
        "/v1/customer-by-external-id/user_1", {"overage_policy": "allow", "overage_limit": 12_345}
    ),
    "a reservation": lambda api: api.post(
        "/v1/reserve",
        {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 9},
        idempotency_key=uuid4().hex,
    ),
    "a topup": lambda api: api.post(
        "/v1/topup/grant", {"external_customer_id": "user_1", "credits": 4321}, idempotency_key=uuid4().hex
    ),
    "a rule": lambda api: make_rule(api, cost_type="per_unit", unit_cost=333),
    "a metric made inactive": lambda api: api.patch("/v1/metrics/api_call", {"status": "inactive"}),
}


@pytest.mark.parametrize("what", WRITES)
def test_the_check_after_a_write_is_right(priced: Api, what: str) -> None:
    before = cached(priced)
    answer = WRITES[what](priced)
    if hasattr(answer, "status"):
        assert answer.status < 300, answer
    after = check(priced)
    same(after, from_database(priced))
    if what != "a metric made inactive":
        assert {**after, "as_of": "", "source": ""} != {**before, "as_of": "", "source": ""}
    same(cached(priced), after)


def test_an_external_id_that_goes_to_another_customer(priced: Api) -> None:
    old = cached(priced)["customer_id"]
    assert priced.delete("/v1/customer-by-external-id/user_1").status == 204
    assert priced.post("/v1/customers", {"external_id": "user_1"}).status == 201
    found = check(priced)
    assert (found["customer_id"] == old, found["balance"]) == (False, 0)


def test_an_external_id_that_is_given_up(priced: Api) -> None:
    cached(priced)
    priced.patch("/v1/customer-by-external-id/user_1", {"external_id": "user_2"})
    answer = priced.get("/v1/customer-by-external-id/user_1/entitlements/api_call")
    assert answer.refusal() == (404, "customer-not-found")
    assert check(priced, of="user_2")["balance"] == 100_000


def test_time_alone_ends_a_snapshot(priced: Api) -> None:
    give(priced, 9000, expires_at=instant_text(system_now() + timedelta(seconds=1)))
    assert cached(priced)["balance"] == 109_000
    sleep(1.05)
    found = check(priced)
    assert (found["source"], found["balance"]) == ("database", 100_000)


def test_a_snapshot_ends_soon_in_any_case(priced: Api) -> None:
    cached(priced)
    sleep(2.05)
    assert check(priced)["source"] == "database"


def test_nothing_is_kept_while_a_writer_has_not_committed(priced: Api, acme: Character) -> None:
    # given an open transaction that has changed the policy
    cached(priced)
    environment_id = acme.test.id
    with environment_scope(environment_id):
        customer = customer_resolve(environment_id=environment_id, by="external", reference="user_1")
        with transaction.atomic():
            customer_update(
                caller=acme.test.caller,
                customer_id=customer.id,
                attributes={"overage_policy": "allow"},
                now=system_now(),
            )
            # when others ask meanwhile, and would keep what they read
            answers = _in_thread(lambda: [check(priced) for _ in range(3)])
            assert [answer["source"] for answer in answers] == ["database"] * 3
            assert answers[-1]["overage_policy"] == "block"
    # then the first check after the commit is right
    assert check(priced)["overage_policy"] == "allow"
    assert cached(priced)["overage_policy"] == "allow"


def _in_thread(deed: Callable[[], Any]) -> Any:
    return run_together(1, lambda _: deed())[0]


def test_what_was_read_before_a_change_is_not_kept_after_it(priced: Api, cache: Snapshots) -> None:
    """A slow reader: it looked, and read the database, before a write that is over when it fills."""
    cached(priced)
    use(priced, 1)
    keep = cache._store.keep

    def slow(*arguments: Any, **options: Any) -> None:
        cache._store.keep = keep  # type: ignore[method-assign]
        use(priced, 5)
        keep(*arguments, **options)

    cache._store.keep = slow  # type: ignore[method-assign]
    assert check(priced)["balance"] == 99_000
    assert check(priced)["balance"] == 94_000


def test_a_poisoned_snapshot_misleads_a_read_for_a_moment_and_never_a_debit(priced: Api, server: Any) -> None:
    # given somebody who writes ten times the balance into Redis
    cached(priced)
    for key in server.keys("purser:entitlements:*"):
        if server.type(key) != b"hash" or not server.hexists(key, "snapshot"):
            continue
        kept = snapshots._snapshot_of(server.hget(key, "snapshot"))
        kept.balance *= 10
        server.hset(key, "snapshot", snapshots._encode(kept))
    assert check(priced)["balance"] == 1_000_000
    # then usage still is refused
    assert use(priced, 101).status == 402
    # and the read is right again when the snapshot ends
    sleep(2.05)
    assert check(priced)["balance"] == 100_000


def test_nonsense_in_redis_is_no_answer(priced: Api, server: Any) -> None:
    cached(priced)
    for key in server.keys("purser:entitlements:*"):
        if server.type(key) == b"hash":
            server.hset(key, "snapshot", b"\xc1nonsense")
    assert check(priced)["balance"] == 100_000


def test_without_redis_the_database_answers(priced: Api, monkeypatch: Any) -> None:
    cached(priced)
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        snapshots_remove()
        snapshots_install()
    found = check(priced)
    assert (found["source"], found["balance"]) == ("database", 100_000)


def test_a_writer_that_cannot_tell_redis_leaves_no_stale_snapshot(
    priced: Api, cache: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes: this one's Redis works, the writer's does not."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        sleep(seconds)

    monkeypatch.setattr("metering.services.snapshots.time.sleep", wait)
    cached(priced)
    broken = snapshot_store.SnapshotStore(redis_url="redis://127.0.0.1:1/0")
    working, cache._store = cache._store, broken
    use(priced, 1)
    # The first write waits until what is kept has ended; the next need not.
    assert waits == [2.0]
    cache._store = working
    assert check(priced)["balance"] == 99_000
    cache._store = broken
    use(priced, 1)
    assert waits == [2.0]
    cache._store = working
    assert [check(priced)["balance"] for _ in range(3)] == [98_000] * 3
    assert check(priced)["source"] == "database"


def test_a_redis_that_hangs_is_not_waited_for(
    priced: Api, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given the patience of a product, and a Redis that answers nobody for a while
    monkeypatch.setattr(snapshot_store, "_TIMEOUT_SECONDS", 0.05)
    snapshots_remove()
    snapshots_install()
    for _ in range(3):
        check(priced)
    server.execute_command("CLIENT", "PAUSE", 1500, "ALL")
    # then
    found = check(priced)
    assert (found["source"], found["balance"]) == ("database", 100_000)
    sleep(1.6)


def test_writing_costs_nothing_when_the_source_is_the_database(priced: Api, server: Any) -> None:
    snapshots_remove()
    server.flushdb()
    use(priced, 1)
    check(priced)
    assert server.keys("purser:entitlements:*") == []


_STEP = st.one_of(
    st.tuples(st.just("use"), st.sampled_from(["flat", "tiered", "other"]), st.integers(1, 6)),
    st.tuples(st.just("give"), st.sampled_from([None, ["tiered"], ["other"]]), st.integers(1, 9000)),
    st.tuples(st.just("give until"), st.none(), st.integers(1, 9000)),
    st.tuples(st.just("adjust"), st.none(), st.integers(-3000, 3000).filter(bool)),
    st.tuples(st.just("hold"), st.sampled_from(["flat", "tiered"]), st.integers(1, 4)),
    st.tuples(st.just("policy"), st.sampled_from(["block", "allow", "notify"]), st.integers(0, 5000)),
    st.tuples(st.just("rule"), st.sampled_from(["flat", "tiered"]), st.integers(1, 900)),
    st.tuples(st.just("own rule"), st.just("tiered"), st.integers(1, 900)),
    st.tuples(st.just("suspend"), st.sampled_from([None, "subscription_overdue"]), st.none()),
    st.tuples(st.just("cycle"), st.none(), st.integers(1, 40)),
    st.tuples(st.just("time passes"), st.none(), st.integers(1, 40)),
    st.tuples(st.just("redis is flushed"), st.none(), st.none()),
    st.tuples(st.just("redis hangs"), st.none(), st.none()),
    st.tuples(st.just("redis goes back"), st.none(), st.none()),
)


class Life:
    """One customer under a test clock, whose writes are acknowledged one by one."""

    def __init__(self, server: Any, superuser: Any) -> None:
        self.server, self.superuser = server, superuser
        self.acme = make_character("Fresh")
        self.api = Api(self.acme.test.secret)
        self.instant = system_now()
        self._clock()
        metrics: dict[str, dict[str, Any]] = {
            "flat": {"cost_type": "flat", "unit_cost": 70},
            "tiered": {"cost_type": "tiered", "tiers": TIERS},
            "other": {"cost_type": "per_unit", "unit_cost": 9},
        }
        for key, terms in metrics.items():
            make_metric(self.api, key=key, **terms)
        give(self.api, 20_000)
        self.customer_id = self.api.get("/v1/customer-by-external-id/user_1")["id"]
        self.dump: dict[Any, Any] = {}

    def _clock(self) -> None:
        with environment_scope(self.acme.test.id), transaction.atomic():
            Environment.objects.filter(id=self.acme.test.id).update(frozen_at=self.instant)
            config_bump(environment_id=self.acme.test.id)

    def _account(self, assignments: str, values: list[Any]) -> None:
        """What a subscription pushes down onto the account, in its transaction."""
        with transaction.atomic():
            customer_changed(self.acme.test.id, UUID(self.customer_id))
            self.superuser.execute(
                f"UPDATE billing_credit_account SET {assignments} WHERE customer_id = %s",
                [*values, self.customer_id],
            )

    def do(self, what: str, which: Any, number: Any) -> None:
        getattr(self, f"do_{what.replace(' ', '_')}")(which, number)

    def do_use(self, metric: str, units: int) -> None:
        use(self.api, units, metric=metric)

    def do_give(self, metrics: Any, amount: int) -> None:
        give(self.api, amount, **({"metric_keys": metrics} if metrics else {}))

    def do_give_until(self, _: Any, amount: int) -> None:
        give(self.api, amount, expires_at=instant_text(self.instant + timedelta(days=10)))

    def do_adjust(self, _: Any, delta: int) -> None:
        self.api.post(f"{PATH}/credits/adjust", {"delta": delta}, idempotency_key=uuid4().hex)

    def do_hold(self, metric: str, units: int) -> None:
        body = {"external_customer_id": "user_1", "billable_metric_key": metric, "estimated_units": units}
        self.api.post("/v1/reserve", body, idempotency_key=uuid4().hex)

    def do_policy(self, policy: str, limit: int) -> None:
        self.api.patch(PATH, {"overage_policy": policy, "overage_limit": limit})

    def do_rule(self, metric: str, price: int) -> None:
        tiers = [{"up_to": None, "credit_cost": price}]
        make_rule(self.api, key=metric, cost_type="tiered", tiers=tiers)

    def do_own_rule(self, metric: str, price: int) -> None:
        terms = {"cost_type": "package", "package_size": 3, "package_cost": price}
        make_rule(self.api, key=metric, customer_id=self.customer_id, **terms)

    def do_suspend(self, reason: str | None, _: Any) -> None:
        self._account("usage_suspended = %s", [reason])

    def do_cycle(self, _: Any, days: int) -> None:
        end = self.instant + timedelta(days=days)
        self._account("cycle_started_at = %s, cycle_ends_at = %s", [self.instant, end])

    def do_time_passes(self, _: Any, days: int) -> None:
        self.instant += timedelta(days=days)
        self._clock()

    def do_redis_is_flushed(self, *_: Any) -> None:
        self.server.flushdb()

    def do_redis_hangs(self, *_: Any) -> None:
        self.server.execute_command("CLIENT", "PAUSE", 120, "ALL")

    def do_redis_goes_back(self, *_: Any) -> None:
        """As after a restart from what was on disk some writes ago, tokens and all: every connection breaks."""
        for key, value in self.dump.items():
            self.server.restore(key, 0, value, replace=True)
        keys = self.server.keys("purser:entitlements:*")
        self.dump = {key: self.server.dump(key) for key in keys}
        self.server.execute_command("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")


@settings(max_examples=12, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(_STEP, min_size=4, max_size=14))
def test_cache_and_database_never_differ(server: Any, superuser_sql: Any, steps: list[Any]) -> None:
    life = Life(server, superuser_sql)
    for step in steps:
        life.do(*step)
        for metric in ("tiered", "flat", "other"):
            for units in (1, 7):
                same(
                    check(life.api, metric=metric, units=units),
                    from_database(life.api, metric=metric, units=units),
                )
