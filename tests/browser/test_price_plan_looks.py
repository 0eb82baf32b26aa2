"""Price plans on a wide screen and on a phone, light and dark: their pages, dialogs and previews."""

from __future__ import annotations

import pytest

from customers.kernel.database import environment_scope
from subscriptions.models import PricePlan
from tests.browser.accessibility import serious_issues
from tests.browser.test_looks import _NAMELESS
from tests.subscriptions.pricing import GROWTH, fee, make_price_plan, subscribe_to


@pytest.fixture
def sold(acme, api):
    """A price plan with everything: two versions, subscribers, a warning; and one who changed plans."""
    api.post("/v1/metrics", {"key": "api_calls", "name": "API calls"})
    rule = {"billable_metric_key": "api_calls", "cost_type": "flat", "unit_cost": 1}
    assert api.post("/v1/metering-rules", rule).status == 201
    make_price_plan(api, "plan_small", fee("5"))
    assert api.post("/v1/price-plans", {**GROWTH, "changelog": "The first"}).status == 201
    package = {
        "pricing_model": "package",
        "metric_key": "api_calls",
        "package_size": 1000,
        "package_price": 2,
    }
    more = {
        "charges": [*GROWTH["charges"], package],
        "minimum": "10",
        "changelog": "Packages beside, " + "and more " * 20,
        "entitlements": {"sso": True, "calls": {"type": "limit", "limit": 9, "metric_key": "api_calls"}},
    }
    assert api.post("/v1/price-plans", {**GROWTH, **more}).status == 201
    deal = subscribe_to(api, acme.test, "plan_small", who="user_0", begin=None)
    assert deal.act("change", {"plan_id": "plan_growth"}).status == 200
    with environment_scope(acme.test.id):
        return f"/admin/subscriptions/priceplan/{PricePlan.objects.get(key='plan_growth').id}/change/", deal


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_price_plans(person, acme, sold, width, theme):
    page, deal = sold
    somebody = person(acme.test, width=width, theme=theme)

    for name, path in (
        ("list", "/admin/subscriptions/priceplan/"),
        ("one", page),
        ("older", f"{page}?version=1"),
        ("subscription", f"/admin/subscriptions/subscription/{deal.id}/change/"),
    ):
        somebody.go(path)
        somebody.keep(f"price-plan-{name}-{width}-{theme}")
        assert somebody.page.evaluate(_NAMELESS) == [], name
        assert serious_issues(somebody.page) == [], name
    for name in ("New version", "Move subscribers", "Deprecate"):
        somebody.page.goto(somebody.page.url.partition("/admin/")[0] + page)
        somebody.page.locator(".p-actions").get_by_role("link", name=name, exact=True).click()
        dialog = somebody.page.locator("dialog[open]")
        dialog.wait_for()
        somebody.page.wait_for_timeout(500)
        somebody.keep(f"price-plan-{name.lower().replace(' ', '-')}-{width}-{theme}", full_page=False)
        assert serious_issues(somebody.page) == [], name
        box = dialog.bounding_box()
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 900
