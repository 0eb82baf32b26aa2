"""What a process keeps of the catalogue, and how soon it knows of what others change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse, uuid7
from customers.services.customers import customer_create
from metering.engine.pricing import cost
from metering.errors import MetricInactive, MetricUnknown, NoActiveMeteringRule
from metering.selectors import config as config_module
from metering.selectors import rule_versions
from metering.selectors.config import (
    EnvironmentConfig,
    config_ask,
    config_current,
    config_forget,
    config_get,
    config_reload,
)
from metering.services.metrics import metric_create, metric_update
from metering.services.rules import rule_create
from tests.conftest import Api, Character
from tests.making import make_variant

NOW = datetime(2026, 4, 3, 9, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    config_forget()
    yield
    config_forget()


def make_metric(character: Character, key: str = "api_call") -> None:
    with environment_scope(character.test.id):
        metric_create(caller=character.test.caller, key=key, name=key, now=NOW)


def make_rule(character: Character, unit_cost: int, **wish: Any) -> UUID:
    wish = {"metric_key": "api_call", "now": NOW, **wish}
    definition = {"cost_type": "per_unit", "unit_cost": unit_cost}
    with environment_scope(character.test.id):
        return rule_create(caller=character.test.caller, definition=definition, **wish).id


def make_customer(character: Character) -> UUID:
    with environment_scope(character.test.id):
        return customer_create(caller=character.test.caller, external_id=uuid4().hex, now=NOW).id


def make_plan_variant(character: Character) -> UUID:
    made = typeid_parse("pvr", make_variant(Api(character.test.secret)))
    assert made is not None
    return made


def elsewhere(deed: Any) -> None:
    """In another process, as far as this one's memory goes: nobody here is told."""
    before = config_module._outdated.copy()

    def run() -> None:
        deed()
        connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join()
    config_module._outdated.clear()
    config_module._outdated.update(before)


def price(
    config: EnvironmentConfig,
    *,
    customer: UUID | None = None,
    variant: UUID | None = None,
    now: datetime = NOW,
) -> int:
    """mc of one unit of `api_call`."""
    metric = config.metric_for_usage("api_call")
    rule = config.rule_for_usage(metric, customer_id=customer, plan_variant_id=variant, now=now)
    found = rule.pricing.rate_of({})
    assert found is not None
    return cost(found[0], units=1, cycle_units=0, charged_mc=0)


def test_the_most_specific_rule_wins(acme):
    make_metric(acme)
    customer, other, variant = make_customer(acme), make_customer(acme), make_plan_variant(acme)
    make_rule(acme, 3)
    make_rule(acme, 2, plan_variant_id=variant)
    make_rule(acme, 1, customer_id=customer)
    config = config_get(acme.test.id)
    assert price(config) == 3
    assert price(config, customer=other) == 3
    assert price(config, customer=other, variant=uuid4()) == 3
    assert price(config, customer=other, variant=variant) == 2
    assert price(config, customer=customer, variant=variant) == 1
    assert price(config, customer=customer) == 1


@pytest.mark.parametrize("scope", ["default", "variant", "customer"])
def test_the_version_that_began_last_holds(acme, scope):
    make_metric(acme)
    customer, variant = make_customer(acme), make_plan_variant(acme)
    wish = {"default": {}, "variant": {"plan_variant_id": variant}, "customer": {"customer_id": customer}}[
        scope
    ]
    make_rule(acme, 1, **wish)
    make_rule(acme, 2, effective_from=NOW + timedelta(days=30), **wish)
    make_rule(acme, 3, now=NOW + timedelta(days=1), **wish)
    config = config_get(acme.test.id)
    for days, expected in ((0, 1), (1, 3), (29, 3), (30, 2), (300, 2)):
        assert price(config, customer=customer, variant=variant, now=NOW + timedelta(days=days)) == expected


def test_a_specific_rule_that_has_not_begun_leaves_the_general_one(acme):
    make_metric(acme)
    customer = make_customer(acme)
    make_rule(acme, 3)
    make_rule(acme, 1, customer_id=customer, effective_from=NOW + timedelta(days=1))
    config = config_get(acme.test.id)
    assert price(config, customer=customer) == 3
    assert price(config, customer=customer, now=NOW + timedelta(days=1)) == 1


def test_only_metrics_with_scoped_rules_are_scoped(acme):
    for key in ("api_call", "plain", "by_variant"):
        make_metric(acme, key)
    make_rule(acme, 1)
    make_rule(acme, 1, customer_id=make_customer(acme))
    make_rule(acme, 1, metric_key="plain")
    make_rule(acme, 1, metric_key="by_variant", plan_variant_id=make_plan_variant(acme))
    config = config_get(acme.test.id)
    scoped = {metric.key: metric.is_scoped for metric in config.metrics.values()}
    assert scoped == {"api_call": True, "plain": False, "by_variant": True}


def test_what_usage_cannot_use_is_refused(acme):
    with pytest.raises(MetricUnknown):
        config_ask(acme.test.id, price)
    make_metric(acme)
    with pytest.raises(NoActiveMeteringRule):
        config_ask(acme.test.id, price)
    make_rule(acme, 1, effective_from=NOW + timedelta(days=1))
    with pytest.raises(NoActiveMeteringRule):
        config_ask(acme.test.id, price)
    with environment_scope(acme.test.id):
        metric_update(caller=acme.test.caller, key="api_call", status="inactive", now=NOW)
    with pytest.raises(MetricInactive):
        config_ask(acme.test.id, price)


