"""However much there is, no list and no page of the admin takes more than fifteen round trips."""

from __future__ import annotations

import pytest

from billing.models import CreditBlock, LedgerEntry
from customers.kernel.database import environment_scope
from customers.models import ApiKey, AuditRecord, Customer, OutboxEvent
from metering.models import BillableMetric, MeteringRule, UsageEvent
from tests.config.inhabited import inhabit
from tests.desk import Desk, somebody
from tests.making import give, make_metric, make_plan, make_rule, make_variant, use
from tests.subscriptions.catalogue import make_grant, put_somebody_on

CEILING = 15

LISTS = (
    "/admin/",
    "/admin/customers/customer/",
    "/admin/customers/customer/?q=user",
    "/admin/customers/customer/?balance=low",
    "/admin/customers/tenant/?q=Acme",
    "/admin/customers/environment/",
    "/admin/customers/apikey/",
    "/admin/customers/auditrecord/",
    "/admin/customers/outboxevent/",
    "/admin/customers/outboxevent/?q=user_1",
    "/admin/billing/ledgerentry/",
    "/admin/billing/ledgerentry/?q=user_1",
    "/admin/billing/creditblock/",
    "/admin/billing/hold/",
    "/admin/billing/verificationrun/",
    "/admin/metering/billablemetric/",
    "/admin/metering/meteringrule/",
    "/admin/subscriptions/priceplan/",
    "/admin/metering/usageevent/",
    "/admin/metering/usageevent/?q=user_1",
    "/admin/search/?s=user",
)


@pytest.fixture
def busy(api, acme):
    """A dozen customers with usage, so that a query per row would show."""
    make_metric(api)
    make_metric(api, key="tokens", cost_type="flat", unit_cost=10)
    for number in range(12):
        give(api, 50_000, to=f"user_{number}", reason="Welcome")
        for metric in ("api_call", "tokens"):
            assert use(api, 2, by=f"user_{number}", metric=metric).status == 202
    assert api.patch("/v1/customer-by-external-id/user_3", {"low_balance_threshold": 10**9}).status == 200
    return acme


@pytest.fixture
def desk(busy):
    """Not a superuser: looking up permissions costs queries too."""
    return Desk(somebody("owner"), busy.test)


@pytest.mark.parametrize("path", LISTS)
def test_lists(desk, path):
    assert desk.queries(path) <= CEILING


@pytest.mark.parametrize(
    "model",
    [
        Customer,
        ApiKey,
        AuditRecord,
        OutboxEvent,
        LedgerEntry,
        CreditBlock,
        BillableMetric,
        MeteringRule,
        UsageEvent,
    ],
)
def test_pages(desk, busy, model):
    with environment_scope(busy.test.id):
        row = model.objects.order_by("-pk").first()
        if model is Customer:
            row = model.objects.get(external_id="user_5")

    path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{row.pk}/change/"

    assert desk.queries(path) <= CEILING


@pytest.mark.parametrize("slug", ["grant", "adjust", "edit", "delete"])
def test_dialogs(desk, busy, slug):
    with environment_scope(busy.test.id):
        customer = Customer.objects.get(external_id="user_5")

    assert desk.queries(f"/admin/customers/customer/{customer.pk}/actions/{slug}/") <= CEILING


def test_the_catalogue(api, acme):
    """A dozen plans; the last has grants, prices of its own, a fallback and a second version."""
    make_metric(api)
    for _ in range(12):
        make_variant(api, make_plan(api))
    plan = make_plan(api)
    variant = make_variant(api, plan, fallback_variant_id=make_variant(api, plan))
    for _ in range(3):
        make_grant(api, plan, variant)
        make_rule(api, cost_type="flat", unit_cost=5, plan_variant_id=variant)
    put_somebody_on(acme, variant)
    version = api.patch(f"/v1/plans/{plan}/variants/{variant}", {"trial_days": 7})
    assert version.status == 201
    desk = Desk(somebody("owner"), acme.test)
    plans, variants = "/admin/subscriptions/plan/", "/admin/subscriptions/planvariant/"
    for path in (
        plans,
        f"{plans}?q=platform",
        f"{plans}{plan}/change/",
        f"{plans}{plan}/sell/",
        variants,
        f"{variants}?q=monthly",
        f"{variants}{version['id']}/change/",
        f"{variants}{version['id']}/edit/",
    ):
        assert desk.queries(path) <= CEILING, path


def test_a_customer_with_everything(acme):
    inhabit(acme)
    desk = Desk(somebody("owner"), acme.test)
    with environment_scope(acme.test.id):
        customer = Customer.objects.get(external_id="user_1")
    here = f"/admin/customers/customer/{customer.pk}/"

    assert desk.queries(f"{here}change/") <= CEILING
    for panel in ("audit", "webhooks", "usage-chart"):
        assert desk.queries(f"{here}panels/{panel}/") <= CEILING, panel
