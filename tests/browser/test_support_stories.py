"""What support does all day, as a person does it."""

from __future__ import annotations

import re

from tests.conftest import Api
from tests.making import balance, give, history, make_metric, use


def test_find_a_customer_and_grant_once_though_the_button_is_hit_twice(person, acme, api):
    give(api, 100_000, to="brightline", reason="Welcome")
    somebody = person(acme.test)

    somebody.find("brightline")
    dialog = somebody.open_dialog("Grant")
    dialog.get_by_label("Credits").fill("250")
    dialog.get_by_label("Reason").fill("Goodwill for Tuesday")
    dialog.get_by_text("250 credits become a new block.").wait_for()
    assert "= 250,000 mc" in dialog.inner_text()
    dialog.get_by_role("button", name="Grant credits").dblclick()
    somebody.page.get_by_text("Granted 250 credits to brightline.").wait_for()

    assert balance(api, of="brightline")["balance"] == 350_000
    assert [entry["reason"] for entry in history(api, of="brightline")] == ["Goodwill for Tuesday", "Welcome"]
    assert "350" in somebody.page.locator(".p-number-first").inner_text()


def test_going_back_and_reloading_grant_nothing_more(person, acme, api):
    give(api, 100_000, to="brightline")
    somebody = person(acme.test)
    somebody.find("brightline")
    dialog = somebody.open_dialog("Grant")
    dialog.get_by_label("Credits").fill("1")
    dialog.get_by_label("Reason").fill("x")
    dialog.get_by_role("button", name="Grant credits").click()
    somebody.page.get_by_text("Granted 1 credits").wait_for()

    somebody.page.reload()
    somebody.page.go_back()
    somebody.page.go_forward()

    assert balance(api, of="brightline")["balance"] == 101_000


def test_an_adjustment_that_is_too_much_says_so_and_can_be_put_right(person, acme, api):
    give(api, 100_000, to="brightline")
    somebody = person(acme.test)
    somebody.find("brightline")

    dialog = somebody.open_dialog("Adjust")
    dialog.get_by_label("Credits, up or down").fill("-100.5")
    dialog.get_by_label("Reason").fill("Granted twice")
    dialog.get_by_role("button", name="Adjust balance").click()
    dialog.get_by_role("alert").get_by_text("100 can be taken").wait_for()
    assert balance(api, of="brightline")["balance"] == 100_000

    dialog.get_by_label("Credits, up or down").fill("-40")
    dialog.get_by_role("button", name="Adjust balance").click()
    somebody.page.get_by_text("Adjusted brightline by \u221240 credits.").wait_for()
    assert balance(api, of="brightline")["balance"] == 60_000


def test_a_form_without_a_reason_is_not_sent_through(person, acme, api):
    give(api, 100_000, to="brightline")
    somebody = person(acme.test)
    somebody.find("brightline")

    dialog = somebody.open_dialog("Grant")
    dialog.get_by_label("Credits").fill("5")
    dialog.get_by_role("button", name="Grant credits").click()
    dialog.get_by_text("This field is required.").wait_for()

    assert balance(api, of="brightline")["balance"] == 100_000


def test_why_was_i_charged_takes_two_clicks(person, acme, api):
    make_metric(api, cost_type="per_unit", unit_cost="333.3")
    give(api, 100_000, to="brightline")
    assert use(api, 3, by="brightline", idempotency_key="order-9").status == 202
    somebody = person(acme.test)
    somebody.find("brightline")

    somebody.page.get_by_role("link", name=re.compile("Explain")).first.click()
    somebody.page.get_by_text("Rounding to a millicredit").wait_for()

    said = somebody.page.locator("#content").inner_text()
    for word in ("order-9", "version 1: 0.3333 credits per unit", "0.9999", "0.0001"):
        assert word in said, word


def test_a_key_is_shown_once_and_revoked(person, acme):
    somebody = person(acme.test)
    somebody.go("/admin/customers/apikey/add/")
    somebody.page.get_by_label("Name").fill("Backend")
    somebody.page.get_by_role("button", name="Issue key").click()
    secret = somebody.page.locator("[data-secret-value]").inner_text()
    assert Api(secret).get("/v1/customers").status == 200

    somebody.page.get_by_role("link", name="Done").click()
    somebody.page.wait_for_selector(".p-record")
    assert secret not in somebody.page.content()
    somebody.page.go_back()
    assert secret not in somebody.page.content()

    somebody.go("/admin/customers/apikey/?q=Backend")
    somebody.page.locator("#result_list a").first.click()
    dialog = somebody.open_dialog("Revoke")
    dialog.get_by_label("Reason").fill("Leaked")
    dialog.get_by_role("button", name="Revoke key").click()
    somebody.page.get_by_text("The key Backend is revoked.").wait_for()
    assert Api(secret).get("/v1/customers").status == 401


def test_the_first_metric_rule_and_grant_from_an_empty_tenant(person, acme, api):
    somebody = person(acme.test)

    somebody.page.get_by_role("link", name="New metric").click()
    dialog = somebody.page.locator("dialog[open]")
    dialog.get_by_label("Key").fill("chat_message")
    dialog.get_by_label("Name").fill("Chat message")
    dialog.get_by_role("button", name="Create metric").click()
    somebody.page.get_by_text("The metric chat_message was created.").wait_for()

    dialog = somebody.open_dialog("New rule")
    dialog.get_by_label("Credits per unit or event").fill("0.5")
    dialog.get_by_text("1,000 units").wait_for()
    dialog.get_by_role("button", name="Put into force").click()
    somebody.page.get_by_text("Version 1 of the rule for chat_message is set.").wait_for()

    give(api, 10_000)
    assert use(api, 3, metric="chat_message").status == 202
    assert balance(api)["balance"] == 8_500
    somebody.go("/admin/")
    assert somebody.page.get_by_text("Get started").count() == 0


def test_the_keyboard_is_enough(person, acme, api):
    give(api, 100_000, to="brightline")
    somebody = person(acme.test)
    keyboard = somebody.page.keyboard

    keyboard.press("Control+k")
    somebody.page.wait_for_timeout(300)
    keyboard.type("bright")
    somebody.page.locator("#command-results-list li").first.wait_for()
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    somebody.page.wait_for_selector(".p-customer")

    grant = somebody.page.get_by_role("link", name="Grant", exact=True)
    grant.and_(somebody.page.locator("[data-dialog]")).focus()
    keyboard.press("Enter")
    somebody.page.locator("dialog[open]").wait_for()
    keyboard.type("7")
    keyboard.press("Escape")
    somebody.page.locator("dialog[open]").wait_for(state="detached")
    assert somebody.page.evaluate("document.activeElement.textContent.trim()").endswith("Grant")
    assert balance(api, of="brightline")["balance"] == 100_000


def test_the_environment_is_switched_and_unmistakable(person, acme):
    somebody = person(acme.test)
    assert somebody.page.title().startswith("[test]")

    somebody.page.locator("details.p-environment summary").click()
    somebody.page.locator(f".p-environment-list button[value='{acme.live.id}']").click()
    somebody.page.wait_for_selector(".p-environment-live")

    assert somebody.page.title().startswith("[live]")
    assert f"live · {acme.tenant.name}" in somebody.page.content()
