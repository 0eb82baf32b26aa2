"""The commonest stories of support and operators, each whole, as a person in that role does it: from finding the
customer to what the API then says. Wide and narrow, light and dark; every step that matters is kept as a picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from billing.models import Invoice
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import WebhookDelivery, WebhookLane
from tests.billing.invoicing import make_customer, make_invoice
from tests.browser.accessibility import serious_issues
from tests.conftest import Api, Character
from tests.customers.test_webhook_delivery import make_endpoint, work
from tests.customers.webhook_receiver import Answer, receiving
from tests.making import balance, give, history, make_metric, make_plan, make_variant, use
from tests.metering.rolling import roll

pytestmark = [
    pytest.mark.parametrize("theme", ["light", "dark"]),
    pytest.mark.parametrize("width", [1440, 360]),
]

NAME = "Brightline Laboratories International, Incorporated"


@pytest.fixture
def enter(person: Any, width: int, theme: str) -> Callable[..., Any]:
    """`enter(world, role)`: somebody in that role; `look(name)` keeps a picture that nobody could complain about."""

    def entered(world: Any, role: str) -> Any:
        someone = person(world, role=role, width=width, theme=theme)

        def look(name: str, *, full_page: bool = True) -> None:
            someone.keep(f"story-{name}-{width}-{theme}", full_page=full_page, always=True)
            assert serious_issues(someone.page) == [], name

        someone.look = look
        return someone

    return entered


@pytest.fixture
def brightline(acme: Character, api: Api) -> Character:
    """A customer with a name, an address and 1,000 credits, whom everything costs a credit a unit."""
    make_metric(api)
    make_metric(api, key="transcription_minutes_of_the_large_model")
    give(api, 1_000_000, to="brightline", reason="Welcome", source="promotional")
    names = {"display_name": NAME, "email": "billing@brightline.example"}
    assert api.patch("/v1/customer-by-external-id/brightline", names).status == 200
    return acme


def send(dialog: Any, button: str) -> None:
    dialog.get_by_role("button", name=button, exact=True).click()


def follow(somebody: Any, address: Any) -> None:
    """A link in the page, by its words, and the page behind it."""
    somebody.page.locator("#content").get_by_role("link", name=address).first.click()
    somebody.page.wait_for_load_state()


def reserve(api: Api, units: int) -> None:
    wish = {"external_customer_id": "brightline", "billable_metric_key": "api_call", "estimated_units": units}
    assert api.post("/v1/reserve", {**wish, "ttl_seconds": 86_400}, idempotency_key="job-1").status == 201


def test_1_why_was_i_charged(enter, brightline, api):
    long_name = "transcription_minutes_of_the_large_model"
    assert use(api, 5, by="brightline", metric=long_name).status == 202
    assert use(api, 3, by="brightline", idempotency_key="order-9").status == 202
    roll()
    support = enter(brightline.test, "support")
    page = support.page

    page.keyboard.press("Control+k")
    page.wait_for_timeout(300)
    page.keyboard.type("billing@brightline")
    page.locator("#command-results-list li", has_text="Brightline").first.wait_for()
    support.look("charged-search", full_page=False)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".p-customer")
    page.locator("#timeline").get_by_text("api_call").first.wait_for()
    page.locator("#usage-chart").get_by_text(long_name).first.wait_for()
    page.locator("#webhooks").get_by_text("credit.granted").wait_for()
    support.look("charged-customer")
    page.get_by_role("link", name=re.compile("Explain")).first.click()
    page.get_by_text("version 1: 1 credits per unit").first.wait_for()
    support.look("charged-explained")

    said = page.locator("#content").inner_text()
    for word in ("order-9", "version 1: 1 credits per unit"):
        assert word in said, word


def test_2_why_was_i_refused(enter, brightline, api):
    assert use(api, 1_001, by="brightline").status == 402
    support = enter(brightline.test, "support")
    support.find("brightline")

    dialog = support.open_dialog("May they?")
    dialog.get_by_label("Units").fill("1001")
    dialog.get_by_text("Not enough credits, and no overdraft that would cover it.").wait_for()
    dialog.get_by_text("At most 1,000 units would be.").wait_for()
    support.look("refused-why", full_page=False)

    dialog.get_by_label("Units").fill("1000")
    dialog.get_by_text("api_call would be allowed.").wait_for()
    assert len(history(api, of="brightline")) == 1


def test_3_a_note_and_goodwill_that_a_second_person_lets_through(enter, brightline, api):
    support = enter(brightline.test, "support")
    support.find("brightline")

    dialog = support.open_dialog("Write a note")
    dialog.get_by_label("Note").fill(
        "Their import ran twice on Tuesday, and it was us.\nPromised 2,500 credits."
    )
    dialog.get_by_label("Pin it above the others").check()
    support.look("goodwill-note", full_page=False)
    send(dialog, "Keep note")
    support.page.locator("#notes").get_by_text("Promised 2,500 credits.").wait_for()
    support.look("goodwill-noted")

    dialog = support.open_dialog("Grant")
    dialog.get_by_label("Credits").fill("2500")
    dialog.get_by_label("Reason").fill("Import ran twice")
    dialog.get_by_text("above your limit of 1,000 credits").wait_for()
    support.look("goodwill-above", full_page=False)
    send(dialog, "Ask for approval")
    support.page.get_by_text("Asked for approval. Nothing has been done yet.").wait_for()
    assert balance(api, of="brightline")["balance"] == 1_000_000

    operator = enter(brightline.test, "operator")
    operator.page.locator(".p-tile", has_text="Waiting for approval").click()
    operator.page.locator("#result_list a").first.click()
    operator.page.get_by_text("When it was asked for").wait_for()
    operator.look("goodwill-request")
    follow(operator, re.compile("Brightline"))
    operator.page.locator("#notes").get_by_text("and it was us").wait_for()
    operator.page.go_back()
    dialog = operator.open_dialog("Approve")
    dialog.get_by_label("Reason").fill("Read the note")
    dialog.get_by_text("2,500 credits become a new block.").wait_for()
    send(dialog, "Approve and do it")
    operator.page.get_by_text("Approved and done.").wait_for()

    assert balance(api, of="brightline")["balance"] == 3_500_000
    assert history(api, of="brightline")[0]["actor"] == f"user:{support.name}"
    support.find("brightline")
    support.page.locator("#timeline").get_by_role("link", name="Notes", exact=True).click()
    support.page.locator("#timeline .p-chip-chosen", has_text="Notes").wait_for()
    assert support.page.locator("#timeline .p-timeline li").count() == 1


def test_4_charged_twice_give_it_back(enter, brightline, api):
    for key in ("order-9", "order-9-again"):
        assert use(api, 120, by="brightline", idempotency_key=key).status == 202
    support = enter(brightline.test, "support")
    support.find("brightline")

    support.page.get_by_role("link", name=re.compile("Explain")).first.click()
    dialog = support.open_dialog("Refund")
    dialog.get_by_label("Reason").fill("Sent twice by their retry")
    dialog.get_by_text("120 credits into block").wait_for()
    support.look("refund-preview", full_page=False)
    send(dialog, "Refund credits")
    support.page.get_by_text("Refunded 120 credits").wait_for()
    support.look("refund-done")

    assert balance(api, of="brightline")["balance"] == 880_000
    assert history(api, of="brightline")[0]["kind"] == "refund"


def test_5_my_credits_run_out_tomorrow(enter, brightline, api):
    tomorrow = (system_now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    give(api, 300_000, to="brightline", expires_at=tomorrow, source="topup", priority=5, reason="Pack of 300")
    support = enter(brightline.test, "support")
    support.find("brightline")

    follow(support, re.compile("^blk_"))
    dialog = support.open_dialog("Extend expiry")
    dialog.get_by_label("Expires").fill("2099-01-01T00:00:00")
    dialog.get_by_label("Reason").fill("On holiday until January")
    dialog.get_by_text("300 credits become a new block.").wait_for()
    support.look("extend-preview", full_page=False)
    send(dialog, "Extend expiry")
    support.page.get_by_text("live longer").wait_for()
    support.look("extend-done")

    [first, *_] = balance(api, of="brightline", query="?include_blocks=true")["blocks"]
    assert (first["remaining_amount"], first["source"], first["expires_at"]) == (
        300_000,
        "topup",
        "2099-01-01T00:00:00Z",
    )


def test_6_a_job_died_and_its_credits_are_held(enter, brightline, api):
    reserve(api, 990)
    support = enter(brightline.test, "support")
    support.find("brightline")
    assert "990" in support.page.locator(".p-number", has_text="Reserved").inner_text()

    support.page.locator("#holds").get_by_role("link", name=re.compile("^res_")).click()
    dialog = support.open_dialog("Release")
    dialog.get_by_label("Reason").fill("Their worker was killed, they will run it again")
    dialog.get_by_text("+990").wait_for()
    support.look("hold-preview", full_page=False)
    send(dialog, "Release hold")
    support.page.get_by_text("Released 990 credits").wait_for()
    support.look("hold-done")

    assert balance(api, of="brightline")["effective_balance"] == 1_000_000


def test_7_a_correction_that_was_too_much_is_put_right(enter, brightline, api):
    support = enter(brightline.test, "support")
    support.find("brightline")

    dialog = support.open_dialog("Adjust")
    dialog.get_by_label("Credits, up or down").fill("-1000.5")
    dialog.get_by_label("Reason").fill("Granted twice")
    dialog.get_by_text("1,000 can be taken").wait_for()
    support.look("adjust-refused", full_page=False)
    dialog.get_by_label("Credits, up or down").fill("-40")
    dialog.get_by_text("40 credits out of block").wait_for()
    send(dialog, "Adjust balance")
    support.page.get_by_text(f"Adjusted {NAME} by \N{MINUS SIGN}40 credits.").wait_for()
    support.look("adjust-done")

    assert balance(api, of="brightline")["balance"] == 960_000


def test_8_put_me_on_a_plan_and_pause_it(enter, brightline, api):
    make_variant(api, make_plan(api, name="API Platform"))
    support = enter(brightline.test, "support")
    support.find("brightline")

    dialog = support.open_dialog("Subscribe")
    dialog.get_by_label("Plan variant").select_option(index=1)
    dialog.get_by_label("Reason").fill("Asked for it by mail")
    support.page.wait_for_timeout(600)
    support.look("plan-subscribe", full_page=False)
    send(dialog, "Subscribe")
    support.page.get_by_text("is subscribed to API Platform").wait_for()
    if "/subscription/" not in support.page.url:
        support.page.locator("#subscriptions").get_by_role("link", name=re.compile("API Platform")).click()
    dialog = support.open_dialog("Pause")
    dialog.get_by_label("Reason").fill("Company holidays")
    dialog.get_by_text("Usage is refused while it is paused.").wait_for()
    send(dialog, "Pause")
    support.page.get_by_text("Paused the subscription").wait_for()
    support.look("plan-paused")
    dialog = support.open_dialog("Resume")
    dialog.get_by_label("Reason").fill("They are back")
    send(dialog, "Resume")
    support.page.get_by_text("Resumed the subscription").wait_for()

    [subscription] = api.get("/v1/customer-by-external-id/brightline/subscriptions")["data"]
    assert subscription["status"] == "active"


def test_9_money_back_on_an_invoice(enter, acme):
    now = system_now()
    customer = make_customer(acme.test, "cust_acme", display_name=NAME)
    invoice = make_invoice(acme.test, customer, 14_900, now=now)
    finance = enter(acme.test, "finance")

    finance.go("/admin/billing/invoice/")
    finance.look("invoice-list")
    finance.page.locator("#result_list a").first.click()
    dialog = finance.open_dialog("Credit note")
    dialog.get_by_label("Amount").fill("49")
    dialog.get_by_label("Reason").fill("A week of outage")
    dialog.get_by_text("100.00").first.wait_for()
    finance.look("invoice-credit", full_page=False)
    send(dialog, "Make credit note")
    finance.page.get_by_text("Made a credit note on INV-000001").wait_for()
    dialog = finance.open_dialog("Mark as paid")
    dialog.get_by_label("Reference").fill("Transfer 4711")
    dialog.get_by_label("Reason").fill("Came in by bank")
    send(dialog, "Mark as paid")
    finance.page.get_by_text("Marked as paid: INV-000001").wait_for()
    finance.look("invoice-paid")

    with environment_scope(acme.test.id):
        done = Invoice.objects.get(id=invoice.id)
    assert (done.status, done.paid_minor) == ("paid", 10_000)


def test_10_the_webhook_never_came(enter, brightline, api):
    world = brightline.test
    give(api, 5_000, to="brightline", reason="Topped up")
    with (
        override_settings(WEBHOOKS_ALLOW_PRIVATE=True, WEBHOOKS_DOORBELL=False),
        environment_scope(world.id),
        receiving() as receiver,
    ):
        endpoint = make_endpoint(world, receiver, ["credit.*"]).endpoint
        receiver.behave = lambda _: Answer(500)
        work(world, endpoint)
        WebhookDelivery.objects.update(state="dead", next_attempt_at=None)
        WebhookLane.objects.all().delete()
    support = enter(world, "support")

    support.look("webhook-home")
    support.find("brightline")
    support.page.locator("#webhooks").get_by_role("link", name="credit.granted").first.click()
    support.page.wait_for_selector(".p-record:not(.p-customer)")
    support.look("webhook-event")
    follow(support, re.compile("^dlv_"))
    dialog = support.open_dialog("Retry now")
    dialog.get_by_label("Reason").fill("Their server is up again")
    support.look("webhook-again", full_page=False)
    send(dialog, "Send")
    support.page.get_by_text("It is on its way again.").wait_for()
    support.look("webhook-sent")

    with environment_scope(world.id):
        assert WebhookDelivery.objects.filter(state="pending").count() == 1


def test_11_a_key_has_leaked(enter, acme):
    operator = enter(acme.test, "operator")
    page = operator.page
    operator.go("/admin/customers/apikey/add/")
    page.get_by_label("Name").fill("Backend")
    operator.look("key-new")
    page.get_by_role("button", name="Issue key").click()
    secret = page.locator("[data-secret-value]").inner_text()
    assert Api(secret).get("/v1/customers").status == 200

    page.get_by_role("link", name="Done").click()
    page.wait_for_selector(".p-record")
    assert secret not in page.content()
    page.go_back()
    assert secret not in page.content()
    operator.go("/admin/customers/apikey/?q=Backend")
    page.locator("#result_list a").first.click()
    dialog = operator.open_dialog("Revoke")
    dialog.get_by_label("Reason").fill("Was in a public repository")
    send(dialog, "Revoke key")
    page.get_by_text("The key Backend is revoked.").wait_for()
    operator.look("key-revoked")
    assert Api(secret).get("/v1/customers").status == 401


def test_12_the_first_metric_rule_and_grant_of_an_empty_tenant(enter, acme, api):
    operator = enter(acme.test, "operator")
    page = operator.page
    operator.look("first-home")

    page.get_by_role("link", name="New metric").click()
    dialog = page.locator("dialog[open]")
    dialog.get_by_label("Key").fill("chat_message")
    dialog.get_by_label("Name").fill("Chat message")
    send(dialog, "Create metric")
    page.get_by_text("The metric chat_message was created.").wait_for()
    dialog = operator.open_dialog("New rule")
    dialog.get_by_label("Credits per unit or event").fill("0.5")
    dialog.get_by_text("1,000 units").wait_for()
    operator.look("first-rule", full_page=False)
    send(dialog, "Put into force")
    page.get_by_text("Version 1 of the rule for chat_message is set.").wait_for()
    operator.go("/admin/customers/customer/add/")
    page.get_by_label("External id").fill("ada")
    page.get_by_label("Display name").fill("Ada")
    page.get_by_role("button", name="Create customer").click()
    page.get_by_text("Ada was created.").wait_for()
    dialog = operator.open_dialog("Grant")
    dialog.get_by_label("Credits").fill("10")
    dialog.get_by_label("Reason").fill("To try it")
    send(dialog, "Grant credits")
    page.get_by_text("Granted 10 credits to Ada.").wait_for()

    assert use(api, 3, by="ada", metric="chat_message").status == 202
    assert balance(api, of="ada")["balance"] == 8_500
    operator.go("/admin/")
    assert page.get_by_text("Get started").count() == 0
    operator.look("first-done")


def test_13_a_customer_leaves(enter, brightline, api):
    reserve(api, 90)
    operator = enter(brightline.test, "operator")
    operator.find("brightline")

    dialog = operator.open_dialog("Wind down")
    dialog.get_by_label("Reason").fill("Their contract ended")
    dialog.get_by_text("1,000 credits are voided.").wait_for()
    operator.look("wind-down-preview", full_page=False)
    send(dialog, "Wind customer down")
    operator.page.get_by_text("is wound down").wait_for()
    operator.look("wind-down-done")

    assert balance(api, of="brightline")["balance"] == 0
    assert api.get("/v1/customer-by-external-id/brightline")["deleted_at"] is not None


def test_a_request_id_leads_to_what_the_request_did(enter, brightline, api):
    debited = use(api, 7, by="brightline")
    refused = use(api, 5_000, by="brightline")
    somebody = enter(brightline.test, "support")
    keyboard, results = somebody.page.keyboard, somebody.page.locator("#command-results-list")

    keyboard.press("Control+k")
    somebody.page.wait_for_timeout(300)
    keyboard.type(refused["request_id"])
    results.get_by_text("This request stored nothing here").wait_for()
    somebody.look("request-refused", full_page=False)
    keyboard.press("Control+a")
    keyboard.type("gateway-0c6d1f9e2b7a")
    results.get_by_text("Only audit records were searched by request id").wait_for()
    somebody.look("request-of-theirs", full_page=False)
    keyboard.press("Control+a")
    keyboard.insert_text(debited.headers["X-Request-Id"])
    results.get_by_text(debited["event_id"]).wait_for()
    somebody.look("request-found", full_page=False)
    results.get_by_text(debited["event_id"]).click()

    somebody.page.get_by_text(debited.headers["X-Request-Id"]).wait_for()
