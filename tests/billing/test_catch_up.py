"""At one instant: what rolls over leaves a block before that block dies, whoever comes first, and whenever."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from billing.errors import BlockWouldBeExpired, CatchUpFailed, InsufficientCredits
from billing.models import CreditAccount, CreditBlock, LedgerEntry
from billing.services import catch_up as seam
from billing.services.accounts import account_configure, account_lock, account_settle
from billing.services.auto_topups import auto_topup_remove
from billing.services.credits import Cause, Movement, credits_grant, credits_rollover
from billing.services.reads import balances_of
from billing.services.sweeps import accounts_settle
from billing.services.verification import ledger_verify
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid, typeid_parse, uuid7
from customers.kernel.instants import instant_text
from customers.models import Customer, User
from metering.services.snapshots import snapshots_install, snapshots_remove
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.desk import Desk
from tests.making import balance, give, history, make_metric, use

T = datetime(2030, 2, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
PATH = "/v1/customer-by-external-id/user_1"


class Renewal:
    """What a higher app does at T: a tenth of what is left rolls over, then 5,000 come, both good for a month."""

    def __init__(self, world: Any, block_id: UUID) -> None:
        self.world, self.block_id = world, block_id
        self.customer = Customer.objects.get(environment_id=world.id, external_id="user_1")
        self.run = uuid7()
        self.closing_mc: int | None = None

    def configure(self, catch_up_at: datetime | None, now: datetime, **more: Any) -> None:
        said = {
            "cycle_started_at": None,
            "cycle_ends_at": None,
            "plan_variant_id": None,
            "usage_suspended": None,
            **more,
        }
        account_configure(
            environment_id=self.world.id,
            customer_id=self.customer.id,
            catch_up_at=catch_up_at,
            now=now,
            **said,
        )

    def __call__(self, *, environment_id: UUID, customer_id: UUID, now: datetime) -> None:
        before = T - MICROSECOND
        account_lock(environment_id=environment_id, customer_id=customer_id, now=before)
        account = CreditAccount.objects.get(customer_id=customer_id)
        if account.catch_up_at is None or account.catch_up_at > now:
            return
        self.closing_mc = account.balance_mc
        self.configure(None, before)
        left = CreditBlock.objects.get(id=self.block_id)
        self.roll_over((left.remaining_mc - left.held_mc) // 10)
        credits_grant(
            caller=self.world.caller,
            customer=self.customer,
            credits_mc=5000,
            source="plan_grant",
            priority=10,
            expires_at=T + 28 * 24 * HOUR,
            cause=Cause(source_type="renewal", source_id=self.run),
            now=T,
        )

    def roll_over(self, credits_mc: int, **more: Any) -> Movement:
        said = {
            "priority": 5,
            "expires_at": T + 28 * 24 * HOUR,
            "cause": Cause(source_type="renewal", source_id=self.run),
            "now": T,
            **more,
        }
        return credits_rollover(
            caller=self.world.caller,
            customer=self.customer,
            from_block_id=self.block_id,
            credits_mc=credits_mc,
            **said,
        )


@pytest.fixture
def renewal(api: Api, acme: Character, monkeypatch: pytest.MonkeyPatch) -> Iterator[Renewal]:
    """user_1 has 10,000 mc until T, when a renewal is due, and 700 for ever; an hour before T."""
    make_metric(api)
    clock_set(acme.test, T - HOUR)
    block = give(api, 10000, expires_at=instant_text(T), priority=10)["block"]["id"]
    give(api, 700)
    with environment_scope(acme.test.id):
        renewal = Renewal(acme.test, _block_id(block))
        monkeypatch.setattr(seam, "_catch_ups", [renewal])
        renewal.configure(T, T - HOUR)
        yield renewal


def _block_id(public_id: str) -> UUID:
    block_id = typeid_parse("blk", public_id)
    assert block_id is not None
    return block_id


def numbers(shown: dict[str, Any]) -> tuple[int, int, int]:
    return shown["balance"], shown["effective_balance"], shown["lifetime_earned"]


def moved(api: Api) -> list[tuple[str, int, list[int], str]]:
    """What happened, oldest first: kind, amount, parts, when."""
    return [
        (
            entry["kind"],
            entry["amount"],
            [part["amount"] for part in entry["allocations"]],
            entry["occurred_at"],
        )
        for entry in reversed(history(api))
    ][2:]


RENEWED = [
    ("rollover", 0, [-1000, 1000], instant_text(T)),
    ("expire", -9000, [-9000], instant_text(T)),
    ("grant", 5000, [5000], instant_text(T)),
]


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1), 9 * HOUR], ids=str)
def test_a_read_finds_the_new_period_and_its_budget(
    api: Api, acme: Character, renewal: Renewal, late: timedelta
) -> None:
    # when
    clock_set(acme.test, T + late)
    shown = balance(api, query="?include_blocks=true")
    # then
    assert numbers(shown) == (6700, 6700, 15700)
    assert [(block["remaining_amount"], block["source"]) for block in shown["blocks"]] == [
        (5000, "plan_grant"),
        (1000, "rollover"),
        (700, "manual"),
    ]
    assert renewal.closing_mc == 10700
    assert moved(api) == RENEWED
    assert ledger_verify(environment_id=acme.test.id).findings == []


def test_a_microsecond_before_nothing_is_due(api: Api, acme: Character, renewal: Renewal) -> None:
    clock_set(acme.test, T - MICROSECOND)
    assert numbers(balance(api)) == (10700, 10700, 10700)
    assert renewal.closing_mc is None


def test_usage_a_second_later_burns_the_new_budget(api: Api, acme: Character, renewal: Renewal) -> None:
    clock_set(acme.test, T + timedelta(seconds=1))
    use(api, 6)
    assert numbers(balance(api)) == (700, 700, 15700)
    assert moved(api)[-1][:3] == ("debit", -6000, [-5000, -1000])


def test_a_batch_and_a_hold_find_it_too(api: Api, acme: Character, renewal: Renewal) -> None:
    clock_set(acme.test, T)
    body = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 6}
    held = api.post("/v1/reserve", body, idempotency_key="held")
    assert (held.status, held["effective_balance"]) == (201, 700)
    assert moved(api) == RENEWED


@pytest.mark.parametrize("is_kept", [False, True], ids=["database", "snapshot"])
def test_entitlements_find_it_too(api: Api, acme: Character, renewal: Renewal, is_kept: bool) -> None:
    # given: somebody asked just before
    if is_kept:
        snapshots_install()
    try:
        before, *_ = [api.get(f"{PATH}/entitlements/api_call?units=7").json for _ in range(3)]
        # when
        clock_set(acme.test, T)
        after = api.get(f"{PATH}/entitlements/api_call?units=7").json
    finally:
        snapshots_remove()
    # then
    assert (before["allowed"], before["balance"]) == (True, 10700)
    assert (after["allowed"], after["reason"], after["balance"]) == (False, "insufficient_credits", 6700)


def test_many_checks_find_it_too(api: Api, acme: Character, renewal: Renewal) -> None:
    give(api, 300, to="user_2")
    clock_set(acme.test, T)
    body = {
        "customers": [{"external_customer_id": "user_2"}, {"external_customer_id": "user_1"}],
        "metric_keys": ["api_call"],
    }
    answer = api.post("/v1/entitlements/query", body)
    assert [check["balance"] for check in answer["results"]] == [300, 6700]


def test_a_reservation_is_shown_with_the_account_as_it_is(
    api: Api, acme: Character, renewal: Renewal
) -> None:
    # given: 2,000 of the old block are held until after T
    body = {
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "estimated_units": 2,
        "ttl_seconds": 7200,
    }
    held = api.post("/v1/reserve", body, idempotency_key="held")["reservation_id"]
    # when
    clock_set(acme.test, T)
    shown = api.get(f"/v1/reserve/{held}").json
    again = api.post("/v1/reserve", body, idempotency_key="held").json
    # then: a tenth of the 8,000 that nobody held rolled over, what is held lives on
    assert shown["status"] == again["status"] == "active"
    assert numbers(balance(api)) == (8500, 6500, 15700)
    assert moved(api)[:2] == [
        ("rollover", 0, [-800, 800], instant_text(T)),
        ("expire", -7200, [-7200], instant_text(T)),
    ]


def test_the_past_is_right_once_what_was_due_is_done(api: Api, acme: Character, renewal: Renewal) -> None:
    clock_set(acme.test, T + HOUR)
    at_the_end = balance(api, query=f"?as_of={instant_text(T)}&include_blocks=true")
    before = balance(api, query=f"?as_of={instant_text(T - timedelta(seconds=1))}&include_blocks=true")
    assert [block["remaining_amount"] for block in at_the_end["blocks"]] == [5000, 1000, 700]
    assert (at_the_end["balance"], at_the_end["lifetime_earned"]) == (6700, 15700)
    assert [block["remaining_amount"] for block in before["blocks"]] == [10000, 700]
    assert (before["balance"], before["lifetime_earned"]) == (10700, 10700)


def test_the_future_is_what_is_known_of_it(api: Api, acme: Character, renewal: Renewal) -> None:
    shown = balance(api, query=f"?as_of={instant_text(T)}&include_blocks=true")
    assert [block["remaining_amount"] for block in shown["blocks"]] == [700]
    assert renewal.closing_mc is None
    assert moved(api) == []


def test_many_balances_at_once_are_right(api: Api, acme: Character, renewal: Renewal) -> None:
    give(api, 300, to="user_2")
    with environment_scope(acme.test.id):
        ids = list(Customer.objects.filter(environment_id=acme.test.id).values_list("id", flat=True))
        found = balances_of(environment_id=acme.test.id, customer_ids=ids, now=T)
    assert sorted(found[each].balance_mc for each in ids) == [300, 6700]


def test_settling_an_account_does_all_that_is_due(acme: Character, renewal: Renewal) -> None:
    account_settle(environment_id=acme.test.id, customer_id=renewal.customer.id, now=T)
    account = CreditAccount.objects.get(customer_id=renewal.customer.id)
    assert (account.balance_mc, account.catch_up_at) == (6700, None)


def test_whoever_removes_an_auto_topup_finds_it_too(acme: Character, renewal: Renewal) -> None:
    auto_topup_remove(caller=acme.test.caller, customer=renewal.customer, now=T)
    assert CreditAccount.objects.get(customer_id=renewal.customer.id).balance_mc == 6700


def test_sweeps_leave_it_to_whoever_works_off_what_is_due(
    acme: Character, renewal: Renewal, superuser_sql: psycopg.Connection[Any]
) -> None:
    # given: an environment without a clock of its own, so that sweeps come
    superuser_sql.execute("UPDATE customers_environment SET frozen_at = NULL WHERE id = %s", (acme.test.id,))
    # when
    accounts_settle(now=T + HOUR)
    account = CreditAccount.objects.get(customer_id=renewal.customer.id)
    # then
    assert (account.balance_mc, account.next_change_at) == (10700, T)
    with superuser_sql.cursor() as cursor:
        cursor.execute("SELECT account_id FROM billing_accounts_due_v1(%s, 100000)", (T + HOUR,))
        assert (renewal.customer.id,) not in cursor.fetchall()
    # and when it is called off, they come again
    renewal.configure(None, T - HOUR)
    accounts_settle(now=T + HOUR)
    assert CreditAccount.objects.get(customer_id=renewal.customer.id).balance_mc == 700


def test_work_that_does_not_end_is_told_and_moves_nothing(
    api: Api, acme: Character, renewal: Renewal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seam, "_catch_ups", [])
    clock_set(acme.test, T)
    before = LedgerEntry.objects.filter(account_id=renewal.customer.id).count()
    assert api.get(f"{PATH}/credits").refusal() == (503, CatchUpFailed.code)
    assert api.post(f"{PATH}/credits/grant", {"credits": 1}, idempotency_key="late").refusal() == (
        503,
        CatchUpFailed.code,
    )
    with environment_scope(acme.test.id):
        assert LedgerEntry.objects.filter(account_id=renewal.customer.id).count() == before


# --- Configuring


def test_configuration_is_pushed_down_whole(api: Api, acme: Character, renewal: Renewal) -> None:
    before = CreditAccount.objects.get(customer_id=renewal.customer.id)
    variant = uuid7()
    # when
    renewal.configure(
        T + HOUR,
        T - HOUR,
        cycle_started_at=T - 2 * HOUR,
        cycle_ends_at=T + HOUR,
        plan_variant_id=variant,
        usage_suspended="subscription_paused",
    )
    # then
    account = CreditAccount.objects.get(customer_id=renewal.customer.id)
    assert (account.catch_up_at, account.cycle_started_at, account.cycle_ends_at) == (
        T + HOUR,
        T - 2 * HOUR,
        T + HOUR,
    )
    assert (account.plan_variant_id, account.usage_suspended) == (variant, "subscription_paused")
    assert (account.version, account.sequence) == (before.version + 1, before.sequence)


def test_a_kept_check_does_not_outlive_a_configuration(api: Api, renewal: Renewal) -> None:
    snapshots_install()
    try:
        *_, kept = [api.get(f"{PATH}/entitlements/api_call").json for _ in range(3)]
        renewal.configure(T, T - HOUR, usage_suspended="subscription_paused")
        fresh = api.get(f"{PATH}/entitlements/api_call").json
    finally:
        snapshots_remove()
    assert (kept["allowed"], kept["source"]) == (True, "cache")
    assert (fresh["allowed"], fresh["reason"]) == (False, "subscription_paused")


def test_who_never_had_credits_can_be_configured(api: Api, acme: Character) -> None:
    api.post("/v1/customers", {"external_id": "newcomer"})
    with environment_scope(acme.test.id):
        customer = Customer.objects.get(environment_id=acme.test.id, external_id="newcomer")
        account_configure(
            environment_id=acme.test.id,
            customer_id=customer.id,
            catch_up_at=T,
            cycle_started_at=None,
            cycle_ends_at=None,
            plan_variant_id=None,
            usage_suspended=None,
            now=T - HOUR,
        )
        account = CreditAccount.objects.get(customer_id=customer.id)
    assert (account.balance_mc, account.catch_up_at) == (0, T)


def test_a_stranger_s_account_cannot_be_configured(rival: Character, renewal: Renewal) -> None:
    with pytest.raises(psycopg.Error, match="no credit account"):
        account_configure(
            environment_id=rival.test.id,
            customer_id=renewal.customer.id,
            catch_up_at=None,
            cycle_started_at=None,
            cycle_ends_at=None,
            plan_variant_id=None,
            usage_suspended=None,
            now=T,
        )
    assert CreditAccount.objects.get(customer_id=renewal.customer.id).catch_up_at == T


# --- Rolling over


def test_a_rollover_keeps_what_a_block_is_for(api: Api, acme: Character, renewal: Renewal) -> None:
    block = give(api, 400, metric_keys=["api_call"], expires_at=instant_text(T))["block"]["id"]
    renewal.block_id = _block_id(block)
    # when
    with environment_scope(acme.test.id):
        renewal.configure(None, T - MICROSECOND)
        movement = renewal.roll_over(150, metadata={"template": "monthly"})
        left_mc = CreditBlock.objects.get(id=renewal.block_id).remaining_mc
    # then
    made = movement.block
    assert made is not None
    assert (made.original_mc, made.remaining_mc, made.metric_keys) == (150, 150, ["api_call"])
    assert (made.source, made.priority, made.metadata) == ("rollover", 5, {"template": "monthly"})
    assert (made.effective_at, made.created_at, made.expires_at) == (T, T, T + 28 * 24 * HOUR)
    assert (movement.amount_mc, movement.account.balance_mc) == (0, 11100)
    assert left_mc == 250


def test_a_whole_block_may_roll_over(api: Api, acme: Character, renewal: Renewal) -> None:
    renewal.configure(None, T - MICROSECOND)
    renewal.roll_over(10000)
    clock_set(acme.test, T + HOUR)
    assert numbers(balance(api)) == (10700, 10700, 10700)
    assert [kind for kind, *_ in moved(api)] == ["rollover"]
    assert ledger_verify(environment_id=acme.test.id).findings == []


@pytest.mark.parametrize(
    ("credits_mc", "more", "refusal"),
    [
        (10001, {}, InsufficientCredits),
        (1, {"expires_at": T}, BlockWouldBeExpired),
        (1, {"now": T + MICROSECOND}, InsufficientCredits),
    ],
    ids=["more than there is", "into a dead block", "out of a dead block"],
)
def test_what_cannot_roll_over(
    acme: Character, renewal: Renewal, credits_mc: int, more: dict[str, Any], refusal: type[Exception]
) -> None:
    renewal.configure(None, T - MICROSECOND)
    with pytest.raises(refusal):
        renewal.roll_over(credits_mc, **more)
    assert not LedgerEntry.objects.filter(account_id=renewal.customer.id, kind="rollover").exists()
    assert not CreditBlock.objects.filter(account_id=renewal.customer.id, source="rollover").exists()


def test_what_is_held_does_not_roll_over(api: Api, renewal: Renewal) -> None:
    body = {
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "estimated_units": 4,
        "ttl_seconds": 7200,
    }
    api.post("/v1/reserve", body, idempotency_key="held")
    renewal.configure(None, T - MICROSECOND)
    with pytest.raises(InsufficientCredits):
        renewal.roll_over(6001)
    assert renewal.roll_over(6000).account.balance_mc == 10700


def test_one_cause_rolls_over_once(renewal: Renewal) -> None:
    renewal.configure(None, T - MICROSECOND)
    renewal.roll_over(10)
    with pytest.raises(psycopg.errors.UniqueViolation):
        renewal.roll_over(10)


def test_a_rollover_is_shown_and_explained(
    api: Api, acme: Character, renewal: Renewal, operator: User
) -> None:
    renewal.configure(None, T - MICROSECOND)
    entry = renewal.roll_over(250).entry_id
    assert entry is not None
    # when
    told = api.get(f"{PATH}/credits/explain/{typeid('led', entry)}").json
    page = Desk(operator, acme.test).open(f"/admin/billing/ledgerentry/{typeid('led', entry)}/change/")
    # then
    assert (told["entry"]["kind"], told["entry"]["amount"], told["grant_run"]) == ("rollover", 0, None)
    assert [(part["amount"], part["block"]["source"]) for part in told["blocks"]] == [
        (-250, "manual"),
        (250, "rollover"),
    ]
    assert told["entry"]["source"] == {"type": "renewal", "id": str(renewal.run)}
    assert "0.25 credits went from one block into another" in page


@pytest.mark.parametrize(
    "change",
    ["amount_mc = 5", "block_amounts = '{-250,240}'", "block_ids = ARRAY[block_ids[1], block_ids[1]]"],
)
def test_a_forged_rollover_is_found(
    acme: Character, renewal: Renewal, superuser_sql: psycopg.Connection[Any], change: str
) -> None:
    renewal.configure(None, T - MICROSECOND)
    entry = renewal.roll_over(250).entry_id
    superuser_sql.execute("SET session_replication_role = replica")
    superuser_sql.execute(f"UPDATE billing_ledger_entry SET {change} WHERE id = %s", (entry,))
    assert "rollover-is-no-move" in {
        finding["code"] for finding in ledger_verify(environment_id=acme.test.id).findings
    }
