"""A replay, from the rule's page to who wins and who loses, on every kind of screen."""

from __future__ import annotations

import pytest

from tests.browser.accessibility import serious_issues
from tests.making import give, make_metric, use


@pytest.fixture
def rule(api) -> str:
    """Small and big users, at one credit a unit."""
    make_metric(api)
    for number, units in enumerate((1, 2, 3, 50, 700, 9_000)):
        give(api, 100_000_000, to=f"user_{number}")
        assert use(api, units, by=f"user_{number}").status == 202
    name = {"display_name": "A customer with a rather long name, Incorporated"}
    assert api.patch("/v1/customer-by-external-id/user_5", name).status == 200
    return str(api.get("/v1/metering-rules")["data"][0]["id"])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_a_price_is_tried_on_past_usage(person, acme, rule, width, theme):
    somebody = person(acme.test, width=width, theme=theme)
    somebody.go(f"/admin/metering/meteringrule/{rule}/change/")
    somebody.page.get_by_role("link", name="Try on past usage").click()
    somebody.page.get_by_label("Price", exact=True).select_option("flat")
    somebody.page.get_by_label("Credits per unit or event").fill("10")
    somebody.keep(f"replay-asked-{width}-{theme}")
    assert serious_issues(somebody.page) == []

    somebody.page.get_by_role("button", name="Price it again").click()

    somebody.page.get_by_role("heading", name="Before and after").wait_for()
    somebody.keep(f"replay-{width}-{theme}")
    assert serious_issues(somebody.page) == []
    text = somebody.page.locator(".p-page").inner_text()
    assert "Exact" in text
    assert "A customer with a rather long name, Incorporated" in text
    assert "3 less, 3 more, 0 the same" in text
