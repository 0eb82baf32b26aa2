"""Subscriptions in the admin: found, understood, and acted upon with a preview that is the deed undone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from billing.models import CreditBlock, LedgerEntry
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse
from customers.models import AuditRecord, Customer, IdempotencyRecord, OutboxEvent
from subscriptions.models import GrantRun, Subscription, SubscriptionChange, SubscriptionPeriod
from subscriptions.services import due_work
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.desk import Desk, somebody
from tests.making import balance, make_metric, use
from tests.subscriptions.deals import BEGIN, BUDGET, PREPAID, Deal, at, make_variant, subscribe

LIST = "/admin/subscriptions/subscription/"
CUSTOMERS = "/admin/customers/customer/"
REASON = {"reason": "Asked by phone"}
#: Everything that an action may write, and a preview must not.
WRITTEN: tuple[Any, ...] = (
    Subscription,
    SubscriptionPeriod,
    SubscriptionChange,
    GrantRun,
    CreditBlock,
    LedgerEntry,
    OutboxEvent,
    AuditRecord,
    IdempotencyRecord,
)


@pytest.fixture(autouse=True)
def _it_is_january(acme: Character) -> None:
    clock_set(acme.test, BEGIN)


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


@pytest.fixture
def deal(api: Api, acme: Character) -> Deal:
    """`user_1` on a prepaid month with 100 credits."""
    return subscribe(api, acme.test, make_variant(acme.test, BUDGET, **PREPAID))


def page_of(deal: Deal) -> str:
    return f"{LIST}{deal.id}/change/"


def dialog_of(deal: Deal, slug: str) -> str:
    return f"{LIST}{deal.id}/actions/{slug}/"


def key_of(deal: Deal) -> UUID:
    key = typeid_parse("sub", deal.id)
    assert key is not None
    return key


def buttons(desk: Desk, deal: Deal) -> list[str]:
    """The actions that its page offers, in order."""
    page = desk.open(page_of(deal))
    return [part.split("/")[0] for part in page.split(f"{LIST}{deal.id}/actions/")[1:]]


def rows(world: Any) -> list[Any]:
    """Everything written in the environment."""
    with environment_scope(world.id):
        return [list(model.objects.order_by("pk").values()) for model in WRITTEN]


def last_change(deal: Deal) -> SubscriptionChange:
    with environment_scope(deal.world.id):
        return SubscriptionChange.objects.filter(subscription_id=key_of(deal)).order_by("-id")[0]


def park(deal: Deal, monkeypatch: Any, *, now: str = "2026-03-01") -> None:
    """Its due work fails."""

    def fail(work: Any) -> None:
        raise RuntimeError("the template is broken")

    with monkeypatch.context() as patched:
        patched.setitem(due_work._DEEDS, "overdue", fail)
        deal.work(now)
    assert deal.look()["failure"] == "RuntimeError: the template is broken"


# --- The list


def test_the_list_says_whose_it_is_and_where_it_stands(desk, deal):
    page = desk.open(LIST)

    for word in ("user_1", "Variant", "Monthly, prepaid", "Active", "2026-02-28 12:00:00", deal.id):
        assert word in page, word


def test_the_list_is_narrowed_by_state_due_date_plan_and_parking(desk, api, acme, deal, monkeypatch):
    # given
    other = subscribe(api, acme.test, make_variant(acme.test, BUDGET), who="user_2")
    with environment_scope(acme.test.id):
        plan = Subscription.objects.select_related("variant__plan").get(id=key_of(other))
    both, mine, theirs = {deal.id, other.id}, {deal.id}, {other.id}

    def found(query: str) -> set[str]:
        page = desk.open(f"{LIST}?{query}")
        return {each for each in both if each in page}

    # then
    assert found("") == found("state=live") == found("state=active") == both
    assert found("state=overdue") == set()
    assert found(f"plan={plan.variant.plan.public_id}") == theirs
    assert found("plan=plan_nonsense") == set()
    assert found("due=late") == found("due=day") == set()
    clock_set(acme.test, at("2026-02-25T11:00"))
    assert found("due=day") == mine
    assert found("due=week") == both
    clock_set(acme.test, at("2026-02-25T13:00"))
    assert found("due=late") == mine
    assert found("parked=yes") == set()
    park(deal, monkeypatch)
    assert found("parked=yes") == mine
    assert found("due=late") == theirs


@pytest.mark.parametrize("term", ["user_1", "USER_1", "contract-77", "Jane", "id", "uuid"])
def test_a_subscription_is_found_by_its_ids_and_its_customers(desk, api, acme, term):
    # given
    variant = make_variant(acme.test)
    deal = subscribe(api, acme.test, variant, external_subscription_id="contract-77")
    other = subscribe(api, acme.test, variant, who="another")
    named = api.patch("/v1/customer-by-external-id/user_1", {"display_name": "Jane & Sons"})
    assert named.status == 200
    wanted = {"id": deal.id, "uuid": str(key_of(deal))}.get(term, term)

    page = desk.open(f"{LIST}?q={wanted}")

    assert deal.id in page
    assert other.id not in page
    assert deal.id not in desk.open(f"{LIST}?q=nobody")


# --- Its page


def test_the_page_tells_what_was_what_is_and_what_comes(desk, api, acme):
    # given
    make_metric(api)
    variant = make_variant(
        acme.test, {**BUDGET, "name": "Budget"}, {"credits_mc": 5_000, "grant_interval": "weekly"}
    )
    deal = subscribe(api, acme.test, variant, contract_end="2027-01-31T12:00:00Z")
    use(api, 30)
    deal.time("2026-03-01")

    # when
    page = desk.open(page_of(deal))

    # then
    assert deal.told("renewed") == [("renewed", "2026-02-28T12:00:00Z")]
    with environment_scope(acme.test.id):
        run = GrantRun.objects.filter(template__name="Budget").order_by("id")[0]
        block = CreditBlock.objects.get(id=run.block_id)
    for word in (
        "The next period begins",
        "The webhook that the contract ends soon",
        "5 credits are granted",
        "2026-03-31 12:00:00",
        "Renewed",
        "30 credits used in the period before",
        "api_call</code> 30 for 30",
        "Budget",
        block.public_id,
        "system:subscriptions",
    ):
        assert word in page, word


def test_older_rows_are_a_page_further(desk, api, acme):
    deal = subscribe(api, acme.test, make_variant(acme.test, BUDGET))
    deal.work("2027-06-01")

    page = desk.open(page_of(deal))

    older = page.split("?periods=")[1].split('"')[0]
    assert "2026-01-31 12:00:00" in desk.open(f"{page_of(deal)}?periods={older}")
    assert desk.open(f"{page_of(deal)}?periods=nonsense&timeline=x&grants=%00")


def test_the_buttons_are_those_that_the_table_of_transitions_allows(desk, api, acme, deal):
    running = ["renew", "pause", "change", "extend", "cancel"]
    assert buttons(desk, deal) == running

    deal.act("cancel")
    assert buttons(desk, deal) == ["renew", "pause", "change", "extend", "uncancel", "cancel-now"]
    deal.act("uncancel")
    deal.act("pause")
    assert buttons(desk, deal) == ["resume", "extend", "cancel"]
    deal.act("resume")
    deal.time("2026-02-28T12:00")
    assert buttons(desk, deal) == ["renew", "extend", "cancel-now"]
    deal.time("2026-03-04")
    assert buttons(desk, deal) == []


def test_postpaid_is_never_renewed_by_hand(desk, api, acme):
    deal = subscribe(api, acme.test, make_variant(acme.test))

    assert "renew" not in buttons(desk, deal)
    assert "advances by itself" in desk.preview(dialog_of(deal, "renew"), REASON)


# --- Deeds


def test_every_preview_says_what_then_happens_and_leaves_nothing(desk, api, acme, deal):
    # given: an extension to come, a larger variant, and time in which it can be renewed
    larger = make_variant(acme.test, {**BUDGET, "credits_mc": 300_000}, **PREPAID)
    deal.work("2026-02-26")
    asked = {
        "renew": ({"external_payment_id": "pay_1"}, ["Renewed", "granted when it begins"]),
        "pause": ({}, ["Paused", "Usage is refused"]),
        "change": (
            {"variant_id": str(larger.id), "effective": "immediate"},
            ["credits are granted", larger.plan.name],
        ),
        "extend": ({"contract_end": "2027-01-31T12:00:00"}, ["Contract ends", "2027-01-31"]),
        "cancel": ({"when": "now"}, ["Canceled", "live to their own expiry"]),
    }
    for slug, (data, words) in asked.items():
        before = rows(acme.test)
        # when
        shown = desk.preview(dialog_of(deal, slug), {**data, **REASON})
        # then
        for word in words:
            assert word in shown, (slug, word, shown)
        assert rows(acme.test) == before, slug


def test_a_change_grants_what_its_preview_said(desk, api, acme, deal):
    larger = make_variant(acme.test, {**BUDGET, "credits_mc": 300_000}, **PREPAID)
    data = {"variant_id": str(larger.id), "effective": "immediate", **REASON}
    deal.time("2026-02-14T12:00")

    shown = desk.preview(dialog_of(deal, "change"), data)
    assert desk.send(dialog_of(deal, "change"), data).status_code == 302

    assert deal.balance() == 200_000
    assert "100 credits are granted." in shown
    assert ">200<" in shown
    change = last_change(deal)
    assert (change.what, change.reason, change.actor) == (
        "changed",
        "Asked by phone",
        f"user:{desk.user.username}",
    )
    page = desk.open(page_of(deal))
    assert "from Plan" in page
    assert "Asked by phone" in page


def test_a_whole_life_by_hand(desk, api, acme, deal):
    # when
    def send(slug: str, **data: Any) -> None:
        answer = desk.send(dialog_of(deal, slug), {**data, **REASON})
        assert answer.status_code == 302, answer.content.decode()

    deal.time("2026-02-26")
    send("renew", external_payment_id="pay_1")
    assert deal.look()["is_renewed"] is True
    send("pause", resumes_at="2026-03-08T00:00:00")
    assert (deal.look()["status"], deal.look()["resumes_at"]) == ("paused", "2026-03-08T00:00:00Z")
    deal.time("2026-03-01")
    send("resume")
    assert (deal.look()["status"], deal.look()["current_period_end"]) == ("active", "2026-03-03T12:00:00Z")
    send("cancel", when="period_end")
    assert deal.look()["cancel_at_period_end"] is True
    send("uncancel")
    assert deal.look()["cancel_at_period_end"] is False
    send("extend", contract_end="2026-06-01T00:00:00")
    assert deal.look()["contract_end"] == "2026-06-01T00:00:00Z"
    send("cancel", when="now")
    # then
    assert deal.look()["status"] == "canceled"
    with environment_scope(acme.test.id):
        audited = AuditRecord.objects.filter(object_id=deal.id, actor=f"user:{desk.user.username}")
        assert {record.reason for record in audited} == {"Asked by phone"}
        assert audited.count() == 7


def test_one_form_renews_once_however_often_it_is_sent(desk, deal, acme):
    deal.time("2026-02-26")
    token = desk.token(dialog_of(deal, "renew"))

    answers = [
        desk.send(dialog_of(deal, "renew"), {"external_payment_id": "", **REASON}, token=token)
        for _ in range(3)
    ]

    assert [answer.status_code for answer in answers] == [302] * 3
    with environment_scope(acme.test.id):
        assert SubscriptionPeriod.objects.filter(renewed_at__isnull=False).count() == 1
        assert SubscriptionPeriod.objects.get(renewed_at__isnull=False).idempotency_key == f"admin-{token}"


@pytest.mark.parametrize(
    ("slug", "data", "message"),
    [
        ("renew", {}, "cannot be renewed yet"),
        ("pause", {"resumes_at": "2020-01-01T00:00:00"}, "Must lie in the future"),
        ("pause", {"reason": ""}, "required"),
        ("resume", {}, "does not take resume"),
        ("change", {"variant_id": "", "effective": "immediate"}, "required"),
        ("change", {"variant_id": "nonsense", "effective": "immediate"}, "Select a valid choice"),
        ("extend", {"contract_end": "2026-01-01T00:00:00"}, "Must lie after"),
        ("uncancel", {}, "No cancellation is planned"),
    ],
)
def test_a_refusal_is_shown_and_leaves_nothing(desk, acme, deal, slug, data, message):
    before = rows(acme.test)

    answer = desk.send(dialog_of(deal, slug), {**REASON, **data})

    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert rows(acme.test) == before


def test_a_parked_subscription_says_why_and_is_tried_again(desk, api, acme, deal, monkeypatch):
    # given
    park(deal, monkeypatch)
    page = desk.open(page_of(deal))
    assert "the template is broken" in page
    assert buttons(desk, deal)[0] == "retry"
    before = rows(acme.test)
    # when it fails again
    with monkeypatch.context() as patched:
        patched.setitem(due_work._DEEDS, "overdue", lambda _work: 1 / 0)
        refused = desk.send(dialog_of(deal, "retry"), REASON)
    # then
    assert refused.status_code == 422
    assert "division by zero" in refused.content.decode()
    assert rows(acme.test) == before
    # when it is well
    assert "Overdue" in desk.preview(dialog_of(deal, "retry"), REASON)
    assert rows(acme.test) == before
    assert desk.send(dialog_of(deal, "retry"), REASON).status_code == 302
    # then
    assert (deal.look()["status"], deal.look()["failed_at"]) == ("overdue", None)
    assert "retry" not in buttons(desk, deal)
    with environment_scope(acme.test.id):
        assert AuditRecord.objects.get(action="subscription.retried").reason == "Asked by phone"


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", False),
        ("support", True),
        ("operator", True),
        ("finance", False),
        ("owner", True),
        (None, False),
    ],
)
def test_who_may_act(acme, deal, role, may):
    desk = Desk(somebody(role), acme.test)
    sees = role is not None
    before = rows(acme.test)

    assert desk.client.get(LIST).status_code == (200 if sees else 403)
    assert desk.client.get(page_of(deal)).status_code == (200 if sees else 403)
    if sees:
        assert bool(buttons(desk, deal)) is may
    path = dialog_of(deal, "pause")
    assert desk.client.get(path).status_code == (200 if may else 403)
    assert desk.client.post(path, {**REASON, "preview": "1"}).status_code == (200 if may else 403)
    assert rows(acme.test) == before
    assert desk.client.post(path, {**REASON, "token": "t" * 32}).status_code == (302 if may else 403)
    assert deal.look()["status"] == ("paused" if may else "active")


def test_another_environments_subscription_is_not_there(desk, acme, deal):
    desk.look_at(acme.live)

    desk.open(page_of(deal), status=404)
    desk.open(dialog_of(deal, "pause"), status=404)
    assert page_of(deal) not in desk.open(f"{LIST}?q={deal.id}")


def test_there_is_no_such_action_and_no_way_to_write_a_row(desk, acme, deal):
    before = rows(acme.test)

    desk.open(dialog_of(deal, "grant"), status=404)
    for address in ("add/", f"{deal.id}/change/", f"{deal.id}/delete/"):
        answer = desk.client.post(f"{LIST}{address}", {"status": "active", "post": "yes"})
        assert answer.status_code in {403, 404}, address
    assert rows(acme.test) == before


# --- The customer's page


@pytest.fixture
def customer(api: Api, acme: Character) -> Customer:
    assert api.post("/v1/customers", {"external_id": "user_1"}).status == 201
    with environment_scope(acme.test.id):
        return Customer.objects.get(external_id="user_1")


def test_a_customer_is_subscribed_from_its_page(desk, api, acme, customer):
    # given
    variant = make_variant(acme.test, BUDGET, price_minor=2000, currency="usd")
    path = f"{CUSTOMERS}{customer.id}/actions/subscribe/"
    data = {
        "variant_id": str(variant.id),
        "contract_end": "2027-01-31T12:00:00",
        "contract_ending_soon_days": "14",
        "external_subscription_id": "contract-77",
        **REASON,
    }
    before = rows(acme.test)
    # when
    form, shown = desk.open(path), desk.preview(path, data)
    # then
    assert "Variant (monthly, postpaid, 20.00 USD)" in form
    assert "100 credits are granted." in shown
    assert rows(acme.test) == before
    # when
    answer = desk.send(path, data)
    # then
    assert answer.status_code == 302
    (made,) = api.get("/v1/customer-by-external-id/user_1/subscriptions")["data"]
    assert answer.url == f"{LIST}{made['id']}/change/"
    assert (made["contract_end"], made["contract_ending_soon_days"], made["external_subscription_id"]) == (
        "2027-01-31T12:00:00Z",
        14,
        "contract-77",
    )
    assert balance(api)["balance"] == 100_000
    page = desk.open(f"{CUSTOMERS}{customer.id}/change/")
    assert f"{LIST}{made['id']}/change/" in page
    assert "actions/subscribe/" not in page


def test_a_second_live_subscription_is_refused(desk, api, acme, customer):
    variant = make_variant(acme.test, BUDGET)
    subscribe(api, acme.test, variant)
    path = f"{CUSTOMERS}{customer.id}/actions/subscribe/"
    data = {"variant_id": str(variant.id), "contract_ending_soon_days": "30", **REASON}
    before = rows(acme.test)

    assert "The customer has a live subscription" in desk.preview(path, data)
    assert desk.send(path, data).status_code == 422
    assert rows(acme.test) == before


# --- Home


def test_home_counts_subscriptions_and_what_they_bring_in(desk, api, acme, deal, monkeypatch):
    # given: 24.00 a year and 10.00 a month in dollars, 12.00 a week in euros, one on trial, one parked
    def priced(who: str, cycle: str, minor: int, currency: str = "usd", **terms: Any) -> None:
        variant = make_variant(acme.test, billing_cycle=cycle, price_minor=minor, currency=currency, **terms)
        subscribe(api, acme.test, variant, who=who, begin=None)

    priced("yearly", "yearly", 2400)
    priced("monthly", "monthly", 1000)
    priced("weekly", "weekly", 1200, "eur")
    priced("trial", "monthly", 9900, trial_days=40)
    park(deal, monkeypatch, now="2026-02-28T12:00")

    # when
    page = desk.open("/admin/")

    # then
    for word in ("52.14 EUR", "and 12.00 USD", "and 1 on trial, 0 paused", "the template is broken"):
        assert word in page, word
    for query in ("state=active", "state=overdue", "parked=yes", "state=live"):
        assert f"{LIST}?{query}" in page, query


def test_home_says_nothing_of_subscriptions_where_there_are_none(desk, acme):
    assert f"{LIST}?state=active" not in desk.open("/admin/")


# --- Round trips


def test_no_page_takes_more_than_fifteen_round_trips(api, acme, monkeypatch):
    # given: a dozen subscriptions of as many plans, one with a long history and much to come
    larger = make_variant(acme.test, {**BUDGET, "credits_mc": 300_000}, **PREPAID)
    templates = [BUDGET, {"credits_mc": 1_000, "grant_interval": "daily"}]
    deal, *_ = [
        subscribe(api, acme.test, make_variant(acme.test, *templates, **PREPAID), who=f"user_{number}")
        for number in range(12)
    ]
    make_metric(api)
    use(api, 3, by=deal.who)
    deal.act("change", {"plan_variant_id": larger.public_id, "effective": "period_end"})
    deal.work(BEGIN + timedelta(days=26))
    deal.renew()
    deal.work(BEGIN + timedelta(days=40))
    with environment_scope(acme.test.id):
        customer = Customer.objects.get(external_id=deal.who)
    desk = Desk(somebody("owner"), acme.test)

    for path in (
        LIST,
        f"{LIST}?q=user",
        f"{LIST}?state=live&due=week&parked=yes",
        page_of(deal),
        *(dialog_of(deal, slug) for slug in ("renew", "pause", "change", "extend", "cancel")),
        f"{CUSTOMERS}{customer.id}/change/",
        f"{CUSTOMERS}{customer.id}/actions/subscribe/",
        "/admin/",
    ):
        assert desk.queries(path) <= 15, (path, desk.queries(path))
