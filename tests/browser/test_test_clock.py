"""The test clock's panel and the line on every page: wide and narrow, light and dark."""

from __future__ import annotations

import pytest

from tests.making import give

PAGE = "/admin/customers/environment/test-clock/"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_looks(person, acme, api, width, theme):
    somebody = person(acme.test, width=width, theme=theme)
    somebody.go(PAGE)
    somebody.keep(f"clock-system-{width}-{theme}")
    assert api.post("/v1/test-clock", {"frozen_time": "2026-01-01T00:00:00Z"}).status == 200
    give(
        api, 1000, expires_at="2026-03-01T00:00:00Z", to="a customer with a rather long external id, you see"
    )
    somebody.go(PAGE)
    somebody.keep(f"clock-{width}-{theme}")
    somebody.open_dialog("1 month")
    somebody.keep(f"clock-dialog-{width}-{theme}", full_page=False)
    somebody.go("/admin/")
    somebody.keep(f"clock-home-{width}-{theme}")


def test_a_day_goes_by(person, acme, api):
    # given: a grant that ends tomorrow
    assert api.post("/v1/test-clock", {"frozen_time": "2026-01-01T00:00:00Z"}).status == 200
    give(api, 1000, expires_at="2026-01-01T12:00:00Z")
    somebody = person(acme.test)
    somebody.go(PAGE)
    # when
    dialog = somebody.open_dialog("1 day")
    dialog.locator("[name=reason]").fill("To see it expire.")
    dialog.locator("[data-submit]").click()
    # then
    somebody.page.wait_for_selector("text=It is 2026-01-02 00:00:00 UTC now.")
    assert somebody.page.locator(".p-clock strong").inner_text() == "2026-01-02 00:00:00 UTC"
    assert "Advanced: 2026-01-01T00:00:00Z → 2026-01-02T00:00:00Z" in somebody.page.inner_text("#content")
