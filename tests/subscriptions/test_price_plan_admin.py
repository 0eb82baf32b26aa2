"""Price plans in the admin: charges written a line each, versions, subscribers moved, customers subscribed."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from subscriptions.admin.price_plan_text import UnreadableCharge, charge_read, charge_written
from subscriptions.engine.charges import charges_parse
from subscriptions.models import PricePlan
from tests.clock import clock_set
from tests.conftest import Api, Character
from tests.desk import Desk
from tests.subscriptions.deals import BEGIN, BUDGET, make_variant
from tests.subscriptions.pricing import GROWTH, fee, make_price_plan, subscribe_to

PLANS = "/admin/subscriptions/priceplan/"
TERMS: dict[str, Any] = {
    "currency": "usd",
    "billing_period": "monthly",
    "charges": "fee 49.00 | Base fee\ntiered api_calls 1000: 0, rest: 0.01",
    "minimum": "",
    "entitlements": '{"sso": true}',
    "changelog": "",
    "sample": "2000",
}


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


@pytest.fixture(autouse=True)
def _metric(api: Api, acme: Character) -> None:
    clock_set(acme.test, BEGIN)
    assert api.post("/v1/metrics", {"key": "api_calls", "name": "API calls"}).status == 201


def page(acme: Character, key: str) -> str:
    with environment_scope(acme.test.id):
        return f"{PLANS}{PricePlan.objects.get(key=key).id}/"


@pytest.mark.parametrize(
    "line",
    [
        "fee 49 | Base fee",
        "fee 49.5 in advance",
        "[seats] per_unit api_calls 0.001",
        "package api_calls 2 per 1000 | Mails",
        "tiered api_calls 100000: 0, 1000000: 0.0001, rest: 0.00005",
        "volume api_calls 10: 1, rest: 0.5 | V",
    ],
)
def test_a_charge_is_written_as_it_was_read(line: str) -> None:
    (charge,) = charges_parse([charge_read(line)], currency="usd")

    assert charge_written(charge.to_json(), 0) == line


@pytest.mark.parametrize(
    "line", ["fee", "gratis", "per_unit calls", "tiered calls 10", "package a 1", "fee 1 2 3"]
)
def test_a_line_that_says_nothing_is_refused(line: str) -> None:
    with pytest.raises(UnreadableCharge):
        charge_read(line)


def test_a_price_plan_made_by_hand_is_one_like_any(desk, api, acme):
    preview = desk.preview(f"{PLANS}add/", {"key": "plan_hand", "name": "Hand", **TERMS})
    assert "49.00 USD" in preview
    assert "10.00 USD" in preview
    assert api.get("/v1/price-plans")["data"] == []

    assert desk.send(f"{PLANS}add/", {"key": "plan_hand", "name": "Hand", **TERMS}).status_code == 302

    made = api.get("/v1/price-plans/plan_hand")
    assert (made["version"], made["entitlements"]) == (1, {"sso": {"type": "boolean", "value": True}})
    assert [charge["pricing_model"] for charge in made["charges"]] == ["flat_fee", "tiered"]
    shown = desk.open(page(acme, "plan_hand") + "change/")
    for word in ("Base fee", "up to 1,000: 0", "beyond: 0.01", "plan_hand", "Monthly"):
        assert word in shown
    assert "Hand" in desk.open(PLANS)


def test_two_charges_of_a_metric_are_previewed_apart(desk, acme):
    charges = "per_unit api_calls 1\npackage api_calls 2 per 1000\npackage api_calls 3 per 1000"

    preview = desk.preview(f"{PLANS}add/", {"key": "plan_hand", "name": "Hand", **TERMS, "charges": charges})

    for cost in ("2,000.00 USD", "4.00 USD", "6.00 USD"):
        assert cost in preview


def test_the_next_version_begins_with_the_present_one(desk, api, acme):
    api.post("/v1/price-plans", {**GROWTH, "minimum": "10"})
    form = desk.open(page(acme, "plan_growth") + "version/")
    assert "tiered api_calls 100000: 0, 1000000: 0.0001, rest: 0.00005" in form
    assert 'value="10.00"' in form

    terms = {**TERMS, "charges": "fee 59 | Growth base fee", "changelog": "Dearer"}
    preview = desk.preview(page(acme, "plan_growth") + "version/", terms)
    assert "49.00 USD" in preview
    assert "59.00 USD" in preview
    assert desk.send(page(acme, "plan_growth") + "version/", terms).status_code == 302

    assert api.get("/v1/price-plans/plan_growth")["version"] == 2
    shown = desk.open(page(acme, "plan_growth") + "change/")
    assert "Dearer" in shown
    old = desk.open(page(acme, "plan_growth") + "change/?version=1")
    assert "up to 100,000: 0" in old


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"charges": "gratis"}, "This is no charge: gratis"),
        ({"charges": "fee 1\ntiered api_calls 5: 1, 2: 1, rest: 1"}, "line 2 tiers 2 up_to"),
        ({"charges": "per_unit none 1"}, "There is no metric"),
        ({"currency": "mc"}, "This is no currency"),
        ({"entitlements": '{"sso": {"type": "odd"}}'}, "Must be boolean, limit or custom"),
        ({"minimum": "10.005"}, "USD has no such fractions"),
        ({"key": "a/b"}, "Must not be a path"),
    ],
)
def test_what_makes_no_sense_is_said_at_the_form_and_makes_nothing(desk, api, more, says):
    answer = desk.send(f"{PLANS}add/", {"key": "plan_hand", "name": "Hand", **TERMS, **more})

    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert api.get("/v1/price-plans")["data"] == []


def test_it_is_renamed_deprecated_sold_again_archived_and_sold_once_more(desk, api, acme):
    make_price_plan(api)
    base = page(acme, "plan_fee")

    assert desk.send(f"{base}edit/", {"name": "Fee", "metadata": ""}).status_code == 302
    assert api.get("/v1/price-plans/plan_fee")["name"] == "Fee"
    assert desk.send(f"{base}deprecate/", {"reason": "old"}).status_code == 302
    assert api.get("/v1/price-plans/plan_fee")["status"] == "deprecated"
    assert desk.send(f"{base}sell/", {"reason": "again"}).status_code == 302
    assert api.get("/v1/price-plans/plan_fee")["status"] == "active"
    assert desk.send(f"{base}archive/", {"reason": "done"}).status_code == 302
    assert api.get("/v1/price-plans/plan_fee")["archived_at"] is not None
    assert "New version" not in desk.open(f"{base}change/")
    assert desk.send(f"{base}unarchive/", {"reason": "done too soon"}).status_code == 302
    assert api.get("/v1/price-plans/plan_fee")["archived_at"] is None
    assert "New version" in desk.open(f"{base}change/")


def test_subscribers_are_moved_from_its_page(desk, api, acme):
    make_price_plan(api)
    deal = subscribe_to(api, acme.test, "plan_fee")
    make_price_plan(api, "plan_fee", fee("59"))
    move = {
        "from_version": "1",
        "to_version": "2",
        "effective": "immediate",
        "prorate": "on",
        "reason": "new",
    }
    base = page(acme, "plan_fee")

    assert "Moved" in desk.preview(f"{base}move/", move)
    assert deal.look()["plan_version"] == 1
    assert desk.send(f"{base}move/", move).status_code == 302

    assert deal.look()["plan_version"] == 2


def test_a_customer_is_subscribed_and_moved_by_hand(desk, api, acme):
    # given
    make_price_plan(api)
    make_price_plan(api, "plan_pro", fee("99"))
    customer = api.post("/v1/customers", {"external_id": "user_1"})["id"]
    action = f"/admin/customers/customer/{customer}/actions/subscribe-to-price-plan/"
    sent = {
        "price_plan": "1:plan_fee",
        "start_date": "",
        "contract_end": "",
        "contract_ending_soon_days": "30",
        "external_subscription_id": "",
        "invoices_automatically": "on",
        "reason": "asked by phone",
    }
    # when
    assert desk.send(action, sent).status_code == 302
    # then
    (made,) = api.get("/v1/customer-by-external-id/user_1/subscriptions")["data"]
    assert (made["plan_id"], made["invoices_automatically"]) == ("plan_fee", True)
    sub = f"/admin/subscriptions/subscription/{made['id']}/"
    shown = desk.open(f"{sub}change/")
    assert "Plan_Fee v1" in shown
    assert "Change price plan" in shown
    assert "Plan_Fee v1" in desk.open(f"/admin/customers/customer/{customer}/change/")
    assert "Plan_Fee v1" in desk.open("/admin/subscriptions/subscription/")
    # and moved
    change = {"price_plan": "1:plan_pro", "effective": "immediate", "prorate": "on", "reason": "upgrade"}
    assert desk.send(f"{sub}actions/change-price-plan/", change).status_code == 302
    assert api.get(f"/v1/subscriptions/{made['id']}")["plan_id"] == "plan_pro"
    moved = desk.open(f"{sub}change/")
    assert "from plan_fee v1, at once" in moved
    assert "Price terms" in moved
    assert "Credits granted" not in moved


def test_a_plan_variant_gets_its_price_plan_by_hand(desk, api, acme):
    # given
    make_price_plan(api)
    plan = api.post("/v1/plans", {"name": "Both"})["id"]
    variant = {
        "name": "Monthly",
        "billing_cycle": "monthly",
        "billing_mode": "postpaid",
        "price": "",
        "currency": "",
        "renewal_due_days": "3",
        "grace_period_days": "3",
        "trial_days": "0",
        "price_plan": "1:plan_fee",
        "fallback_variant_id": "",
    }
    # when
    assert desk.send(f"/admin/subscriptions/plan/{plan}/sell/", variant).status_code == 302
    # then
    (sold,) = api.get(f"/v1/plans/{plan}")["variants"]
    assert (sold["price_plan_id"], sold["price_plan_version"]) == ("plan_fee", 1)
    # and its form keeps a version that is not the newest any more
    make_price_plan(api, "plan_fee", fee("59"))
    edit = f"/admin/subscriptions/planvariant/{sold['id']}/edit/"
    assert '<option value="1:plan_fee" selected>' in desk.open(edit)
    assert desk.send(edit, {**variant, "name": "Each month"}).status_code == 302
    (kept,) = api.get(f"/v1/plans/{plan}")["variants"]
    assert (kept["name"], kept["price_plan_version"]) == ("Each month", 1)
    assert "Plan_Fee v1" in desk.open(f"/admin/subscriptions/planvariant/{sold['id']}/change/")


def test_plans_and_variants_lists_do_not_show_how_it_is_sold(desk, api, acme):
    make_price_plan(api)
    make_variant(acme.test, BUDGET)

    assert "Plan_Fee" not in desk.open("/admin/subscriptions/plan/")
    assert "Plan_Fee" not in desk.open("/admin/subscriptions/planvariant/")


def test_what_is_priced_twice_is_said_on_its_page(desk, api, acme):
    rule = {"billable_metric_key": "api_calls", "cost_type": "flat", "unit_cost": 1}
    assert api.post("/v1/metering-rules", rule).status == 201
    api.post("/v1/price-plans", GROWTH)

    assert "costs credits by a metering rule, and money" in desk.open(page(acme, "plan_growth") + "change/")


def test_lists_and_pages_ask_the_database_a_fixed_number_of_times(desk, api, acme):
    make_price_plan(api)
    subscribe_to(api, acme.test, "plan_fee")
    list_once, page_once = desk.queries(PLANS), desk.queries(page(acme, "plan_fee") + "change/")
    for number in range(3):
        make_price_plan(api, f"plan_{number}")
        make_price_plan(api, "plan_fee", fee(str(number)))
        subscribe_to(api, acme.test, "plan_fee", who=f"user_{number}")

    assert desk.queries(PLANS) == list_once
    assert desk.queries(page(acme, "plan_fee") + "change/") == page_once
    assert max(list_once, page_once) <= 15


def test_a_rivals_price_plan_is_not_found(desk, api, acme, rival):
    stranger = Api(rival.test.secret)
    make_price_plan(stranger, "plan_theirs")
    with environment_scope(rival.test.id):
        theirs = PricePlan.objects.get().id

    desk.open(f"{PLANS}{theirs}/change/", status=404)
    assert "plan_theirs" not in desk.open(PLANS)
