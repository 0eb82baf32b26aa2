"""Support reads what happened to a customer: on the page itself, one kind of thing alone, and further back."""

from __future__ import annotations

import pytest

from tests.making import give, make_metric, make_plan, make_variant, use


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 360)])
def test_support_reads_the_timeline(person, acme, api, theme, width):
    # given
    make_metric(api)
    give(api, 500_000, reason="Welcome credits")
    for _ in range(40):
        assert use(api, 3).status == 202
    variant = make_variant(api, make_plan(api))
    subscribed = api.post("/v1/subscriptions", {"external_customer_id": "user_1", "plan_variant_id": variant})
    assert subscribed.status == 201
    somebody = person(acme.test, theme=theme, width=width)
    page = somebody.page
    # when
    somebody.find("user_1")
    part = page.locator("#timeline")
    part.get_by_role("link", name="Older").wait_for()
    somebody.keep(f"timeline-{theme}")
    part.get_by_role("link", name="Older").click()
    part.get_by_text("Welcome credits").first.wait_for()
    # then
    part.get_by_role("link", name="Subscriptions", exact=True).click()
    part.locator(".p-chip-chosen", has_text="Subscriptions").wait_for()
    assert part.locator(".p-timeline li").count() == 1
    somebody.go("/admin/customers/customer/?q=user_1")
    assert page.get_by_role("link", name="Export this row as CSV").is_visible()
    somebody.keep(f"customers-export-{theme}")
