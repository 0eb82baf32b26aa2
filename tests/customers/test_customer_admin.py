"""Customers in the admin: found, shown, made, changed, hidden; each environment for itself."""

from __future__ import annotations

from decimal import Decimal

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Customer
from tests.desk import Desk, somebody
from tests.making import give, make_metric, use

LIST = "/admin/customers/customer/"


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


def customer_of(world, external_id):
    with environment_scope(world.id):
        return Customer.objects.get(external_id=external_id)


def page_of(world, external_id):
    return f"{LIST}{customer_of(world, external_id).id}/change/"


def action_of(world, external_id, slug):
    return f"{LIST}{customer_of(world, external_id).id}/actions/{slug}/"


def make(api, external_id, **more):
    assert api.post("/v1/customers", {"external_id": external_id, **more}).status == 201


@pytest.mark.parametrize("query", ["bright", "LABS", "user_7", "Brightline, Inc", "billing@bright"])
def test_search_finds_by_every_name(desk, api, query):
    make(api, "user_7", display_name="Bright Labs", name="Brightline, Inc.", email="billing@bright.example")
    make(api, "other", display_name="Somebody else")

    page = desk.open(f"{LIST}?q={query}")

    assert "Bright Labs" in page
    assert "Somebody else" not in page


def test_search_finds_by_id(desk, api, acme):
    make(api, "user_7")

    assert "user_7" in desk.open(f"{LIST}?q={customer_of(acme.test, 'user_7').public_id}")


def test_percent_and_underscore_are_letters_to_a_search(desk, api):
    make(api, "user_7")

    assert "user_7" not in desk.open(f"{LIST}?q=%25")
    assert "user_7" not in desk.open(f"{LIST}?q=us_r")


def test_a_customer_without_display_name_shows_the_external_id(desk, api, acme):
    make(api, "only-external")

    assert "only-external" in desk.open(LIST)
    assert "only-external" in desk.open(page_of(acme.test, "only-external"))


def test_balances_stand_in_the_list(desk, api):
    give(api, 1_234_500, to="rich")

    assert "1,234<span" in desk.open(LIST)


def test_low_and_overdrawn_are_filters(desk, api):
    make_metric(api)
    give(api, 5_000, to="low")
    assert api.patch("/v1/customer-by-external-id/low", {"low_balance_threshold": 10_000}).status == 200
    give(api, 500_000, to="fine")
    make(api, "over", overage_policy="allow")
    assert use(api, 3, by="over").status == 202

    low, over = desk.open(f"{LIST}?balance=low"), desk.open(f"{LIST}?balance=overdrawn")

    assert ">low<" in low
    assert ">fine<" not in low
    assert ">over<" in over
    assert ">low<" not in over


def test_deleted_customers_are_out_of_sight_until_asked_for(desk, api):
    make(api, "gone", display_name="Gone Fishing")
    assert api.delete("/v1/customer-by-external-id/gone").status == 204

    assert "Gone Fishing" not in desk.open(LIST)
    assert "Gone Fishing" not in desk.open(f"{LIST}?q=gone")
    assert "Gone Fishing" in desk.open(f"{LIST}?status=deleted")
    assert "Gone Fishing" in desk.open(f"{LIST}?status=all&q=gone")


def test_another_environments_customers_are_not_there(desk, api, acme, rival):
    make(api, "ours", display_name="Ours Alone")
    page = page_of(acme.test, "ours")

    for world in (acme.live, rival.test):
        desk.look_at(world)
        assert "Ours Alone" not in desk.open(LIST)
        assert "Ours Alone" not in desk.open("/admin/search/?s=ours")
        desk.open(page, status=404)


def test_the_palette_answers_from_the_environment_in_view_at_once(desk, api, acme):
    make(api, "ours", display_name="Ours Alone")
    assert "Ours Alone" in desk.open("/admin/search/?s=ours+alone")

    desk.look_at(acme.live)

    assert "Ours Alone" not in desk.open("/admin/search/?s=ours+alone")


def test_the_palette_finds_objects_by_id(desk, api, acme):
    block = give(api, 5_000, to="somebody")["block"]["id"]
    assert block in desk.open(f"/admin/search/?s={block}")

    desk.look_at(acme.live)

    assert block not in desk.open(f"/admin/search/?s={block}").replace(f"s={block}", "")


