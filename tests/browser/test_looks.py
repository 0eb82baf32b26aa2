"""Every kind of page on a wide screen and on a phone, light and dark: nothing sticks out, everything has a name."""

from __future__ import annotations

import pytest

from customers.kernel.database import environment_scope
from customers.models import Customer
from tests.browser.accessibility import serious_issues
from tests.making import give, make_metric, make_plan, make_variant, use
from tests.subscriptions.catalogue import make_grant, put_somebody_on

# Controls that a screen reader could not name.
_NAMELESS = """
() => [...document.querySelectorAll('#content :is(a[href], button, input:not([type=hidden]), select, textarea)')]
  .filter((one) => one.checkVisibility() && !(one.labels?.length || one.ariaLabel || one.textContent.trim()
    || one.title || one.placeholder || one.getAttribute('aria-labelledby')))
  .map((one) => one.outerHTML.slice(0, 200))
"""

PATHS = {
    "home": "/admin/",
    "customers": "/admin/customers/customer/",
    "ledger": "/admin/billing/ledgerentry/",
    "blocks": "/admin/billing/creditblock/",
    "holds": "/admin/billing/hold/",
    "proofs": "/admin/billing/verificationrun/",
    "metrics": "/admin/metering/billablemetric/",
    "rules": "/admin/metering/meteringrule/",
    "events": "/admin/metering/usageevent/",
    "webhook-events": "/admin/customers/outboxevent/",
    "audit": "/admin/customers/auditrecord/",
    "keys": "/admin/customers/apikey/",
    "tenants": "/admin/customers/tenant/?q=Acme",
    "people": "/admin/customers/user/",
    "new-customer": "/admin/customers/customer/add/",
    "new-key": "/admin/customers/apikey/add/",
    "new-rule": "/admin/metering/meteringrule/add/",
    "new-metric": "/admin/metering/billablemetric/add/",
}


@pytest.fixture
def lived_in(acme, api):
    make_metric(api)
    for number in range(3):
        give(api, 100_000 + number, to=f"user_{number}", reason="Welcome credits", source="promotional")
        for _ in range(4):
            assert use(api, 3, by=f"user_{number}").status == 202
    names = {
        "display_name": "A customer with a rather long name, Incorporated",
        "email": "billing@example.test",
    }
    assert api.patch("/v1/customer-by-external-id/user_0", names).status == 200
    return acme


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_pages(person, lived_in, width, theme):
    somebody = person(lived_in.test, width=width, theme=theme)

    for name, path in PATHS.items():
        somebody.go(path)
        somebody.keep(f"{name}-{width}-{theme}")
        assert somebody.page.evaluate(_NAMELESS) == [], name
        assert serious_issues(somebody.page) == [], name
        row = somebody.page.locator("#result_list a").first
        if row.count() and name not in {"people", "tenants"}:
            row.click()
            somebody.page.wait_for_selector(".p-record")
            somebody.keep(f"{name}-one-{width}-{theme}")
            assert somebody.page.evaluate(_NAMELESS) == [], name
            assert serious_issues(somebody.page) == [], name


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_dialogs(person, lived_in, width, theme):
    somebody = person(lived_in.test, width=width, theme=theme)
    with environment_scope(lived_in.test.id):
        customer = Customer.objects.get(external_id="user_0")

    for name in ("Grant", "Adjust", "Edit", "Delete"):
        somebody.go(f"/admin/customers/customer/{customer.id}/change/")
        dialog = somebody.open_dialog(name)
        somebody.page.wait_for_timeout(500)
        somebody.keep(f"dialog-{name.lower()}-{width}-{theme}", full_page=False)
        assert serious_issues(somebody.page) == [], name
        box = dialog.bounding_box()
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 900


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_the_catalogue(person, acme, api, width, theme):
    plan = make_plan(api, name="A plan with a rather long name for what it is", features={"sso": True})
    variant = make_variant(api, plan, billing_mode="prepaid", price=4900, currency="USD")
    for terms in ({"rollover_percentage": 50, "accumulation_cap": 200_000_000}, {"name": "Also"}):
        make_grant(api, plan, variant, **terms)
    put_somebody_on(acme, variant)
    assert api.patch(f"/v1/plans/{plan}/variants/{variant}", {"trial_days": 7}).status == 201
    somebody = person(acme.test, width=width, theme=theme)

    for kind, dialogs in (
        ("plan", ("New variant", "Edit", "Archive")),
        ("planvariant", ("New credit grant", "Edit", "Archive")),
    ):
        somebody.go(f"/admin/subscriptions/{kind}/")
        somebody.keep(f"{kind}s-{width}-{theme}")
        somebody.page.locator("#result_list a").first.click()
        somebody.page.wait_for_selector(".p-record")
        somebody.keep(f"{kind}-one-{width}-{theme}")
        assert somebody.page.evaluate(_NAMELESS) == [], kind
        assert serious_issues(somebody.page) == [], kind
        page = somebody.page.url
        for name in dialogs:
            somebody.page.goto(page)
            somebody.page.locator(".p-actions").get_by_role("link", name=name, exact=True).click()
            dialog = somebody.page.locator("dialog[open]")
            dialog.wait_for()
            somebody.page.wait_for_timeout(500)
            somebody.keep(f"{kind}-{name.lower().replace(' ', '-')}-{width}-{theme}", full_page=False)
            assert somebody.page.evaluate(_NAMELESS) == [], name
            assert serious_issues(somebody.page) == [], name
            box = dialog.bounding_box()
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= 900


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_a_subscription_and_its_dialogs(person, acme, api, width, theme):
    # given: somebody with a rather long plan, a contract and a planned change
    variant = make_variant(api, make_plan(api, name="A plan with a rather long name for what it is"))
    assert api.post("/v1/customers", {"external_id": "user_0"}).status == 201
    made = api.post(
        "/v1/subscriptions",
        {
            "external_customer_id": "user_0",
            "plan_variant_id": variant,
            "contract_end": "2099-01-01T00:00:00Z",
            "external_subscription_id": "your_contract_reference_" * 6,
        },
    )
    assert made.status == 201
    planned = {"plan_variant_id": make_variant(api), "effective": "period_end", "reason": "Agreed"}
    assert api.post(f"/v1/subscriptions/{made['id']}/change", planned).status == 200
    somebody = person(acme.test, width=width, theme=theme)
    page = f"/admin/subscriptions/subscription/{made['id']}/change/"

    for name, path in (("list", "/admin/subscriptions/subscription/"), ("one", page)):
        somebody.go(path)
        somebody.keep(f"subscription-{name}-{width}-{theme}")
        assert somebody.page.evaluate(_NAMELESS) == [], name
    for name in ("Pause", "Change plan", "Extend contract", "Cancel"):
        somebody.go(page)
        dialog = somebody.open_dialog(name)
        dialog.locator("[name=reason]").fill("Asked by phone")
        somebody.keep(f"subscription-{name}-{width}-{theme}", full_page=False)
        assert somebody.page.evaluate(_NAMELESS) == [], name