def test_a_snapshot_is_kept_and_asked_for_nothing(acme):
    make_metric(acme)
    make_rule(acme, 1)
    config = config_get(acme.test.id)
    assert config_get(acme.test.id) is config
    assert config_get(acme.test.id, config.version) is config
    assert config_current(acme.test.id) is config
    assert config_get(acme.test.id, config.version + 1) is not config


def test_what_another_process_made_a_moment_ago_works_at_once(acme):
    config = config_get(acme.test.id)
    elsewhere(lambda: make_metric(acme))
    assert config_get(acme.test.id) is config
    with pytest.raises(NoActiveMeteringRule):
        config_ask(acme.test.id, price)
    elsewhere(lambda: make_rule(acme, 7))
    assert config_ask(acme.test.id, price) == 7
    assert config_get(acme.test.id).version == config.version + 2


def test_what_this_process_changed_holds_at_once(acme):
    make_metric(acme)
    make_rule(acme, 1)
    assert price(config_get(acme.test.id)) == 1
    make_rule(acme, 2)
    assert price(config_get(acme.test.id)) == 2
    with environment_scope(acme.test.id):
        metric_update(caller=acme.test.caller, key="api_call", status="inactive", now=NOW)
    with pytest.raises(MetricInactive):
        price(config_get(acme.test.id))


def test_a_reload_reads_only_what_is_new_and_forgets_only_customers_that_changed(acme, monkeypatch):
    make_metric(acme)
    first, second = make_customer(acme), make_customer(acme)
    make_rule(acme, 9)
    for customer in (first, second):
        make_rule(acme, 1, customer_id=customer)
    config = config_get(acme.test.id)
    assert (price(config, customer=first), price(config, customer=second)) == (1, 1)
    elsewhere(lambda: make_rule(acme, 2, customer_id=second))
    reads = _reads(monkeypatch)
    config = config_reload(acme.test.id)
    assert len(config.rules) == 1
    assert price(config, customer=first) == 1
    assert reads == []
    assert price(config, customer=second) == 2
    assert reads == [second]


def test_customers_without_rules_of_their_own_are_never_looked_up(acme, monkeypatch):
    make_metric(acme)
    make_rule(acme, 9)
    make_rule(acme, 1, customer_id=make_customer(acme))
    config = config_get(acme.test.id)
    reads = _reads(monkeypatch)
    assert price(config, customer=uuid7()) == 9
    assert reads == []


def test_so_many_customers_are_kept_and_no_more(acme, monkeypatch):
    monkeypatch.setattr(rule_versions, "CUSTOMERS_MAX", 2)
    make_metric(acme)
    customers = [make_customer(acme) for _ in range(3)]
    for number, customer in enumerate(customers):
        make_rule(acme, number, customer_id=customer)
    config = config_get(acme.test.id)
    reads = _reads(monkeypatch)
    for _ in range(2):
        assert [price(config, customer=customer) for customer in customers] == [0, 1, 2]
    assert len(config.customer_rules._loaded) == 2
    assert len(reads) == 6


def test_so_many_environments_are_kept_and_those_used_last(acme, rival, monkeypatch):
    monkeypatch.setattr(config_module, "ENVIRONMENTS_MAX", 2)
    config = config_get(acme.test.id)
    config_get(acme.live.id)
    assert config_get(acme.test.id) is config
    config_get(rival.test.id)
    assert config_get(acme.test.id) is config
    assert len(config_module._snapshots._by_environment) == 2


def test_what_is_rolled_back_is_not_remembered(acme):
    make_metric(acme)
    make_rule(acme, 1)
    config = config_get(acme.test.id)
    with transaction.atomic():
        make_rule(acme, 2)
        inside = config_reload(acme.test.id)
        assert price(inside) == 2
        transaction.set_rollback(True)
    assert config_get(acme.test.id) is config
    elsewhere(lambda: make_rule(acme, 3))
    current = config_current(acme.test.id)
    # The same version as the one that never was, and yet another price.
    assert (current.version, price(current)) == (inside.version, 3)


def test_one_environment_knows_nothing_of_another(acme, rival):
    make_metric(acme)
    make_rule(acme, 1)
    for environment_id in (acme.live.id, rival.test.id, uuid7()):
        assert dict(config_get(environment_id).metrics) == {}


def test_many_threads_agree(acme, together):
    make_metric(acme)
    make_rule(acme, 1)
    customer = make_customer(acme)
    make_rule(acme, 2, customer_id=customer)

    def ask(index: int) -> int:
        if index == 0:
            make_rule(acme, 2, customer_id=customer)
        return config_ask(acme.test.id, lambda config: price(config, customer=customer))

    assert together(8, ask) == [2] * 8
    assert config_current(acme.test.id).version == config_get(acme.test.id).version


def _reads(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The customers whose rules are read from now on."""
    reads: list[UUID] = []
    load = rule_versions.CustomerRules._load

    def counted(self: rule_versions.CustomerRules, customer_id: UUID) -> Any:
        reads.append(customer_id)
        return load(self, customer_id)

    monkeypatch.setattr(rule_versions.CustomerRules, "_load", counted)
    return reads