def test_the_page_tells_the_whole_story(desk, api, acme):
    make_metric(api)
    give(api, 100_000, to="user_1", source="promotional", reason="Welcome")
    assert use(api, 7, idempotency_key="order-77").status == 202

    page = desk.open(page_of(acme.test, "user_1"))

    for word in (
        "93",
        "100,000 mc",
        "Promotional",
        "Welcome",
        "api_call",
        "order-77",
        "Explain",
    ):
        assert word in page, word
    here = page_of(acme.test, "user_1").replace("change/", "panels/")
    assert "credit.granted" in desk.open(f"{here}webhooks/")


def test_a_new_customer_is_made_once_however_often_the_form_is_sent(desk, acme):
    path = f"{LIST}add/"
    token, data = desk.token(path), {"external_id": "new-1", "overage_policy": "block", "timezone": "UTC"}

    first, second = desk.send(path, data, token=token), desk.send(path, data, token=token)

    assert first.status_code == second.status_code == 302
    with environment_scope(acme.test.id):
        assert Customer.objects.filter(external_id="new-1").count() == 1
        assert AuditRecord.objects.get(action="customer.created").actor == f"user:{desk.user.username}"


def test_a_customer_that_exists_is_refused_with_a_message(desk, api):
    make(api, "twice")

    answer = desk.send(f"{LIST}add/", {"external_id": "twice", "overage_policy": "block", "timezone": "UTC"})

    assert answer.status_code == 422
    assert "has this id already" in answer.content.decode()


def test_editing_goes_through_the_service(desk, api, acme):
    make(api, "user_7", display_name="Old name")
    data = {
        "display_name": "New name",
        "external_id": "user_7",
        "overage_policy": "allow",
        "overage_limit_mc": "250.5",
        "timezone": "Europe/Berlin",
        "metadata": '{"tier": "gold"}',
        "tax_rate": "7.7",
        "tax_id": "CHE-1",
        "billing_address": "1 Infinite Loop\r\nCupertino",
        "reason": "They asked",
    }

    assert desk.send(action_of(acme.test, "user_7", "edit"), data).status_code == 302

    customer = customer_of(acme.test, "user_7")
    assert (customer.display_name, customer.overage_limit_mc) == ("New name", 250_500)
    assert (customer.timezone, customer.metadata) == ("Europe/Berlin", {"tier": "gold"})
    assert (customer.tax_rate, customer.tax_id) == (Decimal("7.7"), "CHE-1")
    with environment_scope(acme.test.id):
        record = AuditRecord.objects.get(action="customer.updated")
    assert (record.reason, record.changes["tax_rate"]) == ("They asked", [None, "7.7"])


def test_a_bad_edit_is_shown_at_its_field_and_changes_nothing(desk, api, acme):
    make(api, "user_7", display_name="Old name")
    data = {"display_name": "New", "overage_policy": "block", "timezone": "Mars/Olympus"}

    answer = desk.send(action_of(acme.test, "user_7", "edit"), data)

    assert answer.status_code == 422
    assert "Must be a time zone" in answer.content.decode()
    assert customer_of(acme.test, "user_7").display_name == "Old name"


def test_deleting_needs_a_reason(desk, api, acme):
    make(api, "user_7")
    path = action_of(acme.test, "user_7", "delete")

    assert desk.send(path, {"reason": ""}).status_code == 422
    assert customer_of(acme.test, "user_7").deleted_at is None
    assert desk.send(path, {"reason": "Closed"}).status_code == 302
    assert customer_of(acme.test, "user_7").deleted_at is not None


@pytest.mark.parametrize("role", ["viewer", "finance", None])
def test_who_may_not_is_refused(api, acme, role):
    make(api, "user_7")
    desk = Desk(somebody(role), acme.test)

    for slug in ("edit", "delete"):
        desk.open(action_of(acme.test, "user_7", slug), status=403)
    desk.open(f"{LIST}add/", status=403)


def test_a_stranger_is_sent_to_the_login(client, acme, api):
    make(api, "user_7")

    answer = client.get(page_of(acme.test, "user_7"))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")


def test_what_people_type_is_never_markup(desk, api, acme):
    make(api, "<b>x</b>", display_name="<script>alert(1)</script>", metadata={"k": "<img src=x>"})

    for path in (
        LIST,
        page_of(acme.test, "<b>x</b>"),
        "/admin/search/?s=script",
        "/admin/customers/auditrecord/",
    ):
        page = desk.open(path)
        assert "<script>alert" not in page
        assert "<b>x</b>" not in page
        assert "<img src=x>" not in page
