"""How the desk behaves whoever works at it: forms, the keyboard, two environments."""

from __future__ import annotations

from tests.making import balance, give, history


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


def test_a_form_without_a_reason_is_not_sent_through(person, acme, api):
    give(api, 100_000, to="brightline")
    somebody = person(acme.test)
    somebody.find("brightline")

    dialog = somebody.open_dialog("Grant")
    dialog.get_by_label("Credits").fill("5")
    dialog.get_by_role("button", name="Grant credits").click()
    dialog.get_by_text("This field is required.").wait_for()

    assert balance(api, of="brightline")["balance"] == 100_000


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
