"""Plans, variants and credit grants in the admin."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord
from subscriptions.models import CreditGrantTemplate, Plan, PlanVariant
from subscriptions.selectors.subscribers import plans_with_subscribers
from tests.conftest import Api
from tests.desk import Desk, somebody
from tests.making import make_metric, make_plan, make_rule, make_variant
from tests.subscriptions.catalogue import make_grant, put_somebody_on

PLANS = "/admin/subscriptions/plan/"
VARIANTS = "/admin/subscriptions/planvariant/"
PLAN = {"name": "API Platform", "description": "", "features": '{"sso": true, "seats": 5}'}
VARIANT = {
    "name": "Monthly",
    "billing_cycle": "monthly",
    "billing_mode": "prepaid",
    "price": "20.00",
    "currency": "usd",
    "renewal_due_days": "3",
    "grace_period_days": "7",
    "allow_usage_while_overdue": "on",
    "trial_days": "0",
    "fallback_variant_id": "",
}
GRANT = {
    "name": "Budget",
    "credits_mc": "1000",
    "grant_type": "recurring",
    "grant_interval": "billing_cycle",
    "expires": "interval_end",
    "rollover_percentage": "50",
    "accumulation_cap_mc": "1500",
    "priority": "10",
    "source": "plan_grant",
}


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


def catalogue(api: Api) -> dict[str, Any]:
    """The one plan as the API shows it."""
    return dict(api.get(f"/v1/plans/{api.get('/v1/plans')['data'][0]['id']}").json)


def test_a_plan_made_by_hand_is_one_like_any(desk, api):
    # when
    assert desk.send(f"{PLANS}add/", PLAN).status_code == 302
    plan = catalogue(api)["id"]
    assert desk.send(f"{PLANS}{plan}/sell/", VARIANT).status_code == 302
    variant = catalogue(api)["variants"][0]["id"]
    assert desk.send(f"{VARIANTS}{variant}/grants/add/", GRANT).status_code == 302
    # then
    shown = catalogue(api)
    assert (shown["name"], shown["features"]) == ("API Platform", {"sso": True, "seats": 5})
    (sold,) = shown["variants"]
    assert (sold["price"], sold["currency"], sold["grace_period_days"]) == (2000, "usd", 7)
    assert sold["allow_usage_while_overdue"] is True
    (grant,) = sold["credit_grants"]
    assert (grant["credits"], grant["accumulation_cap"], grant["rollover_percentage"]) == (
        1_000_000,
        1_500_000,
        50,
    )
    assert (grant["expires"], grant["expires_after_seconds"]) == ("interval_end", None)
    page = desk.open(f"{PLANS}{plan}/change/")
    for word in (
        "Monthly, prepaid",
        "20.00 USD",
        "1,000 credits each billing cycle",
        "&quot;sso&quot;: true",
    ):
        assert word in page, word
    page = desk.open(f"{VARIANTS}{variant}/change/")
    for word in ("when the interval ends", "50 %, up to 1,500 in all", "3 days before the end"):
        assert word in page, word


def test_a_plan_is_made_once_however_often_the_form_is_sent(desk, acme):
    token = desk.token(f"{PLANS}add/")
    assert [desk.send(f"{PLANS}add/", PLAN, token=token).status_code for _ in range(2)] == [302, 302]
    with environment_scope(acme.test.id):
        assert Plan.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "required"),
        ({"features": "sso"}, "not valid JSON"),
        ({"features": '{"sso": null}'}, "A feature is true or false"),
    ],
)
def test_a_bad_plan_is_refused_at_its_field(desk, acme, change, message):
    answer = desk.send(f"{PLANS}add/", {**PLAN, **change})
    assert answer.status_code == 422
    assert message in answer.content.decode()
    with environment_scope(acme.test.id):
        assert not Plan.objects.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"billing_cycle": "fortnightly"}, "Select a valid choice"),
        ({"price": ""}, "given together"),
        ({"currency": "XYZ"}, "no currency"),
        ({"price": "20.005"}, "no such fractions"),
        ({"price": "-1"}, "greater than or equal to 0"),
        ({"trial_days": "x"}, "whole number"),
        ({"fallback_variant_id": "nothing"}, "Select a valid choice"),
    ],
)
def test_a_bad_variant_is_refused_at_its_field(desk, api, change, message):
    plan = make_plan(api)
    answer = desk.send(f"{PLANS}{plan}/sell/", {**VARIANT, **change})
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert catalogue(api)["variants"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"credits_mc": "0"}, "more than zero"),
        ({"grant_interval": "custom"}, "needs its seconds"),
        ({"expires": "after"}, "required"),
        ({"grant_type": "one_time"}, "no next interval"),
        ({"accumulation_cap_mc": "999"}, "at least the credits of one grant"),
    ],
)
def test_a_bad_credit_grant_is_refused(desk, api, change, message):
    plan = make_plan(api)
    variant = make_variant(api, plan)
    answer = desk.send(f"{VARIANTS}{variant}/grants/add/", {**GRANT, **change})
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert catalogue(api)["variants"][0]["credit_grants"] == []


@pytest.mark.parametrize(
    ("change", "stored"),
    [
        (
            {"grant_interval": "custom", "interval_seconds": "90", "expires": "never"},
            {"grant_interval": "custom", "interval_seconds": 90, "expires": None},
        ),
        (
            {"expires": "after", "expires_after_seconds": "2592000", "interval_seconds": "90"},
            {"expires_after_seconds": 2592000, "expires": None, "interval_seconds": None},
        ),
        ({"expires_after_seconds": "60"}, {"expires_after_seconds": None, "expires": "interval_end"}),
    ],
)
def test_what_another_choice_hides_is_not_kept(desk, api, change, stored):
    variant = make_variant(api, make_plan(api))
    assert desk.send(f"{VARIANTS}{variant}/grants/add/", {**GRANT, **change}).status_code == 302
    (grant,) = catalogue(api)["variants"][0]["credit_grants"]
    assert {name: grant[name] for name in stored} == stored


def test_a_form_sent_as_it_was_shown_changes_nothing(desk, api, acme):
    plan = make_plan(api, features={"sso": True})
    variant = make_variant(api, plan, billing_mode="prepaid", price=1999, currency="KWD", trial_days=7)
    make_grant(api, plan, variant)
    put_somebody_on(acme, variant)
    before = catalogue(api)
    sent = {**VARIANT, "price": "1.999", "currency": "KWD", "grace_period_days": "3", "trial_days": "7"}

    assert 'value="1.999"' in desk.open(f"{VARIANTS}{variant}/edit/")
    assert desk.send(f"{VARIANTS}{variant}/edit/", sent).status_code == 302

    assert catalogue(api) == before


def test_with_subscribers_an_edit_is_a_new_version_and_its_preview_says_so(desk, api, acme):
    plan = make_plan(api)
    variant = make_variant(api, plan, billing_mode="prepaid", price=2000, currency="usd")
    put_somebody_on(acme, variant)
    # when
    shown = desk.preview(f"{VARIANTS}{variant}/edit/", {**VARIANT, "price": "25"})
    # then: told, and nothing done
    for word in (
        "Makes version 2 of Monthly",
        "1 customer stays on version 1",
        "20.00 USD",
        "25.00 USD",
        "7 days",
    ):
        assert word in shown, word
    with environment_scope(acme.test.id):
        assert PlanVariant.objects.count() == 1
    # when it is done
    assert desk.send(f"{VARIANTS}{variant}/edit/", {**VARIANT, "price": "25"}).status_code == 302
    # then
    (sold,) = catalogue(api)["variants"]
    assert (sold["version"], sold["price"], sold["grace_period_days"]) == (2, 2500, 7)
    assert "+ 1 on older versions" in desk.open(f"{PLANS}{plan}/change/")
    old = desk.open(f"{VARIANTS}{variant}/change/")
    assert "Superseded" in old
    assert f"{VARIANTS}{variant}/edit/" not in old
    assert sold["id"] in old


def test_a_credit_grant_is_edited_and_archived(desk, api, acme):
    plan = make_plan(api)
    variant = make_variant(api, plan)
    grant = make_grant(api, plan, variant)
    path = f"{VARIANTS}{variant}/grants/{grant}"

    assert desk.send(f"{path}/edit/", {**GRANT, "credits_mc": "5"}).status_code == 302
    assert catalogue(api)["variants"][0]["credit_grants"][0]["credits"] == 5_000
    refused = desk.send(f"{path}/archive/", {"reason": ""})
    assert refused.status_code == 422
    assert desk.send(f"{path}/archive/", {"reason": "Sold out"}).status_code == 302

    assert catalogue(api)["variants"][0]["credit_grants"] == []
    with environment_scope(acme.test.id):
        assert CreditGrantTemplate.objects.get().archived_at is not None
        assert AuditRecord.objects.get(action="credit_grant.archived").reason == "Sold out"


def test_a_plan_and_a_variant_are_archived_for_a_reason(desk, api, acme):
    plan = make_plan(api)
    variant = make_variant(api, plan)
    assert desk.send(f"{VARIANTS}{variant}/archive/", {"reason": "Nobody wants it"}).status_code == 302
    assert desk.send(f"{PLANS}{plan}/archive/", {"reason": "Over"}).status_code == 302
    shown = catalogue(api)
    assert shown["archived_at"] is not None
    assert shown["variants"][0]["archived_at"] is not None
    page = desk.open(f"{PLANS}{plan}/change/")
    assert f"{PLANS}{plan}/sell/" not in page
    with environment_scope(acme.test.id):
        reasons = AuditRecord.objects.filter(action__endswith=".archived").order_by("id")
        assert [record.reason for record in reasons] == ["Nobody wants it", "Over"]


def test_a_plan_and_a_variant_are_sold_again_for_a_reason(desk, api, acme):
    plan = make_plan(api)
    variant = make_variant(api, plan)
    assert "Sell again" not in desk.open(f"{PLANS}{plan}/change/")
    desk.send(f"{VARIANTS}{variant}/archive/", {"reason": "Oops"})
    desk.send(f"{PLANS}{plan}/archive/", {"reason": "Oops"})
    # a variant has its button when its plan is sold
    assert f"{VARIANTS}{variant}/unarchive/" not in desk.open(f"{VARIANTS}{variant}/change/")

    assert f"{PLANS}{plan}/unarchive/" in desk.open(f"{PLANS}{plan}/change/")
    assert desk.send(f"{PLANS}{plan}/unarchive/", {"reason": ""}).status_code == 422
    assert desk.send(f"{PLANS}{plan}/unarchive/", {"reason": "By mistake"}).status_code == 302
    assert f"{VARIANTS}{variant}/unarchive/" in desk.open(f"{VARIANTS}{variant}/change/")
    assert desk.send(f"{VARIANTS}{variant}/unarchive/", {"reason": "That too"}).status_code == 302

    shown = catalogue(api)
    assert (shown["archived_at"], shown["variants"][0]["archived_at"]) == (None, None)
    with environment_scope(acme.test.id):
        records = AuditRecord.objects.filter(action__endswith=".unarchived").order_by("id")
        assert [record.reason for record in records] == ["By mistake", "That too"]


def test_a_plan_is_renamed(desk, api):
    plan = make_plan(api, features={"sso": True})
    assert desk.send(f"{PLANS}{plan}/edit/", {**PLAN, "name": "API"}).status_code == 302
    assert (catalogue(api)["name"], catalogue(api)["features"]) == ("API", {"sso": True, "seats": 5})


def test_lists_say_how_many_are_on_what_is_sold(desk, api, acme):
    plan = make_plan(api)
    variant = make_variant(api, plan)
    for status in ("active", "overdue", "canceled"):
        put_somebody_on(acme, variant, status=status)
    make_plan(api, name="Another")
    with environment_scope(acme.test.id):
        (found,) = [row for row in _plans() if row.name == "API Platform"]
        assert (found.variants_sold, found.subscribers) == (1, 2)
    assert "Another" in desk.open(PLANS)
    assert "Another" not in desk.open(f"{PLANS}?q={plan}")
    page = f"{VARIANTS}{variant}/change/"
    assert page in desk.open(f"{VARIANTS}?q=platform&billing_mode__exact=postpaid&status=sold")
    assert page not in desk.open(f"{VARIANTS}?q=platform&status=archived")


def _plans() -> list[Any]:
    return list(plans_with_subscribers(Plan.objects.all()))


def test_the_page_of_a_variant_shows_its_prices(desk, api):
    variant = make_variant(api, make_plan(api))
    make_metric(api)
    make_rule(api, cost_type="per_unit", unit_cost=250, plan_variant_id=variant)
    page = desk.open(f"{VARIANTS}{variant}/change/")
    assert "api_call" in page
    assert "0.25 credits per unit" in page


@pytest.mark.parametrize("role", ["viewer", "support", "finance"])
def test_who_may_not_sell_is_refused(api, acme, role):
    plan = make_plan(api)
    variant = make_variant(api, plan)
    grant = make_grant(api, plan, variant)
    desk = Desk(somebody(role), acme.test)

    page = desk.open(f"{VARIANTS}{variant}/change/")
    assert "/edit/" not in page
    for path in (
        f"{PLANS}add/",
        f"{PLANS}{plan}/edit/",
        f"{PLANS}{plan}/sell/",
        f"{PLANS}{plan}/archive/",
        f"{PLANS}{plan}/unarchive/",
        f"{VARIANTS}{variant}/unarchive/",
        f"{VARIANTS}{variant}/edit/",
        f"{VARIANTS}{variant}/archive/",
        f"{VARIANTS}{variant}/grants/add/",
        f"{VARIANTS}{variant}/grants/{grant}/edit/",
        f"{VARIANTS}{variant}/grants/{grant}/archive/",
    ):
        desk.open(path, status=403)
        assert desk.client.post(path, {**VARIANT, "token": "t" * 32}).status_code == 403


def test_another_environment_sees_nothing(api, acme, desk):
    plan = make_plan(api)
    variant = make_variant(api, plan)
    desk.look_at(acme.live)
    desk.open(f"{PLANS}{plan}/change/", status=404)
    desk.open(f"{VARIANTS}{variant}/edit/", status=404)
    assert "API Platform" not in desk.open(PLANS)
